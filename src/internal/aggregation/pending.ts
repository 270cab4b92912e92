import type { Bucket, Entry } from "./bucket.js"
import { enqueue } from "./buckets.js"
import type { AggregatorState } from "./state.js"

/** Changes the memory of reported totals. */
export const adjustReportedBytes = (state: AggregatorState, bucket: Bucket, change: number): void => {
  bucket.reportedBytes += change
  state.reportedBytes += change
}

/** Adds `points` to the pending points of an entry, and queues the entry if it had none. */
export const markPending = (state: AggregatorState, bucket: Bucket, entry: Entry, points: number): void => {
  if (entry.pending === 0) {
    enqueue(state, "pendingQueue", bucket, entry)
    if (entry.series.group.accumulation === "values") enqueue(state, "valueQueue", bucket, entry)
    state.pendingSeries++
    const bytes = entry.bytes()
    state.pendingBytes += bytes
    if (entry.isReported) adjustReportedBytes(state, bucket, -bytes)
  }
  entry.pending += points
  state.pendingPoints += points
}

/** Clears the pending points of an entry, and returns the entry's memory in bytes. */
export const clearPending = (state: AggregatorState, entry: Entry): number => {
  const bytes = entry.bytes()
  state.pendingSeries--
  state.pendingBytes -= bytes
  state.pendingPoints -= entry.pending
  state.pendingValues -= entry.valueCount()
  entry.pending = 0
  return bytes
}
