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
   * Runs an operation until the deadline, and returns true if it succeeded by then. Never fails. At the deadline the operation is
   * interrupted, and left to itself.
   */
  readonly runUntil: (deadline: number, operation: Effect.Effect<void, RetainedStoreError>) => Effect.Effect<boolean>
  /** Returns the last failure since the previous call. */
  readonly takeFailure: () => StoreFailure | undefined
}

export const make = (clock: Clock.Clock): StoreOperations => {
  let failure: StoreFailure | undefined
  const fail = (message: string) => {
    failure = { message }
    return false
  }
  return {
    runUntil: Effect.fnUntraced(function*(deadline, operation) {
      // Begins first: a store that needs no time saves also when none is left, after a freeze for example.
      const fiber = yield* Effect.forkDaemon(Effect.exit(Effect.interruptible(operation)))
      const left = Math.max(0, deadline - monotonicMillis(clock))
      const exit = yield* within(Fiber.join(fiber), left, () => Effect.succeed(undefined))
      if (exit === undefined) {
        yield* Fiber.interruptFork(fiber)
        return fail("The retained store took too long")
      }
      if (Exit.isSuccess(exit)) return true
      const error = Cause.failureOption(exit.cause)
      return fail(Option.isSome(error) ? error.value.message : "The retained store died")
    }),
    takeFailure() {
      const last = failure
      failure = undefined
      return last
    }
  }
}
