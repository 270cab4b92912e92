/**
 * Six kinds of metric behind one small interface: what a bucket keeps of a context, and what it reports.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { PCGRandom } from "effect/Utils"
import type { HistogramState, Point, Samples, State, Value } from "./internal/model/AggregatedSeries.js"
import { finite } from "./internal/model/limits.js"
import { type CounterTransport, isAdditive, type Kind } from "./internal/model/metricKinds.js"
import { percentileIndex, percentileSuffix } from "./internal/model/percentile.js"
import type { Aggregate } from "./ThreadStatsConfig.js"

export type {
  /**
   * Minimum, maximum, sum, count and sampled values of a histogram as plain JSON.
   *
   * @since 0.1.0
   * @category models
   */
  HistogramState,
  /**
   * One number to report. `suffix` follows the metric's name after a dot; empty means no suffix.
   *
   * @since 0.1.0
   * @category models
   */
  Point,
  /**
   * Recorded values. Each stands for `weight` recorded values: 1, or more if a histogram received more values than it
   * stores.
   *
   * @since 0.1.0
   * @category models
   */
  Samples,
  /**
   * Content of a roll-up as plain JSON: a counter's sum, a gauge's last value, a set's members, a distribution's values, or
   * a histogram's state.
   *
   * @since 0.1.0
   * @category models
   */
  State,
  /**
   * A recorded value: a number, or for a set any string or number.
   *
   * @since 0.1.0
   * @category models
   */
  Value
} from "./internal/model/AggregatedSeries.js"

export type {
  /**
   * Kind of a metric. A `timing` is a `histogram` under another name, as in the reference.
   *
   * @since 0.1.0
   * @category models
   */
  Kind
} from "./internal/model/metricKinds.js"

/**
 * What has been recorded for one context in one bucket.
 *
 * @since 0.1.0
 * @category models
 */
export interface RollUp {
  /** Takes one value, which the caller has checked, and says by about how many bytes that made it larger. */
  readonly add: (value: Value) => number
  /** Takes over what an older roll-up of the same kind holds, as if it had been recorded before everything here. */
  readonly absorb: (older: RollUp) => void
  /** What to report now. Changes nothing. Empty for a distribution, which has `values` instead. */
  readonly points: () => ReadonlyArray<Point>
  /** A distribution's values, in order of recording. */
  readonly values: () => ReadonlyArray<number>
  /**
   * What was recorded, for a receiver that rolls up by itself: a counter's sum, a gauge's last value, a set's members, the
   * values of all others. Changes nothing.
   */
  readonly samples: () => Samples
  /** About how many bytes it holds, besides a constant part. */
  readonly bytes: () => number
  /** A copy of all it holds, to be kept elsewhere. */
  readonly state: () => State
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Rates are per second of this. */
  readonly rollUpInterval: Duration.Duration
  readonly percentiles: ReadonlyArray<number>
  readonly aggregates: ReadonlyArray<Aggregate>
  readonly counters: CounterTransport
  /** How many values a histogram keeps for its percentiles; beyond, a uniform sample of all values. */
  readonly sampleSize: number
  /** Draws the sample. */
  readonly random: PCGRandom
}

const noPoints: ReadonlyArray<Point> = []
const noValues: ReadonlyArray<number> = []

/**
 * A function that makes roll-ups, with everything that is the same for all of them computed once. It makes an empty one,
 * or one with the `state` of another of the same kind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const factory = (options: Options): (kind: Kind, state?: State) => RollUp => {
  const seconds = Duration.toSeconds(options.rollUpInterval)
  const shared: Shared = {
    random: options.random,
    draw: makeDraw(options.random),
    sampleSize: options.sampleSize,
    summary: makeSummary(options, seconds)
  }
  const asDistributions = options.counters === "distributions"
  return (kind, state) => {
    switch (kind) {
      case "counter":
        return asDistributions
          ? new Sum(state as number | undefined)
          : new Counter(seconds, state as number | undefined)
      case "gauge":
        return new Gauge(state as number | undefined)
      case "set":
        return new UniqueSet(state as ReadonlyArray<Value> | undefined)
      case "histogram":
      case "timing":
        return asDistributions
          ? new Distribution(valuesOf(state))
          : makeHistogram(shared, state)
      case "distribution":
        return new Distribution(state as ReadonlyArray<number> | undefined)
    }
  }
}

export {
  /**
   * Returns true if points of this kind are sent as values of a distribution. Datadog adds such values up over all senders.
   *
   * @since 0.1.0
   * @category predicates
   */
  isAdditive
} from "./internal/model/metricKinds.js"

