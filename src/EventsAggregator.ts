/**
 * Stores events in order of recording until a flush drains them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EventsAggregatorSettings } from "./internal/aggregation/eventBuffer.js"
import * as aggregator from "./internal/aggregation/EventsAggregator.js"
import type { EventsAggregatorService, PipelineEventsAggregator } from "./internal/aggregation/EventsAggregator.js"
import { ThreadStatsConfig } from "./ThreadStatsConfig.js"

export type {
  /**
   * Reason for which the aggregator dropped a recorded event.
   *
   * - `TooManyEvents`, `TooManyBytes`: pending events exceed `maxEvents` or `maxBytes`. The aggregator drops the oldest first.
   * - `Expired`: the event was more than 18 hours old when it was drained. Datadog refuses older events.
   * - `TooNew`: the event was more than 2 hours ahead when it was drained, because the clock was set back.
   * - `Closed`: the scope of the client had closed.
   *
   * @since 0.1.0
   * @category models
   */
  EventDropReason as DropReason,
  /**
   * Counts since the layer was built. `received` equals `pending`, plus all drained events, plus the sum of `dropped`.
   *
   * @since 0.1.0
   * @category models
   */
  EventsAggregatorStats as Stats
} from "./internal/model/AggregatorStats.js"

export type {
  /**
   * The aggregator as the pipeline of a client uses it. {@link layer} provides it together with {@link EventsAggregator}; both are
   * the same aggregator. A client needs this service, so it accepts the aggregators of this module only.
   *
   * @since 0.1.0
   * @category tags
   */
  PipelineEventsAggregator
} from "./internal/aggregation/EventsAggregator.js"

export type {
  /**
   * Settings of the aggregator. Any resolved `ThreadStatsSettings` has them.
   *
   * @since 0.1.0
   * @category models
   */
  EventsAggregatorSettings
} from "./internal/aggregation/eventBuffer.js"

/**
 * Stores events in order of recording until a flush drains them. Provide {@link layer} to a program that drains them by itself.
 *
 * @since 0.1.0
 * @category tags
 */
export class EventsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/EventsAggregator")<EventsAggregator, EventsAggregatorService>()
{}

/**
 * Creates an aggregator with resolved settings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: EventsAggregatorSettings): Effect.Effect<EventsAggregator["Type"]> =>
  aggregator.make(settings)

/**
 * Provides one aggregator with the settings of the `ThreadStatsConfig` service, to the program and to the pipeline of a client.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EventsAggregator | PipelineEventsAggregator, never, ThreadStatsConfig> =
  /*#__PURE__*/ Layer.effectContext(
    /*#__PURE__*/ Effect.map(
      /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, aggregator.make),
      (self) => Context.make(EventsAggregator, self).pipe(Context.add(aggregator.PipelineEventsAggregator, self))
    )
  )
