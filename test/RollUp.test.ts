import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck as fc } from "effect"
import { RollUp, ThreadStatsConfig } from "effect-threadstats"
import { PCGRandom } from "effect/Utils"
import { olderValuesComeFirst } from "./aggregation/properties.js"

const factory = (options?: Partial<RollUp.Options>) =>
  RollUp.factory({ ...ThreadStatsConfig.defaults, random: new PCGRandom(7), ...options })

const filled = (
  kind: RollUp.Kind,
  values: ReadonlyArray<RollUp.Value>,
  options?: Partial<RollUp.Options>
): RollUp.RollUp => {
  const rollUp = factory(options)(kind)
  for (const value of values) rollUp.add(value)
  return rollUp
}

const bySuffix = (rollUp: RollUp.RollUp): { readonly [suffix: string]: number } =>
  Object.fromEntries(rollUp.points().map(({ suffix, value }) => [suffix, value]))

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })

describe("RollUp points", () => {
  it("reports a counter as a rate per second of its interval", () => {
    assert.deepStrictEqual(filled("counter", [1, 2, 3]).points(), [{ suffix: "", type: "rate", value: 0.6 }])
    assert.deepStrictEqual(
      filled("counter", [6], { rollUpInterval: Duration.seconds(60) }).points(),
      [{ suffix: "", type: "rate", value: 0.1 }]
    )
  })

  it("reports the last value of a gauge and the size of a set", () => {
    assert.deepStrictEqual(filled("gauge", [3, 1]).points(), [{ suffix: "", type: "gauge", value: 1 }])
    assert.deepStrictEqual(
      filled("set", ["a", "b", "a", 1, "1", ""]).points(),
      [{ suffix: "", type: "gauge", value: 5 }]
    )
  })

  it("keeps the values of a distribution in order and reports no points for it", () => {
    const rollUp = filled("distribution", [3, 1, 3])
    assert.deepStrictEqual(rollUp.values(), [3, 1, 3])
    assert.deepStrictEqual(rollUp.points(), [])
  })

  it("gives the points of a histogram the suffixes and types of the reference", () => {
    assert.deepStrictEqual(filled("histogram", [20, 30, 40, 50]).points(), [
      { suffix: "min", type: "gauge", value: 20 },
      { suffix: "max", type: "gauge", value: 50 },
      { suffix: "count", type: "rate", value: 0.4 },
      { suffix: "avg", type: "gauge", value: 35 },
      { suffix: "75percentile", type: "gauge", value: 40 },
      { suffix: "85percentile", type: "gauge", value: 40 },
      { suffix: "95percentile", type: "gauge", value: 50 },
      { suffix: "99percentile", type: "gauge", value: 50 }
    ])
  })

  it("rounds a percentile rank half to even", () => {
    const points = bySuffix(filled("timing", [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]))
    assert.deepInclude(points, { "75percentile": 7, "85percentile": 9, "95percentile": 9, "99percentile": 10 })
  })

  it("reports the first value when a percentile rank is below one", () => {
    assert.deepStrictEqual(bySuffix(filled("histogram", [5], { aggregates: [], percentiles: [0.01] })), {
      "1percentile": 5
    })
    const points = bySuffix(filled("histogram", [1, 2, 3], { aggregates: [], percentiles: [0.01] }))
    assert.deepStrictEqual(points, { "1percentile": 1 })
  })

  it("names each percentile with enough digits to be distinct", () => {
    const percentiles = [0.29, 0.57, 0.58, 0.99, 0.995, 0.999, 0.9999]
    assert.deepStrictEqual(Object.keys(bySuffix(filled("histogram", [1], { aggregates: [], percentiles }))), [
      "29percentile",
      "57percentile",
      "58percentile",
      "99percentile",
      "99.5percentile",
      "99.9percentile",
      "99.99percentile"
    ])
  })

  it("reports only the configured aggregates of a histogram", () => {
    assert.deepStrictEqual(
      bySuffix(filled("histogram", [1, 2, 9], { aggregates: ["sum", "median"], percentiles: [] })),
      { sum: 12, median: 2 }
    )
  })

  it.prop("reports exact aggregates and percentiles of up to `sampleSize` values", {
    values: fc.array(finite, { minLength: 1, maxLength: 300 })
  }, ({ values }) => {
    const points = bySuffix(filled("histogram", values))
    const sorted = values.slice().sort((a, b) => a - b)
    assert.strictEqual(points.min, sorted[0])
    assert.strictEqual(points.max, sorted.at(-1))
    assert.closeTo(points.avg!, values.reduce((a, b) => a + b, 0) / values.length, 1e-6)
    const rank = sorted.indexOf(points["95percentile"]!)
    assert.isAtLeast(sorted.lastIndexOf(points["95percentile"]!) + 1, Math.floor(0.95 * values.length) - 1)
    assert.isAtMost(rank, Math.ceil(0.95 * values.length))
  })

  it("estimates percentiles of far more than `sampleSize` values that come in any order", () => {
    const n = 200_000
    const orders: { readonly [name: string]: (i: number) => number } = {
      ascending: (i) => i,
      descending: (i) => n - i,
      scattered: (i) => (i * 7919) % n
    }
    for (const [name, order] of Object.entries(orders)) {
      const points = bySuffix(filled("histogram", Array.from({ length: n }, (_, i) => order(i))))
      assert.closeTo(points["75percentile"]! / n, 0.75, 0.045, name)
      assert.closeTo(points["95percentile"]! / n, 0.95, 0.025, name)
      assert.closeTo(points["99percentile"]! / n, 0.99, 0.012, name)
      assert.strictEqual(points.count, n / 10)
    }
  })

  it("reports a finite number when a sum overflows", () => {
    const big = Number.MAX_VALUE
    assert.strictEqual(filled("counter", [big, big]).points()[0]?.value, big / 10)
    assert.isTrue(filled("histogram", [big, big, big]).points().every(({ value }) => Number.isFinite(value)))
  })
})

