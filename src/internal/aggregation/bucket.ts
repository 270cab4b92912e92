import { EntryQueue } from "./entryQueue.js"
import type { RollUp } from "./rollUp.js"
import type { SeriesKey } from "./seriesKey.js"

export type Series = SeriesKey<Entry>

/** Estimated memory of an entry besides its texts and the content of its roll-up, in bytes. */
const entryBytes = 350

/** Content of one series in one bucket. */
export class Entry {
  // Recording reads the first fields for every point. They mostly share a cache line.
  bucket: Bucket
  /** Number of pending points. */
  pending = 0
  /** Content of a counter or gauge, which have no roll-up until they are drained. */
  value: number
  rollUp: RollUp | undefined
  series: Series
  /** Entry of the same series in a bucket that was used before. */
  nextEntry: Entry | undefined = undefined
  /** True if the entry was drained and is stored for its total. */
  isReported = false
  /** Estimated memory without the content of the roll-up, in bytes. Stored, because eviction would have to read all texts. */
  readonly baseBytes: number

  constructor(series: Series, bucket: Bucket, content: number | RollUp) {
    const isScalar = typeof content === "number"
    this.bucket = bucket
    this.value = isScalar ? content : 0
    this.rollUp = isScalar ? undefined : content
    this.series = series
    const hostLength = series.host === null ? 0 : series.host.length
    this.baseBytes = entryBytes + series.name.length + hostLength + series.tagCharacters
  }

  /** Returns the estimated memory, in bytes. */
  bytes(): number {
    return this.rollUp === undefined ? this.baseBytes : this.baseBytes + this.rollUp.bytes()
  }

  /** Returns the number of a distribution's values. 0 for other kinds. */
  valueCount(): number {
    return this.rollUp === undefined ? 0 : this.rollUp.valueCount()
  }
}

/** Series of one roll-up interval. */
export class Bucket {
  /** Start and end of the interval, in milliseconds since the epoch. */
  readonly start: number
  readonly end: number
  /** Number of entries, reported totals included. */
  entryCount = 0
  /** True after the aggregator removed the bucket with its entries. */
  isRemoved = false
  /** Entries with pending points, in the order in which they became pending. */
  readonly pendingQueue = new EntryQueue<Entry>()
  /** Entries of {@link pendingQueue} that store every value. */
  readonly valueQueue = new EntryQueue<Entry>()
  /** Memory of reported totals without pending points, in bytes. */
  reportedBytes = 0
  /**
   * Version of the pending entries, and their number at that version. Series that are drained and restored leave both as they
   * were.
   */
  version = 0
  versionedLength = 0
  /** True if a point was recorded since the version was assigned. */
  isChanged = false

  constructor(start: number, end: number) {
    this.start = start
    this.end = end
  }
}
