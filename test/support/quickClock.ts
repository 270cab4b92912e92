import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { nextTurn } from "./wait.js"

/**
 * Makes the clock wait for one turn of the event loop before each step. `TestClock` polls for suspended fibers with real timers
 * instead, at least a millisecond apart. One turn is enough if nothing but microtasks and immediates is pending.
 */
export const quicken = (clock: TestClock.TestClock): TestClock.TestClock =>
  Object.assign(clock, { awaitSuspended: () => nextTurn })

/** Quickens the clock of the test that is running, and returns it. */
export const quickClock: Effect.Effect<TestClock.TestClock> = Effect.map(TestClock.testClock(), quicken)
