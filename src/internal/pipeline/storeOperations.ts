import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { RetainedStoreError } from "../../RetainedStore.js"
import { monotonicMillis } from "../model/time.js"
import { within } from "../runtime/timeLimit.js"

/** Last failure of a store, for the next log line. */
export interface StoreFailure {
  readonly message: string
}

/** Runs operations of a store within time limits, and remembers the last failure. */
export interface StoreOperations {
  /**
   * Runs an operation until the deadline, and returns true if it succeeded by then. Never fails. Later the operation is left to
   * itself, and those that wait for it are interrupted: of a store that hangs, at most one operation is running.
   */
  readonly runUntil: (deadline: number, operation: Effect.Effect<void, RetainedStoreError>) => Effect.Effect<boolean>
  /** Returns the last failure since the previous call. */
  readonly takeFailure: () => StoreFailure | undefined
}

export const make = (clock: Clock.Clock): StoreOperations => {
  let failure: StoreFailure | undefined
  return {
    runUntil: Effect.fnUntraced(function*(deadline, operation) {
      const fiber = yield* Effect.forkDaemon(Effect.interruptible(operation)).pipe(
        // Effect logs a fiber that failed, by loggers that may throw, before it notifies those that wait for the fiber.
        Effect.withUnhandledErrorLogLevel(Option.none())
      )
      const left = Math.max(0, deadline - monotonicMillis(clock))
      // Forked, because an interruption of the flush must not cut this short: the flush has drained series to settle.
      const waiting = yield* Effect.forkDaemon(
        within(Effect.interruptible(Fiber.await(fiber)), left, () => Effect.succeed(undefined))
      )
      const exit = yield* Fiber.join(waiting)
      if (exit === undefined) {
        failure = { message: "The retained store took too long" }
        yield* Fiber.interruptFork(fiber)
        return false
      }
      if (Exit.isSuccess(exit)) return true
      const error = Cause.failureOption(exit.cause)
      failure = { message: Option.isSome(error) ? error.value.message : "The retained store died" }
      return false
    }),
    takeFailure() {
      const last = failure
      failure = undefined
      return last
    }
  }
}
