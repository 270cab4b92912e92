import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import type { SeriesRow } from "../../../src/intake/feedProtocol.js"
import { groupSeries } from "../../../src/intake/page/grouping.js"
import * as Lines from "../../../src/intake/page/lines.js"
import { metricOf, seriesRow, stateWith } from "../../support/pageState.js"

describe("page lines", () => {
  const frame: Lines.Frame = { from: 100, step: 10, steps: 5 }
  const long = 1e9

  const two = (kind: SeriesRow["kind"]) =>
    stateWith({
      series: [seriesRow(1, { kind, tags: ["shop:eu"] }), seriesRow(2, { kind, tags: ["shop:us"] })],
      points: [[1, 99, 1000], [1, 100, 1], [1, 105, 2], [2, 109, 10], [1, 111, 4], [2, 110, 40], [1, 149, 8], [
        1,
        150,
        1000
      ]]
    })

  const lineOf = (kind: SeriesRow["kind"], now = long) => {
    const metric = metricOf(two(kind), `${kind} a`)
    return Lines.makeLine(kind, [...metric.series], frame, now)
  }

  it("sums the counts of a step", () => {
    assert.deepStrictEqual(lineOf("count"), [13, 44, undefined, undefined, 8])
  })

  it("sums the mean rates of a step", () => {
    assert.deepStrictEqual(lineOf("rate"), [11.5, 44, undefined, undefined, 8])
  })

  it("averages the last gauge values of a step", () => {
    assert.deepStrictEqual(lineOf("gauge"), [6, 22, undefined, undefined, 8])
  })

  it("preserves the total of counts for every step length and split", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 99 }))),
      fc.constantFrom(1, 2, 5, 10, 60),
      fc.constantFrom(undefined, "shop"),
      (points, step, split) => {
        const state = stateWith({
          series: [1, 2, 3].map((id) => seriesRow(id, { kind: "count", tags: id === 3 ? [] : [`shop:${id}`] })),
          points
        })
        let expected = 0
        for (const { values } of state.series.values()) expected += values.reduce((a, b) => a + b, 0)
        const groups = groupSeries(metricOf(state, "count a"), split)
        const frame = { from: 0, step, steps: Math.ceil(201 / step) }
        const values = groups.flatMap(({ series }) => Lines.makeLine("count", series, frame, long))
        assert.strictEqual(values.reduce<number>((sum, value) => sum + (value ?? 0), 0), expected)
      }
    ))
  })

  it("omits the last step until all series have sent or the step is old", () => {
    assert.deepStrictEqual(Lines.makeLine("count", [...two("count").series.values()], { ...frame, steps: 5 }, 155), [
      13,
      44,
      undefined,
      undefined,
      8
    ])
    const state = stateWith({
      series: [seriesRow(1, { kind: "count" }), seriesRow(2, { kind: "count", tags: ["x"] })],
      points: [[1, 100, 1], [2, 100, 1], [1, 110, 1]]
    })
    const at = (now: number) => Lines.makeLine("count", [...state.series.values()], { ...frame, steps: 2 }, now)
    assert.deepStrictEqual(at(115), [2, undefined])
    assert.deepStrictEqual(at(131), [2, 1])
  })

  it("interrupts a line after three steps without a value", () => {
    const u = undefined
    assert.deepStrictEqual(Lines.interruptLine([1, u, u, 2, u, u, u, 3]), [1, u, u, 2, null, null, null, 3])
    assert.deepStrictEqual(Lines.interruptLine([u, u, u, 1, u]), [null, null, null, 1, u])
  })

  it("finds values without neighbors, and the only value of a line", () => {
    const u = undefined
    assert.deepStrictEqual(Lines.findIsolatedValues([u, 1, null, 2, u, 3, null, null, 4]), [1, 8])
    assert.deepStrictEqual(Lines.findIsolatedValues([]), [])
    assert.deepStrictEqual(Lines.findIsolatedValues([null, u, 7, u]), [2])
    assert.strictEqual(Lines.findLoneValue([null, u, 7, u]), 2)
    assert.isUndefined(Lines.findLoneValue([1, 2]))
    assert.isUndefined(Lines.findLoneValue([null, u]))
  })

  it("follows the points of a metric, for an hour at most, and up to now while points arrive", () => {
    const spanAt = (times: ReadonlyArray<number>, now: number) => {
      const series = [seriesRow(1, { interval: 10 })]
      const points = times.map((time) => [1, time, 0] as const)
      return Lines.spanOfData(metricOf(stateWith({ series, points }), "gauge a"), now)
    }
    assert.deepStrictEqual(spanAt([], 5000), [4940, 5000])
    assert.deepStrictEqual(spanAt([4990], 5000), [4965, 5000])
    assert.deepStrictEqual(spanAt([4000, 4990], 5000), [3990, 5000])
    assert.deepStrictEqual(spanAt([1000, 2000], 9000), [990, 2010])
    assert.deepStrictEqual(spanAt([1000], 9000), [970, 1030])
    assert.deepStrictEqual(spanAt([1000, 8990], 9000), [5390, 9000])
  })

  it("chooses a step length of at least the interval, within the limit of steps", () => {
    assert.strictEqual(Lines.chooseStep(300, 1, 600), 1)
    assert.strictEqual(Lines.chooseStep(300, 10, 600), 10)
    assert.strictEqual(Lines.chooseStep(3600, 1, 600), 10)
    assert.strictEqual(Lines.chooseStep(1e9, 1, 600), Math.ceil(1e9 / 600))
  })

  it("derives the interval from the points when the series has none", () => {
    const points = [0, 15, 30, 45, 90].map((t) => [1, t, 0] as const)
    assert.strictEqual(Lines.estimateInterval(metricOf(stateWith({ series: [seriesRow(1)], points }), "gauge a")), 15)
    const declared = stateWith({ series: [seriesRow(1, { interval: 60 })], points })
    assert.strictEqual(Lines.estimateInterval(metricOf(declared, "gauge a")), 60)
  })
})
