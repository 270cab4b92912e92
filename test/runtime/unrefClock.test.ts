import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, DefaultServices, Effect, Fiber } from "effect"
import * as unrefClock from "../../src/internal/runtime/unrefClock.js"
import { watchTimers } from "../support/timers.js"

const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** A duration that no other code uses. */
const duration = 123_461

describe("unrefClock.make", () => {
  it.scoped("sleeps without keeping the process alive on the machine's clock", () =>
    Effect.gen(function*() {
      const timers = yield* watchTimers((millis) => millis === duration)
      const fiber = yield* Effect.fork(Effect.withClock(Effect.sleep(duration), unrefClock.make(liveClock)))
      yield* Effect.yieldNow()
      assert.deepStrictEqual(timers.pending().map((timer) => timer.hasRef()), [false])
      yield* Fiber.interrupt(fiber)
      assert.lengthOf(timers.pending(), 0)
    }))

  it.effect("returns a test's clock unchanged", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      assert.strictEqual(unrefClock.make(clock), clock)
    }))
})
