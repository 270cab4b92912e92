import * as Duration from "effect/Duration"
import { PCGRandom } from "effect/Utils"
import type { DropReason, TruncationReason } from "../model/AggregatorStats.js"
import { pointWindow } from "../model/datadogLimits.js"
import * as DropCounters from "../model/DropCounters.js"
import { type Accumulation, accumulationOf, isAdditive, isSameRollUp, type Kind } from "../model/metricKinds.js"
import { percentileSuffix } from "../model/percentile.js"
import * as SeriesIdentity from "../model/seriesIdentity.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import { Bucket, type Entry } from "./bucket.js"
import { highWaterMark } from "./highWaterMark.js"
import { type MakeRollUp, makeRollUpFactory } from "./rollUpFactory.js"
import { SeriesIndex } from "./seriesIndex.js"

export interface AggregatorSettings extends
  Pick<
    ThreadStatsSettings,
    | "rollUpInterval"
    | "percentiles"
    | "aggregates"
    | "sampleSize"
    | "submitAs"
    | "acceptedTimestamps"
    | "tags"
    | "hostname"
    | "attachHost"
    | "maxSeries"
    | "maxValues"
    | "maxBytes"
  >
{}

/** Number of series without an entry that the index remembers besides twice the number of entries. */
export const maxIdleSeries = 10_000

/** Number of remembered names, conflicts and evicted buckets. */
const maxRemembered = 10_000

/** Buckets, series and counts of one aggregator. The functions of this folder read and change it. */
export class AggregatorState {
  private readonly settings: AggregatorSettings
  /** Roll-up interval, in milliseconds. */
  readonly interval: number
  readonly maxSeries: number
  readonly maxValues: number
  readonly maxBytes: number
  private readonly seriesMark: number
  private readonly valuesMark: number
  private readonly bytesMark: number
  /** Maximum age of a bucket, in milliseconds. Datadog refuses older points. */
  readonly maxAge: number
  /** Maximum time between a drain and the start of a later bucket, in milliseconds. Datadog refuses points further ahead. */
  readonly maxLead: number

  readonly index: SeriesIndex<Entry>
  readonly drops = DropCounters.make<DropReason>()
  /** Tags that were cut to Datadog's limit. */
  readonly truncations = DropCounters.make<TruncationReason>()
  readonly makeRollUp: MakeRollUp

  readonly buckets = new Map<number, Bucket>()
  /** Buckets, the oldest first. Some of them are removed. */
  orderedBuckets: Array<Bucket> = []
  /** Sentinel bucket that contains no time and no entry. */
  readonly noBucket = new Bucket(Infinity, -Infinity)
  /** Oldest buckets with a queued entry, by queue. Thousands of earlier buckets may hold reported totals alone. */
  readonly oldestBuckets = { pendingQueue: this.noBucket, valueQueue: this.noBucket }
  /** Bucket that was used last, and the time it was used for. Mostly the open bucket. */
  currentBucket = this.noBucket
  currentTime = Number.NaN
  /** Starts of evicted buckets. */
  readonly evictedStarts = new Set<number>()
  /** First kind that each name was used with. */
  private readonly kindOfName = new Map<string, Kind>()
  /** Suffixes of the metrics that a histogram sends, such as `count`. */
  private readonly suffixes: ReadonlySet<string>
  /** Names used with more than one kind since the last warning. */
  conflicts = new Set<string>()

  /** Number of points that were drained. */
  drainedPoints = 0
  /** Number of pending points, and of the series and distribution values that they are in. */
  pendingPoints = 0
  pendingSeries = 0
  pendingValues = 0
  /** Memory of pending series, in bytes. */
  pendingBytes = 0
  /** Number of entries, reported totals included. */
  entryCount = 0
  /** Memory of reported totals without pending points, in bytes. */
  reportedBytes = 0
  /** Version that was assigned last. */
  lastVersion = 0
  /** True if pending points are near a limit. */
  isAboveHighWaterMark = false
  /** True if the client has closed: every point is dropped. */
  isClosed = false
  /** True if one more value fits into `maxValues` and `maxBytes`. */
  hasRoom = true

