import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Enrichment from "../model/Enrichment.js"
import type { FlushReceipt, Stats } from "../model/Stats.js"
import { monotonicMillis } from "../model/time.js"
import { attach } from "./attachment.js"
import * as CircuitBreaker from "./CircuitBreaker.js"
import { FlushCoordinator } from "./FlushCoordinator.js"
import { makeFlushCycle } from "./flushCycle.js"
import { emptyFlush, failedFlush } from "./flushReceipt.js"
import * as FlushRequest from "./FlushRequest.js"
import type { PipelineOptions } from "./PipelineOptions.js"
import { noStats, PipelineState } from "./PipelineState.js"
import { makeFlushEarly, makeRecording, type Recording } from "./recording.js"
import * as RetentionManager from "./RetentionManager.js"
import * as selfMetrics from "./selfMetrics.js"
import * as Warnings from "./warnings.js"

/** The path from recording to one reporter, or to several. None of its effects fails. */
export interface Pipeline extends Recording {
  readonly flush: (request: FlushRequest.FlushRequest) => Effect.Effect<FlushReceipt>
  /** Returns an empty receipt if nothing is pending and no flush is running, else undefined. */
  readonly idle: () => FlushReceipt | undefined
  /** Flushes of closed buckets, each to be repeated on an interval of its own. */
  readonly periodic: ReadonlyArray<Effect.Effect<unknown>>
  /** Loads the data that an earlier process left in the retained store. */
  readonly load: Effect.Effect<void>
  readonly stats: Effect.Effect<Stats>
  readonly warm: Effect.Effect<void>
  /** Logs how many points and events no flush will deliver any more. */
  readonly logRemaining: Effect.Effect<void>
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

/** Makes the retention of the store, if the client has one. */
const makeRetention = (
  { aggregator, clock, config, eventsAggregator, reporter, store }: PipelineOptions,
  state: PipelineState
): RetentionManager.Retention | undefined =>
  Option.isNone(store) ? undefined : RetentionManager.make({
    store: store.value,
    aggregator,
    eventsAggregator,
    clock,
    config,
    temporality: reporter.temporality ?? "total",
    recordCorrupt: (points, events) => state.recordCorrupt(points, events)
  })

/** Makes the pipeline from two aggregators to one reporter. */
export const make = Effect.fnUntraced(function*(
  options: PipelineOptions
): Effect.fn.Return<Pipeline, never, Scope.Scope> {
  const { aggregator, clock, config, eventsAggregator, preAggregation, reporter } = options
  const runtime = yield* Effect.runtime()
  const state = new PipelineState(preAggregation)
  const breaker = CircuitBreaker.make(clock)
  const retention = makeRetention(options, state)
  const warnings = Warnings.make({
    ...options,
    index: options.index,
    state,
    takeStoreFailure: () => retention?.takeFailure()
  })
  const stats = Effect.suspend(() => state.stats(aggregator, eventsAggregator, breaker.state()))
  const coordinator = new FlushCoordinator<FlushReceipt>({
    run: makeFlushCycle({
      ...options,
      enrichment: Enrichment.make(config, Duration.toSeconds(aggregator.settings.rollUpInterval)),
      state,
      breaker,
      retention,
      warnings,
      recordSelf: makeRecordSelf(options, stats)
    }),
    answerFault: failedFlush
  })
  const { isClosed, logRemaining, warnOfClosed } = yield* attach(options, { stats, retention, warnings })
  const flushEarly = makeFlushEarly(config.flushTimeout, () => {
    Runtime.runFork(runtime)(coordinator.run(FlushRequest.make(config, clock)))
  })

  return {
    ...makeRecording(options, (now) => isClosed() ? warnOfClosed() : flushEarly(now)),
    flush: (request) => coordinator.run(request),
    idle: () =>
      coordinator.isIdle && aggregator.isIdle() && eventsAggregator.isIdle() && !state.hasUnreportedDrops() &&
        !config.selfMetrics && retention === undefined && breaker.state() !== "open"
        ? emptyFlush
        : undefined,
    periodic: [
      // Goes on if the periodic fiber is interrupted: the last flush waits for it.
      Effect.suspend(() =>
        coordinator.runDetached(FlushRequest.make(config, clock, { upTo: clock.unsafeCurrentTimeMillis() }))
      )
    ],
    load: Effect.suspend(() =>
      retention === undefined
        ? Effect.void
        : warnings.annotate(retention.load(monotonicMillis(clock) + Duration.toMillis(config.flushTimeout)))
    ),
    stats,
    warm: Effect.catchAllCause(
      Effect.withTracerEnabled(reporter.warm ?? Effect.void, false),
      (cause) => warnings.annotate(Effect.logDebug("The reporter could not be warmed up", cause))
    ),
    logRemaining
  }
})
