import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type { SeriesOptions, Value } from "../model/AggregatedSeries.js"
import * as Enrichment from "../model/Enrichment.js"
import type { Event } from "../model/Event.js"
import type { Kind } from "../model/metricKinds.js"
import type { FlushReceipt, Stats } from "../model/Stats.js"
import * as CircuitBreaker from "./CircuitBreaker.js"
import * as FlushCoordinator from "./FlushCoordinator.js"
import { makeFlushCycle } from "./flushCycle.js"
import type { PipelineOptions } from "./PipelineOptions.js"
import { emptyFlush, noStats, PipelineState } from "./PipelineState.js"
import * as RetentionManager from "./RetentionManager.js"
import * as selfMetrics from "./selfMetrics.js"
import * as Warnings from "./warnings.js"

/** The path from recording to one reporter, or to several. None of its effects fails. */
export interface Pipeline {
  /** Adds a point, and starts a flush above the high-water mark. All times are in milliseconds since the epoch. */
  readonly unsafeAdd: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    now: number,
    context: SeriesOptions | undefined
  ) => void
  /** Returns a function that adds points of one series at the time of `now`. Default of a counter's value: 1. */
  readonly bind: (
    kind: Kind,
    name: string,
    context: SeriesOptions | undefined,
    now: () => number
  ) => (value?: Value) => void
  /** Adds an event, and starts a flush above the high-water mark. */
  readonly unsafeAddEvent: (event: Event, now: number) => void
  readonly flush: (request: FlushCoordinator.FlushRequest) => Effect.Effect<FlushReceipt>
  /** Returns an empty receipt if nothing is pending and no flush is running, else undefined. */
  readonly idle: (now: number) => FlushReceipt | undefined
  /** Flushes of closed buckets, each to be repeated on an interval of its own. */
  readonly periodic: ReadonlyArray<Effect.Effect<unknown>>
  /** Loads the data that an earlier process left in the retained store. */
  readonly load: Effect.Effect<void>
  readonly stats: Effect.Effect<Stats>
  readonly warm: Effect.Effect<void>
}

/** Records the client's own metrics, if anything but these was recorded since the previous flush. */
const makeRecordSelf = (
  { aggregator, config }: PipelineOptions,
  stats: Effect.Effect<Stats>
): (now: number) => Effect.Effect<void> => {
  if (!config.selfMetrics) return () => Effect.void
  /** Stats that were reported last, and the number of points that this report took. */
  let reported = { stats: noStats, points: 0 }
  return (now) =>
    Effect.map(stats, (current) => {
      const received = current.metrics.received + current.events.received
      if (received === reported.stats.metrics.received + reported.stats.events.received + reported.points) return
      const points = selfMetrics.pointsOf(reported.stats, current)
      for (const { kind, name, tags, value } of points) aggregator.unsafeAdd(kind, name, value, now, { tags })
      reported = { stats: current, points: points.length }
    })
}

/** Makes the pipeline from two aggregators to one reporter. */
export const make = Effect.fnUntraced(function*(options: PipelineOptions): Effect.fn.Return<Pipeline> {
  const { aggregator, clock, config, eventsAggregator, preAggregation, reporter } = options
  const runtime = yield* Effect.runtime()
  const state = new PipelineState(preAggregation)
  const breaker = CircuitBreaker.make()
  const retention = Option.getOrUndefined(
    Option.map(options.store, (store) =>
      RetentionManager.make({
        store,
        aggregator,
        eventsAggregator,
        config,
        temporality: reporter.temporality,
        recordCorrupt: (points, events) => state.recordCorrupt(points, events)
      }))
  )
  const warnings = Warnings.make({
    ...options,
    index: options.index,
    state,
    takeStoreFailure: () => retention?.takeFailure()
  })
  const stats = Effect.suspend(() =>
    state.stats(aggregator, eventsAggregator, breaker.state(clock.unsafeCurrentTimeMillis()))
  )
  const coordinator = FlushCoordinator.make({
    run: makeFlushCycle({
      ...options,
      enrichment: Enrichment.make(config, Duration.toSeconds(aggregator.rollUpInterval)),
      state,
      breaker,
      retention,
      warnings,
      recordSelf: makeRecordSelf(options, stats)
    }),
    late: emptyFlush
  })

  let nextEarlyFlush = -Infinity
  /** Flushes above a high-water mark, at most once per flush timeout: if it does not help, the limit itself has to. */
  const flushEarly = (now: number) => {
    if (now < nextEarlyFlush) return
    nextEarlyFlush = now + Duration.toMillis(config.flushTimeout)
    Runtime.runFork(runtime)(coordinator.run(FlushCoordinator.request(config, now)))
  }

  return {
    unsafeAdd(kind, name, value, time, now, context) {
      if (aggregator.unsafeAdd(kind, name, value, time, context)) flushEarly(now)
    },
    bind: (kind, name, context, now) => aggregator.bind(kind, name, context, { now, onHighWaterMark: flushEarly }),
    unsafeAddEvent(event, now) {
      eventsAggregator.unsafeAdd(event)
      if (eventsAggregator.isAboveHighWaterMark()) flushEarly(now)
    },
    flush: coordinator.run,
    idle: (now) =>
      coordinator.isIdle() && aggregator.isIdle() && eventsAggregator.isIdle() && !state.hasUnreportedDrops() &&
        !config.selfMetrics && retention === undefined && breaker.state(now) !== "open"
        ? emptyFlush
        : undefined,
    periodic: [
      // Goes on if the periodic fiber is interrupted: the last flush waits for it.
      Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeMillis()
        return coordinator.runDetached(FlushCoordinator.request(config, now, { upTo: now }))
      })
    ],
    load: Effect.suspend(() =>
      retention === undefined
        ? Effect.void
        : warnings.annotate(retention.load(clock.unsafeCurrentTimeMillis() + Duration.toMillis(config.flushTimeout)))
    ),
    stats,
    warm: Effect.catchAllCause(
      Effect.withTracerEnabled(reporter.warm, false),
      (cause) => warnings.annotate(Effect.logDebug("The reporter could not be warmed up", cause))
    )
  }
})
