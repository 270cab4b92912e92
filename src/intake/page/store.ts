/**
 * What the page knows: the feed's messages, taken in one by one. It changes in place, as an update a few times a second with
 * a thousand series in it is no occasion for copies, and says by revisions what changed.
 */
import {
  type DistributionPoint,
  type EventRow,
  type Health,
  type Hello,
  type Messages,
  noHealth,
  type RequestRow,
  type SeriesRow,
  type Update
} from "../feedProtocol.js"

export interface Series {
  row: SeriesRow
  readonly metric: Metric
  /** Seconds since the epoch, ascending, each once. */
  readonly times: Array<number>
  /** One for each time, of all kinds but distributions. */
  readonly values: Array<number>
  /** One for each time, of distributions. */
  readonly sketches: Array<DistributionPoint>
}

/** All series of a name and kind: a name that is used with two kinds is two metrics. */
export interface Metric {
  readonly key: string
  readonly name: string
  readonly kind: SeriesRow["kind"]
  /** What was said last. */
  unit: string | null
  readonly series: Set<Series>
  /** The state's revision when it changed last. */
  revision: number
  /** Likewise, when a series came, went, or had its tags changed. */
  shape: number
  /** Who draws it, and has to know which of its sketches changed. */
  onSketch: ((timestamp: number) => void) | undefined
}

export interface State {
  /** Goes up with every message. */
  revision: number
  /** The revision when a metric came or went. */
  shape: number
  hello: Hello | undefined
  /** The intake's clock, as it said last. */
  now: number
  readonly metrics: Map<string, Metric>
  readonly series: Map<number, Series>
  /** In the order they came in, as are requests. */
  readonly events: Map<number, EventRow>
  readonly requests: Map<number, RequestRow>
  health: Health
}

export const make = (): State => ({
  revision: 0,
  shape: 0,
  hello: undefined,
  now: 0,
  metrics: new Map(),
  series: new Map(),
  events: new Map(),
  requests: new Map(),
  health: noHealth
})

/** Takes in one message. */
export const reduce = <Name extends keyof Messages>(state: State, name: Name, data: Messages[Name]): void => {
  state.revision++
  state.now = data.now
  const message = { name, data } as {
    readonly [N in keyof Messages]: { readonly name: N; readonly data: Messages[N] }
  }[
    keyof Messages
  ]
  switch (message.name) {
    case "hello":
      state.hello = message.data
      return
    case "clear":
      return forgetAll(state)
    case "snapshot":
      forgetAll(state)
      return take(state, message.data)
    case "update":
      return take(state, message.data)
  }
}

const forgetAll = (state: State): void => {
  state.shape = state.revision
  state.metrics.clear()
  state.series.clear()
  state.events.clear()
  state.requests.clear()
  state.health = noHealth
}

const take = (state: State, update: Update): void => {
  for (const id of update.forgotten) forget(state, id)
  for (const row of update.series) introduce(state, row)
  const limits = state.hello?.limits
  const kept = limits?.pointsPerSeries ?? Infinity
  for (const [id, timestamp, value] of update.points) {
    const series = state.series.get(id)
    if (series === undefined || series.metric.kind === "distribution") continue
    put(series.times, series.values, timestamp, value, kept)
    series.metric.revision = state.revision
  }
  for (const point of update.distributions) {
    const series = state.series.get(point.series)
    if (series === undefined || series.metric.kind !== "distribution") continue
    put(series.times, series.sketches, point.timestamp, point, kept)
    series.metric.revision = state.revision
    series.metric.onSketch?.(point.timestamp)
  }
  for (const event of update.events) state.events.set(event.id, event)
  for (const request of update.requests) state.requests.set(request.id, request)
  trim(state.events, limits?.events ?? Infinity)
  trim(state.requests, limits?.requests ?? Infinity)
  state.health = update.health
}

const introduce = (state: State, row: SeriesRow): void => {
  const key = `${row.kind} ${row.metric}`
  const known = state.series.get(row.id)
  if (known !== undefined && known.metric.key === key) {
    known.row = row
    touch(state, known.metric, row)
    return
  }
  if (known !== undefined) forget(state, row.id)
  // The intake says itself which it forgets; this is for one that does not.
  const most = state.hello?.limits.series ?? Infinity
  while (state.series.size >= Math.max(1, most)) forget(state, state.series.keys().next().value!)
  let metric = state.metrics.get(key)
  if (metric === undefined) {
    metric = {
      key,
      name: row.metric,
      kind: row.kind,
      unit: row.unit,
      series: new Set(),
      revision: 0,
      shape: 0,
      onSketch: undefined
    }
    state.metrics.set(key, metric)
    state.shape = state.revision
  }
  const series: Series = { row, metric, times: [], values: [], sketches: [] }
  metric.series.add(series)
  state.series.set(row.id, series)
  touch(state, metric, row)
}

const touch = (state: State, metric: Metric, row: SeriesRow): void => {
  metric.unit = row.unit ?? metric.unit
  metric.revision = state.revision
  metric.shape = state.revision
}

const forget = (state: State, id: number): void => {
  const series = state.series.get(id)
  if (series === undefined) return
  const { metric } = series
  state.series.delete(id)
  metric.series.delete(series)
  metric.revision = state.revision
  metric.shape = state.revision
  if (metric.series.size > 0) return
  state.metrics.delete(metric.key)
  state.shape = state.revision
}

/** Most points are later than all before them. */
const put = <A>(times: Array<number>, items: Array<A>, timestamp: number, item: A, kept: number): void => {
  const at = times.length === 0 || timestamp > times[times.length - 1]! ? times.length : firstFrom(times, timestamp)
  if (times[at] === timestamp) {
    items[at] = item
    return
  }
  if (at === times.length) {
    times.push(timestamp)
    items.push(item)
  } else {
    times.splice(at, 0, timestamp)
    items.splice(at, 0, item)
  }
  while (times.length > kept) {
    times.shift()
    items.shift()
  }
}

/** The index of the first time that is not before `from`. */
export const firstFrom = (times: ReadonlyArray<number>, from: number): number => {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (times[middle]! < from) low = middle + 1
    else high = middle
  }
  return low
}

const trim = (rows: Map<number, unknown>, kept: number): void => {
  for (const id of rows.keys()) {
    if (rows.size <= kept) return
    rows.delete(id)
  }
}
