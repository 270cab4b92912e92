import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as EventsAggregator from "../aggregation/EventsAggregator.js"
import * as MetricsAggregator from "../aggregation/MetricsAggregator.js"
import type { SeriesOptions } from "../model/AggregatedSeries.js"
import * as DropCounters from "../model/DropCounters.js"
import type { Reporter } from "../model/Reporter.js"
import type { Counts, FlushReceipt, Stats } from "../model/Stats.js"
import { FlushCoordinator } from "./FlushCoordinator.js"
import { addFlushReceipts, emptyFlush, failedFlush } from "./flushReceipt.js"
import * as Pipeline from "./Pipeline.js"
import type { PipelineServices } from "./PipelineOptions.js"

const addCounts = <Reason extends string>(a: Counts<Reason>, b: Counts<Reason>): Counts<Reason> => ({
  received: a.received + b.received,
  delivered: a.delivered + b.delivered,
  pending: a.pending + b.pending,
  dropped: DropCounters.addTotals(a.dropped, b.dropped)
})

const severity = ["closed", "half-open", "open"] as const

const addStats = (a: Stats, b: Stats): Stats => ({
  metrics: addCounts(a.metrics, b.metrics),
  events: addCounts(a.events, b.events),
  truncated: DropCounters.addTotals(a.truncated, b.truncated),
  series: a.series + b.series,
  flushes: a.flushes + b.flushes,
  payloads: a.payloads + b.payloads,
  bytes: a.bytes + b.bytes,
  retries: a.retries + b.retries,
  breaker: severity.indexOf(a.breaker) >= severity.indexOf(b.breaker) ? a.breaker : b.breaker,
  lastError: a.lastError ?? b.lastError
})

/** Copies tags and host: a getter may have effects, or return another value the next time. */
const readOnce = (series: SeriesOptions | undefined): SeriesOptions | undefined => {
  if (series === undefined) return undefined
  try {
    return { tags: series.tags, host: series.host }
  } catch {
    // Each pipeline drops and counts the point.
    return series
  }
}

/**
 * Makes one pipeline of several, each with aggregators, flushes and counters of its own: one reporter may have to keep the
 * points that another has delivered. A flush of all ends when the last one ends. On the interval each flushes by itself.
 */
const merge = (pipelines: ReadonlyArray<Pipeline.Pipeline>, onFlushStart: Effect.Effect<void>): Pipeline.Pipeline => {
  /** Makes the receipt of a flush for which each pipeline has the same one. */
  const forEach = (receipt: FlushReceipt): FlushReceipt => ({ ...receipt, pipelines: pipelines.map(() => receipt) })
  const coordinator = new FlushCoordinator<FlushReceipt>({
    answerFault: (fault) => forEach(failedFlush(fault)),
    run: (request) =>
      Effect.zipRight(
        onFlushStart,
        Effect.map(
          Effect.forEach(pipelines, (pipeline) => pipeline.flush(request), { concurrency: "unbounded" }),
          (receipts): FlushReceipt => ({ ...receipts.reduce(addFlushReceipts), pipelines: receipts })
        )
      )
  })
  return {
    unsafeAdd(kind, name, value, time, now, series) {
      const copy = readOnce(series)
      for (const pipeline of pipelines) pipeline.unsafeAdd(kind, name, value, time, now, copy)
    },
    bind(kind, name, series, readNow) {
      const copy = readOnce(series)
      let now = 0
      // All pipelines record the point at the same time.
      const addToEach = pipelines.map((pipeline) => pipeline.bind(kind, name, copy, () => now))
      return (value) => {
        now = readNow()
        for (const add of addToEach) add(value)
      }
    },
    unsafeAddEvent(event, now) {
      for (const pipeline of pipelines) pipeline.unsafeAddEvent(event, now)
    },
    flush: (request) => coordinator.run(request),
    idle: () =>
      coordinator.isIdle && pipelines.every((pipeline) => pipeline.idle() !== undefined)
        ? forEach(emptyFlush)
        : undefined,
    periodic: [onFlushStart, ...pipelines.flatMap(({ periodic }) => periodic)],
    load: Effect.forEach(pipelines, ({ load }) => load, { concurrency: "unbounded", discard: true }),
    stats: Effect.map(
      Effect.forEach(pipelines, ({ stats }) => stats),
      (all): Stats => ({ ...all.reduce(addStats), pipelines: all })
    ),
    warm: Effect.forEach(pipelines, ({ warm }) => warm, { concurrency: "unbounded", discard: true }),
    logRemaining: Effect.forEach(pipelines, ({ logRemaining }) => logRemaining, { discard: true })
  }
}

/** Makes a pipeline to each of several reporters. The first one uses the given aggregators and store. */
const makeAll = (
  { onFlushStart, ...services }: PipelineServices,
  reporters: ReadonlyArray<Reporter["Type"]>
): Effect.Effect<Pipeline.Pipeline, never, Scope.Scope> =>
  Effect.map(
    Effect.forEach(reporters, (reporter, index) => {
      const own = { ...services, reporter, onFlushStart: Effect.void, index }
      if (index === 0) return Pipeline.make(own)
      return Effect.flatMap(
        Effect.zip(
          MetricsAggregator.make(services.aggregator.settings),
          EventsAggregator.make(services.eventsAggregator.settings)
        ),
        ([aggregator, eventsAggregator]) =>
          Pipeline.make({
            ...own,
            aggregator,
            eventsAggregator,
            store: Option.map(services.store, (store) => store.pipeline(index))
          })
      )
    }),
    (pipelines) => merge(pipelines, onFlushStart)
  )

/** Makes the pipeline to a reporter, or to each reporter of a combined one. */
export const make = (
  services: PipelineServices,
  reporter: Reporter["Type"]
): Effect.Effect<Pipeline.Pipeline, never, Scope.Scope> =>
  reporter.reporters === undefined
    ? Pipeline.make({ ...services, reporter })
    : makeAll(services, reporter.reporters)
