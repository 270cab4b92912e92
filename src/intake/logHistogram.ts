/**
 * Values of a distribution, counted in bins whose width grows with the values. The size depends on the range of the values and
 * not on their number, and quantiles are within 2 %.
 */
import type { DistributionPoint } from "./feedProtocol.js"

/** Ratio of the upper and the lower bound of a bin. Bin `i` holds the values from `gamma ** i` to `gamma ** (i + 1)`. */
export const gamma = 1.04

export interface LogHistogram {
  count: number
  sum: number
  min: number
  max: number
  zeros: number
  readonly positive: Map<number, number>
  /** Bins of the absolute values. */
  readonly negative: Map<number, number>
}

/** Maximum number of bins of one sign. They span seventeen orders of magnitude. */
const maxBins = 1024

/** Creates an empty histogram. */
export const make = (): LogHistogram => ({
  count: 0,
  sum: 0,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
  zeros: 0,
  positive: new Map(),
  negative: new Map()
})

const logGamma = Math.log(gamma)

/** Returns the bin of a value above zero. */
const binOf = (value: number): number => {
  const estimate = Math.floor(Math.log(value) / logGamma)
  // The logarithm is rounded: the estimate can be one too large or too small.
  return gamma ** estimate > value ? estimate - 1 : gamma ** (estimate + 1) <= value ? estimate + 1 : estimate
}

const addToBin = (bins: Map<number, number>, bin: number, count: number): void => {
  bins.set(bin, (bins.get(bin) ?? 0) + count)
}

/** Merges the lower half of the bins into one. Values near zero lose their precision first. */
const collapseLowerBins = (bins: Map<number, number>): void => {
  const lower = Array.from(bins.keys()).sort((a, b) => a - b).slice(0, maxBins / 2)
  let total = 0
  for (const bin of lower) {
    total += bins.get(bin)!
    bins.delete(bin)
  }
  bins.set(lower.at(-1)!, total)
}

const countValue = (bins: Map<number, number>, value: number, weight: number): void => {
  addToBin(bins, binOf(value), weight)
  if (bins.size > maxBins) collapseLowerBins(bins)
}

/** Adds a value that stands for `weight` values. */
export const add = (histogram: LogHistogram, value: number, weight = 1): void => {
  histogram.count += weight
  histogram.sum += value * weight
  if (value < histogram.min) histogram.min = value
  if (value > histogram.max) histogram.max = value
  if (value === 0) histogram.zeros += weight
  else if (value > 0) countValue(histogram.positive, value, weight)
  else countValue(histogram.negative, -value, weight)
}

/** Adds the values of another histogram or of a point. It does not limit the number of bins. */
export const merge = (
  histogram: LogHistogram,
  other: Pick<DistributionPoint, "count" | "sum" | "min" | "max" | "zeros"> & {
    readonly positive: Iterable<readonly [bin: number, count: number]>
    readonly negative: Iterable<readonly [bin: number, count: number]>
  }
): void => {
  histogram.count += other.count
  histogram.sum += other.sum
  histogram.min = Math.min(histogram.min, other.min)
  histogram.max = Math.max(histogram.max, other.max)
  histogram.zeros += other.zeros
  for (const [bin, count] of other.positive) addToBin(histogram.positive, bin, count)
  for (const [bin, count] of other.negative) addToBin(histogram.negative, bin, count)
}

/** Returns the number of numbers that the histogram keeps, for the limit of the store. */
export const sizeOf = ({ negative, positive }: LogHistogram): number => 1 + positive.size + negative.size

const sortBins = (bins: Map<number, number>): Array<[bin: number, count: number]> =>
  Array.from(bins).sort(([a], [b]) => a - b)

/** Returns the histogram in the form of the feed. */
export const toPoint = (series: number, timestamp: number, histogram: LogHistogram): DistributionPoint => ({
  series,
  timestamp,
  count: histogram.count,
  sum: histogram.sum,
  min: histogram.min,
  max: histogram.max,
  zeros: histogram.zeros,
  positive: sortBins(histogram.positive),
  negative: sortBins(histogram.negative)
})

/** Number of values from `low` to `high`. */
export interface ValueInterval {
  readonly low: number
  readonly high: number
  readonly count: number
}

/** Returns the occupied bins as intervals, ordered by value. */
export const intervalsOf = (histogram: LogHistogram): ReadonlyArray<ValueInterval> => {
  const intervals: Array<ValueInterval> = []
  for (const [bin, count] of sortBins(histogram.negative).reverse()) {
    intervals.push({ low: -(gamma ** (bin + 1)), high: -(gamma ** bin), count })
  }
  if (histogram.zeros > 0) intervals.push({ low: 0, high: 0, count: histogram.zeros })
  for (const [bin, count] of sortBins(histogram.positive)) {
    intervals.push({ low: gamma ** bin, high: gamma ** (bin + 1), count })
  }
  return intervals
}

/** Returns the quantiles for ranks from 0 to 1; `null` if the histogram is empty. The minimum and the maximum are exact. */
export const quantilesOf = (
  histogram: LogHistogram,
  ranks: ReadonlyArray<number>
): ReadonlyArray<number | null> => {
  if (histogram.count === 0) return ranks.map(() => null)
  const intervals = intervalsOf(histogram)
  return ranks.map((rank) => {
    const index = rank * (histogram.count - 1)
    if (index <= 0) return histogram.min
    if (index >= histogram.count - 1) return histogram.max
    let seen = 0
    for (const { count, high, low } of intervals) {
      seen += count
      if (seen <= index) continue
      // The harmonic mean has the same relative distance to both bounds. It is NaN for the zeros.
      const middle = 2 * low * high / (low + high) || 0
      return Math.min(Math.max(middle, histogram.min), histogram.max)
    }
    return histogram.max
  })
}
