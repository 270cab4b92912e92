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

/** Restores an entry as older than the present one of its series. */
const restoreEntry = (state: AggregatorState, start: number, entry: Entry, recorded: number): Bucket => {
  state.evictedStarts.delete(start)
  const bucket = getBucket(state, start)
  const { canonical, host, kind, name, tags } = entry.series
  const series = canonical ?? state.index.intern(kind, name, tags, host) as Series
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
    restoreEntry(state, start, entry, recorded)
    state.drainedPoints -= recorded
  }
  enforceLimits(state)
}

/** Loads series of another process. */
export const loadSeries = (state: AggregatorState, items: ReadonlyArray<SerializedSeries>): void => {
  for (const item of items) {
    const { host, kind, name, recorded, tags } = item
    const series = state.index.intern(kind, name, tags, host) as Series
    const content = isScalar(series.group.accumulation) ? item.state as number : state.makeRollUp(kind, item.state)
    const start = state.startOf(item.start)
    const entry = new Entry(series, getBucket(state, start), content)
    restoreEntry(state, start, entry, recorded).version = ++state.lastVersion
  }
  enforceLimits(state)
}
