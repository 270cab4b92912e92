import type { UnreportedDrops } from "./DropCounters.js"
import type { TagFault } from "./tags.js"

export type DropReason =
  | "InvalidValue"
  | "InvalidName"
  | "InvalidHost"
  | "InvalidTimestamp"
  | "KindConflict"
  | "TooNew"
  | "Late"
  | "TooManySeries"
  | "TooManyValues"
  | "TooManyBytes"
  | "Expired"
  | "Closed"
  | TagFault

/** Reason for which a text was cut to Datadog's limit. */
export type TruncationReason = "TagTooLong" | "TextTooLong" | "AggregationKeyTooLong"

export interface AggregatorStats {
  /** Number of points that the aggregator was given. */
  readonly received: number
  /** Number of pending points. */
  readonly pending: number
  /** Number of series with pending points, over all buckets. */
  readonly series: number
  /** Estimated memory of pending series, in bytes. */
  readonly bytes: number
  /** Number of dropped points by reason. */
  readonly dropped: { readonly [R in DropReason]?: number }
  /** Number of tags that were cut to Datadog's limit. The points that have them are not dropped. */
  readonly truncated: { readonly [R in TruncationReason]?: number }
}

export interface AggregatorWarnings {
  /** Points dropped since the last warning, by reason. */
  readonly dropped: ReadonlyArray<UnreportedDrops<DropReason>>
  /** Tags that were cut since the last warning. */
  readonly truncated: ReadonlyArray<UnreportedDrops<TruncationReason>>
  /** Names that were used with more than one kind since the last warning. */
  readonly conflicts: ReadonlyArray<string>
}

export type EventDropReason = "TooManyEvents" | "TooManyBytes" | "Expired" | "TooNew" | "Closed"

export interface EventsAggregatorStats {
  /** Number of events that the aggregator was given. */
  readonly received: number
  /** Number of pending events. */
  readonly pending: number
  /** Number of dropped events by reason. */
  readonly dropped: { readonly [R in EventDropReason]?: number }
}
