import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as LogHistogram from "../../src/intake/logHistogram.js"
import { distributionPoint } from "../support/pageState.js"

const values = fc.array(
  fc.oneof(
    fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
    fc.double({ min: -1e9, max: -1e-6, noNaN: true }),
    fc.constant(0)
  ),
  { minLength: 1, maxLength: 60 }
)

const histogramOf = (...all: ReadonlyArray<ReadonlyArray<number>>): LogHistogram.LogHistogram => {
  const merged = LogHistogram.make()
  for (const some of all) {
    if (some.length > 0) LogHistogram.merge(merged, distributionPoint(1, 1, some))
  }
  return merged
}

describe("LogHistogram.add", () => {
  it("keeps at most 1,024 bins of each sign, and the exact count, minimum, maximum and zeros", () => {
    const values = Array.from(
      { length: 20_000 },
      (_, i) => Math.exp(((i % 14_000) - 7000) / 10) * (i % 2 === 0 ? 1 : -1)
    )
    const histogram = LogHistogram.make()
    for (const value of [...values, 0]) LogHistogram.add(histogram, value)
    const point = LogHistogram.toPoint(1, 2, histogram)
    assert.isAtMost(point.positive.length, 1024)
    assert.isAtMost(point.negative.length, 1024)
    assert.deepInclude(point, { count: 20_001, zeros: 1, min: Math.min(...values), max: Math.max(...values) })
    const counted = [...point.positive, ...point.negative].reduce((sum, [, count]) => sum + count, 0)
    assert.strictEqual(counted, 20_000)
  })
})

describe("LogHistogram.quantilesOf", () => {
  it("returns quantiles with an error of at most 2 %", () => {
    fc.assert(fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const [quantile] = LogHistogram.quantilesOf(histogramOf(values), [q])
      const sorted = [...values].sort((a, b) => a - b)
      const exact = sorted[Math.floor(q * (sorted.length - 1))]!
      assert.isAtMost(
        Math.abs(quantile! - exact),
        Math.abs(exact) * (LogHistogram.gamma - 1) / (LogHistogram.gamma + 1) + 1e-9 * Math.abs(exact)
      )
    }))
  })

  it("returns the exact minimum and maximum, and null when it is empty", () => {
    assert.deepStrictEqual(LogHistogram.quantilesOf(histogramOf([3.3, -7.7, 0, 12.1]), [0, 1]), [-7.7, 12.1])
    assert.deepStrictEqual(LogHistogram.quantilesOf(LogHistogram.make(), [0, 0.5]), [null, null])
  })

  it("returns the same quantiles when its values are merged in two parts", () => {
    fc.assert(fc.property(values, fc.nat({ max: 60 }), (values, at) => {
      const qs = [0, 0.25, 0.5, 0.99, 1]
      const apart = histogramOf(values.slice(0, at), values.slice(at))
      const together = histogramOf(values)
      assert.strictEqual(apart.count, together.count)
      assert.deepStrictEqual(LogHistogram.quantilesOf(apart, qs), LogHistogram.quantilesOf(together, qs))
    }))
  })
})

describe("LogHistogram.gamma", () => {
  it("bounds the relative error of a quantile by 2 %", () => {
    assert.isAtMost(Math.sqrt(LogHistogram.gamma) - 1, 0.02)
  })
})
