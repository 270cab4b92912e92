import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { Stats } from "../model/Stats.js"
import type { PipelineServices } from "./PipelineOptions.js"
import type { Retention } from "./RetentionManager.js"
import type { Warnings } from "./warnings.js"

/** The tie of a pipeline to its aggregators, which ends with the scope. */
export interface Attachment {
  /** Returns true if the scope has closed. The aggregators drop everything then. */
  readonly isClosed: () => boolean
  /** Logs once that something was recorded after the end. */
  readonly warnOfClosed: () => void
  /** Logs how much of the pending data no flush delivers any more, and how much of it the retained store keeps. */
  readonly logRemaining: Effect.Effect<void>
}

const makeLogRemaining = (
  { retention, stats, warnings }: Parameters<typeof attach>[1]
): Effect.Effect<void> =>
  Effect.flatMap(stats, ({ events, metrics }) => {
    const saved = retention?.saved() ?? { points: 0, events: 0 }
    const kept = { points: Math.min(saved.points, metrics.pending), events: Math.min(saved.events, events.pending) }
    const lost = { points: metrics.pending - kept.points, events: events.pending - kept.events }
    return warnings.logRemaining({ kept, lost })
  })

/** Attaches a pipeline to its aggregators until the scope closes. Logs a warning if another client is attached. */
export const attach = (
  { aggregator, eventsAggregator }: Pick<PipelineServices, "aggregator" | "eventsAggregator">,
  options: {
    readonly stats: Effect.Effect<Stats>
    readonly retention: Retention | undefined
    readonly warnings: Warnings
  }
): Effect.Effect<Attachment, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { warnings } = options
    const runtime = yield* Effect.runtime()
    const logRemaining = makeLogRemaining(options)
    let isClosed = false
    let hasWarned = false
    // Finalizers run in reverse order: the aggregators close first, so that this one counts everything.
    yield* Effect.addFinalizer(() => {
      isClosed = true
      return logRemaining
    })
    const hasMetrics = yield* aggregator.attach
    const hasEvents = yield* eventsAggregator.attach
    if (!hasMetrics || !hasEvents) {
      yield* warnings.annotate(Effect.logWarning(
        "Two clients share an aggregator: each delivers a part of what is recorded, and their counters are wrong. Provide " +
          "separate aggregators to each client, for example with Layer.fresh"
      ))
    }
    return {
      isClosed: () => isClosed,
      warnOfClosed() {
        if (hasWarned) return
        hasWarned = true
        Runtime.runFork(runtime)(warnings.annotate(Effect.logWarning(
          "Dropped as Closed: a point or event was recorded after the scope of the client had closed. Keep the scope open " +
            "while the program records"
        )))
      },
      logRemaining
    }
  })
