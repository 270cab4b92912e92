import type { AggregatedSeries, Point, Samples, Temporality } from "../model/AggregatedSeries.js"
import { type Bucket, Entry } from "./bucket.js"
import { detachEntry, removeBucket } from "./buckets.js"
import { dropEntry, evictReportedBuckets } from "./capacity.js"
import { adjustReportedBytes, clearPending } from "./pending.js"
import { noPoints, type RollUp } from "./rollUp.js"
import type { AggregatorState } from "./state.js"

export interface DrainOptions {
  /** Whether a series that was reported before is drained as its total or as its new points. */
  readonly temporality: Temporality
  /** Whether series that are not sent as distributions have samples in place of points. Default: false. */
  readonly samples?: boolean | undefined
  /** Current time, in milliseconds since the epoch. It determines the open bucket and the expired ones. */
  readonly now: number
  /** Drains only buckets that end at or before the bucket of this time, in milliseconds since the epoch. Default: all. */
  readonly upTo?: number | undefined
}

interface DrainedSeriesOptions {
  /** True if the series has samples in place of points. */
  readonly asSamples: boolean
  /** True if points are captured now, because the roll-up may change before they are read. */
  readonly capturesPoints: boolean
}

/** Aggregated series that computes its points and values when they are read. */
export class DrainedSeries implements AggregatedSeries {
  readonly bucket: Bucket
  readonly entry: Entry
  readonly recorded: number
  private readonly rollUp: RollUp
  private readonly asSamples: boolean
  private readonly capturedPoints: (() => ReadonlyArray<Point>) | undefined

  constructor(bucket: Bucket, entry: Entry, rollUp: RollUp, recorded: number, options: DrainedSeriesOptions) {
    this.bucket = bucket
    this.entry = entry
    this.rollUp = rollUp
    this.recorded = recorded
    this.asSamples = options.asSamples
    this.capturedPoints = options.capturesPoints && !options.asSamples ? rollUp.capturePoints() : undefined
  }

  /** Represents the series by its identity. The other fields lead to the series of the whole aggregator. */
  toJSON(): object {
    const { host, kind, name, recorded, tags, timestamp } = this
    return { kind, name, host, tags, timestamp, recorded }
  }

  get kind() {
    return this.entry.series.kind
  }

  get name() {
    return this.entry.series.name
  }

  get host() {
    return this.entry.series.host
  }

  get tags() {
    return this.entry.series.tags
  }

  get timestamp(): number {
    return this.bucket.start / 1000
  }

  get points(): ReadonlyArray<Point> {
    if (this.asSamples) return noPoints
    return this.capturedPoints === undefined ? this.rollUp.points() : this.capturedPoints()
  }

  get values(): ReadonlyArray<number> {
    return this.rollUp.values()
  }

  get samples(): Samples | undefined {
    return this.asSamples ? this.rollUp.samples() : undefined
  }
}

/** Returns the roll-up of an entry, which it creates for counters and gauges. */
export const rollUpOf = (state: AggregatorState, { rollUp, series, value }: Entry): RollUp =>
  rollUp ?? state.makeRollUp(series.kind, value)

/** Drains an entry: one series, or several if a distribution is large. A total stays as a reported entry. */
const drainEntry = (
  state: AggregatorState,
  bucket: Bucket,
  entry: Entry,
  { samples = false, temporality }: DrainOptions,
  capturesPoints: boolean
): Array<AggregatedSeries> => {
  const isAdditive = state.isAdditive(entry.series.kind)
  let recorded = entry.pending
  state.drainedPoints += recorded
  const bytes = clearPending(state, entry)
  const rollUp = rollUpOf(state, entry)
  if (temporality === "total" && !isAdditive) {
    entry.isReported = true
    adjustReportedBytes(state, bucket, bytes)
    return [new DrainedSeries(bucket, entry, rollUp, recorded, { asSamples: samples, capturesPoints })]
  }
  detachEntry(state, bucket, entry)
  const parts = rollUp.split()
  return parts.map((part, i) => {
    const partEntry = parts.length === 1 ? entry : new Entry(entry.series, bucket, part)
    const share = i === parts.length - 1 ? recorded : Math.min(recorded, part.valueCount())
    recorded -= share
    return new DrainedSeries(bucket, partEntry, part, share, { asSamples: samples && !isAdditive, capturesPoints })
  })
}

/** Drops an entry whose time the receiver would refuse, and drains any other. */
const takeEntry = (
  state: AggregatorState,
  bucket: Bucket,
  entry: Entry,
  options: DrainOptions,
  capturesPoints: boolean
): ReadonlyArray<AggregatedSeries> => {
  if (entry.series.group.accumulation === "values") bucket.valueQueue.remove(entry)
  const isExpired = bucket.start < options.now - state.maxAge
  if (!isExpired && bucket.start <= options.now + state.maxLead) {
    return drainEntry(state, bucket, entry, options, capturesPoints)
  }
  dropEntry(state, isExpired ? "Expired" : "TooNew", bucket, entry)
  return []
}

/**
 * Marks the series to drain and returns a function that drains them entry by entry, and then returns `undefined`. Series stay
 * pending until they are pulled.
 */
export const drainIterator = (
  state: AggregatorState,
  options: DrainOptions,
  { capturesPoints }: { readonly capturesPoints: boolean }
): () => ReadonlyArray<AggregatedSeries> | undefined => {
  const limit = options.upTo === undefined ? Infinity : state.startOf(options.upTo)
  const buckets = Array.from(state.buckets.values()).filter(({ start }) => start < limit)
  for (const { pendingQueue } of buckets) pendingQueue.beginDrain()
  let next = 0
  return () => {
    for (; next < buckets.length; next++) {
      const bucket = buckets[next]!
      const { pendingQueue } = bucket
      for (let entry = pendingQueue.shiftMarked(); entry !== undefined; entry = pendingQueue.shiftMarked()) {
        const items = takeEntry(state, bucket, entry, options, capturesPoints)
        state.updateLimitFlags()
        if (items.length > 0) return items
      }
      if (bucket.entryCount === 0 && !bucket.isRemoved) removeBucket(state, bucket)
    }
    evictReportedBuckets(state, options.now)
    return undefined
  }
}

/** Drains all series at once. Later points do not change the result. */
export const drainAll = (state: AggregatorState, options: DrainOptions): ReadonlyArray<AggregatedSeries> => {
  const next = drainIterator(state, options, { capturesPoints: true })
  const all: Array<AggregatedSeries> = []
  for (let items = next(); items !== undefined; items = next()) all.push(...items)
  return all
}