describe("RollUp mergeOlder", () => {
  it("merges two histograms into the report of one histogram with all values", () => {
    const older = filled("histogram", [1, 2, 3])
    const newer = filled("histogram", [4, 5])
    newer.mergeOlder(older)
    assert.deepStrictEqual(newer.points(), filled("histogram", [1, 2, 3, 4, 5]).points())
  })

  it("weights the samples of two merged histograms by the number of their values", () => {
    const older = filled("histogram", Array.from({ length: 90_000 }, () => 0))
    const newer = filled("histogram", Array.from({ length: 10_000 }, () => 1))
    newer.mergeOlder(older)
    const points = bySuffix(newer)
    assert.deepInclude(points, { avg: 0.1, "75percentile": 0, "85percentile": 0, "95percentile": 1 })
  })

  it("merges an older roll-up under a newer one", () => {
    const counter = filled("counter", [1])
    counter.mergeOlder(filled("counter", [2]))
    assert.deepStrictEqual(counter.points(), filled("counter", [3]).points())

    const gauge = filled("gauge", [1])
    gauge.mergeOlder(filled("gauge", [2]))
    assert.deepStrictEqual(gauge.points(), filled("gauge", [1]).points())

    const set = filled("set", ["a", "b"])
    set.mergeOlder(filled("set", ["b", "c"]))
    assert.deepStrictEqual(set.points(), filled("set", ["a", "b", "c"]).points())

    const distribution = filled("distribution", [3, 4])
    distribution.mergeOlder(filled("distribution", [1, 2]))
    assert.deepStrictEqual(distribution.values(), [1, 2, 3, 4])
  })

  olderValuesComeFirst(10)
})

describe("RollUp maxSuffixLength", () => {
  it("returns the length of the longest suffix of a kind", () => {
    assert.strictEqual(RollUp.maxSuffixLength("histogram", ThreadStatsConfig.defaults), ".75percentile".length)
    assert.strictEqual(RollUp.maxSuffixLength("counter", ThreadStatsConfig.defaults), 0)
  })
})
