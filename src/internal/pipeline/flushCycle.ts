import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { addReceipts, emptyReceipt } from "../model/Delivery.js"
import type { Enrichment } from "../model/Enrichment.js"
import type { Event } from "../model/Event.js"
import { isAdditive, metricKinds } from "../model/metricKinds.js"
import type { FlushCounts, FlushReceipt } from "../model/Stats.js"
import { monotonicMillis } from "../model/time.js"
import type * as CircuitBreaker from "./CircuitBreaker.js"
import { FlushBatch, type SettledBatch } from "./FlushBatch.js"
import { addFlushCounts, emptyFlush, failedFlush } from "./flushReceipt.js"
import type { FlushRequest } from "./FlushRequest.js"
import type { PipelineOptions } from "./PipelineOptions.js"
import type { PipelineState } from "./PipelineState.js"
import { reportBatches } from "./reportBatches.js"
import type { Retention } from "./RetentionManager.js"
import { settleEvents, settleSeries } from "./settle.js"
import { type DrainedPart, SplitDrain } from "./splitDrain.js"
import type { Warnings } from "./warnings.js"

/** Share of a flush's time limit that the retained store gets, before and after the report. */
const storeShare = 0.1

export interface FlushCycleOptions extends PipelineOptions {
  readonly clock: Clock.Clock
  readonly enrichment: Enrichment
  readonly state: PipelineState
  readonly breaker: CircuitBreaker.Breaker
  readonly retention: Retention | undefined
  readonly warnings: Warnings
  /** Records the client's own metrics, if the settings ask for them. */
  readonly recordSelf: (now: number) => Effect.Effect<void>
}

/** Iterates over series that were drained before. */
const iterate = (all: ReadonlyArray<AggregatedSeries>): () => ReadonlyArray<AggregatedSeries> | undefined => {
  let next = 0
  return () => next < all.length ? [all[next++]!] : undefined
}

/** True for a series that the reporter takes as a distribution. */
const isDistribution = ({ aggregator }: FlushCycleOptions, { kind }: AggregatedSeries): boolean =>
  isAdditive(kind, aggregator.settings.submitAs)

/** True for a series that must not be sent twice: delivery is at most once, and the receiver adds values up. */
const mustNotResend = (options: FlushCycleOptions, series: AggregatedSeries): boolean => {
  if (options.config.delivery === "at-least-once") return false
  if (isDistribution(options, series)) return true
  const { samples, temporality } = options.reporter
  const accumulation = metricKinds[series.kind]
  return temporality === "delta" && accumulation !== "last" && (samples === true || accumulation !== "unique")
}

/** Drains both aggregators at the same moment as the retained store takes its snapshot. */
const drain = (options: FlushCycleOptions, now: number, { deadline, upTo }: FlushRequest) => {
  const { aggregator, clock, eventsAggregator, reporter, retention, state } = options
  const { samples, temporality = "total" } = reporter
  const drainOptions = { temporality, samples: samples === true, now, upTo }
  const addInFlight = (drained: ReadonlyArray<AggregatedSeries>) => {
    for (const series of drained) state.addSeriesInFlight(series)
  }
  /** Drains the events after the series, and returns both. */
  const drainBoth = (
    drainSeries: Effect.Effect<() => ReadonlyArray<AggregatedSeries> | undefined>
  ): Effect.Effect<
    { readonly next: () => ReadonlyArray<AggregatedSeries> | undefined; readonly events: ReadonlyArray<Event> }
  > =>
    Effect.flatMap(drainSeries, (next) =>
      Effect.map(eventsAggregator.drain(now), (events) => {
        state.addEventsInFlight(events)
        return { next, events }
      }))
  if (retention === undefined) {
    return drainBoth(Effect.map(aggregator.drainEach(drainOptions), (next) => () => {
      const drained = next()
      if (drained !== undefined) addInFlight(drained)
      return drained
    }))
  }
  // The snapshot leaves out nothing of a full drain.
  const drainAll = Effect.map(aggregator.drain(drainOptions), (all) => {
    addInFlight(all)
    return iterate(all)
  })
  const startedAt = monotonicMillis(clock)
  return retention.beforeSending(drainBoth(drainAll), startedAt + (deadline - startedAt) * storeShare)
}

/** Makes the batch of series, or of distributions. */
const seriesBatch = (
  options: FlushCycleOptions,
  drained: SplitDrain,
  part: DrainedPart,
  endpoint: "series" | "distributions"
) => {
  const { aggregator, reporter, state } = options
  return new FlushBatch({
    report: () =>
      drained.report(
        part,
        endpoint,
        (batch) => endpoint === "series" ? reporter.reportSeries(batch) : reporter.reportDistributions(batch)
      ),
    received: () => ({ endpoint, items: part.pulled, isComplete: part.isComplete }),
    applyOutcome: (outcome) =>
      settleSeries({
        aggregator,
        state,
        outcome,
        mustNotResend: (series) => mustNotResend(options, series),
        pulled: part.pulled,
        waiting: part.waiting
      })
  })
}

