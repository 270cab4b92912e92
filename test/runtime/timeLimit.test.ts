import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { createHook } from "node:async_hooks"
import * as scripted from "../support/scripted.js"

interface Timer {
  readonly hasRef: () => boolean
  readonly _idleTimeout: number
  readonly _destroyed: boolean
}

/** The timers of half a minute and more that are started until the scope is closed. */
const longTimers = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const all: Array<Timer> = []
      const hook = createHook({
        init: (_, type, __, resource) => {
          if (type === "Timeout") all.push(resource as Timer)
        }
      })
      return { all, hook: hook.enable() }
    }),
    ({ hook }) => Effect.sync(() => hook.disable())
  ),
  ({ all }) => () => all.filter(({ _idleTimeout }) => _idleTimeout > 30_000)
)

const later = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the time that a delivery has", () => {
  it.scopedLive("is one timer, which holds the process, and is cleared when the delivery is over", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const timers = yield* longTimers
      let during: ReadonlyArray<boolean> = []
      reporter.answer = ({ batch }) =>
        Effect.zipRight(
          Effect.tap(later, () => {
            during = timers().map((timer) => timer.hasRef())
          }),
          scripted.accept(batch)
        )
      yield* ThreadStats.gauge("x", 1)
      const { metrics } = yield* ThreadStats.flush()
      assert.strictEqual(metrics.delivered, 1)
      assert.deepStrictEqual(during, [true])
      // a timer that was cleared has no time any more
      assert.deepStrictEqual(timers(), [])
    }).pipe(Effect.provide(scripted.client(reporter, { flushTimeout: "1 minute" })))
  })

  for (
    const [how, isInterruptible] of [["and the delivery interrupted,", true], [
      "though the delivery goes on,",
      false
    ]] as const
  ) {
    it.scopedLive(`is cleared, ${how} when the flush is interrupted`, () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const timers = yield* longTimers
        let interrupted = 0
        const hanging = Effect.onInterrupt(Effect.async<never>(() => {}), () => Effect.sync(() => interrupted++))
        reporter.answer = () => isInterruptible ? hanging : Effect.uninterruptible(hanging)
        yield* ThreadStats.gauge("x", 1)
        const fiber = yield* Effect.fork(ThreadStats.flush())
        while (reporter.calls.length === 0) yield* later
        const during = timers().length
        yield* Fiber.interrupt(fiber)
        // for the last flush
        reporter.answer = ({ batch }) => scripted.accept(batch)
        yield* later
        assert.strictEqual(during, 1)
        assert.strictEqual(interrupted, isInterruptible ? 1 : 0)
        assert.deepStrictEqual(timers(), [])
      }).pipe(Effect.provide(scripted.client(reporter, { flushTimeout: "1 minute" })))
    })
  }

  it.effect("ends with the delivery interrupted where that can be", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      let interrupted = 0
      reporter.answer = () => Effect.onInterrupt(Effect.async<never>(() => {}), () => Effect.sync(() => interrupted++))
      yield* ThreadStats.gauge("x", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust(9_999)
      assert.strictEqual(interrupted, 0)
      yield* TestClock.adjust(1)
      reporter.answer = ({ batch }) => scripted.accept(batch)
      const { errors } = yield* fiber
      assert.deepStrictEqual(errors.map(({ reason }) => reason), ["Timeout"])
      assert.strictEqual(interrupted, 1)
    }).pipe(Effect.provide(scripted.client(reporter, { flushTimeout: "10 seconds" })))
  })
})
