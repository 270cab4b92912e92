import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Temporality } from "./AggregatedSeries.js"
import type { Receipt, ReporterError, SeriesBatch } from "./Delivery.js"
import type { Event } from "./Event.js"

/**
 * Delivers series, distributions and events to a receiver. Each method answers with one outcome for its batch: a receipt, or
 * a {@link ReporterError} that names the series and events that were not delivered. A reporter of your own needs these three methods
 * only.
 *
 * A client calls no method with an empty batch, and calls each at most once in a flush, all three at the same time. A report
 * that dies, or does not end before the time limit of the flush, counts as undelivered.
 *
 * @since 0.1.0
 * @category tags
 */
export class Reporter extends /*#__PURE__*/ Context.Tag("effect-threadstats/Reporter")<Reporter, Service>() {}

/** Declared separately because the interface is recursive. */
interface Service {
  /**
   * Treatment of two values of one series and timestamp: `"total"` for a receiver that keeps the last one, `"delta"` for a receiver
   * that adds them up. Default: `"total"`.
   */
  readonly temporality?: Temporality | undefined
  /**
   * True if the receiver rolls up itself. Counters, gauges, sets, histograms and timings then have the recorded values in
   * `samples`, and no `points`. Default: `false`.
   */
  readonly samples?: boolean | undefined
  readonly reportSeries: (batch: SeriesBatch) => Effect.Effect<Receipt, ReporterError>
  readonly reportDistributions: (batch: SeriesBatch) => Effect.Effect<Receipt, ReporterError>
  readonly reportEvents: (events: ReadonlyArray<Event>) => Effect.Effect<Receipt, ReporterError>
  /** Prepares the first delivery, for example by opening a TLS connection. Never fails; nothing waits for it. Default: nothing. */
  readonly warm?: Effect.Effect<void> | undefined
  /** Reporters that this one combines (`Reporter.combine`). A client reports to each of them by itself. */
  readonly reporters?: ReadonlyArray<Service> | undefined
}
