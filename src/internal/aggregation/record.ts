import type { SeriesOptions, Value } from "../model/AggregatedSeries.js"
import type { DropReason } from "../model/AggregatorStats.js"
import { type Accumulation, isScalar, type Kind } from "../model/metricKinds.js"
import { tagsOfOptions } from "../model/tags.js"
import { Entry, type Series } from "./bucket.js"
import { attachEntry, findEntryIn, getBucket, hasEntry } from "./buckets.js"
import { canGrow, makeRoom } from "./capacity.js"
import { markPending } from "./pending.js"
import { type AggregatorState, maxIdleSeries } from "./state.js"
import { isValidHost, isValidName, isValidValue } from "./validation.js"

/** Adds a valid value to an entry that is pending and can grow. */
export const addFast = (state: AggregatorState, accumulation: Accumulation, entry: Entry, value: Value): void => {
  entry.bucket.isChanged = true
  entry.pending++
  state.pendingPoints++
  if (accumulation === "sum") entry.value += value as number
  else if (accumulation === "last") entry.value = value as number
  else {
    const bytes = entry.rollUp!.add(value)
    if (bytes > 0) state.addBytes(bytes, accumulation === "values")
  }
}

/** Finds the entry of a series at a time, and makes the bucket of that time the current one. */
const findEntry = (state: AggregatorState, series: Series, time: number): Entry | undefined => {
  let bucket = state.currentBucket
  if (time !== state.currentTime) {
    if (time < bucket.start || time >= bucket.end) {
      const other = state.buckets.get(state.startOf(time))
      if (other === undefined) return undefined
      state.currentBucket = bucket = other
    }
    state.currentTime = time
  }
  const newest = series.newestEntry
  return newest === undefined || newest.bucket === bucket ? newest : findEntryIn(series, bucket)
}

/** Makes room for a valid value and adds it, or returns the drop reason. */
const addSlow = (state: AggregatorState, series: Series, value: Value, time: number): DropReason | undefined => {
  if (state.isClosed) return "Closed"
  const { group: { accumulation, family, isConflict }, kind } = series
  if (isConflict) {
    state.noteConflict(family.name)
    return "KindConflict"
  }
  let entry = findEntry(state, series, time)
  if (entry === undefined || entry.pending === 0 || !canGrow(state, accumulation)) {
    const start = state.startOf(time)
    const reason = makeRoom(state, kind, start, entry)
    if (reason !== undefined) {
      state.updateLimitFlags()
      return reason
    }
    if (entry === undefined) {
      const bucket = getBucket(state, start)
      state.currentBucket = bucket
      state.currentTime = time
      state.noteKind(kind, family.name)
      entry = new Entry(series, bucket, isScalar(accumulation) ? 0 : state.makeRollUp(kind))
      attachEntry(state, series, bucket, entry)
    }
    markPending(state, entry.bucket, entry, 0)
    state.updateLimitFlags()
  }
  addFast(state, accumulation, entry, value)
  return undefined
}

/** Adds a valid value to a series, or returns the drop reason. */
export const addToSeries = (
  state: AggregatorState,
  series: Series,
  value: Value,
  time: number
): DropReason | undefined => {
  const newest = series.newestEntry
  const { accumulation } = series.group
  if (
    newest?.bucket === state.currentBucket && time === state.currentTime && newest.pending > 0 &&
    canGrow(state, accumulation)
  ) {
    addFast(state, accumulation, newest, value)
    return undefined
  }
  return addSlow(state, series, value, time)
}

/** Interns a spelling of a series that the index does not know, or returns the drop reason. */
export const internSeries = (
  state: AggregatorState,
  kind: Kind,
  name: string,
  tags: SeriesOptions["tags"],
  host: string | null
): Series | DropReason => {
  if (!isValidName(name)) return "InvalidName"
  const { index } = state
  if (index.size >= 2 * state.entryCount + maxIdleSeries) {
    index.retain((series) => series.newestEntry !== undefined && hasEntry(series))
  }
  return index.intern(kind, name, tags, host, (count) => state.truncations.count("TagTooLong", name, count))
}

/** Finds or interns a series that the index does not know by an array of tags, or returns the drop reason. */
const findSlow = (
  state: AggregatorState,
  kind: Kind,
  name: string,
  tags: SeriesOptions["tags"],
  host: string | null
): Series | DropReason => state.index.findRecord(kind, name, tags, host) ?? internSeries(state, kind, name, tags, host)

/** Validates a point and adds it, or returns the drop reason. */
const addPoint = (
  state: AggregatorState,
  kind: Kind,
  name: string,
  value: Value,
  time: number,
  point: SeriesOptions | undefined
): DropReason | undefined => {
  if (!isValidValue(kind, value)) return "InvalidValue"
  if (!Number.isFinite(time)) return "InvalidTimestamp"
  const host = point?.host ?? null
  if (!isValidHost(host)) return "InvalidHost"
  const tags = point?.tags ?? (point === undefined ? undefined : tagsOfOptions(point))
  const series = state.index.find(kind, name, tags, host) ?? findSlow(state, kind, name, tags, host)
  return typeof series === "string" ? series : addToSeries(state, series, value, time)
}

/** Adds a point, or counts it as dropped. Never throws. */
export const unsafeAddPoint = (
  state: AggregatorState,
  kind: Kind,
  name: string,
  value: Value,
  time: number,
  point: SeriesOptions | undefined
): void => {
  let reason: DropReason | undefined
  try {
    reason = addPoint(state, kind, name, value, time, point)
  } catch {
    // Only a getter of the caller's can throw here.
    reason = "InvalidTags"
  }
  if (reason !== undefined) state.drops.count(reason, name)
}
