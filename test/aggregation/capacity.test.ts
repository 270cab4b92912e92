import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MetricsAggregator } from "effect-threadstats"
import type { RollUp } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { add, drain, itAggregates, minute, now, restore, stats } from "../support/aggregator.js"
import { makeMetricsAggregator } from "../support/layers.js"
import { memoryIsExact } from "./properties.js"

describe("MetricsAggregator maxSeries", () => {
  itAggregates("drops the longest pending series to make room for a new one", () =>
    Effect.gen(function*() {
      yield* add("counter", "b", 1, undefined, now - minute)
      yield* add("counter", "a", 1, undefined, now - 2 * minute)
      yield* add("counter", "a", 1, undefined, now - 2 * minute)
      yield* add("counter", "c", 1)
      yield* add("counter", "c", 1)
      assert.deepStrictEqual((yield* stats).dropped, {})
      yield* add("counter", "d", 1)
      assert.deepInclude(yield* stats, { pending: 4, series: 3, dropped: { TooManySeries: 2 } })
      yield* add("counter", "e", 1)
      yield* add("counter", "f", 1)
      yield* add("counter", "c", 1)
      assert.deepInclude(yield* stats, { received: 9, pending: 5, series: 3, dropped: { TooManySeries: 4 } })
      assert.deepStrictEqual((yield* drain()).map(({ name, recorded }) => [name, recorded]), [
        ["c", 3],
        ["d", 1],
        ["e", 1]
      ])
    }), { maxSeries: 3 })

  itAggregates("counts reported series again when they have new points", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 4; i++) yield* add("counter", `a${i}`, 1)
      yield* drain()
      for (let i = 0; i < 4; i++) yield* add("counter", `b${i}`, 1)
      for (let i = 0; i < 4; i++) yield* add("counter", `a${i}`, 1)
      assert.deepInclude(yield* stats, { series: 4, pending: 4, dropped: { TooManySeries: 4 } })
    }), { maxSeries: 4 })

  itAggregates("bounds the series of an open bucket that is drained again and again", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 12_000; i++) {
        yield* add("counter", `c${i}`, 1)
        if (i % 10 === 9) yield* drain()
      }
      const { dropped, received } = yield* stats
      assert.strictEqual(received, 12_000)
      assert.strictEqual(dropped.TooManySeries, 12_000 - 10_010)
    }), { maxSeries: 10 })

  itAggregates(
    "evicts the longest pending series, also behind reported totals and restored series",
    () =>
      Effect.gen(function*() {
        const self = yield* PipelineMetricsAggregator
        const droppedNames = Effect.map(self.drainWarnings, ({ dropped }) => dropped.map(({ names }) => names))
        yield* add("counter", "kept", 1, undefined, now - 9 * minute)
        yield* drain("total")
        yield* add("distribution", "lost", 1, undefined, now - 8 * minute)
        const lost = yield* drain("total")
        yield* add("counter", "old", 1, undefined, now - 2 * minute)
        yield* add("counter", "older", 1, undefined, now - 3 * minute)
        yield* add("counter", "next", 1, undefined, now - 3 * minute)
        yield* add("counter", "a", 1)
        assert.deepStrictEqual(yield* droppedNames, [["older"]])
        yield* restore(lost)
        assert.deepStrictEqual(yield* droppedNames, [["lost"]])
        yield* add("counter", "b", 1)
        assert.deepStrictEqual(yield* droppedNames, [["next"]])
        assert.deepStrictEqual((yield* drain("total")).map(({ name }) => name), ["old", "a", "b"])
      }),
    { maxSeries: 3 }
  )
})

describe("MetricsAggregator maxValues", () => {
  itAggregates("drops the oldest values of distributions, counted under `TooManyValues`", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 1, undefined, now - minute)
      yield* add("distribution", "old", 1, undefined, now - minute)
      yield* add("distribution", "old", 2, undefined, now - minute)
      for (const value of [3, 4, 5, 6, 7]) yield* add("distribution", "d", value)
      assert.deepInclude(yield* stats, { pending: 5, dropped: { TooManyValues: 3 } })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name, values }) => [name, ...values]), [["c"], ["d", 3, 4, 5, 6]])
      yield* add("distribution", "d", 8)
      yield* restore(items)
      assert.deepInclude(yield* stats, { received: 9, pending: 5, dropped: { TooManyValues: 4 } })
      assert.deepStrictEqual((yield* drain()).flatMap(({ values }) => values), [4, 5, 6, 8])
    }), { maxValues: 4 })
})

