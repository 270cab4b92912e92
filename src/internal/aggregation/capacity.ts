import type { DropReason } from "../model/AggregatorStats.js"
import { type Accumulation, isScalar, type Kind } from "../model/metricKinds.js"
import type { Bucket, Entry } from "./bucket.js"
import { detachEntry, findOldestBucket, type QueueName, removeBucket } from "./buckets.js"
import { adjustReportedBytes, clearPending } from "./pending.js"
import type { AggregatorState } from "./state.js"

/** Maximum number of reported totals, besides `maxSeries` pending series. */
const maxReported = 10_000

/** Memory of reported totals above which closed buckets are evicted, in bytes. Ten thousand counters with few tags fit. */
const maxReportedBytes = 4_000_000

/** Returns true if reported totals take more memory than they may. */
export const hasExcessReported = (state: AggregatorState): boolean => state.reportedBytes > maxReportedBytes

/** Returns true if a pending entry can take one more value. */
export const canGrow = (state: AggregatorState, accumulation: Accumulation): boolean =>
  state.hasRoom || isScalar(accumulation) || (state.pendingBytes < state.maxBytes && accumulation !== "values")

/** Drops the pending points of an entry. A reported total stays, because a later point would undercut it. */
export const dropEntry = (state: AggregatorState, reason: DropReason, bucket: Bucket, entry: Entry): void => {
  state.drops.count(reason, entry.series.name, entry.pending)
  const bytes = clearPending(state, entry)
  bucket.version = ++state.lastVersion
  if (entry.isReported) adjustReportedBytes(state, bucket, bytes)
  else detachEntry(state, bucket, entry)
}

/** Drops the longest pending entry of the buckets that start before `before`. Returns false if no entry is pending there. */
const dropOldest = (
  state: AggregatorState,
  reason: DropReason,
  before: number,
  queue: QueueName = "pendingQueue"
): boolean => {
  const bucket = findOldestBucket(state, queue, before)
  const entry = bucket?.[queue].shift()
  if (bucket === undefined || entry === undefined) return false
  dropEntry(state, reason, bucket, entry)
  if (queue === "valueQueue") bucket.pendingQueue.remove(entry)
  else if (entry.series.group.accumulation === "values") bucket.valueQueue.remove(entry)
  if (bucket.entryCount === 0) removeBucket(state, bucket)
  return true
}

/** Drops up to `count` values of the longest pending distribution, the oldest values first. */
const dropOldestValues = (state: AggregatorState, count: number): void => {
  const bucket = findOldestBucket(state, "valueQueue", Infinity)!
  const entry = bucket.valueQueue.first()!
  if (entry.valueCount() <= count) {
    dropOldest(state, "TooManyValues", Infinity, "valueQueue")
    return
  }
  const { kind, name } = entry.series
  const bytes = entry.bytes()
  entry.rollUp = state.makeRollUp(kind, entry.rollUp!.values().slice(count))
  state.drops.count("TooManyValues", name, count)
  entry.pending -= count
  state.pendingPoints -= count
  state.pendingValues -= count
  state.pendingBytes += entry.bytes() - bytes
  bucket.version = ++state.lastVersion
}

/** Evicts the oldest closed buckets without pending points until reported totals fit into their memory. */
export const evictReportedBuckets = (state: AggregatorState, now: number): void => {
  if (!hasExcessReported(state)) return
  const openStart = state.startOf(now)
  const closed = Array.from(state.buckets.keys()).filter((start) => start < openStart).sort((a, b) => a - b)
  for (const start of closed) {
    const bucket = state.buckets.get(start)!
    if (bucket.pendingQueue.length > 0) continue
    removeBucket(state, bucket)
    state.reportedBytes -= bucket.reportedBytes
    state.entryCount -= bucket.entryCount
    state.noteEvicted(start)
    if (!hasExcessReported(state)) return
  }
}

/** Returns true if the bucket was evicted and a new total would undercut the reported one. A gauge may be sent again. */
const isLate = (state: AggregatorState, kind: Kind, start: number): boolean =>
  state.evictedStarts.has(start) && !state.buckets.has(start) &&
  state.accumulationOf(kind) !== "last" && !state.isAdditive(kind)

/** Makes room for one more point of a series, or returns the drop reason. */
export const makeRoom = (
  state: AggregatorState,
  kind: Kind,
  start: number,
  entry: Entry | undefined
): DropReason | undefined => {
  const accumulation = state.accumulationOf(kind)
  if (accumulation === "values" && state.pendingValues >= state.maxValues) {
    if (!dropOldest(state, "TooManyValues", start, "valueQueue")) return "TooManyValues"
  }
  if (state.pendingBytes >= state.maxBytes && (entry === undefined || !isScalar(accumulation))) {
    while (state.pendingBytes >= state.maxBytes && dropOldest(state, "TooManyBytes", start));
    if (state.pendingBytes >= state.maxBytes) return "TooManyBytes"
  }
  const hasMaxSeries = state.pendingSeries >= state.maxSeries
  if (entry !== undefined) {
    // A reported total counts as a pending series again.
    const fits = entry.pending > 0 || !hasMaxSeries || dropOldest(state, "TooManySeries", start)
    return fits ? undefined : "TooManySeries"
  }
  if (isLate(state, kind, start)) return "Late"
  if (hasMaxSeries || state.entryCount >= state.maxSeries + maxReported) {
    evictReportedBuckets(state, start)
    if (!dropOldest(state, "TooManySeries", start)) return "TooManySeries"
  }
  return undefined
}

/** Drops the longest pending points until all limits hold. */
export const enforceLimits = (state: AggregatorState): void => {
  while (state.pendingSeries > state.maxSeries && dropOldest(state, "TooManySeries", Infinity));
  while (state.pendingBytes > state.maxBytes && dropOldest(state, "TooManyBytes", Infinity));
  while (state.pendingValues > state.maxValues) dropOldestValues(state, state.pendingValues - state.maxValues)
  state.updateLimitFlags()
}
