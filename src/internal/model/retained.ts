import type { BucketSnapshot, SerializedSeries } from "./AggregatedSeries.js"
import type { Event } from "./Event.js"

/** Contents of a retained store. */
export interface Loaded {
  /** Undelivered series of an earlier process. */
  readonly metrics: ReadonlyArray<SerializedSeries>
  /** Undelivered events of an earlier process. */
  readonly events: ReadonlyArray<Event>
  /** Number of entries that could not be read, and were skipped. */
  readonly skipped: number
  /** Numbers of points and events in skipped entries, as far as they are known. */
  readonly lost: { readonly points: number; readonly events: number }
}

/** Pending data of a client. */
export interface PendingData {
  /** Buckets with undelivered series. */
  readonly metrics: ReadonlyArray<BucketSnapshot>
  /** Undelivered events. */
  readonly events: ReadonlyArray<Event>
}
