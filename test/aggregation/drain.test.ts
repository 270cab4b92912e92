import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import type { MetricsAggregator } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { add, drain, firstValues, itAggregates, now, restore, stats } from "../support/aggregator.js"
import { pointsNeverUndercut } from "./properties.js"

const onlyValues = (items: ReadonlyArray<MetricsAggregator.AggregatedSeries>) =>
  firstValues(items).map(([, , value]) => value)

describe("MetricsAggregator drain", () => {
  itAggregates(
    "returns series that are serialized by their identity, without the aggregator",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "c", 5, { tags: ["a:b"] })
        const [item] = yield* drain()
        assert.deepStrictEqual(JSON.parse(JSON.stringify(item)), {
          kind: "counter",
          name: "c",
          host: null,
          tags: ["a:b"],
          timestamp: item!.timestamp,
          recorded: 1
        })
      })
  )

  pointsNeverUndercut(50)

  itAggregates("sends the total of a bucket that was drained while it was open", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5)
      yield* add("set", "s", "a")
      yield* add("histogram", "h", 1)
      yield* add("distribution", "d", 1)
      yield* drain()
      yield* add("counter", "c", 2)
      yield* add("set", "s", "b")
      yield* add("histogram", "h", 3)
      yield* add("distribution", "d", 2)
      const items = yield* drain()
      assert.deepStrictEqual(firstValues(items).map(([name, , value]) => [name, value]), [
        ["c", 0.7],
        ["s", 2],
        ["h", 1],
        ["d", undefined]
      ])
      assert.deepStrictEqual(items.map(({ recorded }) => recorded), [1, 1, 1, 1])
      assert.deepStrictEqual(items[3]?.values, [2])
      assert.deepStrictEqual(yield* drain(), [])
    }))

  itAggregates("sends only points since the last drain when the temporality is delta", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5)
      yield* add("set", "s", "a")
      yield* drain("delta")
      yield* add("counter", "c", 2)
      yield* add("set", "s", "b")
      assert.deepStrictEqual(onlyValues(yield* drain("delta")), [0.2, 1])
    }))

  itAggregates("sends the total again when a point is late for a closed bucket", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5, undefined, now - 60_000)
      yield* drain()
      yield* add("counter", "c", 2, undefined, now - 60_000)
      assert.deepStrictEqual(onlyValues(yield* drain()), [0.7])
    }))

  itAggregates("drops and counts a late point when the total of its bucket was evicted", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 12_000; i++) yield* add("counter", `c${i}`, 1, undefined, now - 60_000)
      yield* add("counter", "open", 1)
      yield* drain()
      yield* add("counter", "c1", 1, undefined, now - 60_000)
      yield* add("distribution", "d", 1, undefined, now - 60_000)
      yield* add("counter", "open", 1)
      assert.deepStrictEqual((yield* stats).dropped, { Late: 1 })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name }) => name), ["open", "d"])
      assert.strictEqual(items[0]?.points[0]?.value, 0.2)
    }))

  itAggregates(
    "drops and counts a late point of the last recorded series when its bucket was evicted",
    () =>
      Effect.gen(function*() {
        for (let i = 0; i < 14_000; i++) yield* add("counter", "x", 1, { tags: [`n:${i}`] })
        assert.lengthOf(yield* drain("total", undefined, now + 60_000), 14_000)
        yield* add("counter", "x", 1, { tags: ["n:13999"] })
        assert.deepInclude(yield* stats, { pending: 0, dropped: { Late: 1 } })
      })
  )

  itAggregates("divides a large distribution into parts that can be restored one by one", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 20_000 }, (_, i) => i / 7)
      for (const value of all) yield* add("distribution", "d", value)
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ recorded, values }) => [recorded, values.length]), [
        [8192, 8192],
        [8192, 8192],
        [3616, 3616]
      ])
      assert.deepStrictEqual(items.flatMap(({ values }) => values), all)
      assert.deepInclude(yield* stats, { pending: 0, series: 0, bytes: 0 })
      yield* add("distribution", "d", -1)
      yield* restore([items[1]!])
      assert.deepInclude(yield* stats, { pending: 8193, series: 1 })
      const again = yield* drain()
      assert.deepStrictEqual(again.flatMap(({ values }) => values), [...all.slice(8192, 16_384), -1])
      assert.strictEqual(again.reduce((sum, { recorded }) => sum + recorded, 0), 8193)
    }))

  itAggregates(
    "drains counters, histograms and timings as distributions when `counters` is distributions",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "c", 2)
        yield* add("counter", "c", -5)
        yield* add("histogram", "h", 1)
        yield* add("histogram", "h", 1)
        yield* add("timing", "t", 3)
        yield* add("gauge", "g", 4)
        yield* add("set", "s", "member")
        const items = yield* drain()
        const reported = (all: typeof items) =>
          all.map(({ name, points, values }) => [name, points.map(({ value }) => value), values])
        assert.deepStrictEqual(reported(items), [
          ["c", [], [-3]],
          ["h", [], [1, 1]],
          ["t", [], [3]],
          ["g", [4], []],
          ["s", [1], []]
        ])
        assert.deepStrictEqual(items.map(({ kind, recorded }) => `${kind} ${recorded}`), [
          "counter 2",
          "histogram 2",
          "timing 1",
          "gauge 1",
          "set 1"
        ])
        // Values of a distribution add up at the receiver, so no temporality repeats them.
        yield* add("counter", "c", 7)
        assert.deepStrictEqual(reported(yield* drain()), [["c", [], [7]]])
        yield* add("counter", "c", 1)
        yield* add("histogram", "h", 9)
        yield* restore(items)
        const again = yield* drain()
        assert.sameDeepMembers(reported(again), [
          ["c", [], [-2]],
          ["h", [], [1, 1, 9]],
          ["t", [], [3]],
          ["g", [4], []],
          ["s", [1], []]
        ])
        assert.deepInclude(yield* stats, { pending: 0, series: 0, bytes: 0 })
      }),
    { submitAs: "distributions" }
  )
})

describe("MetricsAggregator drainEach", () => {
  itAggregates(
    "keeps series pending until they are pulled and leaves later points for the next drain",
    () =>
      Effect.gen(function*() {
        const self = yield* PipelineMetricsAggregator
        for (const name of ["a", "b", "c"]) yield* add("distribution", name, 1)
        const pull = yield* self.drainEach({ temporality: "total", now })
        const names = () => pull()?.map(({ name }) => name)
        assert.deepStrictEqual(names(), ["a"])
        assert.deepInclude(yield* stats, { pending: 2 })
        yield* add("distribution", "a", 2)
        yield* add("distribution", "late", 1)
        assert.deepStrictEqual([names(), names(), names()], [["b"], ["c"], undefined])
        assert.deepInclude(yield* stats, { pending: 2 })
        assert.deepStrictEqual((yield* drain()).map(({ name, values }) => [name, values]), [["a", [2]], ["late", [1]]])
      })
  )
})
