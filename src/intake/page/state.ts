/**
 * State of the page: the content of all messages of the feed. Messages change it in place, because an update can contain a thousand
 * series several times a second. Revisions mark the changed parts.
 */
import {
  type DistributionPoint,
  emptyHealth,
  type EventRow,
  type Health,
  type Hello,
  type Messages,
  type RequestRow,
  type SeriesRow,
  type Update
} from "../feedProtocol.js"
import { normalizeTag } from "../validate.js"

/** A tag of a series. */
export interface Tag {
  /** The tag that Datadog keeps. */
  readonly kept: string
  readonly sent: string
}

export interface Series {
  row: SeriesRow
  tags: ReadonlyArray<Tag>
  readonly metric: Metric
  /** Seconds since the epoch, ascending, without duplicates. */
  readonly times: Array<number>
  /** Values at these times; empty for distributions. */
  readonly values: Array<number>
  /** Values of a distribution at these times; empty for other kinds. */
  readonly distributions: Array<DistributionPoint>
}

/** All series of a name and kind. A name with two kinds is two metrics. */
export interface Metric {
  readonly key: string
  readonly name: string
  readonly kind: SeriesRow["kind"]
  /** Unit of the latest row. */
  unit: string | null
  readonly series: Set<Series>
  /** Revision of the last change. */
  revision: number
  /** Revision in which a series was added, removed or changed in its row. */
  seriesRevision: number
  /** Listener for changed points of a distribution. */
  onDistributionChange: ((timestamp: number) => void) | undefined
}

export interface State {
  /** Number of messages so far. */
  revision: number
  /** Revision in which a metric was added or removed. */
  metricsRevision: number
  hello: Hello | undefined
  /** Time of the intake in the last message. */
  now: number
  readonly metrics: Map<string, Metric>
  readonly series: Map<number, Series>
  /** Events in the order of arrival. */
  readonly events: Map<number, EventRow>
  /** Requests in the order of arrival. */
  readonly requests: Map<number, RequestRow>
  health: Health
}

export const make = (): State => ({
  revision: 0,
  metricsRevision: 0,
  hello: undefined,
  now: 0,
  metrics: new Map(),
  series: new Map(),
  events: new Map(),
  requests: new Map(),
  health: emptyHealth
})

/** Applies a message of the feed. */
export const applyMessage = <Name extends keyof Messages>(state: State, name: Name, data: Messages[Name]): void => {
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
      return clear(state)
    case "snapshot":
      clear(state)
      return applyUpdate(state, message.data)
    case "update":
      return applyUpdate(state, message.data)
  }
}

const clear = (state: State): void => {
  state.metricsRevision = state.revision
  state.metrics.clear()
  state.series.clear()
  state.events.clear()
  state.requests.clear()
  state.health = emptyHealth
}

const applyUpdate = (state: State, update: Update): void => {
  for (const id of update.evicted) removeSeries(state, id)
  for (const row of update.series) setSeriesRow(state, row)
  const limits = state.hello?.limits
  const maxPoints = limits?.pointsPerSeries ?? Infinity
  for (const [id, timestamp, value] of update.points) {
    const series = state.series.get(id)
    if (series === undefined || series.metric.kind === "distribution") continue
    insertPoint(series.times, series.values, timestamp, value, maxPoints)
    series.metric.revision = state.revision
  }
  for (const point of update.distributions) {
    const series = state.series.get(point.series)
    if (series === undefined || series.metric.kind !== "distribution") continue
    insertPoint(series.times, series.distributions, point.timestamp, point, maxPoints)
    series.metric.revision = state.revision
    series.metric.onDistributionChange?.(point.timestamp)
  }
  for (const event of update.events) state.events.set(event.id, event)
  for (const request of update.requests) state.requests.set(request.id, request)
  trimOldest(state.events, limits?.events ?? Infinity)
  trimOldest(state.requests, limits?.requests ?? Infinity)
  state.health = update.health
}

const tagsOf = ({ tags }: SeriesRow): ReadonlyArray<Tag> => tags.map((sent) => ({ kept: normalizeTag(sent), sent }))

const setSeriesRow = (state: State, row: SeriesRow): void => {
  const key = `${row.kind} ${row.metric}`
  const known = state.series.get(row.id)
  if (known !== undefined && known.metric.key === key) {
    known.row = row
    known.tags = tagsOf(row)
    markChanged(state, known.metric, row)
    return
  }
  if (known !== undefined) removeSeries(state, row.id)
  // The intake announces evicted series. The page has a limit of its own in case an announcement is missing.
  const maxSeries = state.hello?.limits.series ?? Infinity
  while (state.series.size >= Math.max(1, maxSeries)) removeSeries(state, state.series.keys().next().value!)
  let metric = state.metrics.get(key)
  if (metric === undefined) {
    metric = {
      key,
      name: row.metric,
      kind: row.kind,
      unit: row.unit,
      series: new Set(),
      revision: 0,
      seriesRevision: 0,
      onDistributionChange: undefined
    }
    state.metrics.set(key, metric)
    state.metricsRevision = state.revision
  }
  const series: Series = { row, tags: tagsOf(row), metric, times: [], values: [], distributions: [] }
  metric.series.add(series)
  state.series.set(row.id, series)
  markChanged(state, metric, row)
}

const markChanged = (state: State, metric: Metric, row: SeriesRow): void => {
  metric.unit = row.unit ?? metric.unit
  metric.revision = state.revision
  metric.seriesRevision = state.revision
}

const removeSeries = (state: State, id: number): void => {
  const series = state.series.get(id)
  if (series === undefined) return
  const { metric } = series
  state.series.delete(id)
  metric.series.delete(series)
  metric.revision = state.revision
  metric.seriesRevision = state.revision
  if (metric.series.size > 0) return
  state.metrics.delete(metric.key)
  state.metricsRevision = state.revision
}

/** Inserts or replaces a point, and evicts the oldest ones beyond the limit. Most points are the latest ones. */
const insertPoint = <A>(times: Array<number>, items: Array<A>, timestamp: number, item: A, maxPoints: number): void => {
  const at = times.length === 0 || timestamp > times[times.length - 1]!
    ? times.length
    : findFirstIndex(times, timestamp)
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
  while (times.length > maxPoints) {
    times.shift()
    items.shift()
  }
}

/** Finds the index of the first time at or after `from`. */
export const findFirstIndex = (times: ReadonlyArray<number>, from: number): number => {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (times[middle]! < from) low = middle + 1
    else high = middle
  }
  return low
}

const trimOldest = (rows: Map<number, unknown>, maxRows: number): void => {
  for (const id of rows.keys()) {
    if (rows.size <= maxRows) return
    rows.delete(id)
  }
}
