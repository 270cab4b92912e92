import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { monotonicMillis } from "../model/time.js"
import * as detachedFiber from "../runtime/detachedFiber.js"
import { logFrom } from "../runtime/log.js"
import { within } from "../runtime/timeLimit.js"
import type { FlushFault } from "./flushReceipt.js"
import * as FlushRequest from "./FlushRequest.js"

/** A flush that was requested and has not ended. */
interface ActiveFlush<A> {
  request: FlushRequest.FlushRequest
  callers: number
  fiber: Fiber.RuntimeFiber<unknown> | undefined
  readonly end: Deferred.Deferred<A>
}

/** Flushes that the current fiber is a part of: those of its coordinator, and of a combined one around it. */
class EnclosingFlushes extends /*#__PURE__*/ Context.Reference<EnclosingFlushes>()(
  "effect-threadstats/FlushCoordinator/EnclosingFlushes",
  { defaultValue: (): ReadonlyArray<unknown> => [] }
) {}

/**
 * Runs one flush at a time. Full flushes requested before its end share the next one, so that a caller waits for two at most.
 *
 * Requests for closed buckets that arrive meanwhile attach to a shared full flush if there is one. Without one, each gets a
 * flush of its own: they are rare, because a bucket closes once in a roll-up interval.
 */
export class FlushCoordinator<A> {
  private readonly semaphore = Effect.unsafeMakeSemaphore(1)
  /** In the order of their requests, which is the order of the semaphore. */
  private readonly active = new Set<ActiveFlush<A>>()
  private running: ActiveFlush<A> | undefined
  /** Full flush that waits for an earlier one. */
  private shared: ActiveFlush<A> | undefined
  private readonly options: {
    readonly run: (request: FlushRequest.FlushRequest) => Effect.Effect<A>
    /** Returns the answer to a caller whose flush did not run to its end. */
    readonly answerFault: (fault: FlushFault) => A
  }

  constructor(options: FlushCoordinator<A>["options"]) {
    this.options = options
  }

  /** True if no flush is running or waiting. */
  get isIdle(): boolean {
    return this.active.size === 0
  }

  /**
   * Returns when the flush ends, or at the deadline of the request. If the caller is interrupted, its flush is
   * interrupted too, unless other callers share it.
   */
  run(request: FlushRequest.FlushRequest): Effect.Effect<A> {
    return this.runWith(request, (flush) => this.detach(flush))
  }

  /** Does the same as {@link run}, but the flush goes on if the caller is interrupted. */
  runDetached(request: FlushRequest.FlushRequest): Effect.Effect<A> {
    return this.runWith(request, () => Effect.void)
  }

  private runWith(
    request: FlushRequest.FlushRequest,
    onInterrupt: (flush: ActiveFlush<A>) => Effect.Effect<unknown>
  ): Effect.Effect<A> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(EnclosingFlushes, (enclosing) => {
        if (this.running !== undefined && enclosing.includes(this.running)) {
          return Effect.sync(() => this.options.answerFault("Nested"))
        }
        const isAlone = this.isIdle
        return Effect.flatMap(this.attach(request, enclosing), (flush) =>
          restore(isAlone ? Deferred.await(flush.end) : this.awaitEnd(flush, request)).pipe(
            Effect.onInterrupt(() =>
              onInterrupt(flush)
            )
          ))
      })
    )
  }

  /** Lets a request share a flush, or starts one. The request counts at once: another may follow before its fiber runs. */
  private attach(
    request: FlushRequest.FlushRequest,
    enclosing: ReadonlyArray<unknown>
  ): Effect.Effect<ActiveFlush<A>> {
    if (this.shared !== undefined) {
      this.shared.request = FlushRequest.merge(this.shared.request, request)
      this.shared.callers++
      return Effect.succeed(this.shared)
    }
    const flush: ActiveFlush<A> = { request, callers: 1, fiber: undefined, end: Deferred.unsafeMake(FiberId.none) }
    // A flush that starts at once is not shared: a later caller may have a later deadline.
    if (request.upTo === undefined && !this.isIdle) this.shared = flush
    this.active.add(flush)
    return this.start(flush, enclosing)
  }

  private detach(flush: ActiveFlush<A>): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      flush.callers--
      if (flush.callers > 0 || flush.fiber === undefined) return Effect.void
      if (this.shared === flush) this.shared = undefined
      // A fiber that is interrupted before it runs completes nothing.
      return Effect.zipRight(Fiber.interrupt(flush.fiber), Effect.sync(() => this.active.delete(flush)))
    })
  }

  /**
   * Forks a flush. It has a fiber of its own, because it must end in time if its caller cannot be interrupted (in a
   * finalizer), and run if its caller was interrupted before.
   */
  private start(flush: ActiveFlush<A>, enclosing: ReadonlyArray<unknown>): Effect.Effect<ActiveFlush<A>> {
    const run = Effect.suspend(() => {
      if (this.shared === flush) this.shared = undefined
      this.running = flush
      return this.options.run(flush.request)
    }).pipe(
      this.semaphore.withPermits(1),
      Effect.onExit((exit) => this.complete(flush, exit)),
      Effect.interruptible
    )
    return Effect.map(
      detachedFiber.fork(run, Context.make(EnclosingFlushes, [...enclosing, flush])),
      (fiber) => {
        flush.fiber = fiber
        return flush
      }
    )
  }

  /** Completes the flush for its callers, whatever its exit. */
  private complete(flush: ActiveFlush<A>, exit: Exit.Exit<A>): Effect.Effect<unknown> {
    if (this.running === flush) this.running = undefined
    this.active.delete(flush)
    if (Exit.isSuccess(exit)) return Deferred.succeed(flush.end, exit.value)
    const log = Cause.isInterruptedOnly(exit.cause)
      ? Effect.void
      : logFrom("ThreadStats")(Effect.logError("A flush died", exit.cause))
    return Effect.zipRight(
      Effect.suspend(() => Deferred.succeed(flush.end, this.options.answerFault("Died"))),
      log
    )
  }

  /** Waits for the flush, or until the caller's own deadline if the flush has a later one. */
  private awaitEnd(flush: ActiveFlush<A>, { deadline }: FlushRequest.FlushRequest): Effect.Effect<A> {
    const end = Effect.interruptible(Deferred.await(flush.end))
    return Effect.flatMap(
      Effect.clock,
      (clock) =>
        within(end, Math.max(0, deadline - monotonicMillis(clock)), () =>
          this.mayOutlast(flush, deadline)
            ? Effect.sync(() => this.options.answerFault("NoTimeLeft"))
            : end)
    )
  }

  /** Returns whether the flush, or one before it, may go on after the deadline. */
  private mayOutlast(flush: ActiveFlush<A>, deadline: number): boolean {
    for (const each of this.active) {
      if (each.request.deadline > deadline) return true
      if (each === flush) return false
    }
    return false
  }
}
