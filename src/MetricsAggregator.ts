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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { makeAttach } from "./internal/aggregation/attach.js"
import { type BindOptions, bindSeries, type RecordValue } from "./internal/aggregation/boundSeries.js"
import { hasExcessReported } from "./internal/aggregation/capacity.js"
import { drainAll, drainIterator, type DrainOptions } from "./internal/aggregation/drain.js"
import { unsafeAddPoint } from "./internal/aggregation/record.js"
import { loadSeries, restoreSeries } from "./internal/aggregation/restore.js"
import { takeSnapshot } from "./internal/aggregation/snapshot.js"
import { type AggregatorConfig, AggregatorState } from "./internal/aggregation/state.js"
import type {
  AggregatedSeries,
  BucketSnapshot,
  SerializedSeries,
  SeriesOptions,
  Value
} from "./internal/model/AggregatedSeries.js"
import type { AggregatorStats, AggregatorWarnings } from "./internal/model/AggregatorStats.js"
import type { Kind, SubmissionType } from "./internal/model/metricKinds.js"
import { ThreadStatsConfig, type ThreadStatsSettings } from "./ThreadStatsConfig.js"

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
   * Drops and conflicts that no log line has reported yet.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatorWarnings,
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
   * Settings of a bound series: its clock, and the callback near a limit.
   *
   * @since 0.1.0
   * @category models
   */
  BindOptions,
  /**
   * Function that records values of a bound series. The default value, for counters, is 1.
   *
   * @since 0.1.0
   * @category models
   */
  RecordValue
} from "./internal/aggregation/boundSeries.js"

export type {
  /**
   * Settings of one drain.
   *
   * @since 0.1.0
   * @category models
   */
  DrainOptions
} from "./internal/aggregation/drain.js"

/**
 * Aggregates points until a flush drains them.
 *
 * @since 0.1.0
 * @category tags
 */
export class MetricsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/MetricsAggregator")<MetricsAggregator, Service>()
{}

/** Declared apart from the tag, because `clone` refers to it. */
interface Service {
  /** Length of a bucket. */
  readonly rollUpInterval: Duration.Duration
  /** Form in which counters, histograms and timings are drained. */
  readonly submitAs: SubmissionType
  /**
   * Adds a point at a time in milliseconds since the epoch. Returns true if pending points are near a limit, so that a flush
   * should start. Never throws: the aggregator drops and counts invalid points. It copies the tags.
   */
  readonly unsafeAdd: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    context?: SeriesOptions | undefined
  ) => boolean
  /** {@link unsafeAdd} as an Effect. */
  readonly add: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    context?: SeriesOptions | undefined
  ) => Effect.Effect<void>
  /**
   * Validates name, tags and host once, and returns a function that records values like {@link unsafeAdd}. The function stays
   * valid after flushes and evictions.
   */
  readonly bind: (kind: Kind, name: string, context: SeriesOptions | undefined, options: BindOptions) => RecordValue
  /** Removes and returns pending series: all, or with `upTo` only those of closed buckets. */
  readonly drain: (options: DrainOptions) => Effect.Effect<ReadonlyArray<AggregatedSeries>>
  /**
   * Like {@link drain}, but returns a function that drains one series per call, and then returns `undefined`. Series stay pending
   * until they are pulled; series that become pending later wait for the next drain. Read a pulled series before the next
   * point is recorded, because it is not a copy.
   */
  readonly drainEach: (options: DrainOptions) => Effect.Effect<() => ReadonlyArray<AggregatedSeries> | undefined>
  /** Restores drained series that were not delivered, as older than the points recorded since. */
  readonly restore: (items: ReadonlyArray<AggregatedSeries>) => Effect.Effect<void>
  /** Returns the pending series by bucket. `known` holds the versions, by start, that the caller already has. */
  readonly snapshot: (known: ReadonlyMap<number, number>) => Effect.Effect<ReadonlyArray<BucketSnapshot>>
  /** Loads the series of another aggregator, as older than all points here. */
  readonly load: (items: ReadonlyArray<SerializedSeries>) => Effect.Effect<void>
  /**
   * Attaches a client until the scope closes. Returns false if another client is attached: the two would split the points. After
   * the last one, the aggregator drops every point as `Closed`.
   */
  readonly attach: Effect.Effect<boolean, never, Scope.Scope>
  /** Creates an empty aggregator with the same settings. */
  readonly clone: Effect.Effect<Service>
  /** Returns true if pending points are near a limit, so that a flush should start. */
  readonly isAboveHighWaterMark: () => boolean
  /** Returns true if a flush would drain, warn of and evict nothing. */
  readonly isIdle: () => boolean
  /** Counts since the layer was built. */
  readonly stats: Effect.Effect<AggregatorStats>
  /** Removes and returns the drops and conflicts that no log line has reported yet. */
  readonly drainWarnings: Effect.Effect<AggregatorWarnings>
}

