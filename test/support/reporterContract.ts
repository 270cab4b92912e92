import { assert, it } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries, SampleSeries, Series } from "effect-threadstats/Series"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"

const freeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    Object.values(value).forEach(freeze)
  }
  return value
}

export const metrics: ReadonlyArray<Series> = freeze([
  {
    metric: "shop.orders",
    points: [[1_700_000_000, 0.5]],
    type: "rate",
    host: null,
    device: null,
    tags: ["env:test"],
    interval: 10
  },
  { metric: "shop.queue", points: [[1_700_000_000, -3], [1_700_000_010, 4]], type: "gauge", tags: [], interval: 10 },
  { metric: "shop.größe", points: [[1_700_000_000, 1e-7]], type: "count", host: "web-1", tags: ["名:値"], interval: 10 }
])

export const distributions: ReadonlyArray<DistributionSeries> = freeze([
  {
    metric: "shop.latency",
    points: [[1_700_000_000, [0.1, 0.2, 0.1]], [1_700_000_010, [7]]],
    type: "distribution",
    tags: ["env:test"],
    interval: 10
  },
  { metric: "shop.basket", points: [[1_700_000_000, [1]]], type: "distribution", host: "", tags: [], interval: 10 }
])

export const events: ReadonlyArray<Event> = freeze([
  { title: "Deployed", text: "version 42", alert_type: "success", date_happened: 1_700_000_000, tags: ["v:42"] },
  { title: "Scaled", text: "", tags: [] },
  { title: "Größer \ud83d\ude80", text: "line\nline", priority: "low", host: "web-1", tags: [] }
])

export const samples: ReadonlyArray<SampleSeries> = freeze([
  {
    metric: "shop.orders",
    points: [[1_700_000_000, [5]]],
    weight: 1,
    type: "counter",
    tags: ["env:test"],
    interval: 10
  },
  {
    metric: "shop.queue",
    points: [[1_700_000_000, [-3]]],
    weight: 1,
    type: "gauge",
    host: "web-1",
    tags: [],
    interval: 10
  },
  { metric: "shop.users", points: [[1_700_000_000, ["ann", 7]]], weight: 1, type: "set", tags: [], interval: 10 },
  { metric: "shop.size", points: [[1_700_000_000, [1, 2]]], weight: 2.5, type: "histogram", tags: [], interval: 10 },
  {
    metric: "shop.time",
    points: [[1_700_000_010, [0.25]]],
    weight: 1,
    type: "timing",
    tags: ["env:test"],
    interval: 10
  }
])

