/**
 * Distributions of several series and seconds as one, and what can be read off them.
 */
import { type DistributionPoint, gamma } from "../feedProtocol.js"

export interface Sketch {
  count: number
  sum: number
  min: number
  max: number
  zeros: number
  readonly positive: Map<number, number>
  /** Of the values without their sign. */
  readonly negative: Map<number, number>
}

export const empty = (): Sketch => ({
  count: 0,
  sum: 0,
  min: Infinity,
  max: -Infinity,
  zeros: 0,
  positive: new Map(),
  negative: new Map()
})

export const add = (
  sketch: Sketch,
  other: Omit<DistributionPoint, "series" | "timestamp" | "positive" | "negative"> & {
    readonly positive: Iterable<readonly [bin: number, count: number]>
    readonly negative: Iterable<readonly [bin: number, count: number]>
  }
): void => {
  sketch.count += other.count
  sketch.sum += other.sum
  sketch.min = Math.min(sketch.min, other.min)
  sketch.max = Math.max(sketch.max, other.max)
  sketch.zeros += other.zeros
  for (const [bin, count] of other.positive) sketch.positive.set(bin, (sketch.positive.get(bin) ?? 0) + count)
  for (const [bin, count] of other.negative) sketch.negative.set(bin, (sketch.negative.get(bin) ?? 0) + count)
}

/** The values from `low` up to `high`. */
export interface Interval {
  readonly low: number
  readonly high: number
  readonly count: number
}

/** What there is, from the lowest values to the highest. */
export const intervals = (sketch: Sketch): ReadonlyArray<Interval> => {
  const ascending = (bins: Map<number, number>) => [...bins].sort(([a], [b]) => a - b)
  const out: Array<Interval> = []
  for (const [bin, count] of ascending(sketch.negative).reverse()) {
    out.push({ low: -(gamma ** (bin + 1)), high: -(gamma ** bin), count })
  }
  if (sketch.zeros > 0) out.push({ low: 0, high: 0, count: sketch.zeros })
  for (const [bin, count] of ascending(sketch.positive)) {
    out.push({ low: gamma ** bin, high: gamma ** (bin + 1), count })
  }
  return out
}

/** Each of `qs`, from 0 to 1; `null` where there is no value. They are within 2 %, the lowest and the highest exact. */
export const quantiles = (sketch: Sketch, qs: ReadonlyArray<number>): ReadonlyArray<number | null> => {
  if (sketch.count === 0) return qs.map(() => null)
  const steps = intervals(sketch)
  return qs.map((q) => {
    const rank = q * (sketch.count - 1)
    if (rank <= 0) return sketch.min
    if (rank >= sketch.count - 1) return sketch.max
    let seen = 0
    for (const { count, high, low } of steps) {
      seen += count
      // The value that is as far from both ends of its bin, measured by itself.
      if (seen > rank) return Math.min(Math.max(2 * low * high / (low + high) || 0, sketch.min), sketch.max)
    }
    return sketch.max
  })
}

export interface Histogram {
  readonly scale: "linear" | "log"
  /** One more than counts. */
  readonly edges: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
}

/** Values that differ by more than this factor are drawn over a logarithmic axis. */
const wide = 25

/** So many columns of equal width; values of a bin are spread over the columns it touches. */
export const histogram = (sketch: Sketch, columns: number): Histogram | undefined => {
  if (sketch.count === 0) return undefined
  const { max, min } = sketch
  const scale = min > 0 && max / min > wide ? "log" : "linear"
  const [forth, back] = scale === "log" ? [Math.log, Math.exp] as const : [(x: number) => x, (x: number) => x] as const
  const from = forth(min)
  const width = (forth(max) - from) / columns
  if (!(width > 0)) return { scale, edges: [min, max], counts: [sketch.count] }
  const counts = new Array<number>(columns).fill(0)
  const columnOf = (x: number) => Math.min(columns - 1, Math.max(0, Math.floor((x - from) / width)))
  for (const { count, high, low } of intervals(sketch)) {
    const left = forth(Math.min(Math.max(low, min), max))
    const right = forth(Math.min(Math.max(high, min), max))
    const first = columnOf(left)
    const last = columnOf(right)
    if (first === last) {
      counts[first]! += count
      continue
    }
    for (let column = first; column <= last; column++) {
      const overlap = Math.min(right, from + (column + 1) * width) - Math.max(left, from + column * width)
      counts[column]! += count * Math.max(0, overlap) / (right - left)
    }
  }
  return { scale, edges: Array.from({ length: columns + 1 }, (_, i) => back(from + i * width)), counts }
}
