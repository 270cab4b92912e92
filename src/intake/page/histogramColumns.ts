/** Columns of a histogram: the values of a distribution, counted in intervals of equal width. */
import { intervalsOf, type LogHistogram } from "../logHistogram.js"

export interface HistogramColumns {
  readonly scale: "linear" | "log"
  /** Edges of the columns, one more than there are columns. */
  readonly edges: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
}

/** Ratio of maximum and minimum above which the axis is logarithmic. */
const logScaleRatio = 25

/** Distributes the values over columns. A bin that touches several columns is spread over them. */
export const layOutColumns = (histogram: LogHistogram, columns: number): HistogramColumns | undefined => {
  if (histogram.count === 0) return undefined
  const { max, min } = histogram
  const scale = min > 0 && max / min > logScaleRatio ? "log" : "linear"
  const [toAxis, fromAxis] = scale === "log"
    ? [Math.log, Math.exp] as const
    : [(x: number) => x, (x: number) => x] as const
  const from = toAxis(min)
  const width = (toAxis(max) - from) / columns
  if (!(width > 0)) return { scale, edges: [min, max], counts: [histogram.count] }
  const counts = new Array<number>(columns).fill(0)
  const columnOf = (x: number) => Math.min(columns - 1, Math.max(0, Math.floor((x - from) / width)))
  for (const { count, high, low } of intervalsOf(histogram)) {
    const left = toAxis(Math.min(Math.max(low, min), max))
    const right = toAxis(Math.min(Math.max(high, min), max))
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
  return { scale, edges: Array.from({ length: columns + 1 }, (_, i) => fromAxis(from + i * width)), counts }
}
