import { Bucket, type Entry, type Series } from "./bucket.js"
import type { AggregatorState } from "./state.js"

/** Queue of a bucket: all pending entries, or those that store every value. */
export type QueueName = "pendingQueue" | "valueQueue"

/** Number of removed buckets in the ordered array that is not worth compaction. */
const minRemoved = 64

const insertInOrder = (state: AggregatorState, bucket: Bucket): void => {
  if (state.orderedBuckets.length > 2 * state.buckets.size + minRemoved) {
    state.orderedBuckets = state.orderedBuckets.filter(({ isRemoved }) => !isRemoved)
  }
  const { orderedBuckets } = state
  let low = 0
  for (let high = orderedBuckets.length; low < high;) {
    const middle = (low + high) >> 1
    if (orderedBuckets[middle]!.start < bucket.start) low = middle + 1
    else high = middle
  }
  orderedBuckets.splice(low, 0, bucket)
}

/** Returns the bucket with this start, which it creates if necessary. */
export const getBucket = (state: AggregatorState, start: number): Bucket => {
  let bucket = state.buckets.get(start)
  if (bucket === undefined) {
    bucket = new Bucket(start, start + state.interval)
    state.buckets.set(start, bucket)
    insertInOrder(state, bucket)
  }
  return bucket
}

/** Removes a bucket with its entries. */
export const removeBucket = (state: AggregatorState, bucket: Bucket): void => {
  bucket.isRemoved = true
  state.buckets.delete(bucket.start)
  if (state.currentBucket !== bucket) return
  state.currentBucket = state.noBucket
  state.currentTime = Number.NaN
}

/** Finds the entry of a series in a bucket. Unlinks the entries of removed buckets on its way. */
export const findEntryIn = (series: Series, bucket: Bucket): Entry | undefined => {
  let before: Entry | undefined
  for (let entry = series.newestEntry; entry !== undefined; entry = entry.nextEntry) {
    if (entry.bucket === bucket) return entry
    if (!entry.bucket.isRemoved) before = entry
    else if (before === undefined) series.newestEntry = entry.nextEntry
    else before.nextEntry = entry.nextEntry
  }
  return undefined
}

export const hasEntry = (series: Series): boolean => {
  for (let entry = series.newestEntry; entry !== undefined; entry = entry.nextEntry) {
    if (!entry.bucket.isRemoved) return true
  }
  return false
}

export const attachEntry = (state: AggregatorState, series: Series, bucket: Bucket, entry: Entry): void => {
  entry.series = series
  entry.bucket = bucket
  entry.nextEntry = series.newestEntry
  series.newestEntry = entry
  bucket.entryCount++
  state.entryCount++
}

export const detachEntry = (state: AggregatorState, bucket: Bucket, entry: Entry): void => {
  bucket.entryCount--
  state.entryCount--
  const { series } = entry
  if (series.newestEntry === entry) {
    series.newestEntry = entry.nextEntry
  } else {
    let before = series.newestEntry!
    while (before.nextEntry !== entry) before = before.nextEntry!
    before.nextEntry = entry.nextEntry
  }
  entry.nextEntry = undefined
}

/** Queues an entry that became pending. */
export const enqueue = (state: AggregatorState, queue: QueueName, bucket: Bucket, entry: Entry): void => {
  bucket[queue].push(entry)
  if (bucket.start < state.oldestBuckets[queue].start) state.oldestBuckets[queue] = bucket
}

/** Finds the oldest bucket with a queued entry among the buckets that start before `before`. */
export const findOldestBucket = (state: AggregatorState, queue: QueueName, before: number): Bucket | undefined => {
  let bucket = state.oldestBuckets[queue]
  if (bucket[queue].length === 0) {
    bucket = state.orderedBuckets.find((other) => other[queue].length > 0) ?? state.noBucket
    state.oldestBuckets[queue] = bucket
  }
  return bucket.start < before ? bucket : undefined
}
