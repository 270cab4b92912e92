import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import { flushBeforeExit } from "../../src/internal/client/beforeExit.js"
import { addedTasks, beforeExitTasks } from "../support/beforeExit.js"

describe("flushBeforeExit", () => {
  it.effect("runs the effect when the process is about to exit, and removes its task when the scope closes", () =>
    Effect.gen(function*() {
      const others = beforeExitTasks()
      const flushed = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      yield* Scope.extend(flushBeforeExit(Deferred.succeed(flushed, undefined)), scope)
      const added = addedTasks(others)
      assert.lengthOf(added, 1)
      added[0]!(0)
      yield* Deferred.await(flushed)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(beforeExitTasks(), others)
    }))

  it.scoped("adds at most one listener for twelve clients, and runs the effect of each", () =>
    Effect.gen(function*() {
      const listeners = process.listenerCount("beforeExit")
      const others = beforeExitTasks()
      const flushed = yield* Effect.forEach(Array.from({ length: 12 }), () => Deferred.make<void>())
      for (const each of flushed) yield* flushBeforeExit(Deferred.succeed(each, undefined))
      assert.isAtMost(process.listenerCount("beforeExit") - listeners, 1)
      const added = addedTasks(others)
      assert.lengthOf(added, 12)
      for (const task of added) task(0)
      yield* Effect.forEach(flushed, Deferred.await)
    }))
})