/**
 * How many values of a distribution it keeps.
 *
 * @since 0.1.0
 * @category metadata
 */
export const valueCount = (self: RollUp): number => self instanceof Distribution ? self.size() : 0

/**
 * What it reports as it is now, to be worked out later: for a histogram that takes its time.
 *
 * @since 0.1.0
 * @category combinators
 */
export const report = (self: RollUp): () => ReadonlyArray<Point> => {
  if (self instanceof Histogram) {
    const copy = new Histogram(self.shared, self.state())
    return () => copy.points()
  }
  const points = self.points()
  return () => points
}

/**
 * The same in parts, each of which is small enough to travel on its own: a distribution of more than 8192 values is more
 * than one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const parts = (self: RollUp): ReadonlyArray<RollUp> => self instanceof Distribution ? self.parts() : [self]

/**
 * The longest suffix that goes behind the name of a metric of this kind, dot included, in characters.
 *
 * @since 0.1.0
 * @category metadata
 */
export const maxSuffixLength = (
  kind: Kind,
  options: Pick<Options, "percentiles" | "aggregates" | "counters">
): number =>
  (kind === "histogram" || kind === "timing") && !isAdditive(kind, options.counters)
    ? Math.max(
      0,
      ...options.aggregates.map((aggregate) => aggregate.length + 1),
      ...options.percentiles.map((p) => percentileSuffix(p).length + 1)
    )
    : 0

/** A counter that is reported as one value of a distribution: how much was counted since the last report. */
class Sum implements RollUp {
  sum: number
  constructor(sum = 0) {
    this.sum = sum
  }
  add(value: Value): number {
    this.sum += value as number
    return 0
  }
  absorb(older: RollUp): void {
    this.sum = finite(this.sum) + finite((older as Sum).sum)
  }
  points(): ReadonlyArray<Point> {
    return noPoints
  }
  values(): ReadonlyArray<number> {
    return [finite(this.sum)]
  }
  samples(): Samples {
    return { values: [finite(this.sum)], weight: 1 }
  }
  bytes(): number {
    return 0
  }
  state(): State {
    return finite(this.sum)
  }
}

/** A counter that is reported as a rate. */
class Counter extends Sum {
  readonly seconds: number
  constructor(seconds: number, sum?: number) {
    super(sum)
    this.seconds = seconds
  }
  override points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "rate", value: finite(this.sum) / this.seconds }]
  }
  override values(): ReadonlyArray<number> {
    return noValues
  }
}

class Gauge implements RollUp {
  last: number
  constructor(last = Number.NaN) {
    this.last = last
  }
  add(value: Value): number {
    this.last = value as number
    return 0
  }
  absorb(older: RollUp): void {
    if (Number.isNaN(this.last)) this.last = (older as Gauge).last
  }
  points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "gauge", value: this.last }]
  }
  values(): ReadonlyArray<number> {
    return noValues
  }
  samples(): Samples {
    return { values: [this.last], weight: 1 }
  }
  bytes(): number {
    return 0
  }
  state(): State {
    return this.last
  }
}

/** Of one value kept as a number, and of one member of a set besides its characters. */
const numberBytes = 8
const memberBytes = 48

class UniqueSet implements RollUp {
  readonly members = new Set<Value>()
  size = 0
  constructor(members: ReadonlyArray<Value> = []) {
    for (const member of members) this.add(member)
  }
  add(value: Value): number {
    const before = this.members.size
    if (this.members.add(value).size === before) return 0
    const grown = memberBytes + (typeof value === "string" ? value.length : 0)
    this.size += grown
    return grown
  }
  absorb(older: RollUp): void {
    for (const member of (older as UniqueSet).members) this.add(member)
  }
  points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "gauge", value: this.members.size }]
  }
  values(): ReadonlyArray<number> {
    return noValues
  }
  samples(): Samples {
    return { values: Array.from(this.members), weight: 1 }
  }
  bytes(): number {
    return this.size
  }
  state(): State {
    return Array.from(this.members)
  }
}

