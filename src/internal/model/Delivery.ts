import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { AggregatedSeries } from "./AggregatedSeries.js"
import type { Enrichment } from "./Enrichment.js"
import type { Event } from "./Event.js"
import { toPrintable } from "./printableText.js"
import { monotonicMillis } from "./time.js"

/**
 * One element of a batch.
 *
 * @since 0.1.0
 * @category models
 */
export type Item = AggregatedSeries | Event

/**
 * Result of a delivery: number of accepted lines and events, of accepted payloads, of their bytes on the wire, and of
 * payloads that were sent again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receipt {
  /** Number of delivered series or events. */
  readonly items: number
  /** Number of delivered payloads. */
  readonly payloads: number
  /** Size of the delivered payloads, in bytes. */
  readonly bytes: number
  /** Number of attempts after the first of each payload. */
  readonly retries: number
}

/**
 * Receipt of an empty delivery.
 *
 * @since 0.1.0
 * @category receipts
 */
export const emptyReceipt: Receipt = { items: 0, payloads: 0, bytes: 0, retries: 0 }

/**
 * Adds two receipts.
 *
 * @since 0.1.0
 * @category receipts
 */
export const addReceipts = (self: Receipt, that: Receipt): Receipt => ({
  items: self.items + that.items,
  payloads: self.payloads + that.payloads,
  bytes: self.bytes + that.bytes,
  retries: self.retries + that.retries
})

/**
 * Reason of a failed delivery.
 *
 * - `Unauthorized`: the receiver refused the key (401, 403)
 * - `Rejected`: the receiver refused the payload as malformed (400, 415, 422)
 * - `UnexpectedResponse`: the response is not one of Datadog's, for example that of a proxy (3xx, 404, 407, 425, other 4xx, or a
 *   web page)
 * - `PayloadTooLarge`: the payload exceeds the receiver's size limit (413)
 * - `RateLimited`: 429
 * - `ServerError`: 5xx, 408
 * - `Timeout`: no answer in time
 * - `Transport`: no connection, or it broke
 * - `Encoding`: the batch could not be encoded
 * - `Defect`: the reporter or the flush died, or the reporter requested a flush in its own
 *
 * @since 0.1.0
 * @category errors
 */
export type Reason =
  | "Unauthorized"
  | "Rejected"
  | "UnexpectedResponse"
  | "PayloadTooLarge"
  | "RateLimited"
  | "ServerError"
  | "Timeout"
  | "Transport"
  | "Encoding"
  | "Defect"

/**
 * A batch, or a part of it, was not delivered.
 *
 * `undelivered` names the series and events to be sent again, `refused` those that the receiver never accepts. Both hold
 * the identical objects of the batch. The receiver has everything else, and `receipt` counts it. `ambiguous` names those of
 * `undelivered` that may have arrived, because an answer was lost. This error never contains a key.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReporterError extends /*#__PURE__*/ Data.TaggedError("ReporterError")<{
  readonly reason: Reason
  readonly endpoint: string
  readonly description: string
  readonly status?: number | undefined
  readonly undelivered: ReadonlyArray<Item>
  readonly refused: ReadonlyArray<Item>
  readonly ambiguous: ReadonlyArray<Item>
  readonly receipt: Receipt
  readonly cause?: unknown
}> {
  override get message(): string {
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return toPrintable(`${this.reason} at ${this.endpoint}${status}: ${this.description}`)
  }
}

/**
 * Time by which the flush of a batch must end, in milliseconds since the epoch. A reporter may retry until then. Default:
 * `Infinity`, with which the reporters of this package send each payload once.
 *
 * @since 0.1.0
 * @category context
 */
export class Deadline extends /*#__PURE__*/ Context.Reference<Deadline>()("effect-threadstats/Reporter/Deadline", {
  defaultValue: () => Infinity
}) {}

/** Returns the {@link Deadline} in milliseconds of the monotonic time, which a change of the machine's clock does not move. */
export const monotonicDeadline: Effect.Effect<number> = /*#__PURE__*/ Effect.flatMap(
  Deadline,
  (deadline) =>
    Effect.clockWith((clock) => Effect.succeed(deadline - clock.unsafeCurrentTimeMillis() + monotonicMillis(clock)))
)

/**
 * Pending series on their way to a reporter.
 *
 * Pulling drains: a series that was not pulled stays pending in the aggregator. Values of a series are computed when they
 * are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeriesBatch {
  /** Namespace, constant tags, host and device to be added to each series. */
  readonly enrichment: Enrichment
  /**
   * Takes the next series, some 2 ms of encoding at a time, and lets the event loop turn before it takes more. Returns an
   * empty array at the end of the batch. Fails at the {@link Deadline} with an error that names all pulled series as
   * undelivered, which a reporter passes on.
   *
   * A reporter sends nothing before the end of the batch: a report that is cut off earlier counts as unsent, and later as
   * ambiguous.
   */
  readonly pull: Effect.Effect<ReadonlyArray<AggregatedSeries>, ReporterError>
}

/**
 * Pulls all series of a batch.
 *
 * @since 0.1.0
 * @category batches
 */
export const pullAll = (batch: SeriesBatch): Effect.Effect<ReadonlyArray<AggregatedSeries>, ReporterError> => {
  const all: Array<AggregatedSeries> = []
  const pullRest: Effect.Effect<ReadonlyArray<AggregatedSeries>, ReporterError> = Effect.flatMap(
    batch.pull,
    (series) => {
      for (const each of series) all.push(each)
      return series.length === 0 ? Effect.succeed(all) : pullRest
    }
  )
  return pullRest
}

/**
 * Makes a batch of series that were drained before.
 *
 * @since 0.1.0
 * @category batches
 */
export const batchOf = (enrichment: Enrichment, series: ReadonlyArray<AggregatedSeries>): SeriesBatch => {
  let rest = series
  return {
    enrichment,
    pull: Effect.sync(() => {
      const pulled = rest
      rest = []
      return pulled
    })
  }
}
