import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, DefaultServices, Effect, TestClock } from "effect"
import * as clockTimer from "../../src/internal/runtime/clockTimer.js"
import { watchTimers } from "../support/timers.js"

/** A duration that no other code uses. */
const interval = 123_459

const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

describe("clockTimer.set", () => {
  it.effect("runs the task once when the clock has reached the time", () =>
    Effect.gen(function*() {
      let runs = 0
      clockTimer.set(yield* Effect.clock, 1000, () => runs++)
      yield* TestClock.adjust(999)
      assert.strictEqual(runs, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(runs, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(runs, 1)
    }))

  it.effect("does not run the task when it was canceled", () =>
    Effect.gen(function*() {
      let runs = 0
      const cancel = clockTimer.set(yield* Effect.clock, 1000, () => runs++)
      cancel()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(runs, 0)
    }))

  it.scoped("keeps the process alive on the machine's clock", () =>
    Effect.gen(function*() {
      const timers = yield* watchTimers((millis) => millis === interval)
      const cancel = clockTimer.set(liveClock, interval, () => {})
      assert.deepStrictEqual(timers.pending().map((timer) => timer.hasRef()), [true])
      cancel()
      assert.lengthOf(timers.pending(), 0)
    }))

  it.scoped("limits the time to the longest that a timer of the machine supports", () =>
    Effect.gen(function*() {
      const timers = yield* watchTimers((millis) => millis === 2 ** 31 - 1)
      const cancel = clockTimer.set(liveClock, Infinity, () => {})
      assert.strictEqual(timers.started(), 1)
      cancel()
    }))
})
