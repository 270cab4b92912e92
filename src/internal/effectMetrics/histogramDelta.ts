/**
 * Changes of Effect's histograms, as values. Effect stores no values: it counts them between two boundaries, adds them up, and keeps the
 * minimum and maximum of all time. The values of a change are synthesized from these.
 */
import type * as MetricState from "effect/MetricState"
import { percentileIndex } from "../model/percentile.js"

/** Change of a histogram between two snapshots. */
export interface HistogramDelta {
  /** Number of values, NaN excluded. */
  readonly count: number
  /** Sum of the values. Undefined if an infinite value or NaN was among them, or before them. */
  readonly sum: number | undefined
  /** Buckets that changed, in order. */
  readonly buckets: ReadonlyArray<BucketDelta>
  /** Minimum and maximum, which are known only if they are new. */
  readonly newMin: number | undefined
  readonly newMax: number | undefined
  /** Number of NaN values. */
  readonly invalid: number
}

/** Number of values between two bounds. */
export interface BucketDelta {
  readonly count: number
  readonly from: number
  readonly to: number
}

/** State of a histogram at a flush. */
export interface HistogramSnapshot {
  /** Number of values in each bucket, not cumulative. */
  readonly counts: ReadonlyArray<number>
  readonly invalid: number
  readonly sum: number
  readonly min: number
  readonly max: number
}

export const emptySnapshot: HistogramSnapshot = { counts: [], invalid: 0, sum: 0, min: Infinity, max: -Infinity }

/**
 * Returns the maximum. Effect starts it at the smallest positive number. If it still has that value, all values were zero or less, and with a
 * minimum of zero all were zero.
 */
const maxOfState = ({ max, min }: MetricState.MetricState.Histogram): number =>
  max > Number.MIN_VALUE ? max : min >= 0 ? 0 : -Infinity

export const takeSnapshot = (state: MetricState.MetricState.Histogram): HistogramSnapshot => {
  const counts = state.buckets.map(([, upTo], i) => upTo - (i === 0 ? 0 : state.buckets[i - 1]![1]))
  return {
    counts,
    invalid: Math.max(0, state.count - (state.buckets.at(-1)?.[1] ?? 0)),
    sum: state.sum,
    min: state.min,
    max: maxOfState(state)
  }
}

export const computeDelta = (
  before: HistogramSnapshot,
  now: HistogramSnapshot,
  boundaries: MetricState.MetricState.Histogram["buckets"]
): HistogramDelta => {
  const least = Number.isFinite(now.min) ? now.min : -Infinity
  const greatest = now.max > -Infinity ? now.max : 0
  const buckets: Array<BucketDelta> = []
  let count = 0
  now.counts.forEach((counted, i) => {
    // Effect counts in 32 bits, and the counts wrap around.
    const added = (counted - (before.counts[i] ?? 0)) >>> 0
    if (added === 0) return
    const above = Math.max(i === 0 ? -Infinity : boundaries[i - 1]![0], least)
    const below = Math.min(boundaries[i]![0], greatest)
    const from = Number.isFinite(above) ? above : Number.isFinite(below) ? below : 0
    const to = Number.isFinite(below) ? below : from
    buckets.push({ count: added, from: Math.min(from, to), to })
    count += added
  })
  const sum = now.sum - before.sum
  return {
    count,
    sum: Number.isFinite(sum) ? sum : undefined,
    buckets,
    newMin: count > 0 && now.min < before.min && Number.isFinite(now.min) ? now.min : undefined,
    newMax: count > 0 && now.max > before.max && Number.isFinite(now.max) ? now.max : undefined,
    invalid: Math.max(0, now.invalid - before.invalid)
  }
}

/** Values that would cause a change: a known minimum and maximum, and values that are spread evenly in each bucket. */
export interface SyntheticValues {
  readonly count: number
  readonly min: number | undefined
  readonly max: number | undefined
  readonly buckets: ReadonlyArray<BucketDelta>
}

const clamp = (value: number, from: number, to: number) => Math.max(from, Math.min(to, value))