/**
 * How many values of a distribution travel as one item. A body has to hold the largest, with every value written out: some
 * 20 bytes each, of at least 512,000.
 */
const partSize = 8192

/**
 * The values of a distribution once they are many: plain doubles, in parts of up to {@link partSize} that are full but for the
 * last one. Full ones are shared with what travels and comes back, and not written to.
 */
class Parts {
  full: Array<Float64Array> = []
  last: Float64Array
  used: number

  constructor(last: Float64Array, used: number) {
    this.last = last
    this.used = used
  }

  add(value: number): void {
    if (this.used === this.last.length) {
      this.full.push(this.last)
      this.last = new Float64Array(partSize)
      this.used = 0
    }
    this.last[this.used++] = value
  }

  size(): number {
    return this.full.reduce((sum, { length }) => sum + length, this.used)
  }

  /** All parts, all full. */
  all(): Array<Float64Array> {
    return this.used === 0 ? this.full : [...this.full, this.last.slice(0, this.used)]
  }
}

/** Every value, in order. */
class Distribution implements RollUp {
  few: Array<number> = []
  /** Instead of the few. */
  many: Parts | undefined = undefined
  constructor(values: Iterable<number> = noValues) {
    for (const value of values) this.add(value)
  }
  add(value: Value): number {
    if (this.many !== undefined) {
      this.many.add(value as number)
    } else if (this.few.push(value as number) === partSize) {
      this.many = new Parts(new Float64Array(this.few), partSize)
      this.few = []
    }
    return numberBytes
  }
  absorb(older: RollUp): void {
    const { few, many } = older as Distribution
    if (
      many === undefined && (few.length === 0 || (this.many === undefined && few.length + this.few.length < partSize))
    ) {
      this.few = few.concat(this.few)
      return
    }
    if (this.many === undefined) {
      const last = new Float64Array(partSize)
      last.set(this.few)
      this.many = new Parts(last, this.few.length)
      this.few = []
    }
    const parts = many === undefined ? [new Float64Array(few)] : many.all()
    this.many.full = parts.concat(this.many.full)
  }
  points(): ReadonlyArray<Point> {
    return noPoints
  }
  values(): ReadonlyArray<number> {
    if (this.many === undefined) return this.few
    const values: Array<number> = []
    for (const part of this.many.all()) for (let i = 0; i < part.length; i++) values.push(part[i]!)
    return values
  }
  size(): number {
    return this.many === undefined ? this.few.length : this.many.size()
  }
  parts(): ReadonlyArray<RollUp> {
    return this.many === undefined ? [this] : this.many.all().map(partOf)
  }
  samples(): Samples {
    return { values: this.values(), weight: 1 }
  }
  bytes(): number {
    return this.size() * numberBytes
  }
  state(): State {
    return this.values().slice()
  }
}

const partOf = (values: Float64Array): Distribution => {
  const part = new Distribution()
  part.many = new Parts(values, values.length)
  return part
}

const median = (sorted: Float64Array, length: number): number =>
  sorted[(length - 1) >> 1]! / 2 + sorted[length >> 1]! / 2

type Summary = (histogram: Histogram) => ReadonlyArray<Point>

/** What is the same for all histograms. */
interface Shared extends Pick<Options, "random" | "sampleSize"> {
  /** A random integer below this one. */
  readonly draw: (below: number) => number
  readonly summary: Summary
}

/** Marsaglia's xorshift with 32 bits, seeded: a tenth of what a `PCGRandom` takes, for what is drawn once a value. */
const makeDraw = (random: PCGRandom): Shared["draw"] => {
  let state = random.integer(0x7fffffff) + 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor((state >>> 0) / 0x100000000 * below)
  }
}

/** Up to so many values are sorted by insertion, which takes a fifth of what it takes to call for a sort. */
const fewToSort = 32

/** Sorts few values into an array that is used again and again, of which what is behind them means nothing. */
const makeSorter = () => {
  const sorted = new Float64Array(fewToSort)
  return (values: ReadonlyArray<number>): Float64Array => {
    if (values.length > fewToSort) return new Float64Array(values).sort()
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!
      let at = i
      for (; at > 0 && sorted[at - 1]! > value; at--) sorted[at] = sorted[at - 1]!
      sorted[at] = value
    }
    return sorted
  }
}