const eventBatch = (
  { config, eventsAggregator, reporter, state }: FlushCycleOptions,
  events: ReadonlyArray<Event>
) => {
  let isStarted = false
  return new FlushBatch({
    report: () => {
      isStarted = true
      return reporter.reportEvents(events)
    },
    received: () => ({ endpoint: "events", items: events, isComplete: isStarted }),
    applyOutcome: (outcome) =>
      settleEvents({
        aggregator: eventsAggregator,
        state,
        events,
        outcome,
        mustNotResend: config.delivery === "at-most-once"
      })
  })
}

const addCounts = (settled: ReadonlyArray<SettledBatch>): FlushCounts =>
  settled.reduce((sum, { counts }) => addFlushCounts(sum, counts), emptyFlush.metrics)

/** Shortest failure that the circuit breaker counts, in milliseconds, if half of `flushTimeout` is not shorter. */
const shortestFailure = 500

/** Counts the flush, and records in the circuit breaker a delivery, or a failure that took half of the flush's time. */
const recordOutcome = (
  { breaker, clock, config, state, warnings }: FlushCycleOptions,
  settled: ReadonlyArray<SettledBatch>,
  { deadline, startedAt }: { readonly startedAt: number; readonly deadline: number },
  isInterrupted: boolean
) => {
  const receipt = settled.reduce((sum, one) => addReceipts(sum, one.receipt), emptyReceipt)
  const failed = settled.flatMap(({ counts, error }) => error === undefined ? [] : [[error, counts] as const])
  state.recordFlush(receipt, failed.at(-1)?.[0])
  if (receipt.payloads > 0) {
    warnings.keyAccepted()
    breaker.recordSuccess()
  } else if (failed.length > 0 && !isInterrupted) {
    const least = Math.min(shortestFailure, Duration.toMillis(config.flushTimeout) / 2)
    if (monotonicMillis(clock) - startedAt >= Math.max(least, (deadline - startedAt) / 2)) breaker.recordFailure()
  }
  return { receipt, failed }
}

/**
 * Makes the effect of one flush: drain both aggregators, report series, distributions and events at the same time, settle
 * each batch. Draining and settling cannot be interrupted; the reports can.
 */
export const makeFlushCycle = (options: FlushCycleOptions): (request: FlushRequest) => Effect.Effect<FlushReceipt> => {
  const { breaker, clock, enrichment, onFlushStart, recordSelf, retention, warnings } = options

  /** Saves or clears the retained store, and logs warnings. */
  const finish = (isComplete: boolean, deadline: number, failed: Parameters<Warnings["log"]>[0] = []) =>
    Effect.zipRight(
      retention === undefined ? Effect.void : retention.afterFlush(isComplete, deadline),
      warnings.log(failed)
    )

  return (request) =>
    Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
      const { deadline, isFinal } = request
      const now = clock.unsafeCurrentTimeMillis()
      const startedAt = monotonicMillis(clock)
      if (deadline <= startedAt) return failedFlush("NoTimeLeft")
      if (!isFinal && breaker.state() === "open") {
        yield* finish(false, deadline)
        return { ...emptyFlush, skipped: true }
      }
      yield* onFlushStart
      yield* recordSelf(now)

      const { events, next } = yield* drain(options, now, request)
      const drained = new SplitDrain({
        next,
        enrichment,
        isDistribution: (series) => isDistribution(options, series),
        isInTime: () => monotonicMillis(clock) < deadline
      })
      if (drained.isEmpty && events.length === 0) {
        yield* finish(true, deadline)
        return emptyFlush
      }

      const metricBatches = [
        ...drained.isEmptyPart(drained.series) ? [] : [seriesBatch(options, drained, drained.series, "series")],
        ...drained.isEmptyPart(drained.distributions)
          ? []
          : [seriesBatch(options, drained, drained.distributions, "distributions")]
      ]
      const eventBatches = events.length === 0 ? [] : [eventBatch(options, events)]
      const limit = (deadline - monotonicMillis(clock)) * (retention === undefined ? 1 : 1 - storeShare)
      const exit = yield* Effect.exit(restore(reportBatches([...metricBatches, ...eventBatches], limit)))

      const metrics: Array<SettledBatch> = []
      for (const batch of metricBatches) metrics.push(yield* batch.settle)
      const eventsOfFlush: Array<SettledBatch> = []
      for (const batch of eventBatches) eventsOfFlush.push(yield* batch.settle)
      const settled = [...metrics, ...eventsOfFlush]
      const { failed, receipt } = recordOutcome(options, settled, { startedAt, deadline }, Exit.isFailure(exit))
      yield* finish(settled.every(({ counts }) => counts.pending === 0), deadline, failed)
      yield* exit
      return {
        metrics: addCounts(metrics),
        events: addCounts(eventsOfFlush),
        payloads: receipt.payloads,
        bytes: receipt.bytes,
        retries: receipt.retries,
        errors: failed.map(([error]) => error),
        skipped: false
      }
    }))
}
