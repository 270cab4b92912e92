/** Steps of a distribution: the values of one or more series, merged by step. */
import * as LogHistogram from "../logHistogram.js"
import { type Frame, interruptLine, type LineValue } from "./lines.js"
import { findFirstIndex, type Series } from "./state.js"

/** Statistics that the plot of a distribution shows, from low to high. */
export const statistics = ["min", "p50", "p75", "p95", "p99", "max"] as const

export type Statistic = (typeof statistics)[number] | "mean" | "count"

interface MergedStep {
  readonly histogram: LogHistogram.LogHistogram
  readonly values: { readonly [S in Statistic]: number | null }
}

const summarize = (histogram: LogHistogram.LogHistogram): MergedStep => {
  const [min = null, p50 = null, p75 = null, p95 = null, p99 = null, max = null] = LogHistogram.quantilesOf(
    histogram,
    [0, 0.5, 0.75, 0.95, 0.99, 1]
  )
  const mean = histogram.count === 0 ? null : histogram.sum / histogram.count
  return { histogram, values: { min, p50, p75, p95, p99, max, mean, count: histogram.count } }
}

/**
 * Merged steps of some series. Each step is merged once, and again after a change: an hour of a thousand series has more bins than
 * the page can merge in one animation frame.
 */
export class DistributionSteps {
  private readonly merged = new Map<number, MergedStep>()
  private readonly series: ReadonlyArray<Series>
  private readonly length: number

  constructor(series: ReadonlyArray<Series>, length: number) {
    this.series = series
    this.length = length
  }

  /** Discards the step of a changed point. */
  invalidate(timestamp: number): void {
    this.merged.delete(Math.floor(timestamp / this.length) * this.length)
  }

  get(start: number): MergedStep | undefined {
    return this.merged.get(start)
  }

  /** Merges missing steps, latest first, while `hasTime` returns true. Returns whether all steps are merged. */
  fill(frame: Frame, hasTime: () => boolean): boolean {
    for (const start of this.merged.keys()) {
      if (start < frame.from) this.merged.delete(start)
    }
    for (let i = frame.steps - 1; i >= 0; i--) {
      const start = frame.from + i * frame.step
      if (this.merged.has(start)) continue
      if (!hasTime()) return false
      this.merged.set(start, summarize(this.mergeStep(start, start + frame.step)))
    }
    return true
  }

  /** Returns a statistic of each step. */
  makeLine(statistic: Statistic, { from, step, steps }: Frame): Array<LineValue> {
    return interruptLine(
      Array.from({ length: steps }, (_, i) => {
        const merged = this.merged.get(from + i * step)
        return merged === undefined || merged.histogram.count === 0 ? undefined : merged.values[statistic]
      })
    )
  }

  /** Merges the steps of the frame that are merged so far. */
  total({ from, step, steps }: Frame): LogHistogram.LogHistogram {
    const total = LogHistogram.make()
    for (let i = 0; i < steps; i++) {
      const merged = this.merged.get(from + i * step)
      if (merged !== undefined) LogHistogram.merge(total, merged.histogram)
    }
    return total
  }

  private mergeStep(start: number, end: number): LogHistogram.LogHistogram {
    const histogram = LogHistogram.make()
    for (const { distributions, times } of this.series) {
      for (let i = findFirstIndex(times, start); i < times.length && times[i]! < end; i++) {
        LogHistogram.merge(histogram, distributions[i]!)
      }
    }
    return histogram
  }
}
