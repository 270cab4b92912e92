/**
 * Aggregates recorded points in process until a flush drains them. A bucket is one roll-up interval. It holds the roll-up
 * of each series.
 *
 * Name, host and tags identify a series, as its receiver stores them: two spellings that Datadog makes one are one series, which keeps
 * the first spelling. A timing and a histogram of one series share a roll-up. Points of any other second kind are dropped as
 * `KindConflict`: Datadog would overwrite one kind by the other.
 *
 * Spelling and kind are those that the aggregator saw first. It remembers them while the series has a roll-up in a bucket, and
 * afterwards until about 10,000 other series came. A series that returns later begins anew with the spelling and kind of that point.
 *
 * The aggregator knows no wire format and reads no clock. Callers pass the time of a point and the time of a drain.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as aggregator from "./internal/aggregation/MetricsAggregator.js"
import type { MetricsAggregatorService, PipelineMetricsAggregator } from "./internal/aggregation/MetricsAggregator.js"
import type { AggregatorSettings } from "./internal/aggregation/state.js"
import { ThreadStatsConfig } from "./ThreadStatsConfig.js"

export type {
  /**
   * One series of one bucket, drained to be reported.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatedSeries,
  /**
   * Pending series of one bucket, with a version that changes when they change.
   *
   * @since 0.1.0
   * @category models
   */
  BucketSnapshot,
  /**
   * One pending series of one bucket as plain JSON, for a store.
   *
   * @since 0.1.0
   * @category models
   */
  SerializedSeries,
  /**
   * Tags and host of a series. Together with the name they identify it.
   *
   * @since 0.1.0
   * @category models
   */
  SeriesOptions
} from "./internal/model/AggregatedSeries.js"

export type {
  /**
   * Counts since the layer was built. `received` equals `pending`, plus all drained points, plus the sum of `dropped`.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatorStats as Stats,
  /**
   * Reason for which the aggregator dropped a point.
   *
   * - `InvalidValue`: the value is not a finite number. A set also accepts strings.
   * - `InvalidName`: the name is not a string, is empty, or does not start with a letter.
   * - `InvalidTags`: the tags are neither an array of strings nor a record of strings, numbers and booleans; or there are
   *   more than 1000. A tag of more than 200 characters is cut.
   * - `KindConflict`: the series was first recorded with another kind. See the description of this module.
   * - `InvalidHost`: the host is not a string, or has more than 255 characters.
   * - `InvalidTimestamp`: the time is not a finite number.
   * - `Late`: the aggregator reported and evicted the bucket. A new total would undercut the reported one.
   * - `TooManySeries`, `TooManyValues`, `TooManyBytes`: pending points exceed `maxSeries`, `maxValues` or `maxBytes`. The
   *   aggregator drops the longest pending series first.
   * - `Expired`, `TooNew`: the bucket started more than one hour ago, or starts more than ten minutes from now, when it is drained.
   *   Datadog refuses such points.
   * - `Closed`: the scope of the client had closed.
   *
   * Source of the limits: Datadog documentation, "Custom metrics" and "Getting started with tags".
   *
   * @since 0.1.0
   * @category models
   */
  DropReason
} from "./internal/model/AggregatorStats.js"

export type {
  /**
   * Settings of one drain.
   *
   * @since 0.1.0
   * @category models
   */
  DrainOptions
} from "./internal/aggregation/drain.js"

export type {
  /**
   * The aggregator as the pipeline of a client uses it. {@link layer} provides it together with {@link MetricsAggregator}; both are
   * the same aggregator. A client needs this service, so it accepts the aggregators of this module only.
   *
   * @since 0.1.0
   * @category tags
   */
  PipelineMetricsAggregator
} from "./internal/aggregation/MetricsAggregator.js"

export type {
  /**
   * Settings of the aggregator. Any resolved `ThreadStatsSettings` has them.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatorSettings
} from "./internal/aggregation/state.js"

/**
 * Aggregates points until a flush drains them. Provide {@link layer} to a program that records points at times of its own choice, or
 * drains them by itself.
 *
 * @since 0.1.0
 * @category tags
 */
export class MetricsAggregator extends /*#__PURE__*/ Context.Tag("effect-threadstats/MetricsAggregator")<
  MetricsAggregator,
  MetricsAggregatorService
>() {}

/**
 * Creates an aggregator with resolved settings. `Random` supplies the seed of its samples.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: AggregatorSettings): Effect.Effect<MetricsAggregator["Type"]> =>
  aggregator.make(settings)

/**
 * Provides one aggregator with the settings of the `ThreadStatsConfig` service, to the program and to the pipeline of a client.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<MetricsAggregator | PipelineMetricsAggregator, never, ThreadStatsConfig> =
  /*#__PURE__*/ Layer.effectContext(
    /*#__PURE__*/ Effect.map(
      /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, aggregator.make),
      (self) => Context.make(MetricsAggregator, self).pipe(Context.add(aggregator.PipelineMetricsAggregator, self))
    )
  )
