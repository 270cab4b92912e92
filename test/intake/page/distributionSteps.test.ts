import { assert, describe, it } from "@effect/vitest"
import { DistributionSteps } from "../../../src/intake/page/distributionSteps.js"
import type { Frame } from "../../../src/intake/page/lines.js"
import { applyMessage } from "../../../src/intake/page/state.js"
import { distributionPoint, metricOf, noUpdate, seriesRow, stateWith } from "../../support/pageState.js"

describe("page distributionSteps", () => {
  it("merges the points of a step once, and again when one of them changes", () => {
    const state = stateWith({
      series: [seriesRow(1, { kind: "distribution" }), seriesRow(2, { kind: "distribution", tags: ["x"] })],
      distributions: [
        distributionPoint(1, 101, [1, 2]),
        distributionPoint(2, 109, [3]),
        distributionPoint(1, 110, [50])
      ]
    })
    const metric = metricOf(state, "distribution a")
    const steps = new DistributionSteps([...metric.series], 10)
    metric.onDistributionChange = (timestamp) => steps.invalidate(timestamp)
    const frame: Frame = { from: 100, step: 10, steps: 5 }
    let calls = 0
    assert.isFalse(steps.fill(frame, () => calls++ < 4))
    assert.strictEqual(steps.get(100), undefined)
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.makeLine("count", frame), [3, 1, null, null, null])
    assert.deepStrictEqual(steps.makeLine("max", frame), [3, 50, null, null, null])
    assert.strictEqual(steps.total(frame).count, 4)
    applyMessage(state, "update", { ...noUpdate, distributions: [distributionPoint(2, 109, [3, 70])] })
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.makeLine("max", frame), [70, 50, null, null, null])
  })
})
