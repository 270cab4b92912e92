import { assert, it } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import type * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries, SampleSeries, Series } from "effect-threadstats/Series"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Layer from "effect/Layer"
import { type WireError, type WireItem, WireReporter } from "./wireReporter.js"

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
    tags: ["env:test"],
    interval: 10
  },
  { metric: "shop.queue", points: [[1_700_000_000, -3]], type: "gauge", tags: [], interval: 10 },
  { metric: "shop.queue", points: [[1_700_000_010, 4]], type: "gauge", tags: [], interval: 10 },
  { metric: "shop.größe", points: [[1_700_000_000, 1e-7]], type: "count", host: "web-1", tags: ["名:値"], interval: 10 }
])

export const distributions: ReadonlyArray<DistributionSeries> = freeze([
  {
    metric: "shop.latency",
    points: [[1_700_000_000, [0.1, 0.2, 0.1]]],
    type: "distribution",
    tags: ["env:test"],
    interval: 10
  },
  { metric: "shop.latency", points: [[1_700_000_010, [7]]], type: "distribution", tags: ["env:test"], interval: 10 },
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

/** The items that the receiver holds, as JSON values. */
export interface Arrived {
  readonly metrics: ReadonlyArray<unknown>
  readonly distributions: ReadonlyArray<unknown>
  readonly events: ReadonlyArray<unknown>
}

const toJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Makes items comparable regardless of their order and the order of their keys. */
const sorted = (items: ReadonlyArray<unknown>) =>
  items.map((item) => JSON.stringify(Object.entries(toJson(item) as object).sort(([a], [b]) => a < b ? -1 : 1))).sort()

const errorOf = (outcome: Either.Either<Reporter.Receipt, WireError>) =>
  Either.isLeft(outcome) ? outcome.left : undefined

/** The differences that a reporter may have from the full contract. */
export interface Declaration<R> {
  /** Reads the items that the receiver holds. Absent if the reporter has no receiver. */
  readonly arrived?: Effect.Effect<Arrived, never, R>
  /** The metrics as the receiver holds them, for a reporter without samples. Default: the batch itself. */
  readonly metrics?: Arrived["metrics"]
  /** The distributions as the receiver holds them. Default: the batch itself. */
  readonly distributions?: Arrived["distributions"]
  /** The events as the receiver holds them. Default: the batch itself. */
  readonly events?: Arrived["events"]
  /** The samples as the receiver holds them, by the kind of item it takes them for. Absent if the reporter takes no samples. */
  readonly samples?: Partial<Arrived>
  /** The reason with which the reporter refuses every batch of a kind that its receiver does not support. */
  readonly cannot?: { readonly [Kind in keyof Arrived]?: Reporter.Reason }
  /** The same reporter with a receiver that cannot be reached. */
  readonly dead?: Layer.Layer<Reporter.Reporter>
}

/** Tests the contract of every reporter. */
export const reporterContract = <R, E>(
  layer: Layer.Layer<Reporter.Reporter | R, E>,
  options: Declaration<R>
) => {
  const cannot = options.cannot ?? {}
  const takesSamples = options.samples !== undefined
  const batches = { metrics: takesSamples ? samples : metrics, distributions, events }
  const expected: Arrived = {
    metrics: takesSamples
      ? options.samples.metrics ?? []
      : cannot.metrics === undefined
      ? options.metrics ?? metrics
      : [],
    distributions: [
      ...options.samples?.distributions ?? [],
      ...cannot.distributions === undefined ? options.distributions ?? distributions : []
    ],
    events: cannot.events === undefined ? options.events ?? events : []
  }

  /** Delivers a batch of each kind, and returns the outcomes. */
  const deliverAll = (reporter: WireReporter) =>
    Effect.all({
      metrics: Effect.either(takesSamples ? reporter.flushSamples!(samples) : reporter.flushMetrics(metrics)),
      distributions: Effect.either(reporter.flushDistributions(distributions)),
      events: Effect.either(reporter.flushEvents(events))
    }, { concurrency: "unbounded" })

  /** Checks that each batch was delivered whole, or refused whole if declared so. */
  const assertAsDeclared = (outcomes: Effect.Effect.Success<ReturnType<typeof deliverAll>>) => {
    for (const [kind, batch] of Object.entries(batches)) {
      const outcome = outcomes[kind as keyof Arrived]
      const reason = cannot[kind as keyof Arrived]
      if (reason === undefined) {
        assert.isUndefined(errorOf(outcome), kind)
        assert.strictEqual(Either.getOrThrow(outcome).items, batch.length)
      } else {
        const error = errorOf(outcome)
        if (error === undefined) return assert.fail(`${kind} were delivered`)
        assert.strictEqual(error.reason, reason)
        assert.deepStrictEqual(error.refused, batch)
        assert.deepStrictEqual([error.undelivered, error.ambiguous, error.receipt.items], [[], [], 0])
      }
    }
  }

  it.effect("delivers a whole batch of metrics, of distributions and of events", () =>
    Effect.gen(function*() {
      assertAsDeclared(yield* Effect.flatMap(WireReporter, deliverAll))
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        assert.deepStrictEqual(toJson(arrived.metrics), toJson(expected.metrics))
        assert.deepStrictEqual(toJson(arrived.distributions), toJson(expected.distributions))
        assert.deepStrictEqual(sorted(arrived.events), sorted(expected.events))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("delivers samples if it takes samples", () =>
    Effect.gen(function*() {
      const { flushSamples } = yield* WireReporter
      if (flushSamples === undefined) return assert.isUndefined(options.samples)
      assert.strictEqual((yield* flushSamples(samples)).items, samples.length)
      if (options.arrived !== undefined && options.samples !== undefined) {
        assert.deepStrictEqual(
          toJson(yield* options.arrived),
          toJson({ metrics: [], distributions: [], events: [], ...options.samples })
        )
      }
    }).pipe(Effect.provide(layer)))

  it.effect("delivers concurrent batches", () =>
    Effect.gen(function*() {
      const reporter = yield* WireReporter
      const outcomes = yield* Effect.forEach(Array.from({ length: 5 }), () => deliverAll(reporter), {
        concurrency: "unbounded"
      })
      outcomes.forEach(assertAsDeclared)
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        const fiveTimes = (items: ReadonlyArray<unknown>) => Array.from({ length: 5 }, () => items).flat()
        assert.deepStrictEqual(sorted(arrived.metrics), sorted(fiveTimes(expected.metrics)))
        assert.deepStrictEqual(sorted(arrived.distributions), sorted(fiveTimes(expected.distributions)))
        assert.deepStrictEqual(sorted(arrived.events), sorted(fiveTimes(expected.events)))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("sends nothing when it is warmed, and delivers in an uninterruptible region", () =>
    Effect.gen(function*() {
      const reporter = yield* WireReporter
      yield* reporter.warm
      if (options.arrived !== undefined) {
        assert.deepStrictEqual(yield* options.arrived, { metrics: [], distributions: [], events: [] })
      }
      assertAsDeclared(yield* Effect.uninterruptible(deliverAll(reporter)))
    }).pipe(Effect.provide(layer)))

  it.effect("declares a temporality, and delivers when its methods are called unbound", () =>
    Effect.gen(function*() {
      const reporter = yield* WireReporter
      assert.include(["total", "delta"], reporter.temporality)
      const { flushDistributions } = reporter
      assert.strictEqual((yield* flushDistributions(distributions.slice(0, 1))).items, 1)
    }).pipe(Effect.provide(layer)))

  const { dead } = options
  if (dead !== undefined) {
    it.effect("fails with the undelivered items when the receiver cannot be reached", () =>
      Effect.gen(function*() {
        const reporter = yield* WireReporter
        yield* reporter.warm
        const outcomes = yield* deliverAll(reporter)
        for (const [kind, batch] of Object.entries(batches)) {
          if (cannot[kind as keyof Arrived] !== undefined) continue
          const error = errorOf(outcomes[kind as keyof Arrived])
          if (error === undefined) return assert.fail(`${kind} were delivered`)
          // The error holds the identical objects, each once.
          assert.strictEqual(error.undelivered.length, batch.length)
          assert.deepStrictEqual(new Set(error.undelivered), new Set<WireItem>(batch))
          assert.isTrue(error.undelivered.every((item) => (batch as ReadonlyArray<WireItem>).includes(item)))
          assert.isTrue(error.ambiguous.every((item) => error.undelivered.includes(item)))
          assert.deepStrictEqual([error.refused, error.receipt.items], [[], 0])
        }
      }).pipe(Effect.provide(dead)))
  }
}
