import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import { within } from "../runtime/timeLimit.js"

/** What one caller wants of a turn. */
export interface FlushRequest {
  /** In milliseconds since the epoch; without one, everything. */
  readonly upTo: number | undefined
  /** When its caller wants to be back, in milliseconds since the epoch. */
  readonly deadline: number
  readonly isFinal: boolean
}

interface ActiveFlush<A> {
  wish: FlushRequest
  callers: number
  fiber: Fiber.RuntimeFiber<unknown> | undefined
  readonly end: Deferred.Deferred<A>
}

/**
 * One turn at a time. Whoever comes while one is under way waits for the next; all who want everything share that turn, so
 * that each waits for two at most, however many they are, and it also does for those who want less. (Those are not many
 * when they come, or there is nothing to do for them: what they want becomes more once in a roll-up interval.)
 */
export interface FlushCoordinator<A> {
  /** Ends when the turn does, or at the wish's own deadline. An interrupted caller ends its turn, if nobody shares it. */
  readonly run: (wish: FlushRequest) => Effect.Effect<A>
  /** As {@link run}, but its turn goes on when the caller is interrupted. */
  readonly runDetached: (wish: FlushRequest) => Effect.Effect<A>
  /** Whether no turn is under way. */
  readonly isIdle: () => boolean
}

/** Everything, as `a` wants it, in time for both. */
const both = (a: FlushRequest, b: FlushRequest): FlushRequest => ({
  upTo: a.upTo,
  deadline: Math.max(a.deadline, b.deadline),
  isFinal: a.isFinal || b.isFinal
})

const withoutMetrics = /*#__PURE__*/ RuntimeFlagsPatch.disable(RuntimeFlags.RuntimeMetrics)

export const make = <A>(options: {
  readonly run: (wish: FlushRequest) => Effect.Effect<A>
  /** What a caller gets whose time is over before the turn is. */
  readonly late: A
  /** What comes of a turn that died. */
  readonly failed: (cause: Cause.Cause<never>) => Effect.Effect<A>
}): FlushCoordinator<A> => {
  const semaphore = Effect.unsafeMakeSemaphore(1)
  /** The turn for everything that waits, if there is one. */
  let shared: ActiveFlush<A> | undefined
  /** When the turn under way is over at the latest; undefined when there is none. */
  let until: number | undefined

  /**
   * On a fiber of its own: a turn must be able to end in time also where its caller cannot be interrupted (in a finalizer),
   * and to run where its caller was interrupted already.
   */
  const begin = (turn: ActiveFlush<A>) =>
    semaphore.withPermits(1)(Effect.suspend(() => {
      if (shared === turn) shared = undefined
      until = turn.wish.deadline
      return Effect.ensuring(
        options.run(turn.wish),
        Effect.sync(() => {
          until = undefined
        })
      )
    })).pipe(
      Effect.onExit((exit) =>
        Effect.flatMap(
          Exit.match(exit, {
            onSuccess: Effect.succeed,
            onFailure: (cause) => Cause.isInterruptedOnly(cause) ? Effect.succeed(options.late) : options.failed(cause)
          }),
          (outcome) => Deferred.succeed(turn.end, outcome)
        )
      ),
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.map((fiber) => {
        turn.fiber = fiber
        return turn
      }),
      // Who counts the program's fibers has no use for these, nor is there a flush that would make a next one necessary.
      Effect.withRuntimeFlagsPatch(withoutMetrics)
    )

  const join = (wish: FlushRequest): Effect.Effect<ActiveFlush<A>> =>
    Effect.suspend(() => {
      if (shared !== undefined) {
        shared.wish = both(shared.wish, wish)
        shared.callers++
        return Effect.succeed(shared)
      }
      const turn: ActiveFlush<A> = { wish, callers: 1, fiber: undefined, end: Deferred.unsafeMake(FiberId.none) }
      // one that begins at once is not shared: who came in between might have more time
      if (wish.upTo === undefined && until !== undefined) shared = turn
      return begin(turn)
    })

  /** A turn ends by the latest of its deadlines; a caller with an earlier one does not wait for that. */
  const endOf = (turn: ActiveFlush<A>, { deadline }: FlushRequest): Effect.Effect<A> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      within(
        Effect.interruptible(Deferred.await(turn.end)),
        Math.max(0, deadline - now),
        () =>
          turn.wish.deadline > deadline || (until ?? 0) > deadline
            ? Effect.succeed(options.late)
            : Effect.interruptible(Deferred.await(turn.end))
      ))

  const leave = (turn: ActiveFlush<A>) =>
    Effect.suspend(() => {
      turn.callers--
      if (turn.callers > 0 || turn.fiber === undefined) return Effect.void
      if (shared === turn) shared = undefined
      return Fiber.interrupt(turn.fiber)
    })

  const taking = (wish: FlushRequest, onInterrupt: (turn: ActiveFlush<A>) => Effect.Effect<unknown>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const isAlone = shared === undefined && until === undefined
        return Effect.flatMap(join(wish), (turn) =>
          restore(isAlone ? Deferred.await(turn.end) : endOf(turn, wish)).pipe(
            Effect.onInterrupt(() => onInterrupt(turn))
          ))
      })
    )

  return {
    run: (wish) => taking(wish, leave),
    runDetached: (wish) => taking(wish, () => Effect.void),
    isIdle: () => shared === undefined && until === undefined
  }
}
