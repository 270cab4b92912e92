import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { gamma } from "../../../src/intake/feedProtocol.js"
import * as Sketch from "../../../src/intake/page/sketch.js"
import { sketchOf } from "../../support/pageState.js"

const values = fc.array(
  fc.oneof(
    fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
    fc.double({ min: -1e9, max: -1e-6, noNaN: true }),
    fc.constant(0)
  ),
  { minLength: 1, maxLength: 60 }
)

const sketch = (...all: ReadonlyArray<ReadonlyArray<number>>): Sketch.Sketch => {
  const merged = Sketch.empty()
  for (const some of all) {
    if (some.length > 0) Sketch.add(merged, sketchOf(1, 1, some))
  }
  return merged
}

describe("page sketch", () => {
  it("returns quantiles with an error of at most 2 %", () => {
    fc.assert(fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const [quantile] = Sketch.quantiles(sketch(values), [q])
      const sorted = [...values].sort((a, b) => a - b)
      const exact = sorted[Math.floor(q * (sorted.length - 1))]!
      assert.isAtMost(Math.abs(quantile! - exact), Math.abs(exact) * (gamma - 1) / (gamma + 1) + 1e-9 * Math.abs(exact))
    }))
  })

  it("returns the exact minimum and maximum, and null when it is empty", () => {
    assert.deepStrictEqual(Sketch.quantiles(sketch([3.3, -7.7, 0, 12.1]), [0, 1]), [-7.7, 12.1])
    assert.deepStrictEqual(Sketch.quantiles(Sketch.empty(), [0, 0.5]), [null, null])
  })

  it("returns the same quantiles when its values are merged in two parts", () => {
    fc.assert(fc.property(values, fc.nat({ max: 60 }), (values, at) => {
      const qs = [0, 0.25, 0.5, 0.99, 1]
      const apart = sketch(values.slice(0, at), values.slice(at))
      const together = sketch(values)
      assert.strictEqual(apart.count, together.count)
      assert.deepStrictEqual(Sketch.quantiles(apart, qs), Sketch.quantiles(together, qs))
    }))
  })

  it("returns a histogram that contains every value from the minimum to the maximum", () => {
    fc.assert(fc.property(values, fc.integer({ min: 1, max: 80 }), (values, columns) => {
      const { counts, edges } = Sketch.histogram(sketch(values), columns)!
      assert.strictEqual(edges.length, counts.length + 1)
      assert.approximately(counts.reduce((a, b) => a + b, 0), values.length, 1e-6 * values.length)
      const size = Math.max(...values.map(Math.abs), 1e-6)
      assert.approximately(edges[0]!, Math.min(...values), size * 1e-9)
      assert.approximately(edges.at(-1)!, Math.max(...values), size * 1e-9)
      for (let i = 1; i < edges.length; i++) assert.isAtLeast(edges[i]!, edges[i - 1]!)
    }))
  })

  it("chooses a linear or logarithmic scale, and counts values in columns", () => {
    const { counts, edges, scale } = Sketch.histogram(sketch([10, 10, 10, 20, 30]), 2)!
    assert.strictEqual(scale, "linear")
    assert.deepStrictEqual(edges, [10, 20, 30])
    assert.isAtLeast(counts[0]!, 3)
    assert.strictEqual(Sketch.histogram(sketch([0.001, 1000]), 4)!.scale, "log")
    assert.strictEqual(Sketch.histogram(Sketch.empty(), 4), undefined)
    assert.deepStrictEqual(Sketch.histogram(sketch([5, 5]), 4)!.counts, [2])
  })
})
