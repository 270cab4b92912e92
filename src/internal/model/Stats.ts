import type { DurationInput } from "effect/Duration"
import type {
  DropReason as MetricsAggregatorDropReason,
  EventDropReason as EventsAggregatorDropReason,
  TruncationReason
} from "./AggregatorStats.js"
import type { ReporterError } from "./Delivery.js"
import type { EventFault } from "./eventBuilder.js"
import type { TimeInput } from "./time.js"

/** Reason why the client dropped a point. */
export type MetricDropReason =
  | MetricsAggregatorDropReason
  | "NameTooLong"
  | "TooOld"
  | "Refused"
  | "Ambiguous"
  | "Corrupt"

/** Reason why the client dropped an event. */
export type EventDropReason = EventFault | EventsAggregatorDropReason | "Refused" | "Ambiguous" | "Corrupt"

/** Outcome of everything recorded since the layer was built, for points or for events. */
export interface Counts<Reason extends string> {
  /** Number of points or events that the program recorded. */
  readonly received: number
  /** Number that the receiver accepted. */
  readonly delivered: number
  /** Number that is recorded and not yet delivered: in a bucket, or in a flush that is running. */
  readonly pending: number
  /** Number that was discarded, by reason. Reasons that did not occur are absent. */
  readonly dropped: { readonly [R in Reason]?: number }
}

/** Numbers of a client since its layer was built. */
export interface Stats {
  /** Counts of recorded points. */
  readonly metrics: Counts<MetricDropReason>
  /** Counts of recorded events. */
  readonly events: Counts<EventDropReason>
  /** Number of tags, event texts and aggregation keys that the client cut to Datadog's limits, by reason. Their points are not dropped. */
  readonly truncated: { readonly [R in TruncationReason]?: number }
  /** Number of series with pending points. A series counts once for each bucket. */
  readonly series: number
  /** Number of flushes that had something to deliver. */
  readonly flushes: number
  /** Number of payloads that the receiver accepted. */
  readonly payloads: number
  /** Size of these payloads on the wire, in bytes. */
  readonly bytes: number
  /** Number of times that a flush resent a payload. */
  readonly retries: number
  /**
   * State of the circuit breaker. It opens after three consecutive flushes that used half of their time or more and delivered
   * nothing. While it is open, flushes send nothing and everything stays pending. It stays open for 30 seconds, and for twice as long
   * each further time, up to 300 seconds. In state `"half-open"` the next flush sends again.
   */
  readonly breaker: "closed" | "half-open" | "open"
  /** Error of the last flush, or `undefined` if that flush had none. */
  readonly lastError: ReporterError | undefined
  /**
   * Numbers of each reporter of a combined reporter, in order. The numbers above are their sums, `breaker` is the worst of their
   * states, and `lastError` is the first of their errors.
   */
  readonly pipelines?: ReadonlyArray<Stats> | undefined
}

/** Numbers of points or events in one flush. */
export interface FlushCounts {
  /** Number that the receiver accepted. */
  readonly delivered: number
  /** Number that was not delivered and stays recorded for the next flush. */
  readonly pending: number
  /** Number that the receiver refused for good, or that must not be resent. */
  readonly dropped: number
}

/** Result of one flush. Its numbers count recorded points and events, not series. */
export interface FlushReceipt {
  /** Counts of points. */
  readonly metrics: FlushCounts
  /** Counts of events. */
  readonly events: FlushCounts
  /** Number of payloads that the receiver accepted. */
  readonly payloads: number
  /** Size of these payloads on the wire, in bytes. */
  readonly bytes: number
  /** Number of times that the flush resent a payload. */
  readonly retries: number
  /**
   * Errors of the reporter, at most one for each of its endpoints. If the flush did not run, one error with the endpoint `flush`
   * explains why: an earlier flush left it no time, or a reporter requested it in its own flush.
   */
  readonly errors: ReadonlyArray<ReporterError>
  /** Whether the flush sent nothing because the circuit breaker is open. See {@link Stats.breaker}. */
  readonly skipped: boolean
  /** Receipt of each reporter of a combined reporter, in order. The numbers above are their sums. */
  readonly pipelines?: ReadonlyArray<FlushReceipt> | undefined
}

/** Options of one flush. */
export interface FlushOptions {
  /**
   * Limits the flush to buckets that were closed at this time. Default: no limit, so that it sends the open bucket too. The client
   * ignores an invalid time, and logs a warning.
   */
  readonly upTo?: TimeInput | undefined
  /**
   * Time limit of this flush. Default and maximum: the setting `flushTimeout`. The client ignores an invalid duration, and logs a
   * warning.
   */
  readonly timeout?: DurationInput | undefined
}