describe("MetricsAggregator maxBytes", () => {
  itAggregates("bounds memory and drops the oldest points, counted under `TooManyBytes`", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      yield* add("histogram", "old", 1, undefined, now - minute)
      assert.isFalse(self.unsafeAdd("counter", "kept", 1, now))
      for (let i = 0; i < 78; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
      assert.isTrue(self.unsafeAdd("set", "s", `78${"x".repeat(1000)}`, now))
      for (let i = 0; i < 79; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
      assert.deepStrictEqual((yield* stats).dropped, {})
      for (let i = 100; i < 200; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
      for (const kind of ["counter", "distribution", "histogram"] as const) yield* add(kind, `new.${kind}`, 1)
      yield* add("counter", "kept", 1)
      const { bytes, dropped, pending: held, received } = yield* stats
      assert.isAtMost(bytes, 101_100)
      assert.isAtLeast(dropped.TooManyBytes ?? 0, 80)
      assert.strictEqual(received, held + (dropped.TooManyBytes ?? 0))
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name, recorded }) => [name, recorded]).filter(([name]) => name !== "s"), [
        ["kept", 2]
      ])
      assert.deepInclude(yield* stats, { bytes: 0 })
      yield* add("gauge", "g", 1)
      assert.strictEqual((yield* stats).pending, 1)
    }), { maxBytes: 100_000 })

  memoryIsExact(50)
})

describe("MetricsAggregator eviction", () => {
  const addTo = (self: MetricsAggregator.MetricsAggregator["Type"], kind: RollUp.Kind, i: number, bucket: number) =>
    self.unsafeAdd(kind, "m", i, now + bucket * 10_000, { tags: [`i:${i}`] })

  it.effect("drops the oldest values when older series were evicted for another reason", () =>
    Effect.gen(function*() {
      const self = yield* makeMetricsAggregator({ maxSeries: 2, maxValues: 2 })
      addTo(self, "distribution", 1, -3)
      addTo(self, "counter", 2, -3)
      addTo(self, "distribution", 3, -2)
      addTo(self, "distribution", 3, -2)
      addTo(self, "distribution", 4, -1)
      const { dropped } = yield* self.stats
      assert.deepStrictEqual(dropped, { TooManySeries: 1, TooManyValues: 2 })
      const items = yield* self.drain({ temporality: "delta", now })
      assert.deepStrictEqual(items.map(({ kind, tags }) => [kind, tags[0]]), [
        ["counter", "i:2"],
        ["distribution", "i:4"]
      ])
    }))

  it.effect("drops the oldest points of buckets that were created out of order", () =>
    Effect.gen(function*() {
      const self = yield* makeMetricsAggregator({ maxSeries: 300, maxValues: 100 })
      const buckets = [5, 2, 9, 0, 7]
      for (let i = 0; i < 2000; i++) {
        addTo(
          self,
          i % 2 === 0 ? "distribution" : "counter",
          i,
          buckets[i % buckets.length]! - 10 + Math.floor(i / 500)
        )
      }
      const { dropped, pending: held, received } = yield* self.stats
      assert.strictEqual(received, 2000)
      assert.strictEqual(held + (dropped.TooManySeries ?? 0) + (dropped.TooManyValues ?? 0), 2000)
      const items = yield* self.drain({ temporality: "delta", now })
      assert.strictEqual(items.reduce((sum, { recorded }) => sum + recorded, 0), held)
      assert.isAtMost(items.length, 300)
      assert.isAtMost(items.filter(({ kind }) => kind === "distribution").length, 100)
      for (const bucket of buckets) {
        const start = Math.floor(now / 10_000) * 10 + (bucket - 10 + 3) * 10
        const values = items.filter(({ timestamp }) => timestamp === start).flatMap(({ values }) => values)
        assert.deepStrictEqual(values, values.toSorted((a, b) => a - b))
      }
    }))
})

describe("MetricsAggregator unsafeAdd", () => {
  itAggregates("returns true from 80 % of a limit until the next drain", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      const distribute = () => self.unsafeAdd("distribution", "d", 1, now)
      for (let i = 0; i < 7; i++) assert.isFalse(self.unsafeAdd("gauge", `g${i}`, 1, now))
      assert.isTrue(self.unsafeAdd("gauge", "g", 1, now))
      yield* drain()
      for (let i = 0; i < 7; i++) assert.isFalse(distribute())
      assert.isTrue(distribute())
      yield* drain()
      assert.isFalse(distribute())
    }), { maxSeries: 10, maxValues: 10 })
})
