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

  it.scoped("adds one listener for twelve clients, and runs the effect of each", () =>
    Effect.gen(function*() {
      const others = process.listeners("beforeExit")
      const flushed = yield* Effect.forEach(Array.from({ length: 12 }), () => Deferred.make<void>())
      for (const each of flushed) yield* flushBeforeExit(Deferred.succeed(each, undefined))
      const added = process.listeners("beforeExit").filter((listener) => !others.includes(listener))
      assert.isAtMost(added.length, 1)
      const shared = added[0] ??
        process.listeners("beforeExit").find((listener) => "effectThreadstatsTasks" in listener)!
      shared(0)
      yield* Effect.forEach(flushed, Deferred.await)
    }))
})
