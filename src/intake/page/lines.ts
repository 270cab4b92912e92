/**
 * From points to what is drawn: series are put together by the value of a tag, points into steps of equal length.
 */
import * as Sketch from "./sketch.js"
import { firstFrom, type Metric, type Series } from "./store.js"

/** A span of time in steps; all in seconds, `from` a multiple of `step`. */
export interface Frame {
  readonly from: number
  readonly step: number
  readonly steps: number
}

/** A number; `null` where a line is to be interrupted, `undefined` where it goes on without one. */
export type Value = number | null | undefined

export interface Group {
  /** `undefined` for all series together. */
  readonly label: string | undefined
  readonly series: ReadonlyArray<Series>
}

const untagged = "(without)"

/** The keys of a metric's tags, and how many values each has; a tag without a colon is a key by itself. */
export const tagKeys = (metric: Metric): ReadonlyArray<readonly [key: string, values: number]> => {
  const values = new Map<string, Set<string>>()
  const add = (key: string, value: string) => {
    const known = values.get(key)
    if (known === undefined) values.set(key, new Set([value]))
    else known.add(value)
  }
  for (const { row } of metric.series) {
    for (const tag of row.tags) add(keyOf(tag), tag)
    if (row.host !== "") add("host", row.host)
    if (row.device !== "") add("device", row.device)
  }
  return [...values].map(([key, of]) => [key, of.size] as const).sort(([a], [b]) => a < b ? -1 : 1)
}

const keyOf = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

/** All values of a tag key in a series, as Datadog groups by them. */
const valueOf = ({ row }: Series, key: string): string => {
  const values = row.tags.filter((tag) => keyOf(tag) === key).map((tag) =>
    tag === key ? key : tag.slice(key.length + 1)
  )
  if (values.length === 0 && key === "host" && row.host !== "") return row.host
  if (values.length === 0 && key === "device" && row.device !== "") return row.device
  return values.length === 0 ? untagged : values.sort().join(", ")
}

/** One group for each value of the key, by value; all as one without a key. */
export const groupsOf = (metric: Metric, key: string | undefined): ReadonlyArray<Group> => {
  if (key === undefined) return [{ label: undefined, series: [...metric.series] }]
  const groups = new Map<string, Array<Series>>()
  for (const series of metric.series) {
    const label = valueOf(series, key)
    const known = groups.get(label)
    if (known === undefined) groups.set(label, [series])
    else known.push(series)
  }
  return [...groups].map(([label, series]) => ({ label, series })).sort((a, b) => collate(a.label, b.label))
}

const { compare } = new Intl.Collator("en", { numeric: true })

/** Numbers in names count as numbers; no two different texts are the same. */
export const collate = (a: string, b: string): number => compare(a, b) || (a < b ? -1 : a > b ? 1 : 0)

/** How the series of a kind become one, and how the points of a step do. */
export const rule: { readonly [Kind in Metric["kind"]]: { readonly space: string; readonly time: string } } = {
  count: { space: "sum", time: "sum" },
  rate: { space: "sum", time: "mean" },
  gauge: { space: "mean", time: "last" },
  distribution: { space: "all values", time: "all values" }
}

const lengths = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]

/** No shorter than a series' interval, and no more than `most` steps for the span. */
export const stepOf = (span: number, interval: number, most: number): number =>
  lengths.find((length) => length >= interval && span / length <= most) ?? Math.ceil(Math.max(interval, span / most))

/** How far apart the points of the metric usually are, in seconds: what its series say, or else their latest points do. */
export const intervalOf = (metric: Metric): number => {
  let longest = 1
  let looked = 0
  for (const { row, times } of metric.series) {
    if (row.interval > 0) longest = Math.max(longest, row.interval)
    else {
      const gaps: Array<number> = []
      for (let i = Math.max(1, times.length - 20); i < times.length; i++) gaps.push(times[i]! - times[i - 1]!)
      gaps.sort((a, b) => a - b)
      longest = Math.max(longest, gaps[gaps.length >> 1] ?? 1)
    }
    if (++looked === 20) break
  }
  return longest
}

/** A line is interrupted where nothing came for so many steps. */
const silence = 3

/** One value for each step, by {@link rule}. Not for distributions. */
export const line = (
  kind: Metric["kind"],
  series: ReadonlyArray<Series>,
  frame: Frame,
  now: number
): Array<Value> => {
  const { from, step, steps } = frame
  const sums = new Float64Array(steps)
  const contributors = new Uint32Array(steps)
  for (const { times, values } of series) {
    let i = firstFrom(times, from)
    while (i < times.length) {
      const at = Math.floor((times[i]! - from) / step)
      if (at >= steps) break
      const end = from + (at + 1) * step
      let sum = 0
      let count = 0
      do {
        sum += values[i]!
        count++
        i++
      } while (i < times.length && times[i]! < end)
      sums[at]! += kind === "count" ? sum : kind === "rate" ? sum / count : values[i - 1]!
      contributors[at]!++
    }
  }
  const out = new Array<Value>(steps)
  for (let at = 0; at < steps; at++) {
    out[at] = contributors[at] === 0 ? undefined : kind === "gauge" ? sums[at]! / contributors[at]! : sums[at]!
  }
  // A step in which not all have sent yet would look like a drop.
  let last = steps - 1
  while (last > 0 && contributors[last] === 0) last--
  if (last > 0 && contributors[last]! < contributors[last - 1]! && from + (last + 2) * step > now) out[last] = undefined
  return interrupt(out)
}

/** Puts `null` where nothing came for a while. */
export const interrupt = (values: Array<Value>): Array<Value> => {
  let since = 0
  for (let at = 0; at <= values.length; at++) {
    if (at < values.length && values[at] === undefined) continue
    if (at - since >= silence) values.fill(null, since, at)
    since = at + 1
  }
  return values
}

