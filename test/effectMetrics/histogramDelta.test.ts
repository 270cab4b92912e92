import { assert, describe, it } from "@effect/vitest"
import * as Testing from "effect-threadstats/testing"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricState from "effect/MetricState"
import * as TestClock from "effect/TestClock"
import * as HistogramDelta from "../../src/internal/effectMetrics/histogramDelta.js"
import { bucketsOf, indexes, layerRecorded, only, sumOf, takeRecorded } from "../support/effectMetrics.js"
import { histogramsKeepCounts } from "./properties.js"

const close = (actual: number, expected: number, message?: string) =>
  assert.approximately(actual, expected, 1e-9 * Math.max(1, Math.abs(expected)), message)

describe("histogramDelta", () => {
  histogramsKeepCounts(15)

  const boundaries = MetricBoundaries.linear({ start: 10, width: 10, count: 11 })

  it.effect("synthesizes distributions with the same number of values between boundaries and the same sum", () =>
    Effect.gen(function*() {
      const latency = Metric.histogram("h1.latency", boundaries)
      const batches = [[12, 13, 13, 17, 55, 99, 250], [3, 12, 12, 12, 19.5, 55, 260, 260], [60]]
      for (const batch of batches) {
        for (const value of batch) yield* Metric.update(latency, value)
        const [found, ...others] = yield* takeRecorded
        const values = found!.slice(2) as Array<number>
        assert.deepStrictEqual(found!.slice(0, 2), ["distribution", "h1.latency"])
        assert.isEmpty(others)
        assert.deepStrictEqual(bucketsOf(values, boundaries.values), bucketsOf(batch, boundaries.values))
        close(sumOf(values), sumOf(batch))
      }
      assert.isEmpty(yield* takeRecorded)
    }).pipe(Effect.provide(layerRecorded(only("h1.")))))

  it.effect("returns exact values for one or two values, a new minimum and a new maximum", () =>
    Effect.gen(function*() {
      const size = Metric.histogram("h2.size", boundaries)
      const after = (...batch: ReadonlyArray<number>) =>
        Effect.zipRight(
          Effect.forEach(batch, (value) => Metric.update(size, value)),
          Effect.map(takeRecorded, ([found]) => found!.slice(2) as Array<number>)
        )
      assert.deepStrictEqual(yield* after(31.5, 66), [31.5, 66])
      const [one] = yield* after(47.25)
      close(one!, 47.25)
      const lower = yield* after(33, 2.5, 44)
      assert.strictEqual(lower[0], 2.5)
      const higher = yield* after(33, 44, 612.5)
      assert.strictEqual(higher.at(-1), 612.5)
    }).pipe(Effect.provide(layerRecorded(only("h2.")))))

  it.effect("keeps percentiles within their boundaries when it downsamples to `histogramValues`", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h3.busy", boundaries)
      const batch = indexes(100_000).map((i) => (i * 7919) % 100 + 0.5)
      for (const value of batch) busy.unsafeUpdate(value, [])
      const values = (yield* Testing.values("h3.busy")).slice().sort((a, b) => a - b)
      assert.lengthOf(values, 1000)
      assert.strictEqual(values[0], 0.5)
      assert.strictEqual(values.at(-1), 99.5)
      bucketsOf(values, boundaries.values).slice(0, -1).forEach((count) => assert.approximately(count, 100, 2))
      assert.approximately(sumOf(values) / 1000, sumOf(batch) / 100_000, 0.01)
    }).pipe(Effect.provide(layerRecorded(only("h3.", { histogramValues: 1000 })))))

  it.effect("synthesizes at most 10,000 values per flush by default", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h4.busy", boundaries)
      for (let i = 0; i < 1_000_000; i++) busy.unsafeUpdate(i % 100, [])
      assert.lengthOf(yield* Testing.values("h4.busy"), 10_000)
    }).pipe(Effect.provide(layerRecorded(only("h4.")))))

  it.effect("reports exact counts and sums, and gauges, when `histograms` is aggregates", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h5.busy", boundaries)
      for (let i = 1; i <= 100_000; i++) busy.unsafeUpdate(i / 1000, [])
      yield* Testing.expectCount("h5.busy.count", 100_000)
      close(yield* Testing.count("h5.busy.sum"), (yield* Metric.value(busy)).sum)
      yield* Testing.expectGauge("h5.busy.min", 0.001)
      yield* Testing.expectGauge("h5.busy.max", 100)
      assert.approximately((yield* Testing.gauge("h5.busy.95percentile"))!, 95, 0.1)
      assert.approximately((yield* Testing.gauge("h5.busy.75percentile"))!, 75, 0.1)
      yield* Testing.expectNone("h5.busy")
      yield* Testing.clear
      yield* Metric.update(busy, 42)
      yield* Testing.expectCount("h5.busy.count", 1)
      // The gauges describe values since the last flush.
      for (const suffix of ["min", "max", "99percentile"]) {
        assert.approximately((yield* Testing.gauge(`h5.busy.${suffix}`))!, 42, 0.001)
      }
    }).pipe(Effect.provide(layerRecorded(only("h5.", { histograms: "aggregates" })))))

  it.effect("reports a distribution and aggregates when `histograms` is both", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.histogram("h6.size", boundaries), 5)
      yield* Testing.expectValues("h6.size", [5])
      yield* Testing.expectCount("h6.size.count", 1)
      yield* Testing.expectGauge("h6.size.50percentile", 5)
    }).pipe(Effect.provide(layerRecorded(only("h6.", { histograms: "both" }), { percentiles: [0.5] }))))

  it.effect("keeps zeros, negative and infinite values in their buckets, and drops NaN once", () =>
    Effect.gen(function*() {
      const options = MetricBoundaries.fromIterable([-10, 0, 10])
      const record = (name: string, ...values: ReadonlyArray<number>) =>
        Effect.forEach(values, (value) => Metric.update(Metric.histogram(`h7.${name}`, options), value))
      yield* record("zero", 0, 0, 0)
      yield* record("below", -30, -20, -15, -1)
      yield* record("infinite", 5, Infinity, -Infinity)
      yield* record("bad", Number.NaN, 5, Number.NaN)
      yield* Testing.expectValues("h7.zero", [0, 0, 0])
      const below = yield* Testing.values("h7.below")
      assert.deepStrictEqual(bucketsOf(below, [-10, 0]), [3, 1])
      close(sumOf(below), -66)
      assert.strictEqual(below[0], -30)
      const infinite = yield* Testing.values("h7.infinite")
      assert.deepStrictEqual(bucketsOf(infinite, [-10, 0, 10]), [1, 0, 2])
      yield* Testing.expectValues("h7.bad", [5])
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
    }).pipe(Effect.provide(layerRecorded(only("h7.")))))

  it.effect("reports timers in milliseconds", () =>
    Effect.gen(function*() {
      const timer = Metric.timer("h8.took")
      const fiber = yield* Effect.sleep("250 millis").pipe(
        Metric.trackDuration(timer),
        Effect.tagMetrics("route", "/home"),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* fiber.await
      yield* Testing.expectValues("h8.took", [250], { time_unit: "milliseconds", route: "/home" })
    }).pipe(Effect.provide(layerRecorded(only("h8.")))))

  it("counts on when the 32-bit counts of Effect overflow", () => {
    const state = (first: number, second: number) =>
      MetricState.histogram({
        buckets: [[10, first], [Infinity, first + second]],
        count: first + second,
        min: 1,
        max: 20,
        sum: 0
      })
    const before = state(2 ** 32 - 2, 5)
    const after = state(1, 6)
    const delta = HistogramDelta.computeDelta(
      HistogramDelta.takeSnapshot(before),
      HistogramDelta.takeSnapshot(after),
      after.buckets
    )
    assert.deepStrictEqual(delta.buckets.map(({ count }) => count), [3, 1])
    assert.strictEqual(delta.count, 4)
  })
})
