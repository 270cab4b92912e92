import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { metricValues } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"

describe("periodic flush", () => {
  const periodicClient = (reporter: scripted.Scripted, options: ThreadStatsConfig.ThreadStatsOptions = {}) =>
    scripted.client(reporter, { periodicFlush: true, ...options })

  it.effect("flushes closed buckets only", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* TestClock.adjust("9 seconds")
      yield* ThreadStats.gauge("closed", 1)
      yield* TestClock.adjust("5 seconds")
      yield* ThreadStats.gauge("open", 1)
      assert.deepStrictEqual(reporter.calls, [])
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(metricValues(reporter.series()), [["closed", 1]])
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(reporter.calls.length, 1)
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(metricValues(reporter.series()), [["closed", 1], ["open", 1]])
    }).pipe(Effect.provide(periodicClient(reporter, { flushInterval: "15 seconds" })))
  })

  it.effect("continues after a flush that died", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.die("bug")
      yield* ThreadStats.gauge("a", 1)
      yield* TestClock.adjust("10 seconds")
      reporter.answer = ({ batch }) => scripted.accept(batch)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(reporter.calls.length, 2)
      assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 1)
    }).pipe(Effect.provide(periodicClient(reporter)))
  })

  it.effect("flushes every `flushInterval`, and never when it is infinite", () => {
    const finite = scripted.make()
    const infinite = scripted.make()
    const wait = ThreadStats.gauge("a", 1).pipe(Effect.zipRight(TestClock.adjust("60 seconds")))
    return Effect.gen(function*() {
      yield* Effect.provide(wait, periodicClient(finite, { flushInterval: "30 seconds" }))
      assert.strictEqual(finite.calls.length, 1)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.provide(wait, yield* Layer.build(periodicClient(infinite, { flushInterval: Infinity })))
        assert.strictEqual(infinite.calls.length, 0)
      }))
      assert.strictEqual(infinite.calls.length, 1)
    })
  })

  it.effect("stops when the scope closes, after a last flush", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* ThreadStats.increment("c").pipe(Effect.provide(periodicClient(reporter)))
      assert.deepStrictEqual(metricValues(reporter.series()), [["c", 0.1]])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(reporter.calls.length, 1)
    })
  })

  it.effect("sends every value once when the scope closes during a periodic flush", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(periodicClient(reporter), scope)
      const client = Context.get(context, ThreadStats.ThreadStats)
      reporter.answer = ({ batch }) => Effect.zipRight(Deferred.await(gate), scripted.accept(batch))
      client.unsafeDistribution("d", 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(reporter.calls.length, 1)
      client.unsafeDistribution("d", 2)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* closing
      assert.deepStrictEqual(metricValues(reporter.distributions()), [["d", [1]], ["d", [2]]])
      assert.deepInclude((yield* client.stats).metrics, { received: 2, delivered: 2, held: 0 })
    })
  })

  it.effect("ends the scope within one time budget when the reporter hangs", () => {
    const reporter = scripted.make()
    reporter.answer = () => Effect.never
    return Effect.gen(function*() {
      const fiber = yield* ThreadStats.increment("c").pipe(
        Effect.zipRight(Effect.sleep("12 seconds")),
        Effect.provide(periodicClient(reporter)),
        Effect.fork
      )
      yield* TestClock.adjust("12 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
    })
  })

  it.effect("starts and stops inside an uninterruptible region", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(periodicClient(reporter), scope)
      const client = Context.get(context, ThreadStats.ThreadStats)
      client.unsafeGauge("closed", 1)
      yield* TestClock.adjust("10 seconds")
      client.unsafeGauge("open", 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(reporter.calls.map(({ batch }) => metricValues(batch as never)), [
        [["closed", 1]],
        [["open", 1]]
      ])
    }).pipe(Effect.uninterruptible)
  })
})
