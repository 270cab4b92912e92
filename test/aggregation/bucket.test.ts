import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { add, drain, firstValues, itAggregates, stats } from "../support/aggregator.js"
import { layerMetricsAggregatorWith } from "../support/layers.js"

describe("MetricsAggregator buckets", () => {
  itAggregates(
    "adds points of one interval to one bucket and later points to the next bucket",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "a", 1, undefined, 1_700_000_000_000)
        yield* add("counter", "a", 2, undefined, 1_700_000_009_999.9)
        yield* add("counter", "a", 3, undefined, 1_700_000_010_000)
        assert.deepStrictEqual(firstValues(yield* drain()), [
          ["a", 1_700_000_000, 0.3],
          ["a", 1_700_000_010, 0.3]
        ])
      })
  )

  itAggregates("drains only the buckets that end at or before the bucket of `upTo`", () =>
    Effect.gen(function*() {
      yield* add("gauge", "a", 1, undefined, 10_000)
      yield* add("gauge", "a", 2, undefined, 20_000)
      assert.deepStrictEqual(firstValues(yield* drain("total", 19_999, 19_999)), [])
      assert.deepStrictEqual(firstValues(yield* drain("total", 29_999, 29_999)), [["a", 10, 1]])
      assert.deepStrictEqual(firstValues(yield* drain("total", undefined, 29_999)), [["a", 20, 2]])
    }))

  itAggregates("accepts points of the epoch and of times before it", () =>
    Effect.gen(function*() {
      yield* add("gauge", "a", 1, undefined, 0)
      yield* add("gauge", "a", 2, undefined, -1)
      assert.deepStrictEqual(firstValues(yield* drain("total", undefined, 0)), [["a", 0, 1], ["a", -10, 2]])
    }))

  itAggregates("aligns buckets to `rollUpInterval`", () =>
    Effect.gen(function*() {
      yield* add("gauge", "a", 1, undefined, 59_000)
      yield* add("gauge", "a", 2, undefined, 61_000)
      assert.deepStrictEqual(firstValues(yield* drain("total", undefined, 61_000)), [["a", 0, 1], ["a", 60, 2]])
    }), { rollUpInterval: "1 minute" })

  it.effect("fails to build when `rollUpInterval` is not a whole number of seconds", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(stats, layerMetricsAggregatorWith({ rollUpInterval: 1500 })))
      assert.include(String(error), "rollUpInterval")
    }))
})
