import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type {
  AggregatedSeries,
  BucketSnapshot,
  SerializedSeries,
  SeriesOptions,
  Value
} from "../model/AggregatedSeries.js"
import type { AggregatorStats, AggregatorWarnings } from "../model/AggregatorStats.js"
import type { Kind } from "../model/metricKinds.js"
import { makeAttach } from "./attach.js"
import { type BindOptions, bindSeries, type RecordValue } from "./boundSeries.js"
import { hasExcessReported } from "./capacity.js"
import { drainAll, drainIterator, type DrainOptions } from "./drain.js"
import { unsafeAddPoint } from "./record.js"
import { loadSeries, restoreSeries } from "./restore.js"
import { takeSnapshot } from "./snapshot.js"
import { type AggregatorSettings, AggregatorState } from "./state.js"

/** Operations of the public service. */
export interface MetricsAggregatorService {
  /**
   * Adds a point at a time in milliseconds since the epoch. Returns true if pending points are near a limit, so that a flush
   * should start. Never throws: the aggregator drops and counts invalid points. It copies the tags.
   */
  readonly unsafeAdd: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    series?: SeriesOptions | undefined
  ) => boolean
  /** {@link unsafeAdd} as an Effect. */
  readonly add: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    series?: SeriesOptions | undefined
  ) => Effect.Effect<void>
  /** Removes and returns pending series: all, or with `upTo` only those of closed buckets. */
  readonly drain: (options: DrainOptions) => Effect.Effect<ReadonlyArray<AggregatedSeries>>
  /** Restores drained series that were not delivered, as older than the points recorded since. */
  readonly restore: (items: ReadonlyArray<AggregatedSeries>) => Effect.Effect<void>
  /** Counts since the layer was built. */
  readonly stats: Effect.Effect<AggregatorStats>
}

/** Operations of the aggregator in a pipeline. */
export interface PipelineMetricsAggregatorService extends MetricsAggregatorService {
  /** Settings of the aggregator. */
  readonly settings: AggregatorSettings
  /**
   * Validates name, tags and host once, and returns a function that records values like {@link unsafeAdd}. The function stays
   * valid after flushes and evictions.
   */
  readonly bind: (kind: Kind, name: string, series: SeriesOptions | undefined, options: BindOptions) => RecordValue
  /**
   * Like {@link drain}, but returns a function that drains one series per call, and then returns `undefined`. Series stay pending
   * until they are pulled; series that become pending later wait for the next drain. Read a pulled series before the next
   * point is recorded, because it is not a copy.
   */
  readonly drainEach: (options: DrainOptions) => Effect.Effect<() => ReadonlyArray<AggregatedSeries> | undefined>
  /** Returns the pending series by bucket. `known` holds the versions, by start, that the caller already has. */
  readonly snapshot: (known: ReadonlyMap<number, number>) => Effect.Effect<ReadonlyArray<BucketSnapshot>>
  /** Loads the series of another aggregator, as older than all points here. */
  readonly load: (items: ReadonlyArray<SerializedSeries>) => Effect.Effect<void>
  /**
   * Attaches a client until the scope closes. Returns false if another client is attached: the two would split the points. After
   * the last one, the aggregator drops every point as `Closed`.
   */
  readonly attach: Effect.Effect<boolean, never, Scope.Scope>
  /** Returns true if a flush would drain, warn of and evict nothing. */
  readonly isIdle: () => boolean
  /** Removes and returns the drops and conflicts that no log line has reported yet. */
  readonly drainWarnings: Effect.Effect<AggregatorWarnings>
}

/**
 * The aggregator in a pipeline. A service of its own, so that an aggregator without the operations of a pipeline is a type error
 * where a client is built.
 */
export class PipelineMetricsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/MetricsAggregator/Pipeline")<
    PipelineMetricsAggregator,
    PipelineMetricsAggregatorService
  >()
{}

const unsafeMake = (settings: AggregatorSettings, seed: number): PipelineMetricsAggregatorService => {
  const state = new AggregatorState(settings, seed)
  const unsafeAdd: MetricsAggregatorService["unsafeAdd"] = (kind, name, value, time, series) => {
    unsafeAddPoint(state, kind, name, value, time, series)
    return state.isAboveHighWaterMark
  }
  return {
    settings,
    unsafeAdd,
    add: (kind, name, value, time, series) => Effect.sync(() => void unsafeAdd(kind, name, value, time, series)),
    bind: (kind, name, series, options) => bindSeries(state, kind, name, series, options),
    drain: (options) => Effect.sync(() => drainAll(state, options)),
    drainEach: (options) => Effect.sync(() => drainIterator(state, options, { capturesPoints: false })),
    restore: (items) => Effect.sync(() => restoreSeries(state, items)),
    snapshot: (known) => Effect.sync(() => takeSnapshot(state, known)),
    load: (items) => Effect.sync(() => loadSeries(state, items)),
    attach: makeAttach((isClosed) => state.setClosed(isClosed)),
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

/** Creates an empty aggregator. */
export const make = (settings: AggregatorSettings): Effect.Effect<PipelineMetricsAggregatorService> =>
  Effect.map(Random.nextInt, (seed) => unsafeMake(settings, seed))
