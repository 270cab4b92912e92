import type { PCGRandom } from "effect/Utils"
import type { HistogramState, Point, Samples, Value } from "../model/AggregatedSeries.js"
import { mergeReservoirs } from "./reservoir.js"
import { clampToFinite, noPoints, numberBytes, PointRollUp, type RollUp } from "./rollUp.js"
import type { Summarize } from "./summary.js"

/** Parts that all histograms of an aggregator share. */
export interface HistogramDeps {
  readonly random: PCGRandom
  readonly randomBelow: (bound: number) => number
  /** Maximum number of values that a histogram stores. */
  readonly sampleSize: number
  readonly summarize: Summarize
}

const emptyState: HistogramState = { min: Infinity, max: -Infinity, sum: 0, count: 0, sample: [] }

/**
 * Minimum, maximum, sum and count are exact. Percentiles are exact up to `sampleSize` values. Beyond, they are computed from
 * a uniform sample of all values (algorithm R), and a rank deviates by about `sqrt(p (1 - p) / sampleSize)`.
 *
 * A reservoir was chosen over a sketch. A sketch deviates in value where a reservoir deviates in rank, and costs a logarithm
 * for each value. The official sketch loses negative values when merged.
 */
export class Histogram extends PointRollUp {
  min: number
  max: number
  sum: number
  count: number
  sample: Array<number>
  readonly deps: HistogramDeps

  constructor(deps: HistogramDeps, state: HistogramState = emptyState) {
    super()
    this.deps = deps
    this.min = state.min
    this.max = state.max
    this.sum = state.sum
    this.count = state.count
    this.sample = state.sample.slice()
  }

  add(value: Value): number {
    const x = value as number
    if (x < this.min) this.min = x
    if (x > this.max) this.max = x
    this.sum += x
    const sample = this.sample
    const stored = sample.length
    if (stored === this.count++ && stored < this.deps.sampleSize) {
      sample.push(x)
      return numberBytes
    }
    const slot = this.deps.randomBelow(this.count)
    if (slot < stored) sample[slot] = x
    return 0
  }

  mergeOlder(older: RollUp): void {
    const that = older as Histogram
    const size = Math.min(that.maxSampleLength(), this.maxSampleLength())
    this.sample = mergeReservoirs(that, this, size, this.deps.random)
    this.min = Math.min(this.min, that.min)
    this.max = Math.max(this.max, that.max)
    this.sum = clampToFinite(this.sum) + clampToFinite(that.sum)
    this.count += that.count
  }

  points(): ReadonlyArray<Point> {
    return this.count === 0 ? noPoints : this.deps.summarize(this)
  }

  /** Copies the state and computes the points when they are first read, because sorting takes long. */
  override capturePoints(): () => ReadonlyArray<Point> {
    const copy = new Histogram(this.deps, this.state())
    return () => copy.points()
  }

  samples(): Samples {
    return { values: this.sample.slice(), weight: this.sample.length === 0 ? 1 : this.count / this.sample.length }
  }

  override bytes(): number {
    return this.sample.length * numberBytes
  }

  state(): HistogramState {
    return {
      min: this.min,
      max: this.max,
      sum: clampToFinite(this.sum),
      count: this.count,
      sample: this.sample.slice()
    }
  }

  /** Returns how far the sample may grow. A sample that misses values cannot grow; a loaded one may have another size. */
  private maxSampleLength(): number {
    const { count, deps, sample } = this
    return sample.length < count ? sample.length : Math.max(deps.sampleSize, sample.length)
  }
}
