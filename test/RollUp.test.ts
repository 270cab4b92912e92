import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck as fc } from "effect"
import { RollUp, ThreadStatsConfig } from "effect-threadstats"
import { PCGRandom } from "effect/Utils"

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

const named = (rollUp: RollUp.RollUp): { readonly [suffix: string]: number } =>
  Object.fromEntries(rollUp.points().map(({ suffix, value }) => [suffix, value]))

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })

describe("RollUp", () => {
  it("reports a counter as a rate per second of the interval", () => {
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

  it("keeps a distribution's values in order, and reports nothing of its own", () => {
    const rollUp = filled("distribution", [3, 1, 3])
    assert.deepStrictEqual(rollUp.values(), [3, 1, 3])
    assert.deepStrictEqual(rollUp.points(), [])
  })

  it("names and types what a histogram reports as the reference does", () => {
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

  it("rounds ranks half to even: of ten, the 75th and 85th percentile are the 7th and 9th value", () => {
    const points = named(filled("timing", [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]))
    assert.deepInclude(points, { "75percentile": 7, "85percentile": 9, "95percentile": 9, "99percentile": 10 })
  })

  it("never takes a rank below the first value", () => {
    assert.deepStrictEqual(named(filled("histogram", [5], { aggregates: [], percentiles: [0.01] })), {
      "1percentile": 5
    })
    const points = named(filled("histogram", [1, 2, 3], { aggregates: [], percentiles: [0.01] }))
    assert.deepStrictEqual(points, { "1percentile": 1 })
  })

  it("names percentiles so that no two collide", () => {
    const percentiles = [0.29, 0.57, 0.58, 0.99, 0.995, 0.999, 0.9999]
    assert.deepStrictEqual(Object.keys(named(filled("histogram", [1], { aggregates: [], percentiles }))), [
      "29percentile",
      "57percentile",
      "58percentile",
      "99percentile",
      "99.5percentile",
      "99.9percentile",
      "99.99percentile"
    ])
  })

  it("reports the aggregates asked for", () => {
    assert.deepStrictEqual(
      named(filled("histogram", [1, 2, 9], { aggregates: ["sum", "median"], percentiles: [] })),
      { sum: 12, median: 2 }
    )
  })

  it.prop("agrees with a plain computation over all values, up to the sample size", {
    values: fc.array(finite, { minLength: 1, maxLength: 300 })
  }, ({ values }) => {
    const points = named(filled("histogram", values))
    const sorted = values.slice().sort((a, b) => a - b)
    assert.strictEqual(points.min, sorted[0])
    assert.strictEqual(points.max, sorted.at(-1))
    assert.closeTo(points.avg!, values.reduce((a, b) => a + b, 0) / values.length, 1e-6)
    const rank = sorted.indexOf(points["95percentile"]!)
    assert.isAtLeast(sorted.lastIndexOf(points["95percentile"]!) + 1, Math.floor(0.95 * values.length) - 1)
    assert.isAtMost(rank, Math.ceil(0.95 * values.length))
  })

  it("keeps percentiles right far beyond the sample size, whatever the order of the values", () => {
    const n = 200_000
    const orders: { readonly [name: string]: (i: number) => number } = {
      ascending: (i) => i,
      descending: (i) => n - i,
      scattered: (i) => (i * 7919) % n
    }
    for (const [name, order] of Object.entries(orders)) {
      const points = named(filled("histogram", Array.from({ length: n }, (_, i) => order(i))))
      assert.closeTo(points["75percentile"]! / n, 0.75, 0.045, name)
      assert.closeTo(points["95percentile"]! / n, 0.95, 0.025, name)
      assert.closeTo(points["99percentile"]! / n, 0.99, 0.012, name)
      assert.strictEqual(points.count, n / 10)
    }
  })

  it("merges histograms into what one would have reported", () => {
    const older = filled("histogram", [1, 2, 3])
    const newer = filled("histogram", [4, 5])
    newer.absorb(older)
    assert.deepStrictEqual(newer.points(), filled("histogram", [1, 2, 3, 4, 5]).points())
  })

  it("weighs the two samples of a merge by how many values they stand for", () => {
    const older = filled("histogram", Array.from({ length: 90_000 }, () => 0))
    const newer = filled("histogram", Array.from({ length: 10_000 }, () => 1))
    newer.absorb(older)
    const ones = named(newer)
    assert.strictEqual(ones.avg, 0.1)
    assert.strictEqual(ones["75percentile"], 0)
    assert.strictEqual(ones["95percentile"], 1)
    assert.strictEqual(named(newer)["85percentile"], 0)
  })

  it("merges an older roll-up under a newer one", () => {
    const counter = filled("counter", [1])
    counter.absorb(filled("counter", [2]))
    assert.deepStrictEqual(counter.points(), filled("counter", [3]).points())

    const gauge = filled("gauge", [1])
    gauge.absorb(filled("gauge", [2]))
    assert.deepStrictEqual(gauge.points(), filled("gauge", [1]).points())

    const set = filled("set", ["a", "b"])
    set.absorb(filled("set", ["b", "c"]))
    assert.deepStrictEqual(set.points(), filled("set", ["a", "b", "c"]).points())

    const distribution = filled("distribution", [3, 4])
    distribution.absorb(filled("distribution", [1, 2]))
    assert.deepStrictEqual(distribution.values(), [1, 2, 3, 4])
  })

  it.prop("takes over the values of a distribution in order, however many they are", {
    first: fc.integer({ min: 1, max: 20_000 }),
    steps: fc.array(
      fc.record({
        what: fc.constantFrom("add", "absorb"),
        count: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 8190, max: 8194 }), fc.nat(30_000))
      }),
      { maxLength: 10 }
    )
  }, ({ first, steps }) => {
    let next = 0
    const some = (count: number) => Array.from({ length: count }, () => next++)
    let expected = some(first)
    const rollUp = filled("distribution", expected)
    for (const { count, what } of steps) {
      if (what === "add") {
        const values = some(count)
        for (const value of values) rollUp.add(value)
        expected = expected.concat(values)
      } else {
        const values = some(count)
        const older = filled("distribution", values)
        rollUp.absorb(older)
        assert.deepStrictEqual(older.values(), values)
        expected = values.concat(expected)
      }
      assert.strictEqual(RollUp.valueCount(rollUp), expected.length)
      assert.strictEqual(rollUp.bytes(), 8 * expected.length)
    }
    assert.deepStrictEqual(rollUp.values(), expected)
    const sizes = RollUp.parts(rollUp).map(RollUp.valueCount)
    assert.isTrue(sizes.every((size) => size > 0 && size <= 8192))
    assert.deepStrictEqual(RollUp.parts(rollUp).flatMap((part) => part.values()), expected)
  }, { fastCheck: { numRuns: 25 }, timeout: 30_000 })

  it("stays a finite number where a sum overflows", () => {
    const big = Number.MAX_VALUE
    assert.strictEqual(filled("counter", [big, big]).points()[0]?.value, big / 10)
    assert.isTrue(filled("histogram", [big, big, big]).points().every(({ value }) => Number.isFinite(value)))
  })

  it("knows the longest suffix of each kind", () => {
    assert.strictEqual(RollUp.maxSuffixLength("histogram", ThreadStatsConfig.defaults), ".75percentile".length)
    assert.strictEqual(RollUp.maxSuffixLength("counter", ThreadStatsConfig.defaults), 0)
  })
})