/**
 * Settings of the aggregator. Any resolved {@link ThreadStatsSettings} has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface AggregatorSettings extends
  Pick<
    ThreadStatsSettings,
    | "rollUpInterval"
    | "percentiles"
    | "aggregates"
    | "sampleSize"
    | "submitAs"
    | "acceptedTimestamps"
    | "tags"
    | "hostname"
    | "attachHost"
    | "maxSeries"
    | "maxValues"
    | "maxBytes"
  >
{}

const unsafeMake = (config: AggregatorConfig, seed: number): MetricsAggregator["Type"] => {
  const state = new AggregatorState(config, seed)
  const unsafeAdd: Service["unsafeAdd"] = (kind, name, value, time, context) => {
    unsafeAddPoint(state, kind, name, value, time, context)
    return state.isAboveHighWaterMark
  }
  return {
    rollUpInterval: config.rollUpInterval,
    submitAs: config.submitAs,
    unsafeAdd,
    add: (kind, name, value, time, context) => Effect.sync(() => void unsafeAdd(kind, name, value, time, context)),
    bind: (kind, name, context, options) => bindSeries(state, kind, name, context, options),
    drain: (options) => Effect.sync(() => drainAll(state, options)),
    drainEach: (options) => Effect.sync(() => drainIterator(state, options, { capturesPoints: false })),
    restore: (items) => Effect.sync(() => restoreSeries(state, items)),
    snapshot: (known) => Effect.sync(() => takeSnapshot(state, known)),
    load: (items) => Effect.sync(() => loadSeries(state, items)),
    attach: makeAttach((isClosed) => state.setClosed(isClosed)),
    clone: make(config),
    isAboveHighWaterMark: () => state.isAboveHighWaterMark,
    isIdle: () =>
      state.pendingSeries === 0 && state.conflicts.size === 0 && !hasExcessReported(state) &&
      !state.drops.hasUnreported() && !state.truncations.hasUnreported(),
    stats: Effect.sync((): AggregatorStats => {
      const { drainedPoints, drops, pendingBytes, pendingPoints, pendingSeries, truncations } = state
      return {
        received: pendingPoints + drainedPoints + drops.total(),
        pending: pendingPoints,
        series: pendingSeries,
        bytes: pendingBytes,
        dropped: drops.totals(),
        truncated: truncations.totals()
      }
    }),
    drainWarnings: Effect.sync((): AggregatorWarnings => {
      const conflicts = Array.from(state.conflicts)
      state.conflicts = new Set()
      return { dropped: state.drops.drainUnreported(), truncated: state.truncations.drainUnreported(), conflicts }
    })
  }
}

/**
 * Creates an aggregator with resolved settings. `Random` supplies the seed of its samples.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: AggregatorSettings): Effect.Effect<MetricsAggregator["Type"]> =>
  Effect.map(Random.nextInt, (seed) => unsafeMake(settings, seed))

/**
 * Provides an aggregator with the settings of the `ThreadStatsConfig` service.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<MetricsAggregator, never, ThreadStatsConfig> = /*#__PURE__*/ Layer.effect(
  MetricsAggregator,
  /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, make)
)
