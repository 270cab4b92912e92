import type { BucketSnapshot, SerializedSeries } from "../model/AggregatedSeries.js"
import type { Bucket, Entry } from "./bucket.js"
import { rollUpOf } from "./drain.js"
import type { AggregatorState } from "./state.js"

const serializeEntry = (state: AggregatorState, start: number, entry: Entry): SerializedSeries => {
  const { pending, series: { host, kind, name, tags } } = entry
  return { kind, name, host, tags, start, recorded: pending, state: rollUpOf(state, entry).state() }
}

/** Assigns a new version to a bucket whose pending entries changed. */
const updateVersion = (state: AggregatorState, bucket: Bucket): void => {
  const { length } = bucket.pendingQueue
  if (!bucket.isChanged && bucket.versionedLength === length) return
  bucket.isChanged = false
  bucket.versionedLength = length
  bucket.version = ++state.lastVersion
}

/** Serializes the pending series of each bucket. Leaves out the series of buckets whose version is `known`. */
export const takeSnapshot = (
  state: AggregatorState,
  known: ReadonlyMap<number, number>
): ReadonlyArray<BucketSnapshot> => {
  const snapshots: Array<BucketSnapshot> = []
  for (const bucket of state.buckets.values()) {
    const { pendingQueue, start } = bucket
    if (pendingQueue.length === 0) continue
    updateVersion(state, bucket)
    const { version } = bucket
    const series = known.get(start) === version
      ? undefined
      : pendingQueue.toArray().map((entry) => serializeEntry(state, start, entry))
    snapshots.push({ start, version, series })
  }
  return snapshots
}
