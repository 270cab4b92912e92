import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { add, drain, firstValues, itAggregates, minute, now, restore, stats } from "../support/aggregator.js"
import { makeMetricsAggregator } from "../support/layers.js"

describe("MetricsAggregator restore", () => {
  for (const temporality of ["total", "delta"] as const) {
    itAggregates(
      `merges undelivered series under later points when the temporality is ${temporality}`,
      () =>
        Effect.gen(function*() {
          yield* add("counter", "c", 5)
          yield* add("gauge", "g", 1)
          yield* add("set", "s", "a")
          yield* add("histogram", "h", 1)
          yield* add("distribution", "d", 1)
          const undelivered = yield* drain(temporality)
          assert.strictEqual((yield* stats).pending, 0)
          yield* add("counter", "c", 2)
          yield* add("gauge", "g", 2)
          yield* add("set", "s", "b")
          yield* add("histogram", "h", 3)
          yield* add("distribution", "d", 2)
          yield* restore(undelivered)
          assert.strictEqual((yield* stats).pending, 10)
          const items = yield* drain(temporality)
          const byName = Object.fromEntries(items.map((item) => [item.name, item]))
          assert.closeTo(byName.c!.points[0]!.value, 0.7, 1e-9)
          assert.strictEqual(byName.g!.points[0]!.value, 2)
          assert.strictEqual(byName.s!.points[0]!.value, 2)
          assert.deepInclude(byName.h!.points, { suffix: "avg", type: "gauge", value: 2 })
          assert.deepStrictEqual(byName.d!.values, [1, 2])
          assert.deepStrictEqual(items.map(({ recorded }) => recorded), [2, 2, 2, 2, 2])
        })
    )
  }

  itAggregates("makes undelivered series pending again when no later point was recorded", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5)
      const undelivered = yield* drain("delta")
      yield* restore(undelivered)
      assert.deepStrictEqual(firstValues(yield* drain("delta")).map(([, , value]) => value), [0.5])
    }))

  itAggregates("restores an undelivered point of a series that was evicted meanwhile", () =>
    Effect.gen(function*() {
      yield* add("distribution", "kept", 1, { tags: ["n:0"] })
      const undelivered = yield* drain()
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 8000; i++) yield* add("distribution", "x", i, { tags: [`n:${round * 8000 + i}`] })
        assert.lengthOf(yield* drain(), 8000)
      }
      yield* add("distribution", "kept", 2, { tags: ["n:0"] })
      yield* restore(undelivered)
      yield* add("distribution", "kept", 3, { tags: ["n:0"] })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name, values }) => [name, values]), [["kept", [1, 2, 3]]])
    }))

  itAggregates(
    "keeps at most `maxBytes` and drops the oldest values when undelivered series come back",
    () =>
      Effect.gen(function*() {
        for (let i = 0; i < 2000; i++) yield* add("distribution", "d", i, undefined, now - minute)
        const undelivered = yield* drain()
        for (let i = 0; i < 2000; i++) yield* add("distribution", "d", i)
        yield* restore(undelivered)
        const { bytes, dropped, pending: held } = yield* stats
        assert.isAtMost(bytes, 20_000)
        assert.deepStrictEqual([held, dropped.TooManyBytes], [2000, 2000])
      }),
    { maxBytes: 20_000 }
  )

  itAggregates("drops points that are too old for Datadog, counted under `Expired`", () =>
    Effect.gen(function*() {
      const hour = 3_600_000
      const aligned = Math.floor(now / 10_000) * 10_000
      // The age counts from the start of the bucket, because that timestamp is sent.
      yield* add("counter", "old", 1, undefined, aligned - hour - 1)
      yield* add("counter", "old", 1, undefined, aligned - hour - 10_000)
      yield* add("counter", "edge", 1, undefined, aligned - hour)
      const undelivered = yield* drain("total", undefined, aligned)
      assert.deepStrictEqual(undelivered.map(({ name }) => name), ["edge"])
      assert.deepInclude(yield* stats, { received: 3, pending: 0, dropped: { Expired: 2 } })
      yield* restore(undelivered)
      assert.deepStrictEqual(yield* drain("total", undefined, now + minute), [])
      assert.deepInclude(yield* stats, { received: 3, pending: 0, dropped: { Expired: 3 } })
    }))
})

describe("MetricsAggregator load", () => {
  itAggregates("converts snapshots that were taken with another `counters` setting", () =>
    Effect.gen(function*() {
      const series = yield* makeMetricsAggregator({ submitAs: "series" })
      for (const value of [3, 1, 2]) series.unsafeAdd("histogram", "h", value, now)
      series.unsafeAdd("counter", "c", 5, now)
      const fromSeries = (yield* series.snapshot(new Map())).flatMap(({ series = [] }) => series)
      const self = yield* PipelineMetricsAggregator
      yield* self.load(fromSeries)
      const fromDistributions = (yield* self.snapshot(new Map())).flatMap(({ series = [] }) => series)
      assert.deepStrictEqual((yield* drain()).map(({ values }) => values), [[3, 1, 2], [5]])
      yield* series.drain({ temporality: "delta", now })
      yield* series.load(fromDistributions)
      const [h, c] = yield* series.drain({ temporality: "delta", now })
      assert.deepInclude(h!.points[1], { suffix: "max", value: 3 })
      assert.deepStrictEqual(c!.points, [{ suffix: "", type: "rate", value: 0.5 }])
    }), { submitAs: "distributions" })
})
