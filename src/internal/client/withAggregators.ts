import * as Effect from "effect/Effect"
import * as EventsAggregator from "../aggregation/EventsAggregator.js"
import * as MetricsAggregator from "../aggregation/MetricsAggregator.js"
import type { ThreadStatsSettings } from "../model/settings.js"

/** Provides new aggregators. Layer constants would be shared by two clients that are built together. */
export const withAggregators = <A, E, R>(config: ThreadStatsSettings, self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provideServiceEffect(MetricsAggregator.PipelineMetricsAggregator, MetricsAggregator.make(config)),
    Effect.provideServiceEffect(EventsAggregator.PipelineEventsAggregator, EventsAggregator.make(config))
  )