const makeSummary = (options: Options, seconds: number): Summary => {
  const percentiles = options.percentiles.map((p) => ({ p, suffix: percentileSuffix(p) }))
  const sort = makeSorter()
  const aggregate = ({ count, max, min, sample, sum }: Histogram, name: Aggregate, sorted: Float64Array): number => {
    switch (name) {
      case "min":
        return min
      case "max":
        return max
      case "count":
        return count / seconds
      case "avg":
        return finite(sum) / count
      case "sum":
        return finite(sum)
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

const nothingSeen: HistogramState = { min: Infinity, max: -Infinity, sum: 0, count: 0, sample: [] }

/**
 * Minimum, maximum, sum and count are exact. Percentiles are exact up to `sampleSize` values; beyond, they are taken
 * over a uniform sample of all values (algorithm R), so that a rank is off by about `sqrt(p (1 - p) / sampleSize)`.
 *
 * A reservoir rather than a sketch: a sketch is off in value where this is off in rank, costs a logarithm per value,
 * and the official one loses negative values when merged; here nothing is lost below `sampleSize`.
 */
class Histogram implements RollUp {
  min: number
  max: number
  sum: number
  count: number
  sample: Array<number>
  readonly shared: Shared
  constructor(shared: Shared, state: HistogramState = nothingSeen) {
    this.shared = shared
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
    const kept = sample.length
    if (kept === this.count++ && kept < this.shared.sampleSize) {
      sample.push(x)
      return numberBytes
    }
    const slot = this.shared.draw(this.count)
    if (slot < kept) sample[slot] = x
    return 0
  }
  absorb(older: RollUp): void {
    const that = older as Histogram
    this.sample = unite(that, this, Math.min(sizeOf(that), sizeOf(this)), this.shared.random)
    this.min = Math.min(this.min, that.min)
    this.max = Math.max(this.max, that.max)
    this.sum = finite(this.sum) + finite(that.sum)
    this.count += that.count
  }
  points(): ReadonlyArray<Point> {
    return this.count === 0 ? noPoints : this.shared.summary(this)
  }
  values(): ReadonlyArray<number> {
    return noValues
  }
  samples(): Samples {
    return { values: this.sample.slice(), weight: this.sample.length === 0 ? 1 : this.count / this.sample.length }
  }
  bytes(): number {
    return this.sample.length * numberBytes
  }
  state(): HistogramState {
    return { min: this.min, max: this.max, sum: finite(this.sum), count: this.count, sample: this.sample.slice() }
  }
}

/** What was kept while histograms travelled one way, for when they travel the other. */
const valuesOf = (state: State | undefined): ReadonlyArray<number> =>
  state === undefined ? [] : Array.isArray(state) ? state : (state as HistogramState).sample

const makeHistogram = (shared: Shared, state: State | undefined): Histogram => {
  if (!Array.isArray(state)) return new Histogram(shared, state as HistogramState | undefined)
  const histogram = new Histogram(shared)
  for (const value of state) histogram.add(value)
  return histogram
}

/**
 * How many values it keeps. One that was taken over may have been kept with another size; a sample that misses values
 * cannot grow.
 */
const sizeOf = ({ count, sample, shared }: Histogram): number =>
  sample.length < count ? sample.length : Math.max(shared.sampleSize, sample.length)

/** A uniform sample of the union of two populations, from a uniform sample of each. */
const unite = (first: Histogram, second: Histogram, size: number, random: PCGRandom): Array<number> => {
  const both = first.sample.concat(second.sample)
  if (both.length === first.count + second.count && both.length <= size) return both
  const from = [first, second].map(({ count, sample }) => ({ left: count, sample: sample.slice() }))
  const out: Array<number> = []
  while (out.length < size) {
    const [a, b] = from as [typeof from[0], typeof from[0]]
    const source = random.number() * (a.left + b.left) < a.left ? a : b
    const pick = Math.floor(random.number() * source.sample.length)
    const last = source.sample.pop()!
    out.push(pick < source.sample.length ? source.sample[pick]! : last)
    if (pick < source.sample.length) source.sample[pick] = last
    source.left -= 1
  }
  return out
}
