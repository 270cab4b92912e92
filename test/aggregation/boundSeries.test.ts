import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, TestClock } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { now } from "../support/aggregator.js"
import { layerMetricsAggregator } from "../support/layers.js"
import { boundSeriesAreEquivalent } from "./boundSeriesProperty.js"

describe("bound series", () => {
  boundSeriesAreEquivalent(10)

  it.effect("share a series with calls that name it after the series was evicted", () =>
    Effect.gen(function*() {
      const self = yield* PipelineMetricsAggregator
      const flush = self.drain({ temporality: "delta", now })
      const clock = { now: () => now, onHighWaterMark: () => {} }
      const record = self.bind("counter", "c", { tags: ["a:1", "b:2"] }, clock)
      record()
      assert.deepStrictEqual((yield* flush).map(({ recorded }) => recorded), [1])
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 11_000; i++) self.unsafeAdd("gauge", "other", i, now, { tags: [`i:${round}.${i}`] })
        yield* flush
      }
      self.unsafeAdd("counter", "c", 2, now, { tags: ["b:2", "a:1"] })
      record(4)
      record()
      const items = yield* flush
      assert.deepStrictEqual(
        items.map(({ name, points, recorded }) => ({ name, recorded, value: points[0]!.value })),
        [{ name: "c", recorded: 3, value: 0.7 }]
      )
    }).pipe(Effect.provide(layerMetricsAggregator)))

  it.effect("keep the tags that they were bound with when the caller changes its array", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const tags = ["a:1"]
      const orders = yield* ThreadStats.bindCounter("orders", { tags })
      tags[0] = "changed"
      yield* orders.increment(2)
      orders.unsafeDecrement()
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memory.metrics).map(({ metric, points, tags }) => [metric, points[0]![1], tags]), [
        ["orders", 0.1, ["a:1"]]
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("record when their functions are passed on without their object", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const { record } = yield* ThreadStats.bindDistribution("size")
      const { add } = yield* ThreadStats.bindSet("customers")
      const { set } = yield* ThreadStats.bindGauge("waiting")
      const { record: recordRows } = yield* ThreadStats.bindHistogram("rows")
      yield* Effect.forEach([3, 1, 2], record)
      yield* Effect.forEach(["a", "b", "a"], add)
      yield* Effect.forEach([5, 6], set)
      yield* Effect.forEach([1, 9], recordRows)
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memory.distributions)[0]?.points[0]?.[1], [3, 1, 2])
      const values = new Map((yield* memory.metrics).map(({ metric, points }) => [metric, points[0]![1]]))
      assert.strictEqual(values.get("customers"), 2)
      assert.strictEqual(values.get("waiting"), 6)
      assert.strictEqual(values.get("rows.max"), 9)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("time effects that succeed and effects that fail, in the unit of the binding", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const seconds = yield* ThreadStats.bindTiming("seconds", { tags: ["a:1"] })
      const millis = yield* ThreadStats.bindTiming("millis", { unit: "milliseconds" })
      const work = TestClock.adjust("250 millis")
      yield* work.pipe(seconds.timer, millis.timer)
      const exit = yield* work.pipe(Effect.zipRight(Effect.fail("no")), seconds.timer, Effect.exit)
      assert.deepStrictEqual(exit, Exit.fail("no"))
      yield* seconds.record(0.5)
      seconds.unsafeRecord(1)
      yield* ThreadStats.flush()
      const values = new Map((yield* memory.metrics).map(({ metric, points }) => [metric, points[0]![1]]))
      assert.strictEqual(values.get("seconds.count"), 0.4)
      assert.strictEqual(values.get("seconds.avg"), 0.5)
      assert.strictEqual(values.get("millis.max"), 250)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("record nothing and run timed effects when the client is disabled", () =>
    Effect.gen(function*() {
      const self = yield* ThreadStats.ThreadStats
      const orders = self.bindCounter("orders")
      yield* orders.increment()
      orders.unsafeIncrement()
      assert.strictEqual(yield* self.bindTiming("t").timer(Effect.succeed(1)), 1)
      assert.strictEqual((yield* self.stats).metrics.received, 0)
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ disabled: true }))))
})
