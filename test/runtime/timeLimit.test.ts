import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, DefaultServices, Deferred, Effect, Exit, Fiber, Option, TestClock } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import { allWithin, within } from "../../src/internal/runtime/timeLimit.js"
import * as scripted from "../support/scripted.js"
import { watchTimers } from "../support/timers.js"

const liveClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/** An effect that never ends, and the number of its interruptions. */
const makeHanging = () => {
  let interruptions = 0
  return {
    effect: Effect.onInterrupt(Effect.async<never>(() => {}), () => Effect.sync(() => interruptions++)),
    interruptions: () => interruptions
  }
}

const onTimeout = () => Effect.succeed("late")

/** The same in Effect's own combinators. */
const withinInEffect = <A, E, R, A2, E2>(
  effect: Effect.Effect<A, E, R>,
  limit: number,
  onTimeout: () => Effect.Effect<A2, E2>
): Effect.Effect<A | A2, E | E2, R> =>
  Effect.flatMap(
    Effect.timeoutOption(Effect.disconnect(effect), limit),
    (result): Effect.Effect<A | A2, E2> => Option.isSome(result) ? Effect.succeed(result.value) : onTimeout()
  )

describe.each([["within", within], ["within, in Effect's combinators", withinInEffect]] as const)("%s", (_, within) => {
  it.effect("ends as the effect does when the effect ends in time", () =>
    Effect.gen(function*() {
      const exitOf = (effect: Effect.Effect<string, string>) => Effect.exit(within(effect, 1000, onTimeout))
      assert.deepStrictEqual(yield* exitOf(Effect.succeed("result")), Exit.succeed("result"))
      assert.deepStrictEqual(yield* exitOf(Effect.fail("failure")), Exit.fail("failure"))
      assert.deepStrictEqual(yield* exitOf(Effect.die("defect")), Exit.die("defect"))
      assert.isTrue(Exit.isInterrupted(yield* exitOf(Effect.interrupt)))
    }))

  it.effect("interrupts the effect and ends with the alternative when the limit has passed", () =>
    Effect.gen(function*() {
      const hanging = makeHanging()
      const fiber = yield* Effect.fork(within(hanging.effect, 1000, onTimeout))
      yield* TestClock.adjust(999)
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual(hanging.interruptions(), 0)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("late"))
      assert.strictEqual(hanging.interruptions(), 1)
    }))

  it.effect("ends at the limit when the effect cannot be interrupted", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(within(Effect.uninterruptible(Effect.never), 1000, onTimeout))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("late"))
    }))

  it.effect("interrupts the effect when its caller is interrupted", () =>
    Effect.gen(function*() {
      const hanging = makeHanging()
      const started = yield* Deferred.make<void>()
      const effect = Effect.zipRight(Deferred.succeed(started, undefined), hanging.effect)
      const fiber = yield* Effect.fork(within(effect, 1000, onTimeout))
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* TestClock.adjust(1000)
      assert.strictEqual(hanging.interruptions(), 1)
    }))

  it.effect("does not wait for an uninterruptible effect when its caller is interrupted", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const effect = Effect.uninterruptible(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
      const fiber = yield* Effect.fork(within(effect, 1000, onTimeout))
      yield* Deferred.await(started)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    }))
})

