import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import { flushBeforeExit } from "../../src/internal/client/beforeExit.js"

describe("flushBeforeExit", () => {
  it.effect("runs the effect when the process is about to exit, and removes its listener when the scope closes", () =>
    Effect.gen(function*() {
      const listeners = () => process.listeners("beforeExit")
      const others = listeners()
      const flushed = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      yield* Scope.extend(flushBeforeExit(Deferred.succeed(flushed, undefined)), scope)
      const added = listeners().filter((listener) => !others.includes(listener))
      assert.lengthOf(added, 1)
      added[0]!(0)
      yield* Deferred.await(flushed)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(listeners(), others)
    }))
})
