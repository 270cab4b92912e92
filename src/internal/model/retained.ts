import type { BucketSnapshot, SerializedSeries } from "./AggregatedSeries.js"
import type { Event } from "./Event.js"

/** Contents of a retained store. */
export interface Loaded {
  readonly metrics: ReadonlyArray<SerializedSeries>
  readonly events: ReadonlyArray<Event>
  /** Number of entries that could not be read, and were skipped. */
  readonly skipped: number
  /** Numbers of points and events in skipped entries, as far as they are known. */
  readonly lost: { readonly points: number; readonly events: number }
}

/** Pending data of a client. */
export interface Held {
  readonly metrics: ReadonlyArray<BucketSnapshot>
  readonly events: ReadonlyArray<Event>
}
