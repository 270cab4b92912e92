/** Messages of the feed, and the state that the page builds from them. */
import { emptyHealth, type Hello, type SeriesRow, type Update } from "../../src/intake/feedProtocol.js"
import { gamma } from "../../src/intake/logHistogram.js"
import * as State from "../../src/intake/page/state.js"

/** An update without a change. */
export const noUpdate: Update = {
  now: 0,
  series: [],
  points: [],
  distributions: [],
  events: [],
  requests: [],
  health: emptyHealth,
  evicted: []
}

/** A point of a distribution with these values. */
export const distributionPoint = (
  series: number,
  timestamp: number,
  values: ReadonlyArray<number>
): Update["distributions"][number] => {
  const bins = (sign: number) => {
    const counts = new Map<number, number>()
    for (const value of values) {
      if (value * sign <= 0) continue
      const bin = Math.floor(Math.log(value * sign) / Math.log(gamma))
      counts.set(bin, (counts.get(bin) ?? 0) + 1)
    }
    return [...counts].sort(([a], [b]) => a - b)
  }
  return {
    series,
    timestamp,
    count: values.length,
    sum: values.reduce((a, b) => a + b, 0),
    min: Math.min(...values),
    max: Math.max(...values),
    zeros: values.filter((value) => value === 0).length,
    positive: bins(1),
    negative: bins(-1)
  }
}

const hello: Hello = {
  instance: "1",
  version: "0.1.0",
  now: 0,
  url: "http://127.0.0.1:8126",
  dogstatsd: null,
  isAnyKeyValid: true,
  strict: false,
  faults: [],
  limits: { series: 1e6, pointsPerSeries: 1e6, events: 1e6, requests: 1e6 }
}

/** A series of the gauge `a`. */
export const seriesRow = (id: number, part: Partial<SeriesRow> = {}): SeriesRow => ({
  id,
  metric: "a",
  kind: "gauge",
  unit: null,
  tags: [],
  host: "",
  device: "",
  interval: 0,
  verdicts: [],
  ...part
})

/** The state after a snapshot with these parts. */
export const stateWith = (part: Partial<Update>, limits: Partial<Hello["limits"]> = {}): State.State => {
  const state = State.make()
  State.applyMessage(state, "hello", { ...hello, limits: { ...hello.limits, ...limits } })
  State.applyMessage(state, "snapshot", { ...noUpdate, ...part })
  return state
}

export const metricOf = (state: State.State, key: string): State.Metric => state.metrics.get(key)!
