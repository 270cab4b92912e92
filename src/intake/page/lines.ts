/** Lines of a plot: points of one or more series, aggregated into steps of equal length. */
import { findFirstIndex, type Metric, type Series } from "./state.js"

/** A span of time in steps. All times are in seconds, and `from` is a multiple of `step`. */
export interface Frame {
  readonly from: number
  readonly step: number
  readonly steps: number
}

/** Value of a line in one step. `null` interrupts the line; `undefined` has no value, and the line continues. */
export type LineValue = number | null | undefined

/** Aggregation of each kind in words of the reader: over series (`space`), and over the points of a step (`time`). */
export const aggregations: {
  readonly [Kind in Metric["kind"]]: { readonly space: string; readonly time: string }
} = {
  count: { space: "sum", time: "total" },
  rate: { space: "sum", time: "average" },
  gauge: { space: "mean", time: "last value" },
  distribution: { space: "all values", time: "all values" }
}

/** Lengths of steps, in seconds. */
const stepLengths = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]

/** Chooses a step length that is not shorter than the interval, and divides the span into at most `maxSteps` steps. */
export const chooseStep = (span: number, interval: number, maxSteps: number): number =>
  stepLengths.find((length) => length >= interval && span / length <= maxSteps) ??
    Math.ceil(Math.max(interval, span / maxSteps))

/** Number of series, and of points of each, from which an interval is estimated. */
const sampleSize = 20

/** Estimates the interval between points, in seconds: the longest declared interval, or the median gap of recent points. */
export const estimateInterval = (metric: Metric): number => {
  let longest = 1
  let sampled = 0
  for (const { row, times } of metric.series) {
    if (row.interval > 0) longest = Math.max(longest, row.interval)
    else {
      const gaps: Array<number> = []
      for (let i = Math.max(1, times.length - sampleSize); i < times.length; i++) gaps.push(times[i]! - times[i - 1]!)
      gaps.sort((a, b) => a - b)
      longest = Math.max(longest, gaps[gaps.length >> 1] ?? 1)
    }
    if (++sampled === sampleSize) break
  }
  return longest
}

/** Number of steps without a value after which a line is interrupted. */
const maxGap = 3

/** Replaces long gaps in the values by `null`. */
export const interruptLine = (values: Array<LineValue>): Array<LineValue> => {
  let gapStart = 0
  for (let i = 0; i <= values.length; i++) {
    if (i < values.length && values[i] === undefined) continue
    if (i - gapStart >= maxGap) values.fill(null, gapStart, i)
    gapStart = i + 1
  }
  return values
}

/** Aggregates series of a kind other than distributions into one value per step, by {@link aggregations}. */
export const makeLine = (
  kind: Metric["kind"],
  series: ReadonlyArray<Series>,
  frame: Frame,
  now: number
): Array<LineValue> => {
  const { from, step, steps } = frame
  const sums = new Float64Array(steps)
  const contributors = new Uint32Array(steps)
  for (const { times, values } of series) {
    let i = findFirstIndex(times, from)
    while (i < times.length) {
      const index = Math.floor((times[i]! - from) / step)
      if (index >= steps) break
      const end = from + (index + 1) * step
      let sum = 0
      let count = 0
      do {
        sum += values[i]!
        count++
        i++
      } while (i < times.length && times[i]! < end)
      sums[index]! += kind === "count" ? sum : kind === "rate" ? sum / count : values[i - 1]!
      contributors[index]!++
    }
  }
  const line = Array.from(
    sums,
    (sum, i): LineValue => contributors[i] === 0 ? undefined : kind === "gauge" ? sum / contributors[i]! : sum
  )
  // The last step is incomplete until all series have sent a point: it would look like a drop.
  let last = steps - 1
  while (last > 0 && contributors[last] === 0) last--
  if (last > 0 && contributors[last]! < contributors[last - 1]! && from + (last + 2) * step > now) {
    line[last] = undefined
  }
  return interruptLine(line)
}

/** Returns the time of the latest point; `undefined` if the metric has no points. */
export const latestTime = (metric: Metric): number | undefined => {
  let latest: number | undefined
  for (const { times } of metric.series) {
    const time = times[times.length - 1]
    if (time !== undefined && (latest === undefined || time > latest)) latest = time
  }
  return latest
}

/** Returns the time of the earliest point; `undefined` if the metric has no points. */
export const earliestTime = (metric: Metric): number | undefined => {
  let earliest: number | undefined
  for (const { times } of metric.series) {
    const time = times[0]
    if (time !== undefined && (earliest === undefined || time < earliest)) earliest = time
  }
  return earliest
}

/** Maximum and minimum length of {@link spanOfData}, in seconds. */
const [maxSpan, minSpan] = [3600, 60]

/**
 * Returns the span of the points of a metric, at most one hour. It extends to `now` while points arrive. All times are in seconds.
 */
export const spanOfData = (metric: Metric, now: number): [from: number, to: number] => {
  const latest = latestTime(metric)
  const earliest = earliestTime(metric)
  if (latest === undefined || earliest === undefined) return [now - minSpan, now]
  const interval = estimateInterval(metric)
  const isLive = now - latest <= Math.max(minSpan, maxGap * interval)
  const end = isLive ? Math.max(now, latest) : latest
  const start = Math.max(earliest, end - maxSpan)
  const margin = Math.max(interval, (minSpan - (end - start)) / 2)
  return [start - margin, isLive ? end : end + margin]
}

/** Returns the indices of values without neighbors. No line reaches them: they need a dot to be visible. */
export const findIsolatedValues = (values: ReadonlyArray<LineValue>): Array<number> => {
  const isolated: Array<number> = []
  let last = -1
  let connected = 0
  for (let i = 0; i <= values.length; i++) {
    const value = i === values.length ? null : values[i]
    if (value === undefined) continue
    if (value === null) {
      if (connected === 1) isolated.push(last)
      connected = 0
    } else {
      last = i
      connected++
    }
  }
  return isolated
}

/** Returns the index of the only value; `undefined` without a value, and with more than one. */
export const findLoneValue = (values: ReadonlyArray<LineValue>): number | undefined => {
  let found: number | undefined
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] !== "number") continue
    if (found !== undefined) return undefined
    found = i
  }
  return found
}
