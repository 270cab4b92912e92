import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RetainedStore, RetainedStoreError } from "../../RetainedStore.js"
import type { PipelineEventsAggregator } from "../aggregation/EventsAggregator.js"
import type { PipelineMetricsAggregator } from "../aggregation/MetricsAggregator.js"
import type { Temporality } from "../model/AggregatedSeries.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import { logFrom } from "../runtime/log.js"
import * as Snapshots from "./snapshots.js"
import * as StoreOperations from "./storeOperations.js"
import type { Amount } from "./warnings.js"

/** Keeps the retained store in step with the aggregators. None of its effects fails, or takes longer than until `deadline`. */
export interface Retention {
  /** Loads the data that an earlier process left: now, or at the next save if the store cannot be read now. */
  readonly load: (deadline: number) => Effect.Effect<void>
  /**
   * Drains the aggregators, and saves a snapshot of the same moment first. A store with older totals than the receiver's
   * would undercut them after a restart. With at-most-once delivery the snapshot leaves out everything that must not arrive
   * twice.
   */
  readonly beforeSending: <A>(drain: Effect.Effect<A>, deadline: number) => Effect.Effect<A>
  /** Removes delivered data from the store after a complete flush, else saves everything that is pending. */
  readonly afterFlush: (isComplete: boolean, deadline: number) => Effect.Effect<void>
  /** Returns the points and events in the store after the last flush: none if it could not be written. */
  readonly saved: () => Amount
  /** Returns the last failure of the store since the previous call. */
  readonly takeFailure: () => StoreOperations.StoreFailure | undefined
}

export interface RetentionOptions {
  readonly store: RetainedStore["Type"]
  readonly aggregator: PipelineMetricsAggregator["Type"]
  readonly eventsAggregator: PipelineEventsAggregator["Type"]
  readonly clock: Clock.Clock
  readonly config: Pick<ThreadStatsSettings, "delivery">
  readonly temporality: Temporality
  /** Counts points and events that could not be read. Called once. */
  readonly recordCorrupt: (points: number, events: number) => void
}

/** Makes the effect that loads the store into the aggregators, and one that does so unless it has succeeded before. */
const makeLoad = ({ aggregator, eventsAggregator, recordCorrupt, store }: RetentionOptions) => {
  let isLoaded = false
  const load: Effect.Effect<void, RetainedStoreError> = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(store.load), (loaded) =>
      Effect.suspend(() => {
        if (isLoaded) return Effect.void
        isLoaded = true
        recordCorrupt(loaded.lost.points, loaded.lost.events)
        const warn = Effect.logWarning(
          `Unreadable entries of the retained store: ${loaded.skipped}, lost in a crash or damaged on disk. Check the disk if more appear`
        )
        return Effect.all([
          aggregator.load(loaded.metrics),
          eventsAggregator.load(loaded.events),
          loaded.skipped > 0 ? logFrom("ThreadStats")(warn) : Effect.void
        ], { discard: true })
      }))
  )
  return { load, loadOnce: Effect.suspend(() => isLoaded ? Effect.void : load) }
}

/** Drains, and hands the store a snapshot of the same moment. Drains without a snapshot if the store does not take it in time. */
const drainWithSnapshot = <A>(
  drain: Effect.Effect<A>,
  takeSnapshot: Snapshots.TakeSnapshot,
  save: (take: Snapshots.TakeSnapshot) => Effect.Effect<unknown>
): Effect.Effect<A> => {
  let drained: Option.Option<A> = Option.none()
  const drainOnce = Effect.suspend(() =>
    Option.isSome(drained) ? Effect.succeed(drained.value) : Effect.tap(drain, (all) => {
      drained = Option.some(all)
    })
  )
  const takeBoth: Snapshots.TakeSnapshot = (known) =>
    Effect.suspend(() =>
      // A snapshot after the drain would leave out the drained series.
      Option.isSome(drained) ? Effect.interrupt : Effect.zipLeft(takeSnapshot(known), drainOnce)
    ).pipe(
      // Nothing may be recorded between the snapshot and the drain.
      Effect.withMaxOpsBeforeYield(Number.MAX_SAFE_INTEGER)
    )
  return Effect.zipRight(save(takeBoth), drainOnce)
}

/** Creates the retention of one pipeline. */
export const make = (options: RetentionOptions): Retention => {
  const { aggregator, clock, config, eventsAggregator, store } = options
  const operations = StoreOperations.make(clock)
  const snapshots = Snapshots.make({ ...options, delivery: config.delivery })
  const { load, loadOnce } = makeLoad(options)
  let saved: Amount = { points: 0, events: 0 }

  /** Saves a snapshot. Loads the store first if that has not succeeded yet: a save overwrites it. */
  const save = (takeSnapshot: Snapshots.TakeSnapshot, deadline: number) =>
    operations.runUntil(deadline, Effect.zipRight(loadOnce, store.save(takeSnapshot)))

  /** A store of the user's may throw. One that does is read and written. */
  const isEmpty = () => {
    try {
      return store.isEmpty()
    } catch {
      return false
    }
  }

  return {
    load: (deadline) => operations.runUntil(deadline, load),
    beforeSending: (drain, deadline) =>
      Effect.suspend(() =>
        isEmpty() ? drain : drainWithSnapshot(drain, snapshots.beforeReport, (take) => save(take, deadline))
      ),
    afterFlush: (isComplete, deadline) =>
      Effect.suspend(() => {
        saved = { points: 0, events: 0 }
        if (isComplete) return isEmpty() ? Effect.void : save(snapshots.remaining, deadline)
        return Effect.flatMap(save(snapshots.all, deadline), (isSaved) =>
          isSaved
            ? Effect.zipWith(aggregator.stats, eventsAggregator.stats, (metrics, events) => {
              saved = { points: metrics.pending, events: events.pending }
            })
            : Effect.void)
      }),
    saved: () => saved,
    takeFailure: operations.takeFailure
  }
}
