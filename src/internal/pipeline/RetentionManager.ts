import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { EventsAggregator } from "../../EventsAggregator.js"
import type { MetricsAggregator } from "../../MetricsAggregator.js"
import type { Held, RetainedStore, RetainedStoreError } from "../../RetainedStore.js"
import type { BucketSnapshot, SerializedSeries, Temporality } from "../model/AggregatedSeries.js"
import type { Event } from "../model/Event.js"
import { isAdditive } from "../model/metricKinds.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import { logFrom } from "../runtime/log.js"
import { within } from "../runtime/timeLimit.js"

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
  /** Returns the last failure of the store since the previous call. */
  readonly takeFailure: () => { readonly message: string } | undefined
}

export const make = (options: {
  readonly store: RetainedStore["Type"]
  readonly aggregator: MetricsAggregator["Type"]
  readonly eventsAggregator: EventsAggregator["Type"]
  readonly config: Pick<ThreadStatsSettings, "delivery">
  readonly temporality: Temporality
  /** Counts points and events that could not be read. Called once. */
  readonly recordCorrupt: (points: number, events: number) => void
}): Retention => {
  const { aggregator: metrics, config, eventsAggregator: events, recordCorrupt, store, temporality } = options
  let isLoaded = false
  let failure: { readonly message: string } | undefined

  const note = (message: string) => {
    failure = { message }
  }

  /**
   * Runs a store operation until the deadline. Later the operation is left to itself, and those that wait for it are
   * interrupted: of a store that hangs, at most one operation is running.
   */
  const inTime = Effect.fnUntraced(function*(deadline: number, operation: Effect.Effect<void, RetainedStoreError>) {
    const fiber = yield* Effect.forkDaemon(Effect.interruptible(operation))
    const left = Math.max(0, deadline - (yield* Clock.currentTimeMillis))
    // Forked, because an interruption of the flush must not cut this short: the flush has drained series to settle.
    const waiting = yield* Effect.forkDaemon(
      within(Effect.interruptible(Fiber.await(fiber)), left, () => Effect.succeed(undefined))
    )
    const exit = yield* Fiber.join(waiting)
    if (exit === undefined) {
      note("The retained store took too long")
      yield* Fiber.interruptFork(fiber)
    } else if (Exit.isFailure(exit)) {
      const error = Cause.failureOption(exit.cause)
      note(Option.isSome(error) ? error.value.message : "The retained store died")
    }
  })

  const load = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(store.load), (loaded) =>
      Effect.suspend(() => {
        if (isLoaded) return Effect.void
        isLoaded = true
        recordCorrupt(loaded.lost.points, loaded.lost.events)
        const warn = Effect.logWarning(`Skipped ${loaded.skipped} unreadable entries of the retained store`)
        return Effect.all([
          metrics.load(loaded.metrics),
          events.load(loaded.events),
          loaded.skipped > 0 ? logFrom("ThreadStats")(warn) : Effect.void
        ], { discard: true })
      }))
  )

  /** Saves a snapshot. Loads the store first if that has not succeeded yet: a save overwrites it. */
  const save = (takeSnapshot: Parameters<typeof store.save>[0]) =>
    Effect.zipRight(Effect.suspend(() => isLoaded ? Effect.void : load), store.save(takeSnapshot))

  const zipSnapshot = (
    buckets: Effect.Effect<ReadonlyArray<BucketSnapshot>>,
    pendingEvents: Effect.Effect<ReadonlyArray<Event>>
  ) => Effect.zipWith(buckets, pendingEvents, (metrics, events): Held => ({ metrics, events }))

  const snapshotAll = (known: ReadonlyMap<number, number>) => zipSnapshot(metrics.snapshot(known), events.snapshot)

  const noEvents = Effect.succeed<ReadonlyArray<Event>>([])

  /** Takes a snapshot of the stored buckets that are still pending. */
  const snapshotRemaining = (known: ReadonlyMap<number, number>) =>
    zipSnapshot(
      Effect.map(metrics.snapshot(known), (buckets) => buckets.filter(({ start }) => known.has(start))),
      noEvents
    )

  /** True for a series that may arrive twice and count once. */
  const isIdempotent = ({ kind }: SerializedSeries) =>
    kind === "gauge" || (temporality === "total" && !isAdditive(kind, metrics.counters))

  const snapshotIdempotent = () =>
    zipSnapshot(
      Effect.map(metrics.snapshot(new Map()), (buckets) =>
        buckets.map(({ series, start, version }) => ({
          start,
          // Negative, because the stored part of the bucket is not its whole version.
          version: -version,
          series: series?.filter(isIdempotent)
        }))),
      noEvents
    )

  const snapshotBeforeExport = config.delivery === "at-least-once" ? snapshotAll : snapshotIdempotent

  return {
    load: (deadline) => inTime(deadline, load),
    beforeSending: (drain, deadline) =>
      Effect.suspend(() => {
        if (store.isEmpty()) return drain
        let drained: Option.Option<Effect.Effect.Success<typeof drain>> = Option.none()
        const drainOnce = Effect.suspend(() =>
          Option.isSome(drained) ? Effect.succeed(drained.value) : Effect.tap(drain, (all) => {
            drained = Option.some(all)
          })
        )
        const takeSnapshot = (known: ReadonlyMap<number, number>) =>
          Effect.suspend(() =>
            // A snapshot after the drain would leave out what is being sent.
            Option.isSome(drained) ? Effect.interrupt : Effect.zipLeft(snapshotBeforeExport(known), drainOnce)
          ).pipe(
            // Nothing may be recorded between the snapshot and the drain.
            Effect.withMaxOpsBeforeYield(Number.MAX_SAFE_INTEGER)
          )
        return Effect.zipRight(inTime(deadline, save(takeSnapshot)), drainOnce)
      }),
    afterFlush: (isComplete, deadline) =>
      Effect.suspend(() =>
        isComplete && store.isEmpty()
          ? Effect.void
          : inTime(deadline, save(isComplete ? snapshotRemaining : snapshotAll))
      ),
    takeFailure: () => {
      const last = failure
      failure = undefined
      return last
    }
  }
}