/** Reduces the number of values in each bucket, in proportion. */
const downsample = (buckets: ReadonlyArray<BucketDelta>, total: number, kept: number): ReadonlyArray<BucketDelta> => {
  let counted = 0
  return buckets.flatMap((bucket) => {
    const before = Math.round(counted / total * kept)
    counted += bucket.count
    const count = Math.round(counted / total * kept) - before
    return count === 0 ? [] : [{ ...bucket, count }]
  })
}

/**
 * Narrows each bucket towards the same side and by the same share, so that evenly spread values add up to `sum`. Such a share exists,
 * because the recorded values were within the buckets and had this sum.
 */
const matchSum = (buckets: ReadonlyArray<BucketDelta>, sum: number): ReadonlyArray<BucketDelta> => {
  let least = 0
  let greatest = 0
  for (const { count, from, to } of buckets) {
    least += count * from
    greatest += count * to
  }
  const middle = least / 2 + greatest / 2
  if (!Number.isFinite(middle) || least === greatest) return buckets
  if (sum < middle) {
    const share = clamp((sum - least) / (middle - least), 0, 1)
    return buckets.map(({ count, from, to }) => ({ count, from, to: from + (to - from) * share }))
  }
  const share = clamp((greatest - sum) / (greatest - middle), 0, 1)
  return buckets.map(({ count, from, to }) => ({ count, from: to - (to - from) * share, to }))
}

/**
 * Synthesizes at most `maxCount` values of a change that has values. Up to `maxCount`, the values have the exact number,
 * in all and per bucket, a known minimum or maximum, and the sum except for rounding. Beyond it, they keep the proportions.
 */
export const synthesize = (delta: HistogramDelta, maxCount = Infinity): SyntheticValues => {
  const { count, sum } = delta
  const kept = Math.min(count, maxCount)
  if (kept === 1) {
    const [first, last] = [delta.buckets[0]!, delta.buckets.at(-1)!]
    const value = count > 1 || delta.newMin === undefined
      ? clamp(sum === undefined ? first.from / 2 + last.to / 2 : sum / count, first.from, last.to)
      : delta.newMin
    return { count: 1, min: value, max: undefined, buckets: [] }
  }
  const buckets = delta.buckets.map((bucket) => ({ ...bucket }))
  let rest = sum
  let others = count
  const remove = (bucket: { count: number }, value: number | undefined) => {
    if (value === undefined) return
    bucket.count--
    others--
    if (rest !== undefined) rest -= value
  }
  remove(buckets[0]!, delta.newMin)
  remove(buckets.at(-1)!, delta.newMax)
  const left = kept - (count - others)
  const thinned = left < others ? downsample(buckets, others, left) : buckets.filter(({ count }) => count > 0)
  return {
    count: kept,
    min: delta.newMin,
    max: delta.newMax,
    buckets: rest === undefined ? thinned : matchSum(thinned, others === 0 ? 0 : rest / others * left)
  }
}

/** Returns the i-th of the values that are spread evenly in a bucket. */
const spreadValue = ({ count, from, to }: BucketDelta, i: number): number => from + (to - from) * ((i + 0.5) / count)

export const valuesOf = ({ buckets, max, min }: SyntheticValues): ReadonlyArray<number> => {
  const values: Array<number> = min === undefined ? [] : [min]
  for (const bucket of buckets) {
    for (let i = 0; i < bucket.count; i++) values.push(spreadValue(bucket, i))
  }
  if (max !== undefined) values.push(max)
  return values
}

/** Returns the value at an index of the sorted values. */
const valueAt = ({ buckets, count, max, min }: SyntheticValues, index: number): number => {
  if (index === 0 && min !== undefined) return min
  if (index === count - 1 && max !== undefined) return max
  let before = min === undefined ? 0 : 1
  for (const bucket of buckets) {
    if (index < before + bucket.count) return spreadValue(bucket, index - before)
    before += bucket.count
  }
  return Number.NaN
}

export const minOf = (values: SyntheticValues): number => valueAt(values, 0)

export const maxOf = (values: SyntheticValues): number => valueAt(values, values.count - 1)

export const percentileOf = (values: SyntheticValues, p: number): number =>
  valueAt(values, percentileIndex(p, values.count))
