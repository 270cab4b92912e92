import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { asyncWithin } from "../../src/internal/runtime/asyncWithin.js"

type Resume = (effect: Effect.Effect<string, string>) => void

/** The same in Effect's own combinators. */
const asyncWithinInEffect = <A, E>(
  register: (resume: (effect: Effect.Effect<A, E>) => void) => (() => void) | undefined,
  limit: number,
  onTimeout: () => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.async<A, E>((resume) => {
    const cancel = register(resume)
    return Effect.sync(() => cancel?.())
  }).pipe(
    Effect.timeoutOption(limit),
    Effect.flatMap(Option.match({ onNone: onTimeout, onSome: Effect.succeed }))
  )

describe.each(
  [
    ["asyncWithin", asyncWithin],
    ["asyncWithin, in Effect's combinators", asyncWithinInEffect]
  ] as const
)("%s", (_, asyncWithin) => {
  /** An effect with a limit of two seconds, and its callbacks. */
  const start = Effect.gen(function*() {
    const calls: Array<string> = []
    let resume: Resume = () => {}
    const effect = asyncWithin<string, string>(
      (callback) => {
        calls.push("register")
        resume = callback
        return () => {
          calls.push("cancel")
        }
      },
      2_000,
      () => Effect.fail("late")
    )
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(0)
    return { calls, fiber, resume: (result: Effect.Effect<string, string>) => resume(result) }
  })

  it.effect("ends as the callback says, and cancels nothing", () =>
    Effect.gen(function*() {
      const { calls, fiber, resume } = yield* start
      resume(Effect.succeed("done"))
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(calls, ["register"])
    }))

  it.effect("ends as `onTimeout` and cancels when the time is over, and ignores the callback after that", () =>
    Effect.gen(function*() {
      const { calls, fiber, resume } = yield* start
      yield* TestClock.adjust("1999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      resume(Effect.succeed("done"))
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("late"))
      assert.deepStrictEqual(calls, ["register", "cancel"])
    }))

  it.effect("cancels when it is interrupted", () =>
    Effect.gen(function*() {
      const { calls, fiber } = yield* start
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(calls, ["register", "cancel"])
    }))
})

describe("asyncWithin", () => {
  // In such a caller, Effect's combinators wait for the callback.
  it.live("ends in time on the machine's clock, in a caller that cannot be interrupted", () =>
    Effect.gen(function*() {
      const effect = asyncWithin<string, string>(() => undefined, 5, () => Effect.fail("late"))
      assert.strictEqual(yield* Effect.flip(Effect.uninterruptible(effect)), "late")
    }))
})
