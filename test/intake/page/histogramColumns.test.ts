import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as LogHistogram from "../../../src/intake/logHistogram.js"
import { layOutColumns } from "../../../src/intake/page/histogramColumns.js"
import { distributionPoint } from "../../support/pageState.js"

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

describe("page histogramColumns", () => {
  it("returns a histogram that contains every value from the minimum to the maximum", () => {
    fc.assert(fc.property(values, fc.integer({ min: 1, max: 80 }), (values, columns) => {
      const { counts, edges } = layOutColumns(histogramOf(values), columns)!
      assert.strictEqual(edges.length, counts.length + 1)
      assert.approximately(counts.reduce((a, b) => a + b, 0), values.length, 1e-6 * values.length)
      const size = Math.max(...values.map(Math.abs), 1e-6)
      assert.approximately(edges[0]!, Math.min(...values), size * 1e-9)
      assert.approximately(edges.at(-1)!, Math.max(...values), size * 1e-9)
      for (let i = 1; i < edges.length; i++) assert.isAtLeast(edges[i]!, edges[i - 1]!)
    }))
  })

  it("chooses a linear or logarithmic scale, and counts values in columns", () => {
    const { counts, edges, scale } = layOutColumns(histogramOf([10, 10, 10, 20, 30]), 2)!
    assert.strictEqual(scale, "linear")
    assert.deepStrictEqual(edges, [10, 20, 30])
    assert.isAtLeast(counts[0]!, 3)
    assert.strictEqual(layOutColumns(histogramOf([0.001, 1000]), 4)!.scale, "log")
    assert.strictEqual(layOutColumns(LogHistogram.make(), 4), undefined)
    assert.deepStrictEqual(layOutColumns(histogramOf([5, 5]), 4)!.counts, [2])
  })
})
