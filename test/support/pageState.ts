/** Messages of the feed, and the state that the page builds from them. */
import { gamma, type Hello, noHealth, type SeriesRow, type Update } from "../../src/intake/feedProtocol.js"
import * as Store from "../../src/intake/page/store.js"

/** An update without a change. */
export const noUpdate: Update = {
  now: 0,
  series: [],
  points: [],
  distributions: [],
  events: [],
  requests: [],
  health: noHealth,
  forgotten: []
}

/** A point of a distribution with these values. */
export const sketchOf = (
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
export const stateWith = (part: Partial<Update>, limits: Partial<Hello["limits"]> = {}): Store.State => {
  const state = Store.make()
  Store.reduce(state, "hello", { ...hello, limits: { ...hello.limits, ...limits } })
  Store.reduce(state, "snapshot", { ...noUpdate, ...part })
  return state
}

export const metricOf = (state: Store.State, key: string): Store.Metric => state.metrics.get(key)!