/** What is drawn of a distribution. */
export const statistics = ["min", "p50", "p75", "p95", "p99", "max"] as const
export type Statistic = (typeof statistics)[number] | "mean" | "count"

export interface Step {
  readonly sketch: Sketch.Sketch
  readonly values: { readonly [S in Statistic]: number | null }
}

const stepFrom = (sketch: Sketch.Sketch): Step => {
  const [min = null, p50 = null, p75 = null, p95 = null, p99 = null, max = null] = Sketch.quantiles(
    sketch,
    [0, 0.5, 0.75, 0.95, 0.99, 1]
  )
  const mean = sketch.count === 0 ? null : sketch.sum / sketch.count
  return { sketch, values: { min, p50, p75, p95, p99, max, mean, count: sketch.count } }
}

/**
 * The steps of a distribution, put together once and again when a sketch in them changes: a thousand series over an hour are
 * more bins than can be added up in a frame.
 */
export class Steps {
  private readonly known = new Map<number, Step>()
  readonly series: ReadonlyArray<Series>
  readonly length: number

  constructor(series: ReadonlyArray<Series>, length: number) {
    this.series = series
    this.length = length
  }

  /** A sketch of that time changed. */
  changed(timestamp: number): void {
    this.known.delete(Math.floor(timestamp / this.length) * this.length)
  }

  get(start: number): Step | undefined {
    return this.known.get(start)
  }

  /** Puts together what is missing, latest first, until it is told to stop; whether all is there. */
  fill(frame: Frame, goOn: () => boolean): boolean {
    for (const start of this.known.keys()) {
      if (start < frame.from) this.known.delete(start)
    }
    for (let at = frame.steps - 1; at >= 0; at--) {
      const start = frame.from + at * frame.step
      if (this.known.has(start)) continue
      if (!goOn()) return false
      const sketch = Sketch.empty()
      for (const { sketches, times } of this.series) {
        for (let i = firstFrom(times, start); i < times.length && times[i]! < start + frame.step; i++) {
          Sketch.add(sketch, sketches[i]!)
        }
      }
      this.known.set(start, stepFrom(sketch))
    }
    return true
  }

  line(statistic: Statistic, { from, step, steps }: Frame): Array<Value> {
    return interrupt(
      Array.from({ length: steps }, (_, at) => {
        const known = this.known.get(from + at * step)
        return known === undefined || known.sketch.count === 0 ? undefined : known.values[statistic]
      })
    )
  }

  /** All values of the frame, as far as they are put together. */
  total({ from, step, steps }: Frame): Sketch.Sketch {
    const total = Sketch.empty()
    for (let at = 0; at < steps; at++) {
      const known = this.known.get(from + at * step)
      if (known !== undefined) Sketch.add(total, known.sketch)
    }
    return total
  }
}

/** The groups whose points weigh most in the frame, at most so many, in the order they were in. */
export const heaviest = (groups: ReadonlyArray<Group>, frame: Frame, most: number): ReadonlyArray<Group> => {
  if (groups.length <= most) return groups
  const end = frame.from + frame.step * frame.steps
  const weighed = groups.map((group) => {
    let weight = 0
    for (const { sketches, times, values } of group.series) {
      for (let i = firstFrom(times, frame.from); i < times.length && times[i]! < end; i++) {
        weight += sketches[i]?.count ?? Math.abs(values[i]!)
      }
    }
    return { group, weight }
  })
  const chosen = new Set(weighed.sort((a, b) => b.weight - a.weight).slice(0, most).map(({ group }) => group))
  return groups.filter((group) => chosen.has(group))
}

/** The time of the latest point; `undefined` where there is none. */
export const latest = (metric: Metric): number | undefined => {
  let last: number | undefined
  for (const { times } of metric.series) {
    const time = times[times.length - 1]
    if (time !== undefined && (last === undefined || time > last)) last = time
  }
  return last
}

/** The time of the earliest point. */
export const earliest = (metric: Metric): number | undefined => {
  let first: number | undefined
  for (const { times } of metric.series) {
    const time = times[0]
    if (time !== undefined && (first === undefined || time < first)) first = time
  }
  return first
}

/** Values of the last minute or so, for a small line: one per interval, the last of them is the metric's value. */
export const spark = (metric: Metric, steps: number, now: number): ReadonlyArray<Value> => {
  const last = latest(metric)
  if (last === undefined) return []
  const step = stepOf(0, intervalOf(metric), 1)
  const frame: Frame = { from: (Math.floor(last / step) - steps + 1) * step, step, steps }
  const series = [...metric.series]
  if (metric.kind !== "distribution") return line(metric.kind, series, frame, now)
  const all = new Steps(series, step)
  all.fill(frame, () => true)
  return all.line("p50", frame)
}

/** From what matters least. */
const alerts: ReadonlyArray<string> = ["info", "success", "warning", "error"]

/**
 * The marks for events at these places: none nearer to the one before it than `gap`, so that many are no wall. One that stands
 * for several is of the kind that matters most.
 */
export const marksOf = (
  places: ReadonlyArray<readonly [x: number, alertType: string]>,
  gap: number
): ReadonlyArray<readonly [x: number, alertType: string]> => {
  const marks: Array<readonly [x: number, alertType: string]> = []
  for (const [x, alertType] of [...places].sort(([a], [b]) => a - b)) {
    const last = marks.at(-1)
    if (last === undefined || x - last[0] >= gap) marks.push([x, alertType])
    else if (alerts.indexOf(alertType) > alerts.indexOf(last[1])) marks[marks.length - 1] = [last[0], alertType]
  }
  return marks
}
