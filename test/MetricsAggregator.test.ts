import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { MetricsAggregator, Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../src/internal/aggregation/MetricsAggregator.js"
import { add, drain, itAggregates, now } from "./support/aggregator.js"
import { layerEventsAggregator, layerMetricsAggregator } from "./support/layers.js"

const { MetricsAggregator: Aggregator } = MetricsAggregator

describe("MetricsAggregator layers", () => {
  it.effect("create one aggregator for every build", () =>
    Effect.gen(function*() {
      const first = yield* Effect.provide(Aggregator, layerMetricsAggregator)
      const second = yield* Effect.provide(Aggregator, layerMetricsAggregator)
      yield* first.add("gauge", "x", 1, now)
      assert.deepStrictEqual(yield* second.drain({ temporality: "total", now }), [])
      assert.deepInclude(yield* second.stats, { received: 0 })
    }))

  it.scoped("share one aggregator when one layer constant is used twice in a build", () =>
    Effect.gen(function*() {
      class First extends Context.Tag("test/First")<First, MetricsAggregator.MetricsAggregator["Type"]>() {}
      class Second extends Context.Tag("test/Second")<Second, MetricsAggregator.MetricsAggregator["Type"]>() {}
      const context = yield* Layer.build(Layer.merge(
        Layer.provide(Layer.effect(First, Aggregator), layerMetricsAggregator),
        Layer.provide(Layer.effect(Second, Aggregator), layerMetricsAggregator)
      ))
      assert.strictEqual(Context.get(context, First), Context.get(context, Second))
    }))

  itAggregates("provide one aggregator to the program and to the pipeline", () =>
    Effect.gen(function*() {
      assert.strictEqual<object>(yield* Aggregator, yield* PipelineMetricsAggregator)
    }))

  itAggregates("pass `rollUpInterval`, `aggregates` and `percentiles` to the aggregator", () =>
    Effect.gen(function*() {
      yield* add("histogram", "h", 1, undefined, 59_000)
      const [item] = yield* drain("total", undefined, 60_000)
      assert.strictEqual(item?.timestamp, 0)
      assert.deepStrictEqual(item?.points.map(({ suffix }) => suffix), ["sum", "50percentile"])
    }), { rollUpInterval: "1 minute", aggregates: ["sum"], percentiles: [0.5] })
})

describe("MetricsAggregator service", () => {
  /** Every operation of the public service, and no other: a test double has these. */
  const double: MetricsAggregator.MetricsAggregator["Type"] = {
    unsafeAdd: () => false,
    add: () => Effect.void,
    drain: () => Effect.succeed([]),
    restore: () => Effect.void,
    stats: Effect.die("not recorded")
  }

  it("does not satisfy the requirements of a client, which is a type error", () => {
    const client = ThreadStats.layerReporter.pipe(
      Layer.provide([Layer.succeed(Aggregator, double), layerEventsAggregator, Reporter.layerMemory]),
      Layer.provide(ThreadStatsConfig.layerTest)
    )
    expectTypeOf(client).toEqualTypeOf<
      Layer.Layer<ThreadStats.ThreadStats, never, MetricsAggregator.PipelineMetricsAggregator>
    >()
  })
})

describe("MetricsAggregator isIdle", () => {
  itAggregates(
    "is true only when nothing is pending, no warning is unreported and no closed bucket must be evicted",
    () =>
      Effect.gen(function*() {
        const self = yield* PipelineMetricsAggregator
        const flush = (at: number) => self.drain({ temporality: "total", now: at })
        assert.isTrue(self.isIdle())
        yield* add("gauge", "x", Number.NaN)
        assert.isFalse(self.isIdle())
        yield* self.drainWarnings
        assert.isTrue(self.isIdle())
        yield* add("gauge", "x", 1)
        yield* add("counter", "x", 1)
        yield* flush(now)
        assert.isFalse(self.isIdle())
        yield* self.drainWarnings
        assert.isTrue(self.isIdle())
        // The aggregator keeps the members of a reported set for its next total until the interval closes.
        for (let i = 0; i < 20_000; i++) self.unsafeAdd("set", "visitors", `${i} ${"v".repeat(150)}`, now)
        yield* flush(now)
        assert.isFalse(self.isIdle())
        yield* flush(now + 60_000)
        assert.isTrue(self.isIdle())
      })
  )
})

describe("MetricsAggregator drainWarnings", () => {
  itAggregates("names dropped points and names with two kinds once", () =>
    Effect.gen(function*() {
      const self = yield* PipelineMetricsAggregator
      for (const name of ["a", "b", "c", "d", "a"]) yield* add("gauge", name, Number.NaN)
      yield* add("gauge", "x", 1)
      yield* add("counter", "x", 1, { tags: ["a"] })
      yield* add("counter", "x", 1, { tags: ["a"] })
      assert.deepStrictEqual(yield* self.drainWarnings, {
        dropped: [{ reason: "InvalidValue", count: 5, names: ["a", "b", "c"] }],
        truncated: [],
        conflicts: ["x"]
      })
      assert.deepStrictEqual(yield* self.drainWarnings, { dropped: [], truncated: [], conflicts: [] })
    }))
})
