import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { RetainedStore } from "../../RetainedStore.js"
import type { PipelineEventsAggregator } from "../aggregation/EventsAggregator.js"
import type { PipelineMetricsAggregator } from "../aggregation/MetricsAggregator.js"
import type { Reporter } from "../model/Reporter.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import type { PreAggregationDrops } from "./PipelineState.js"

/** Services of one client, which all its pipelines share. */
export interface PipelineServices {
  readonly config: ThreadStatsSettings
  readonly clock: Clock.Clock
  readonly aggregator: PipelineMetricsAggregator["Type"]
  readonly eventsAggregator: PipelineEventsAggregator["Type"]
  readonly store: Option.Option<RetainedStore["Type"]>
  readonly preAggregation: PreAggregationDrops
  /** Runs at the start of each flush. */
  readonly onFlushStart: Effect.Effect<void>
}

export interface PipelineOptions extends PipelineServices {
  readonly reporter: Reporter["Type"]
  /** Index of the pipeline, if the client has several. */
  readonly index?: number | undefined
}
