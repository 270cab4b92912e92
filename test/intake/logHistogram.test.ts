import { assert, describe, it } from "@effect/vitest"
import { gamma } from "../../src/intake/feedProtocol.js"
import * as LogHistogram from "../../src/intake/logHistogram.js"

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

describe("gamma", () => {
  it("bounds the relative error of a quantile by 2 %", () => {
    assert.isAtMost(Math.sqrt(gamma) - 1, 0.02)
  })
})
