import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { emptyHealth } from "../../../src/intake/feedProtocol.js"
import * as State from "../../../src/intake/page/state.js"
import { distributionPoint, metricOf, noUpdate, seriesRow, stateWith } from "../../support/pageState.js"

const event = (id: number) => ({
  id,
  timestamp: id,
  title: "",
  text: "",
  alertType: "info",
  priority: "normal",
  tags: [],
  host: "",
  verdicts: []
})

describe("page state", () => {
  it("keeps the last value of each second in time order, and the newest seconds within the limit", () => {
    fc.assert(fc.property(
      fc.array(fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer()), { maxLength: 10 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      (updates, pointsPerSeries) => {
        const state = stateWith({ series: [seriesRow(1)] }, { pointsPerSeries })
        let expected: Array<readonly [number, number]> = []
        for (const points of updates) {
          State.applyMessage(state, "update", { ...noUpdate, points: points.map(([t, v]) => [1, t, v]) })
          for (const [t, v] of points) {
            expected = [...expected.filter(([other]) => other !== t), [t, v] as const]
              .sort(([a], [b]) => a - b)
              .slice(-pointsPerSeries)
          }
        }
        const { times, values } = state.series.get(1)!
        assert.deepStrictEqual(times.map((t, i) => [t, values[i]!] as const), expected)
      }
    ))
  })

  it("groups the series of one name and kind into one metric", () => {
    const state = stateWith({
      series: [seriesRow(1), seriesRow(2, { kind: "count" }), seriesRow(3, { tags: ["x:1"], unit: "byte" })]
    })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge a", "count a"])
    assert.deepStrictEqual([...metricOf(state, "gauge a").series].map(({ row }) => row.id), [1, 3])
    assert.strictEqual(metricOf(state, "gauge a").unit, "byte")
  })

  it("removes evicted series, and a metric together with its last series", () => {
    const state = stateWith({ series: [seriesRow(1), seriesRow(2, { metric: "b" }), seriesRow(3)] })
    const before = state.metricsRevision
    State.applyMessage(state, "update", { ...noUpdate, evicted: [1, 9] })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge a", "gauge b"])
    assert.strictEqual(state.metricsRevision, before)
    State.applyMessage(state, "update", { ...noUpdate, evicted: [3] })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge b"])
    assert.isAbove(state.metricsRevision, before)
  })

  it("removes the oldest series and events above the limits of the intake", () => {
    const state = stateWith({
      series: Array.from({ length: 20 }, (_, i) => seriesRow(i, { metric: `m${i}` })),
      events: [1, 2, 3, 4, 5].map(event)
    }, { series: 5, events: 3 })
    assert.deepStrictEqual([...state.series.keys()], [15, 16, 17, 18, 19])
    assert.strictEqual(state.metrics.size, 5)
    assert.deepStrictEqual([...state.events.keys()], [3, 4, 5])
  })

  it("ignores points of an unknown series or of another kind", () => {
    const state = stateWith({ series: [seriesRow(1), seriesRow(2, { kind: "distribution" })] })
    State.applyMessage(state, "update", {
      ...noUpdate,
      points: [[2, 1, 1], [7, 1, 1]],
      distributions: [distributionPoint(1, 1, [1]), distributionPoint(7, 1, [1])]
    })
    assert.deepStrictEqual([...state.series.values()].map(({ times }) => times), [[], []])
  })

  it("removes everything on clear, and everything but the snapshot on snapshot", () => {
    const full = {
      series: [seriesRow(1)],
      points: [[1, 1, 1]] as const,
      events: [event(1)],
      health: { ...emptyHealth, requests: 3 }
    }
    const state = stateWith(full)
    State.applyMessage(state, "clear", { now: 5 })
    assert.deepStrictEqual(
      [state.metrics.size, state.series.size, state.events.size, state.requests.size, state.health.requests],
      [0, 0, 0, 0, 0]
    )
    State.applyMessage(state, "update", { ...noUpdate, ...full })
    State.applyMessage(state, "snapshot", { ...noUpdate, series: [seriesRow(4, { metric: "b" })] })
    assert.deepStrictEqual([...state.series.keys()], [4])
    assert.strictEqual(state.events.size, 0)
  })
})
