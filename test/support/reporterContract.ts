import { assert, it } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries, Series } from "effect-threadstats/Series"
import * as Effect from "effect/Effect"
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

/** What arrived at the far side, in JSON's terms. */
export interface Arrived {
  readonly metrics: ReadonlyArray<unknown>
  readonly distributions: ReadonlyArray<unknown>
  readonly events: ReadonlyArray<unknown>
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

const byTitle = (items: ReadonlyArray<unknown>) => items.map((item) => JSON.stringify(plain(item))).sort()

/** What every reporter owes its caller, wherever it delivers to. */
export const reporterContract = <R, E>(
  layer: Layer.Layer<Reporter.Reporter | R, E>,
  options: { readonly arrived?: Effect.Effect<Arrived, never, R> }
) => {
  it.effect("delivers a batch of each sort, whole and as it was handed over", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
      assert.strictEqual((yield* reporter.flushDistributions(distributions)).items, distributions.length)
      assert.strictEqual((yield* reporter.flushEvents(events)).items, events.length)
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        assert.deepStrictEqual(plain(arrived.metrics), plain(metrics))
        assert.deepStrictEqual(plain(arrived.distributions), plain(distributions))
        assert.deepStrictEqual(byTitle(arrived.events), byTitle(events))
      }
    }).pipe(Effect.provide(layer)))

  it.effect("takes flushes that overlap", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      const receipts = yield* Effect.forEach(
        Array.from({ length: 5 }),
        () =>
          Effect.all([
            reporter.flushMetrics(metrics),
            reporter.flushDistributions(distributions),
            reporter.flushEvents(events)
          ], { concurrency: "unbounded" }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(
        receipts.flat().reduce(Reporter.addReceipts, Reporter.emptyReceipt).items,
        5 * (metrics.length + distributions.length + events.length)
      )
      if (options.arrived !== undefined) {
        const arrived = yield* options.arrived
        assert.strictEqual(arrived.metrics.length, 5 * metrics.length)
        assert.strictEqual(arrived.distributions.length, 5 * distributions.length)
        assert.strictEqual(arrived.events.length, 5 * events.length)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("warms without sending anything, and works where it cannot be interrupted", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      yield* reporter.warm
      if (options.arrived !== undefined) {
        assert.deepStrictEqual(yield* options.arrived, { metrics: [], distributions: [], events: [] })
      }
      const receipt = yield* Effect.uninterruptible(reporter.flushMetrics(metrics))
      assert.strictEqual(receipt.items, metrics.length)
    }).pipe(Effect.provide(layer)))

  it.effect("declares a temporality, and needs nothing but itself to work", () =>
    Effect.gen(function*() {
      const reporter = yield* Reporter.Reporter
      assert.include(["total", "delta"], reporter.temporality)
      const { flushEvents } = reporter
      assert.strictEqual((yield* flushEvents(events.slice(0, 1))).items, 1)
    }).pipe(Effect.provide(layer)))
}
