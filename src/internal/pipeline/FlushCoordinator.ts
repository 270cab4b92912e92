import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { ThreadStatsSettings } from "../model/settings.js"
import { withoutFiberMetrics } from "../runtime/fiberMetrics.js"
import { logFrom } from "../runtime/log.js"
import { within } from "../runtime/timeLimit.js"

/** What a caller asks for. */
export interface FlushRequest {
  /** Flushes buckets that ended by this time, in milliseconds since the epoch. Undefined for everything. */
  readonly upTo: number | undefined
  /** Time by which the caller wants its answer, in milliseconds since the epoch. */
  readonly deadline: number
  /** True for the last flush of the client. An open circuit breaker does not skip it. */
  readonly isFinal: boolean
}

/** Returns a request for everything, or for closed buckets, within the settings' time limit for a flush. */
export const request = (
  { flushTimeout }: Pick<ThreadStatsSettings, "flushTimeout">,
  now: number,
  options: {
    readonly upTo?: number | undefined
    readonly isFinal?: boolean | undefined
    readonly timeout?: Duration.Duration | undefined
  } = {}
): FlushRequest => ({
  upTo: options.upTo,
  deadline: now + Math.min(Duration.toMillis(options.timeout ?? flushTimeout), Duration.toMillis(flushTimeout)),
  isFinal: options.isFinal ?? false
})

/**
 * Runs one flush at a time. Full flushes requested meanwhile share the next one, so that a caller waits for two at most.
 *
 * Requests for closed buckets that arrive meanwhile attach to a shared full flush if there is one. Without one, each gets a
 * flush of its own: they are rare, because a bucket closes once in a roll-up interval.
 */
export interface FlushCoordinator<A> {
  /**
   * Returns when the flush ends, or at the deadline of the request. If the caller is interrupted, its flush is
   * interrupted too, unless other callers share it.
   */
  readonly run: (request: FlushRequest) => Effect.Effect<A>
  /** Does the same, but the flush goes on if the caller is interrupted. */
  readonly runDetached: (request: FlushRequest) => Effect.Effect<A>
  /** Returns true if no flush is running or waiting. */
  readonly isIdle: () => boolean
}

/** A flush that is running, or waits for the one that is. */
interface ActiveFlush<A> {
  request: FlushRequest
  callers: number
  fiber: Fiber.RuntimeFiber<unknown> | undefined
  readonly end: Deferred.Deferred<A>
}

/** Merges a request into one that waits: for what the waiting one asks for, within the later deadline. */
const mergeRequests = (self: FlushRequest, that: FlushRequest): FlushRequest => ({
  upTo: self.upTo,
  deadline: Math.max(self.deadline, that.deadline),
  isFinal: self.isFinal || that.isFinal
})

export const make = <A>(options: {
  readonly run: (request: FlushRequest) => Effect.Effect<A>
  /** Answer to a caller whose deadline passes before the flush ends, and to callers of a flush that died. */
  readonly late: A
}): FlushCoordinator<A> => {
  const { late } = options
  const semaphore = Effect.unsafeMakeSemaphore(1)
  /** Full flush that waits for the running one. */
  let shared: ActiveFlush<A> | undefined
  /** Deadline of the running flush; undefined if none is running. */
  let runningUntil: number | undefined

  /** Completes the flush for its callers, whatever its exit. */
  const complete = (flush: ActiveFlush<A>, exit: Exit.Exit<A>) => {
    const answer = Exit.isSuccess(exit) ? exit.value : late
    const isDefect = Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)
    const log = isDefect ? logFrom("ThreadStats")(Effect.logError("A flush died", exit.cause)) : Effect.void
    return Effect.ensuring(log, Deferred.succeed(flush.end, answer))
  }

  /**
   * Forks a flush. It has a fiber of its own, because it must end in time if its caller cannot be interrupted (in a
   * finalizer), and run if its caller was interrupted before.
   */
  const start = (flush: ActiveFlush<A>) =>
    Effect.suspend(() => {
      if (shared === flush) shared = undefined
      runningUntil = flush.request.deadline
      return Effect.ensuring(
        options.run(flush.request),
        Effect.sync(() => {
          runningUntil = undefined
        })
      )
    }).pipe(
      semaphore.withPermits(1),
      Effect.onExit((exit) => complete(flush, exit)),
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.map((fiber) => {
        flush.fiber = fiber
        return flush
      }),
      withoutFiberMetrics
    )

  const attach = (request: FlushRequest): Effect.Effect<ActiveFlush<A>> =>
    Effect.suspend(() => {
      if (shared !== undefined) {
        shared.request = mergeRequests(shared.request, request)
        shared.callers++
        return Effect.succeed(shared)
      }
      const flush: ActiveFlush<A> = { request, callers: 1, fiber: undefined, end: Deferred.unsafeMake(FiberId.none) }
      // A flush that starts at once is not shared: a later caller may have a later deadline.
      if (request.upTo === undefined && runningUntil !== undefined) shared = flush
      return start(flush)
    })

  const detach = (flush: ActiveFlush<A>) =>
    Effect.suspend(() => {
      flush.callers--
      if (flush.callers > 0 || flush.fiber === undefined) return Effect.void
      if (shared === flush) shared = undefined
      return Fiber.interrupt(flush.fiber)
    })

  /** Waits for the flush, or until the caller's own deadline if the flush has a later one. */
  const awaitEnd = (flush: ActiveFlush<A>, { deadline }: FlushRequest): Effect.Effect<A> => {
    const end = Effect.interruptible(Deferred.await(flush.end))
    return Effect.flatMap(Clock.currentTimeMillis, (now) =>
      within(end, Math.max(0, deadline - now), () => {
        const isLate = flush.request.deadline > deadline || (runningUntil ?? 0) > deadline
        return isLate ? Effect.succeed(late) : end
      }))
  }

  const runWith = (request: FlushRequest, onInterrupt: (flush: ActiveFlush<A>) => Effect.Effect<unknown>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const isAlone = shared === undefined && runningUntil === undefined
        return Effect.flatMap(attach(request), (flush) =>
          restore(isAlone ? Deferred.await(flush.end) : awaitEnd(flush, request)).pipe(
            Effect.onInterrupt(() =>
              onInterrupt(flush)
            )
          ))
      })
    )

  return {
    run: (request) => runWith(request, detach),
    runDetached: (request) => runWith(request, () => Effect.void),
    isIdle: () => shared === undefined && runningUntil === undefined
  }
}