describe("within", () => {
  // In such a caller, Effect's combinators wait for the effect.
  it.effect("interrupts the effect at the limit when its caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const hanging = makeHanging()
      const interruptible = Effect.interruptible(hanging.effect)
      const fiber = yield* Effect.fork(Effect.uninterruptible(within(interruptible, 1000, onTimeout)))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("late"))
      assert.strictEqual(hanging.interruptions(), 1)
    }))

  describe("on the machine's clock", () => {
    /** A limit of 20 days. No other code sets timers of more than 19 days. */
    const limit = 20 * 86_400_000
    const watchLongTimers = watchTimers((millis) => millis > limit - 86_400_000 && millis <= limit)

    it.scoped("sets one timer that keeps the process alive, and clears it when the effect has ended", () =>
      Effect.gen(function*() {
        const timers = yield* watchLongTimers
        const gate = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const effect = Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(gate))
        const fiber = yield* Effect.fork(Effect.withClock(within(effect, limit, onTimeout), liveClock))
        yield* Deferred.await(started)
        assert.deepStrictEqual(timers.pending().map((timer) => timer.hasRef()), [true])
        yield* Deferred.succeed(gate, undefined)
        yield* fiber
        assert.strictEqual(timers.started(), 1)
        assert.lengthOf(timers.pending(), 0)
      }))

    for (
      const [kind, change] of [["interruptible", Effect.interruptible], [
        "uninterruptible",
        Effect.uninterruptible
      ]] as const
    ) {
      it.scoped(`clears its timer when its caller is interrupted during an ${kind} effect`, () =>
        Effect.gen(function*() {
          const timers = yield* watchLongTimers
          const started = yield* Deferred.make<void>()
          const effect = change(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
          const fiber = yield* Effect.fork(Effect.withClock(within(effect, limit, onTimeout), liveClock))
          yield* Deferred.await(started)
          assert.lengthOf(timers.pending(), 1)
          yield* Fiber.interrupt(fiber)
          assert.lengthOf(timers.pending(), 0)
        }))
    }

    it.scoped("sets one timer for the delivery of a flush, and clears it when the delivery has ended", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const timers = yield* watchLongTimers
        let duringDelivery: ReadonlyArray<boolean> = []
        reporter.answer = ({ batch }) =>
          Effect.suspend(() => {
            duringDelivery = timers.pending().map((timer) => timer.hasRef())
            return scripted.accept(batch)
          })
        yield* ThreadStats.gauge("x", 1)
        const { metrics } = yield* ThreadStats.flush()
        assert.strictEqual(metrics.delivered, 1)
        assert.deepStrictEqual(duringDelivery, [true])
        assert.lengthOf(timers.pending(), 0)
      }).pipe(
        Effect.provide(scripted.client(reporter, { flushTimeout: limit })),
        Effect.withClock(liveClock)
      )
    })
  })
})

describe("flush", () => {
  it.effect("interrupts the delivery and reports a time-out when `flushTimeout` has passed", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const hanging = makeHanging()
      reporter.answer = () => hanging.effect
      yield* ThreadStats.gauge("x", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust(9_999)
      assert.strictEqual(hanging.interruptions(), 0)
      yield* TestClock.adjust(1)
      reporter.answer = ({ batch }) => scripted.accept(batch)
      const { errors } = yield* fiber
      assert.deepStrictEqual(errors.map(({ reason }) => reason), ["Timeout"])
      assert.strictEqual(hanging.interruptions(), 1)
    }).pipe(Effect.provide(scripted.client(reporter, { flushTimeout: "10 seconds" })))
  })
})

describe("allWithin", () => {
  it.effect("provides services to the effects, and not to its caller", () =>
    Effect.gen(function*() {
      const deadline = yield* allWithin([Reporter.Deadline], 1000, onTimeout, Context.make(Reporter.Deadline, 5))
      assert.deepStrictEqual([deadline, yield* Reporter.Deadline], [5, Infinity])
    }))

  it.effect("ends when all effects have ended", () =>
    Effect.gen(function*() {
      const effects = [1000, 500].map((millis) => Effect.as(Effect.sleep(millis), millis))
      const fiber = yield* Effect.fork(allWithin(effects, 2000, onTimeout))
      yield* TestClock.adjust(999)
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed(1000))
    }))

  it.effect("interrupts the others when one fails", () =>
    Effect.gen(function*() {
      const hanging = makeHanging()
      const failing = Effect.zipRight(Effect.sleep(1), Effect.fail("failure"))
      const fiber = yield* Effect.fork(allWithin([hanging.effect, failing], 1000, onTimeout))
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.fail("failure"))
      assert.strictEqual(hanging.interruptions(), 1)
    }))

  it.effect("interrupts each effect at the limit, also beside one that cannot be interrupted", () =>
    Effect.gen(function*() {
      const hanging = makeHanging()
      const fiber = yield* Effect.fork(
        allWithin([Effect.uninterruptible(Effect.never), hanging.effect, Effect.succeed("result")], 1000, onTimeout)
      )
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("late"))
      assert.strictEqual(hanging.interruptions(), 1)
    }))
})