  constructor(settings: AggregatorSettings, seed: number) {
    const { maxBytes, maxSeries, maxValues } = settings
    this.settings = settings
    this.interval = Duration.toMillis(settings.rollUpInterval)
    this.maxSeries = maxSeries
    this.maxValues = maxValues
    this.maxBytes = maxBytes
    this.seriesMark = Math.ceil(maxSeries * highWaterMark)
    this.valuesMark = Math.ceil(maxValues * highWaterMark)
    this.bytesMark = Math.ceil(maxBytes * highWaterMark)
    this.maxAge = settings.acceptedTimestamps === "any" ? Infinity : pointWindow.past
    this.maxLead = settings.acceptedTimestamps === "any" ? Infinity : pointWindow.future
    this.index = new SeriesIndex({
      maxSize: maxSeries + maxIdleSeries,
      seed,
      accumulationOf: (kind) => this.accumulationOf(kind),
      identity: SeriesIdentity.make(settings)
    })
    this.suffixes = new Set([...settings.aggregates, ...settings.percentiles.map(percentileSuffix)])
    this.makeRollUp = makeRollUpFactory({ ...settings, random: new PCGRandom(seed) })
  }

  accumulationOf(kind: Kind): Accumulation {
    return accumulationOf(kind, this.settings.submitAs)
  }

  isAdditive(kind: Kind): boolean {
    return isAdditive(kind, this.settings.submitAs)
  }

  /** Opens or closes the aggregator. A closed one reports to be above its high-water mark, so that the client notices a point. */
  setClosed(isClosed: boolean): void {
    this.isClosed = isClosed
    // A point whose bucket is not the current one takes the slow path, the only one that checks the flag.
    this.currentBucket = this.noBucket
    this.currentTime = Number.NaN
    this.updateLimitFlags()
  }

  startOf(time: number): number {
    return Math.floor(time / this.interval) * this.interval
  }

  /** Updates the flags after a change of pending series, values or bytes. */
  updateLimitFlags(): void {
    const { pendingBytes, pendingValues } = this
    this.isAboveHighWaterMark = this.isClosed || this.pendingSeries >= this.seriesMark ||
      pendingValues >= this.valuesMark ||
      pendingBytes >= this.bytesMark
    this.hasRoom = pendingValues < this.maxValues && pendingBytes < this.maxBytes
  }

  /** Counts a value's bytes, and the value if `isStored`. */
  addBytes(bytes: number, isStored: boolean): void {
    this.pendingBytes += bytes
    if (isStored) this.pendingValues++
    if (this.pendingBytes >= this.bytesMark || this.pendingValues >= this.valuesMark) this.updateLimitFlags()
  }

  /** Remembers the kind of a name, and the name as a conflict if it had another kind before. */
  noteKind(kind: Kind, name: string): void {
    const known = this.kindOfName.get(name)
    if (known === undefined) {
      if (this.kindOfName.size >= maxRemembered) this.kindOfName.clear()
      this.kindOfName.set(name, kind)
      this.noteSuffixes(kind, name)
    } else if (!isSameRollUp(known, kind)) {
      this.noteConflict(name)
    }
  }

  /** Remembers a new name as a conflict if it equals the name of a histogram with its suffix, or the other way round. */
  private noteSuffixes(kind: Kind, name: string): void {
    const sendsSuffixes = (other: Kind | undefined) => other !== undefined && this.accumulationOf(other) === "summary"
    const note = (whole: string, histogram: string) =>
      this.noteConflict(`${whole} (which the histogram ${histogram} sends, too)`)
    if (sendsSuffixes(kind)) {
      for (const suffix of this.suffixes) {
        const whole = `${name}.${suffix}`
        if (this.kindOfName.has(whole) && !sendsSuffixes(this.kindOfName.get(whole))) note(whole, name)
      }
      return
    }
    const dot = name.lastIndexOf(".")
    const histogram = name.slice(0, Math.max(0, dot))
    if (this.suffixes.has(name.slice(dot + 1)) && sendsSuffixes(this.kindOfName.get(histogram))) note(name, histogram)
  }

  /** Remembers that a name is used with more than one kind. */
  noteConflict(name: string): void {
    if (this.conflicts.size < maxRemembered) this.conflicts.add(name)
  }

  noteEvicted(start: number): void {
    this.evictedStarts.add(start)
    if (this.evictedStarts.size > maxRemembered) this.evictedStarts.delete(this.evictedStarts.values().next().value!)
  }
}
