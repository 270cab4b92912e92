import type { HistogramState, Point } from "../model/AggregatedSeries.js"
import { accumulationOf, type Aggregate, type Kind, type SubmissionType } from "../model/metricKinds.js"
import { percentileIndex, percentileSuffix } from "../model/percentile.js"
import { clampToFinite } from "./rollUp.js"

/** Computes the aggregates and percentiles of a histogram. */
export type Summarize = (histogram: HistogramState) => ReadonlyArray<Point>

interface SummaryOptions {
  readonly percentiles: ReadonlyArray<number>
  readonly aggregates: ReadonlyArray<Aggregate>
}

/** Maximum length of arrays that are sorted by insertion. It takes a fifth of the time of a call of `sort`. */
const insertionSortLimit = 32

/** Creates a function that sorts values. Short results share one array, in which only the first values are valid. */
const makeSort = () => {
  const sorted = new Float64Array(insertionSortLimit)
  return (values: ReadonlyArray<number>): Float64Array => {
    if (values.length > insertionSortLimit) return new Float64Array(values).sort()
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!
      let at = i
      for (; at > 0 && sorted[at - 1]! > value; at--) sorted[at] = sorted[at - 1]!
      sorted[at] = value
    }
    return sorted
  }
}

/** Halves before it adds, because the sum of two finite values can overflow. */
const median = (sorted: Float64Array, length: number): number =>
  sorted[(length - 1) >> 1]! / 2 + sorted[length >> 1]! / 2

/** Creates the summary function. Rates are per second of an interval of `seconds`. */
export const makeSummarize = (options: SummaryOptions, seconds: number): Summarize => {
  const percentiles = options.percentiles.map((p) => ({ p, suffix: percentileSuffix(p) }))
  const sort = makeSort()
  const aggregate = (
    { count, max, min, sample, sum }: HistogramState,
    name: Aggregate,
    sorted: Float64Array
  ): number => {
    switch (name) {
      case "min":
        return min
      case "max":
        return max
      case "count":
        return count / seconds
      case "avg":
        return clampToFinite(sum) / count
      case "sum":
        return clampToFinite(sum)
      case "median":
        return median(sorted, sample.length)
    }
  }
  return (histogram) => {
    const length = histogram.sample.length
    const sorted = sort(histogram.sample)
    const points: Array<Point> = []
    for (const name of options.aggregates) {
      points.push({
        suffix: name,
        type: name === "count" ? "rate" : "gauge",
        value: aggregate(histogram, name, sorted)
      })
    }
    for (const { p, suffix } of percentiles) {
      points.push({ suffix, type: "gauge", value: sorted[percentileIndex(p, length)]! })
    }
    return points
  }
}

/** Returns the length of the longest suffix after the name of a metric of this kind, in characters with its dot. */
export const maxSuffixLength = (
  kind: Kind,
  options: SummaryOptions & { readonly submitAs: SubmissionType }
): number =>
  accumulationOf(kind, options.submitAs) === "summary"
    ? Math.max(
      0,
      ...options.aggregates.map((aggregate) => aggregate.length + 1),
      ...options.percentiles.map((p) => percentileSuffix(p).length + 1)
    )
    : 0
