import type { AggregatedSeries, SerializedSeries } from "../model/AggregatedSeries.js"
import { isScalar } from "../model/metricKinds.js"
import { type Bucket, Entry, type Series } from "./bucket.js"
import { attachEntry, findEntryIn, getBucket } from "./buckets.js"
import { enforceLimits } from "./capacity.js"
import type { DrainedSeries } from "./drain.js"
import { markPending } from "./pending.js"
import { clampToFinite } from "./rollUp.js"
import type { AggregatorState } from "./state.js"

/** Merges an older entry into a present one. The newer value of a gauge stays. */
const mergeOlder = (state: AggregatorState, entry: Entry, older: Entry): void => {
  if (entry.rollUp !== undefined) {
    const bytes = entry.bytes()
    entry.rollUp.mergeOlder(older.rollUp!)
    state.pendingBytes += entry.bytes() - bytes
  } else if (entry.series.group.accumulation === "sum") {
    entry.value = clampToFinite(entry.value) + clampToFinite(older.value)
  }
}

/** Returns the series that stands for this one after eviction. Drops the points if the series has another kind by now. */
const findSeries = (
  state: AggregatorState,
  { host, kind, name, tags }: Pick<SerializedSeries, "kind" | "name" | "host" | "tags">,
  recorded: number
): Series | undefined => {
  const series = state.index.intern(kind, name, tags, host)
  if (typeof series === "object" && !series.group.isConflict) return series
  state.drops.count("KindConflict", name, recorded)
  return undefined
}

/** Restores an entry of a series as older than the present one. */
const restoreEntry = (
  state: AggregatorState,
  start: number,
  series: Series,
  entry: Entry,
  recorded: number
): Bucket => {
  state.evictedStarts.delete(start)
  const bucket = getBucket(state, start)
  const present = findEntryIn(series, bucket)
  state.pendingValues += entry.valueCount()
  if (present === undefined) {
    attachEntry(state, series, bucket, entry)
    entry.isReported = false
    markPending(state, bucket, entry, recorded)
  } else {
    markPending(state, bucket, present, recorded)
    if (present !== entry) mergeOlder(state, present, entry)
  }
  return bucket
}

/** Restores drained series that were not delivered. */
export const restoreSeries = (state: AggregatorState, items: ReadonlyArray<AggregatedSeries>): void => {
  for (const { bucket, entry, recorded } of items as ReadonlyArray<DrainedSeries>) {
    const { isChanged, start, version, versionedLength } = bucket
    if (!state.buckets.has(start)) {
      Object.assign(getBucket(state, start), { isChanged, version, versionedLength })
    }
    state.drainedPoints -= recorded
    const series = entry.series.canonical ?? findSeries(state, entry.series, recorded)
    if (series !== undefined) restoreEntry(state, start, series, entry, recorded)
  }
  enforceLimits(state)
}

/** Loads series of another process. */
export const loadSeries = (state: AggregatorState, items: ReadonlyArray<SerializedSeries>): void => {
  for (const item of items) {
    const { kind, recorded } = item
    const series = findSeries(state, item, recorded)
    if (series === undefined) continue
    const content = isScalar(series.group.accumulation) ? item.state as number : state.makeRollUp(kind, item.state)
    const start = state.startOf(item.start)
    const entry = new Entry(series, getBucket(state, start), content)
    restoreEntry(state, start, series, entry, recorded).version = ++state.lastVersion
  }
  enforceLimits(state)
}
