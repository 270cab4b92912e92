import { assert, describe, it } from "@effect/vitest"
import * as Grouping from "../../../src/intake/page/grouping.js"
import { metricOf, seriesRow, stateWith } from "../../support/pageState.js"

describe("page grouping", () => {
  it("splits series by tag key, by tag without a value, and by host", () => {
    const state = stateWith({
      series: [
        seriesRow(1, { tags: ["shop:eu", "debug"], host: "h1" }),
        seriesRow(2, { tags: ["shop:us:east", "shop:eu"] }),
        seriesRow(3, { tags: ["shopping:1"] })
      ]
    })
    const metric = metricOf(state, "gauge a")
    assert.deepStrictEqual(Grouping.tagKeysOf(metric), [["debug", 1], ["host", 1], ["shop", 2], ["shopping", 1]])
    const labels = (key: string) => Grouping.groupSeries(metric, key).map(({ label, series }) => [label, series.length])
    assert.deepStrictEqual(labels("shop"), [["(without)", 1], ["eu", 1], ["eu, us:east", 1]])
    assert.deepStrictEqual(labels("debug"), [["(without)", 2], ["debug", 1]])
    assert.deepStrictEqual(labels("host"), [["(without)", 2], ["h1", 1]])
    assert.deepStrictEqual(Grouping.groupSeries(metric, undefined).map(({ series }) => series.length), [3])
  })

  it("chooses the groups with the largest totals, in their order", () => {
    const state = stateWith({
      series: [1, 2, 3].map((id) => seriesRow(id, { kind: "count", tags: [`k:${id}`] })),
      points: [[1, 100, 5], [2, 100, 1], [3, 100, 9], [2, 5, 1000]]
    })
    const chosen = Grouping.selectLargest(Grouping.groupSeries(metricOf(state, "count a"), "k"), {
      from: 100,
      step: 10,
      steps: 5
    }, 2)
    assert.deepStrictEqual(chosen.map(({ label }) => label), ["1", "3"])
  })
})
