import * as Effect from "effect/Effect"
import type { EventsAggregator } from "../../EventsAggregator.js"
import type { MetricsAggregator } from "../../MetricsAggregator.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import type { Item } from "../model/Delivery.js"
import type { Event } from "../model/Event.js"
import type { FlushCounts } from "../model/Stats.js"
import type { BatchOutcome } from "./batchOutcome.js"
import type { PipelineState } from "./PipelineState.js"

type Fate = "delivered" | "pending" | "Refused" | "Ambiguous"

/** Returns what happens to an item: delivered, pending again, or dropped for a reason. */
const fateOf = (item: Item, outcome: BatchOutcome, mustNotResend: boolean): Fate =>
  mustNotResend && outcome.ambiguous.has(item)
    ? "Ambiguous"
    : outcome.undelivered.has(item)
    ? "pending"
    : outcome.refused.has(item)
    ? "Refused"
    : "delivered"

/** Applies the outcome of a batch of series: counts them as delivered, restores them to the aggregator, or drops them. */
export const settleSeries = (options: {
  readonly aggregator: MetricsAggregator["Type"]
  readonly state: PipelineState
  /** Series that the reporter pulled. */
  readonly pulled: ReadonlyArray<AggregatedSeries>
  /** Series that were drained for the reporter, which did not pull them. */
  readonly waiting: ReadonlyArray<AggregatedSeries>
  readonly outcome: BatchOutcome
  /** True for a series that must not be sent twice: `delivery` is "at-most-once", and the receiver adds up. */
  readonly mustNotResend: (series: AggregatedSeries) => boolean
}): Effect.Effect<FlushCounts> => {
  const { aggregator, mustNotResend, outcome, pulled, state, waiting } = options
  return Effect.suspend(() => {
    const isAllDelivered = outcome.undelivered.size === 0 && outcome.refused.size === 0
    const undelivered: Array<AggregatedSeries> = []
    const counts = { delivered: 0, pending: 0, dropped: 0 }
    for (const series of pulled) {
      const { name, recorded } = series
      state.metrics.inFlight -= recorded
      const fate = isAllDelivered ? "delivered" : fateOf(series, outcome, mustNotResend(series))
      switch (fate) {
        case "delivered":
          counts.delivered += recorded
          break
        case "pending":
          undelivered.push(series)
          counts.pending += recorded
          break
        default:
          counts.dropped += recorded
          state.metricDrops.count(fate, name, recorded)
      }
    }
    for (const series of waiting) {
      state.metrics.inFlight -= series.recorded
      counts.pending += series.recorded
      undelivered.push(series)
    }
    state.metrics.delivered += counts.delivered
    return undelivered.length === 0 ? Effect.succeed(counts) : Effect.as(aggregator.restore(undelivered), counts)
  })
}

/** Applies the outcome of a batch of events. */
export const settleEvents = (options: {
  readonly aggregator: EventsAggregator["Type"]
  readonly state: PipelineState
  readonly events: ReadonlyArray<Event>
  readonly outcome: BatchOutcome
  readonly mustNotResend: boolean
}): Effect.Effect<FlushCounts> => {
  const { aggregator, events, mustNotResend, outcome, state } = options
  return Effect.suspend(() => {
    const undelivered: Array<Event> = []
    let dropped = 0
    for (const event of events) {
      const fate = fateOf(event, outcome, mustNotResend)
      if (fate === "pending") undelivered.push(event)
      else if (fate !== "delivered") {
        dropped++
        state.eventDrops.count(fate, event.title)
      }
    }
    const delivered = events.length - undelivered.length - dropped
    state.events.inFlight -= events.length
    state.events.delivered += delivered
    const counts = { delivered, pending: undelivered.length, dropped }
    return undelivered.length === 0 ? Effect.succeed(counts) : Effect.as(aggregator.restore(undelivered), counts)
  })
}
