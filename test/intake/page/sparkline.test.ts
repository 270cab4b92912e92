import { assert, describe, it } from "@effect/vitest"
import { makeSparkline } from "../../../src/intake/page/sparkline.js"
import { distributionPoint, metricOf, seriesRow, stateWith } from "../../support/pageState.js"

describe("page sparkline", () => {
  it("returns the latest values of a metric for its row in the list", () => {
    const points = [100, 110, 120].map((t, i) => [1, t, i + 1] as const)
    const counts = stateWith({ series: [seriesRow(1, { kind: "count", interval: 10 })], points })
    assert.deepStrictEqual(makeSparkline(metricOf(counts, "count a"), 4, 1e9), [undefined, 1, 2, 3])
    const distributions = stateWith({
      series: [seriesRow(1, { kind: "distribution", interval: 10 })],
      distributions: [distributionPoint(1, 120, [7, 7])]
    })
    assert.deepStrictEqual(makeSparkline(metricOf(distributions, "distribution a"), 2, 1e9), [undefined, 7])
    assert.deepStrictEqual(makeSparkline(metricOf(stateWith({ series: [seriesRow(1)] }), "gauge a"), 4, 1e9), [])
  })
})
