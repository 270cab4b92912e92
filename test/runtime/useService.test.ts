import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber } from "effect"
import { useService } from "../../src/internal/runtime/useService.js"

class Counter extends Context.Tag("test/Counter")<Counter, { count: number }>() {}

const increment = (counter: { count: number }) => {
  counter.count++
}

/** `useService`, and the combination of Effect's functions for which it stands. */
const implementations = {
  useService,
  "Effect.map": (tag: typeof Counter, use: (counter: { count: number }) => void) => Effect.asVoid(Effect.map(tag, use))
}

for (const [name, use] of Object.entries(implementations)) {
  describe(name, () => {
    it.effect("runs the function with the nearest service once for each run", () =>
      Effect.gen(function*() {
        const [outer, inner] = [{ count: 0 }, { count: 0 }]
        const effect = use(Counter, increment)
        yield* Effect.provideService(effect, Counter, inner).pipe(
          Effect.zipRight(effect),
          Effect.zipRight(Effect.flatMap(Effect.fork(effect), Fiber.join)),
          Effect.provideService(Counter, outer)
        )
        assert.deepStrictEqual([outer.count, inner.count], [2, 1])
      }))

    it.effect("succeeds with void", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Effect.exit(use(Counter, increment)), Exit.void)
      }).pipe(Effect.provideService(Counter, { count: 0 })))

    it.effect("dies with the error that the function throws", () =>
      Effect.gen(function*() {
        const error = new Error("broken")
        const exit = yield* Effect.exit(use(Counter, () => {
          throw error
        }))
        assert.deepStrictEqual(exit, Exit.die(error))
      }).pipe(Effect.provideService(Counter, { count: 0 })))

    it.effect("dies with Effect's own error when the service is missing", () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(use(Counter, increment) as Effect.Effect<void>)
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(Cause.isDie(cause))
        assert.include(Cause.pretty(cause), "Service not found: test/Counter")
      }))
  })
}
