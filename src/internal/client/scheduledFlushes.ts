import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ThreadStatsSettings } from "../model/settings.js"
import * as FlushRequest from "../pipeline/FlushRequest.js"
import type { Pipeline } from "../pipeline/Pipeline.js"
import { withoutFiberMetrics } from "../runtime/fiberMetrics.js"
import * as unrefClock from "../runtime/unrefClock.js"
import { flushBeforeExit } from "./beforeExit.js"

/**
 * Ties flushes to the client's scope: of closed buckets at every interval, and of everything when the scope closes or the process
 * has no work left.
 */
export const scheduleFlushes = ({ clock, config, flushesBeforeExit, pipeline }: {
  readonly config: ThreadStatsSettings
  readonly clock: Clock.Clock
  readonly pipeline: Pick<Pipeline, "flush" | "logRemaining" | "periodic">
  readonly flushesBeforeExit: boolean
}): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    /** No later flush could deliver the rest, so this one tries in any case. */
    const lastFlush = Effect.suspend(() => pipeline.flush(FlushRequest.make(config, clock, { isFinal: true })))
    // Finalizers run in reverse order: the scope interrupts the periodic fibers first.
    yield* Effect.addFinalizer(() => lastFlush)
    if (config.periodicFlush && Duration.isFinite(config.flushInterval)) {
      const interval = Schedule.spaced(config.flushInterval)
      yield* Effect.forEach(
        pipeline.periodic,
        (flush) =>
          // The sleeps between flushes do not keep the process alive. A flush under way does, until its end.
          unrefClock.schedule(flush, interval).pipe(
            Effect.withClock(clock),
            Effect.interruptible,
            Effect.forkScoped,
            withoutFiberMetrics
          ),
        { discard: true }
      )
    }
    if (flushesBeforeExit && unrefClock.isLive(clock)) {
      yield* flushBeforeExit(Effect.zipRight(lastFlush, pipeline.logRemaining))
    }
  })
