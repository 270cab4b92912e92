import * as Effect from "effect/Effect"
import type { EventsAggregator } from "../../EventsAggregator.js"
import type { MetricsAggregator } from "../../MetricsAggregator.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import type { TruncationReason } from "../model/AggregatorStats.js"
import { addReceipts, emptyReceipt, type Receipt, type ReporterError } from "../model/Delivery.js"
import * as DropCounters from "../model/DropCounters.js"
import type { Event } from "../model/Event.js"
import type { Counts, EventDropReason, MetricDropReason, Stats } from "../model/Stats.js"
import type * as CircuitBreaker from "./CircuitBreaker.js"

const none = { received: 0, delivered: 0, pending: 0, dropped: {} }

/** Stats of a client that has recorded nothing. */
export const noStats: Stats = {
  metrics: none,
  events: none,
  truncated: {},
  series: 0,
  flushes: 0,
  payloads: 0,
  bytes: 0,
  retries: 0,
  breaker: "closed",
  lastError: undefined
}

/** Points and events that the client dropped before an aggregator received them. */
export interface PreAggregationDrops {
  readonly received: { metrics: number; events: number }
  readonly metricDrops: DropCounters.DropCounters<MetricDropReason>
  readonly eventDrops: DropCounters.DropCounters<EventDropReason>
  /** Texts and tags of events that were cut to Datadog's limits. */
  readonly truncations: DropCounters.DropCounters<TruncationReason>
}

/** Adds the counts of a pipeline to those of its aggregator. `others` were received, but never by the aggregator. */
const sumCounts = <Reason extends string>(
  aggregated: Pick<Counts<Reason>, "received" | "pending" | "dropped">,
  { delivered, inFlight }: { readonly delivered: number; readonly inFlight: number },
  others: number,
  drops: ReadonlyArray<DropCounters.DropCounters<Reason>>
): Counts<Reason> => ({
  received: aggregated.received + others,
  delivered,
  pending: aggregated.pending + inFlight,
  dropped: drops.reduce((sum, counters) => DropCounters.addTotals(sum, counters.totals()), aggregated.dropped)
})

/** Counters of one pipeline: recorded = delivered + pending + dropped, at every moment. */
export class PipelineState {
  readonly metricDrops = DropCounters.make<MetricDropReason>()
  readonly eventDrops = DropCounters.make<EventDropReason>()
  readonly metrics = { delivered: 0, inFlight: 0 }
  readonly events = { delivered: 0, inFlight: 0 }
  /** Stored points and events that could not be read. */
  private readonly corrupt = { metrics: 0, events: 0 }
  private flushes = 0
  private sent: Receipt = emptyReceipt
  private lastError: ReporterError | undefined
  private readonly preAggregation: PreAggregationDrops

  constructor(preAggregation: PreAggregationDrops) {
    this.preAggregation = preAggregation
  }

  addSeriesInFlight(series: AggregatedSeries): void {
    this.metrics.inFlight += series.recorded
  }

  addEventsInFlight(events: ReadonlyArray<Event>): void {
    this.events.inFlight += events.length
  }

  recordCorrupt(points: number, events: number): void {
    this.corrupt.metrics += points
    this.corrupt.events += events
    if (points > 0) this.metricDrops.count("Corrupt", "in the store", points)
    if (events > 0) this.eventDrops.count("Corrupt", "in the store", events)
  }

  recordFlush(receipt: Receipt, lastError: ReporterError | undefined): void {
    this.flushes++
    this.sent = addReceipts(this.sent, receipt)
    this.lastError = lastError
  }

  /** True if a drop was counted that no warning has named. */
  hasUnreportedDrops(): boolean {
    const { eventDrops, metricDrops, preAggregation } = this
    return [preAggregation.metricDrops, metricDrops, preAggregation.eventDrops, eventDrops, preAggregation.truncations]
      .some((counters) => counters.hasUnreported())
  }

  stats(
    aggregator: MetricsAggregator["Type"],
    eventsAggregator: EventsAggregator["Type"],
    breaker: CircuitBreaker.BreakerState
  ): Effect.Effect<Stats> {
    return Effect.zipWith(aggregator.stats, eventsAggregator.stats, (metrics, events): Stats => {
      const { corrupt, preAggregation } = this
      return {
        metrics: sumCounts<MetricDropReason>(
          metrics,
          this.metrics,
          preAggregation.received.metrics + corrupt.metrics,
          [preAggregation.metricDrops, this.metricDrops]
        ),
        events: sumCounts<EventDropReason>(
          events,
          this.events,
          preAggregation.received.events + corrupt.events,
          [preAggregation.eventDrops, this.eventDrops]
        ),
        truncated: DropCounters.addTotals<TruncationReason>(metrics.truncated, preAggregation.truncations.totals()),
        series: metrics.series,
        flushes: this.flushes,
        payloads: this.sent.payloads,
        bytes: this.sent.bytes,
        retries: this.sent.retries,
        breaker,
        lastError: this.lastError
      }
    })
  }
}
