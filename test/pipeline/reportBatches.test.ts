import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { assertAllAccounted, metricValues } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"

describe("flush", () => {
  const brokenReporters: { readonly [name: string]: () => scripted.Answer } = {
    "dies": () => Effect.die(new Error("bug")),
    "throws": () => {
      throw new Error("bug")
    },
    "interrupts itself": () => Effect.interrupt,
    "hangs": () => Effect.never,
    "hangs and cannot be interrupted": () => Effect.uninterruptible(Effect.never)
  }

  for (const [name, answer] of Object.entries(brokenReporters)) {
    it.effect(`ends within its time budget without an error, and sends again later, when the reporter ${name}`, () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = answer
        yield* ThreadStats.increment("c")
        const fiber = yield* Effect.fork(Effect.zipRight(ThreadStats.flush(), Effect.succeed("result")))
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("result"))
        assert.strictEqual((yield* ThreadStats.stats).metrics.pending, 1)
        yield* assertAllAccounted
        reporter.answer = ({ batch }) => scripted.accept(batch)
        assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect(`ends the scope with the program's result within the time budget when the reporter ${name}`, () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = answer
        const fiber = yield* ThreadStats.increment("c").pipe(
          Effect.as("result"),
          Effect.provide(scripted.client(reporter)),
          Effect.fork
        )
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(fiber.unsafePoll(), Exit.succeed("result"))
        assert.strictEqual(reporter.calls.length, 1)
      })
    })
  }

  it.effect("delivers in the finalizer of an interrupted fiber", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const recorded = yield* Deferred.make<void>()
      const fiber = yield* ThreadStats.increment("c").pipe(
        Effect.zipRight(Deferred.succeed(recorded, undefined)),
        Effect.zipRight(Effect.never),
        Effect.provide(scripted.client(reporter)),
        Effect.fork
      )
      yield* Deferred.await(recorded)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(metricValues(reporter.series()), [["c", 0.1]])
    })
  })
})
