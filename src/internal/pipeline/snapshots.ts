import * as Effect from "effect/Effect"
import type { PendingData } from "../../RetainedStore.js"
import type { PipelineEventsAggregator } from "../aggregation/EventsAggregator.js"
import type { PipelineMetricsAggregator } from "../aggregation/MetricsAggregator.js"
import type { BucketSnapshot, SerializedSeries, Temporality } from "../model/AggregatedSeries.js"
import type { Event } from "../model/Event.js"
import { isAdditive, metricKinds } from "../model/metricKinds.js"
import type { DeliverySemantics } from "../model/settings.js"

/** Takes a snapshot for the retained store. Receives the versions, by start, of the buckets that the store has. */
export type TakeSnapshot = (known: ReadonlyMap<number, number>) => Effect.Effect<PendingData>

/** Snapshots of the pending series and events. */
export interface Snapshots {
  /** Everything. */
  readonly all: TakeSnapshot
  /** The stored buckets that are still pending, without events. */
  readonly remaining: TakeSnapshot
  /** Everything that may be sent again after a report that ends with the process. */
  readonly beforeReport: TakeSnapshot
}

const noEvents = Effect.succeed<ReadonlyArray<Event>>([])

export const make = ({ aggregator, delivery, eventsAggregator, temporality }: {
  readonly aggregator: PipelineMetricsAggregator["Type"]
  readonly eventsAggregator: PipelineEventsAggregator["Type"]
  readonly delivery: DeliverySemantics
  readonly temporality: Temporality
}): Snapshots => {
  const zip = (buckets: Effect.Effect<ReadonlyArray<BucketSnapshot>>, events: Effect.Effect<ReadonlyArray<Event>>) =>
    Effect.zipWith(buckets, events, (metrics, events): PendingData => ({ metrics, events }))

  const all: TakeSnapshot = (known) => zip(aggregator.snapshot(known), eventsAggregator.snapshot)

  /** True for a series that may arrive twice and count once. */
  const isIdempotent = ({ kind }: SerializedSeries) =>
    metricKinds[kind] === "last" || (temporality === "total" && !isAdditive(kind, aggregator.settings.submitAs))

  const idempotent: TakeSnapshot = () =>
    zip(
      Effect.map(aggregator.snapshot(new Map()), (buckets) =>
        buckets.map(({ series, start, version }) => ({
          start,
          // Negative, because the stored part of the bucket is not its whole version.
          version: -version,
          series: series?.filter(isIdempotent)
        }))),
      noEvents
    )

  return {
    all,
    remaining: (known) =>
      zip(
        Effect.map(aggregator.snapshot(known), (buckets) => buckets.filter(({ start }) => known.has(start))),
        noEvents
      ),
    beforeReport: delivery === "at-least-once" ? all : idempotent
  }
}
