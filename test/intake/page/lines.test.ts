import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import type { SeriesRow } from "../../../src/intake/feedProtocol.js"
import * as Lines from "../../../src/intake/page/lines.js"
import * as Store from "../../../src/intake/page/store.js"
import { metricOf, noUpdate, seriesRow, sketchOf, stateWith } from "../../support/pageState.js"

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
    return Lines.line(kind, [...metric.series], frame, now)
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
        const groups = Lines.groupsOf(metricOf(state, "count a"), split)
        const frame = { from: 0, step, steps: Math.ceil(201 / step) }
        const values = groups.flatMap(({ series }) => Lines.line("count", series, frame, long))
        assert.strictEqual(values.reduce<number>((sum, value) => sum + (value ?? 0), 0), expected)
      }
    ))
  })

  it("omits the last step until all series have sent or the step is old", () => {
    assert.deepStrictEqual(Lines.line("count", [...two("count").series.values()], { ...frame, steps: 5 }, 155), [
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
    const at = (now: number) => Lines.line("count", [...state.series.values()], { ...frame, steps: 2 }, now)
    assert.deepStrictEqual(at(115), [2, undefined])
    assert.deepStrictEqual(at(131), [2, 1])
  })

  it("interrupts a line after three steps without a value", () => {
    const u = undefined
    assert.deepStrictEqual(Lines.interrupt([1, u, u, 2, u, u, u, 3]), [1, u, u, 2, null, null, null, 3])
    assert.deepStrictEqual(Lines.interrupt([u, u, u, 1, u]), [null, null, null, 1, u])
  })

  it("splits series by tag key, by tag without a value, and by host", () => {
    const state = stateWith({
      series: [
        seriesRow(1, { tags: ["shop:eu", "debug"], host: "h1" }),
        seriesRow(2, { tags: ["shop:us:east", "shop:eu"] }),
        seriesRow(3, { tags: ["shopping:1"] })
      ]
    })
    const metric = metricOf(state, "gauge a")
    assert.deepStrictEqual(Lines.tagKeys(metric), [["debug", 1], ["host", 1], ["shop", 2], ["shopping", 1]])
    const labels = (key: string) => Lines.groupsOf(metric, key).map(({ label, series }) => [label, series.length])
    assert.deepStrictEqual(labels("shop"), [["(without)", 1], ["eu", 1], ["eu, us:east", 1]])
    assert.deepStrictEqual(labels("debug"), [["(without)", 2], ["debug", 1]])
    assert.deepStrictEqual(labels("host"), [["(without)", 2], ["h1", 1]])
    assert.deepStrictEqual(Lines.groupsOf(metric, undefined).map(({ series }) => series.length), [3])
  })

  it("chooses a step length of at least the interval, within the limit of steps", () => {
    assert.strictEqual(Lines.stepOf(300, 1, 600), 1)
    assert.strictEqual(Lines.stepOf(300, 10, 600), 10)
    assert.strictEqual(Lines.stepOf(3600, 1, 600), 10)
    assert.strictEqual(Lines.stepOf(1e9, 1, 600), Math.ceil(1e9 / 600))
  })

  it("derives the interval from the points when the series has none", () => {
    const points = [0, 15, 30, 45, 90].map((t) => [1, t, 0] as const)
    assert.strictEqual(Lines.intervalOf(metricOf(stateWith({ series: [seriesRow(1)], points }), "gauge a")), 15)
    const declared = stateWith({ series: [seriesRow(1, { interval: 60 })], points })
    assert.strictEqual(Lines.intervalOf(metricOf(declared, "gauge a")), 60)
  })

  it("merges the sketches of a step once, and again when one of them changes", () => {
    const state = stateWith({
      series: [seriesRow(1, { kind: "distribution" }), seriesRow(2, { kind: "distribution", tags: ["x"] })],
      distributions: [sketchOf(1, 101, [1, 2]), sketchOf(2, 109, [3]), sketchOf(1, 110, [50])]
    })
    const metric = metricOf(state, "distribution a")
    const steps = new Lines.Steps([...metric.series], 10)
    metric.onSketch = (timestamp) => steps.changed(timestamp)
    let calls = 0
    assert.isFalse(steps.fill(frame, () => calls++ < 4))
    assert.strictEqual(steps.get(100), undefined)
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.line("count", frame), [3, 1, null, null, null])
    assert.deepStrictEqual(steps.line("max", frame), [3, 50, null, null, null])
    assert.strictEqual(steps.total(frame).count, 4)
    Store.reduce(state, "update", { ...noUpdate, distributions: [sketchOf(2, 109, [3, 70])] })
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.line("max", frame), [70, 50, null, null, null])
  })

  it("draws one mark for adjacent events, with the most severe type", () => {
    assert.deepStrictEqual(
      Lines.marksOf([[30, "info"], [0, "info"], [11, "error"], [5, "warning"], [12, "success"]], 12),
      [
        [0, "error"],
        [12, "success"],
        [30, "info"]
      ]
    )
    assert.deepStrictEqual(Lines.marksOf([], 12), [])
    const often = Array.from({ length: 100 }, (_, x) => [x, "info"] as const)
    assert.deepStrictEqual(Lines.marksOf(often, 12).map(([x]) => x), [0, 12, 24, 36, 48, 60, 72, 84, 96])
  })

  it("chooses the groups with the largest totals, in their order", () => {
    const state = stateWith({
      series: [1, 2, 3].map((id) => seriesRow(id, { kind: "count", tags: [`k:${id}`] })),
      points: [[1, 100, 5], [2, 100, 1], [3, 100, 9], [2, 5, 1000]]
    })
    const chosen = Lines.heaviest(Lines.groupsOf(metricOf(state, "count a"), "k"), frame, 2)
    assert.deepStrictEqual(chosen.map(({ label }) => label), ["1", "3"])
  })

  it("returns the latest values of a metric for its row in the list", () => {
    const points = [100, 110, 120].map((t, i) => [1, t, i + 1] as const)
    const counts = stateWith({ series: [seriesRow(1, { kind: "count", interval: 10 })], points })
    assert.deepStrictEqual(Lines.spark(metricOf(counts, "count a"), 4, long), [undefined, 1, 2, 3])
    const distributions = stateWith({
      series: [seriesRow(1, { kind: "distribution", interval: 10 })],
      distributions: [sketchOf(1, 120, [7, 7])]
    })
    assert.deepStrictEqual(Lines.spark(metricOf(distributions, "distribution a"), 2, long), [undefined, 7])
    assert.deepStrictEqual(Lines.spark(metricOf(stateWith({ series: [seriesRow(1)] }), "gauge a"), 4, long), [])
  })
})