/** What arrived at the far side, in JSON's terms. */
export interface Arrived {
  readonly metrics: ReadonlyArray<unknown>
  readonly distributions: ReadonlyArray<unknown>
  readonly events: ReadonlyArray<unknown>
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Whatever the order, of the items and of their keys. */
const unordered = (items: ReadonlyArray<unknown>) =>
  items.map((item) => JSON.stringify(Object.entries(plain(item) as object).sort(([a], [b]) => a < b ? -1 : 1))).sort()

const errorOf = (outcome: Either.Either<Reporter.Receipt, Reporter.ReporterError>) =>
  Either.isLeft(outcome) ? outcome.left : undefined

/** What a reporter's batches look like where they arrive, and what it cannot do; all else it has to do. */
export interface Declaration<R> {
  /** How to look at the far side. Without it there is none. */
  readonly arrived?: Effect.Effect<Arrived, never, R>
  /** What the batches of metrics look like where they arrive. Default: as they were handed over. */
  readonly metrics?: Arrived["metrics"]
  /** The same of distributions and of events, where the receiver knows less of them than was handed over. */
  readonly distributions?: Arrived["distributions"]
  readonly events?: Arrived["events"]
  /** The same of samples, where the reporter takes them: among which of the three they are, and what they look like. */
  readonly samples?: Partial<Arrived>
  /** A sort of batch that its receiver has no way to say: it is refused for good, whole, for this reason. */
  readonly cannot?: { readonly [Sort in keyof Arrived]?: Reporter.Reason }
  /** The same reporter, with nothing at the far side. */
  readonly dead?: Layer.Layer<Reporter.Reporter>
}

/** What every reporter owes its caller, wherever it delivers to. */
export const reporterContract = <R, E>(
  layer: Layer.Layer<Reporter.Reporter | R, E>,
  options: Declaration<R>
) => {
  const cannot = options.cannot ?? {}
  const expected: Arrived = {
    metrics: cannot.metrics === undefined ? options.metrics ?? metrics : [],
    distributions: cannot.distributions === undefined ? options.distributions ?? distributions : [],
    events: cannot.events === undefined ? options.events ?? events : []
  }

  /** Hands over a batch of each sort, and gives back how it ended. */
  const all = (reporter: Reporter.Reporter["Type"]) =>
    Effect.all({
      metrics: Effect.either(reporter.flushMetrics(metrics)),
      distributions: Effect.either(reporter.flushDistributions(distributions)),
      events: Effect.either(reporter.flushEvents(events))
    }, { concurrency: "unbounded" })

  /** Delivered whole, or refused whole, as declared. */
  const isAsDeclared = (outcomes: Effect.Effect.Success<ReturnType<typeof all>>) => {
    for (const [sort, batch] of Object.entries({ metrics, distributions, events })) {
      const outcome = outcomes[sort as keyof Arrived]
      const reason = cannot[sort as keyof Arrived]
      if (reason === undefined) {
        assert.isUndefined(errorOf(outcome), sort)
        assert.strictEqual(Either.getOrThrow(outcome).items, batch.length)
      } else {
        const error = errorOf(outcome)
        if (error === undefined) return assert.fail(`${sort} were delivered`)
        assert.strictEqual(error.reason, reason)
        assert.deepStrictEqual(error.refused, batch)
        assert.deepStrictEqual([error.undelivered, error.ambiguous, error.receipt.items], [[], [], 0])
      }
    }
  }

  it.effect("delivers a batch of each sort, whole and as it was handed over", () =>
    Effect.gen(function*() {
      isAsDeclared(yield* Effect.flatMap(Reporter.Reporter, all))
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        assert.deepStrictEqual(plain(arrived.metrics), plain(expected.metrics))
        assert.deepStrictEqual(plain(arrived.distributions), plain(expected.distributions))
        assert.deepStrictEqual(unordered(arrived.events), unordered(expected.events))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("delivers samples, if it takes them at all", () =>
    Effect.gen(function*() {
      const { flushSamples } = yield* Reporter.Reporter
      if (flushSamples === undefined) return assert.isUndefined(options.samples)
      assert.strictEqual((yield* flushSamples(samples)).items, samples.length)
      if (options.arrived !== undefined && options.samples !== undefined) {
        assert.deepStrictEqual(
          plain(yield* options.arrived),
          plain({ metrics: [], distributions: [], events: [], ...options.samples })
        )
      }
    }).pipe(Effect.provide(layer)))

  it.effect("takes flushes that overlap", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      const outcomes = yield* Effect.forEach(Array.from({ length: 5 }), () => all(reporter), {
        concurrency: "unbounded"
      })
      outcomes.forEach(isAsDeclared)
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        const many = (items: ReadonlyArray<unknown>) => Array.from({ length: 5 }, () => items).flat()
        assert.deepStrictEqual(unordered(arrived.metrics), unordered(many(expected.metrics)))
        assert.deepStrictEqual(unordered(arrived.distributions), unordered(many(expected.distributions)))
        assert.deepStrictEqual(unordered(arrived.events), unordered(many(expected.events)))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("warms without sending anything, and works where it cannot be interrupted", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      yield* reporter.warm
      if (options.arrived !== undefined) {
        assert.deepStrictEqual(yield* options.arrived, { metrics: [], distributions: [], events: [] })
      }
      isAsDeclared(yield* Effect.uninterruptible(all(reporter)))
    }).pipe(Effect.provide(layer)))

  it.effect("declares a temporality, and needs nothing but itself to work", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      assert.include(["total", "delta"], reporter.temporality)
      const { flushDistributions } = reporter
      assert.strictEqual((yield* flushDistributions(distributions.slice(0, 1))).items, 1)
    }).pipe(Effect.provide(layer)))

  const { dead } = options
  if (dead !== undefined) {
    it.effect("with nothing at the far side, says what was not delivered, and fails in no other way", () =>
      Effect.gen(function*() {
        const reporter = yield* Reporter.Reporter
        yield* reporter.warm
        const outcomes = yield* all(reporter)
        for (const [sort, batch] of Object.entries({ metrics, distributions, events })) {
          if (cannot[sort as keyof Arrived] !== undefined) continue
          const error = errorOf(outcomes[sort as keyof Arrived])
          if (error === undefined) return assert.fail(`${sort} were delivered`)
          // the very objects, and each once
          assert.strictEqual(error.undelivered.length, batch.length)
          assert.deepStrictEqual(new Set(error.undelivered), new Set<Reporter.Item>(batch))
          assert.isTrue(error.undelivered.every((item) => (batch as ReadonlyArray<Reporter.Item>).includes(item)))
          assert.isTrue(error.ambiguous.every((item) => error.undelivered.includes(item)))
          assert.deepStrictEqual([error.refused, error.receipt.items], [[], 0])
        }
      }).pipe(Effect.provide(dead)))
  }
}
