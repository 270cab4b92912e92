import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { addedTasks, beforeExitTasks } from "../support/beforeExit.js"
import { metricValues } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"
import { watchTimers } from "../support/timers.js"
import { nextTurn } from "../support/wait.js"

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
      assert.deepInclude((yield* client.stats).metrics, { received: 2, delivered: 2, pending: 0 })
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

  it.effect("finishes a flush under way when the scope closes, and starts no other", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(periodicClient(reporter), scope)
      const client = Context.get(context, ThreadStats.ThreadStats)
      reporter.answer = ({ batch }) => Effect.zipRight(Deferred.await(gate), scripted.accept(batch))
      client.unsafeGauge("closed", 1)
      yield* TestClock.adjust("10 seconds")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* Deferred.succeed(gate, undefined)
      yield* closing
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(metricValues(reporter.series()), [["closed", 1]])
      assert.deepInclude((yield* client.stats).metrics, { received: 1, delivered: 1, pending: 0 })
    })
  })

  // These tests run on the machine's clock, because its timers are under test.
  it.scopedLive("does not keep the process alive between flushes", () =>
    Effect.gen(function*() {
      const interval = 123_463
      const timers = yield* watchTimers((millis) => millis === interval)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(periodicClient(scripted.make(), { flushInterval: interval }), scope)
      yield* nextTurn
      assert.deepStrictEqual(timers.pending().map((timer) => timer.hasRef()), [false])
      yield* Scope.close(scope, Exit.void)
      assert.lengthOf(timers.pending(), 0)
    }))

  it.scopedLive("keeps the process alive while a flush is under way", () => {
    const reporter = scripted.make()
    const flushTimeout = 123_467
    return Effect.gen(function*() {
      const timers = yield* watchTimers((millis) => millis > flushTimeout - 1000 && millis <= flushTimeout)
      const duringDelivery = yield* Deferred.make<ReadonlyArray<boolean>>()
      reporter.answer = ({ batch }) =>
        Effect.suspend(() => Deferred.succeed(duringDelivery, timers.pending().map((timer) => timer.hasRef()))).pipe(
          Effect.zipRight(scripted.accept(batch))
        )
      yield* ThreadStats.gauge("closed", 1, { timestamp: Date.now() - 60_000 })
      assert.deepStrictEqual(yield* Deferred.await(duringDelivery), [true])
    }).pipe(Effect.provide(periodicClient(reporter, { flushInterval: 20, flushTimeout })))
  })
})

describe("flush before the process exits", () => {
  for (
    const [settings, options] of Object.entries<ThreadStatsConfig.ThreadStatsOptions>({
      "the default settings": { periodicFlush: true },
      "`periodicFlush: false`": { periodicFlush: false },
      "an infinite `flushInterval`": { periodicFlush: true, flushInterval: Infinity }
    })
  ) {
    it.scopedLive(`delivers everything with ${settings}, and ends with the scope`, () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const before = beforeExitTasks()
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(scripted.client(reporter, options), scope)
        Context.get(context, ThreadStats.ThreadStats).unsafeGauge("open", 1)
        const delivered = yield* Deferred.make<void>()
        reporter.answer = ({ batch }) => Effect.zipLeft(scripted.accept(batch), Deferred.succeed(delivered, undefined))
        const added = addedTasks(before)
        assert.lengthOf(added, 1)
        added[0]!(0)
        yield* Deferred.await(delivered)
        assert.deepStrictEqual(metricValues(reporter.series()), [["open", 1]])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(beforeExitTasks(), before)
      })
    })
  }

  it.scopedLive("is absent in a client for tests and in a disabled client", () =>
    Effect.gen(function*() {
      const before = beforeExitTasks()
      yield* Layer.build(Layer.fresh(ThreadStats.layerTest))
      yield* Layer.build(scripted.client(scripted.make(), { disabled: true }))
      assert.lengthOf(addedTasks(before), 0)
    }))

  it.scoped("is absent on a test's clock", () =>
    Effect.gen(function*() {
      const before = beforeExitTasks()
      yield* Layer.build(scripted.client(scripted.make()))
      assert.lengthOf(addedTasks(before), 0)
    }))
})
