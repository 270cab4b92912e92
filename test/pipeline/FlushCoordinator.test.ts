import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Option, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { assertAllAccounted, metricValues, untyped } from "../support/clientAssertions.js"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"
import { makeSettableClock } from "../support/settableClock.js"

describe("flush", () => {
  /** A reporter that accepts every batch after a second. */
  const makeSlowReporter = () => {
    const reporter = scripted.make()
    reporter.answer = ({ batch }) => Effect.delay(scripted.accept(batch), "1 second")
    return reporter
  }
  /** Forks a flush, and returns when it is under way. */
  const startFlush = (effect: Effect.Effect<ThreadStats.FlushReceipt, never, ThreadStats.ThreadStats>) =>
    Effect.zipLeft(Effect.fork(effect), TestClock.adjust("1 millis"))

  it.effect("runs one flush at a time, and answers each caller after the points of that caller were sent", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let running = 0
      let mostRunning = 0
      reporter.answer = ({ batch }) =>
        Effect.gen(function*() {
          mostRunning = Math.max(mostRunning, ++running)
          yield* Deferred.await(gates[reporter.calls.length - 1]!)
          running--
          return yield* scripted.accept(batch)
        })
      const answered: Array<string> = []
      const caller = (name: string) =>
        ThreadStats.gauge(name, 1).pipe(
          Effect.zipRight(ThreadStats.flush()),
          Effect.tap(() => Effect.sync(() => answered.push(name))),
          Effect.fork
        )
      yield* caller("a")
      yield* Effect.yieldNow()
      yield* caller("b")
      yield* caller("c")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(metricValues(reporter.series()), [["a", 1]])
      yield* Deferred.succeed(gates[0]!, undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(answered, ["a"])
      assert.deepStrictEqual(metricValues(reporter.series()), [["a", 1], ["b", 1], ["c", 1]])
      yield* Deferred.succeed(gates[1]!, undefined)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(answered, ["a", "b", "c"])
      assert.strictEqual(mostRunning, 1)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("merges all flushes requested during a flush into one, with one receipt", () => {
    const reporter = makeSlowReporter()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const first = yield* startFlush(ThreadStats.flush())
      const others: Array<Fiber.RuntimeFiber<ThreadStats.FlushReceipt>> = []
      for (let i = 0; i < 20; i++) {
        yield* ThreadStats.gauge(`b${i}`, 1)
        others.push(yield* startFlush(ThreadStats.flush()))
      }
      yield* TestClock.adjust("980 millis")
      assert.strictEqual((yield* first).metrics.delivered, 1)
      yield* TestClock.adjust("1 seconds")
      for (const other of others) assert.strictEqual((yield* other).metrics.delivered, 20)
      assert.deepStrictEqual(reporter.calls.map(({ batch }) => batch.length), [1, 20])
      assert.strictEqual((yield* ThreadStats.stats).flushes, 2)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("waits for the flush under way when nothing else is pending", () => {
    const reporter = makeSlowReporter()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const first = yield* startFlush(ThreadStats.flush())
      const second = yield* startFlush(ThreadStats.flush())
      yield* TestClock.adjust("997 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* first).metrics.delivered, 1)
      assert.strictEqual((yield* second).metrics.delivered, 0)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("runs a flush of closed buckets apart from a requested flush of all buckets", () => {
    const reporter = makeSlowReporter()
    return Effect.gen(function*() {
      yield* TestClock.adjust("15 seconds")
      yield* ThreadStats.gauge("now", 1)
      const first = yield* startFlush(ThreadStats.flush())
      yield* ThreadStats.gauge("old", 1, { timestamp: 5000 })
      yield* ThreadStats.gauge("now", 2)
      const closed = yield* startFlush(ThreadStats.flush({ upTo: 15_000 }))
      const everything = yield* startFlush(ThreadStats.flush())
      const closedAgain = yield* startFlush(ThreadStats.flush({ upTo: 15_000 }))
      yield* TestClock.adjust("3 seconds")
      const delivered = (yield* Effect.all([first, closed, everything, closedAgain].map(Fiber.join)))
        .map(({ metrics }) => metrics.delivered)
      assert.deepStrictEqual(delivered, [1, 1, 1, 1])
      assert.deepStrictEqual(reporter.calls.map(({ batch }) => metricValues(batch as never)), [
        [["now", 1]],
        [["old", 1]],
        [["now", 2]]
      ])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("continues a shared flush when one of its callers is interrupted", () => {
    const reporter = makeSlowReporter()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      yield* startFlush(ThreadStats.flush())
      yield* ThreadStats.gauge("b", 1)
      const [interrupted, joined] = [yield* startFlush(ThreadStats.flush()), yield* startFlush(ThreadStats.flush())]
      yield* Fiber.interrupt(interrupted)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* joined).metrics.delivered, 1)
      yield* assertAllAccounted
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("interrupts a requested flush when all of its callers are interrupted", () => {
    const reporter = makeSlowReporter()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const first = yield* startFlush(ThreadStats.flush())
      const sharing = [yield* startFlush(ThreadStats.flush()), yield* startFlush(ThreadStats.flush())]
      yield* ThreadStats.gauge("b", 1)
      yield* Fiber.interruptAll(sharing)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual((yield* first).metrics.delivered, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* ThreadStats.stats).metrics.pending, 1)
      assert.strictEqual(reporter.calls.length, 1)
      yield* assertAllAccounted
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("answers each caller of a shared flush by that caller's own deadline", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.never
      yield* ThreadStats.gauge("a", 1)
      const first = yield* startFlush(ThreadStats.flush())
      yield* ThreadStats.gauge("b", 1)
      const urgent = yield* startFlush(ThreadStats.flush({ timeout: "1 second" }))
      const patient = yield* startFlush(ThreadStats.flush())
      yield* TestClock.adjust(997)
      assert.strictEqual((yield* Fiber.poll(urgent))._tag, "None")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* urgent).metrics.delivered, 0)
      assert.strictEqual((yield* Fiber.poll(patient))._tag, "None")
      reporter.answer = ({ batch }) => scripted.accept(batch)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* first).metrics.pending, 1)
      assert.strictEqual((yield* patient).metrics.delivered, 2)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("answers callers of the same moment by their own deadlines", () => {
    const reporter = scripted.make()
    reporter.answer = () => Effect.never
    // The last flush of the layer must end.
    const recover = Effect.sync(() => {
      reporter.answer = ({ batch }) => scripted.accept(batch)
    })
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const answered: Array<string> = []
      const gate = yield* Deferred.make<void>()
      for (const timeout of ["5 seconds", "1 seconds", "2 seconds"] as const) {
        yield* Deferred.await(gate).pipe(
          Effect.zipRight(ThreadStats.flush({ timeout })),
          Effect.tap(() => Effect.sync(() => answered.push(timeout))),
          Effect.fork
        )
      }
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(answered, ["1 seconds"])
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(answered, ["1 seconds", "2 seconds"])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(answered, ["1 seconds", "2 seconds", "5 seconds"])
    }).pipe(Effect.ensuring(recover), Effect.provide(scripted.client(reporter)))
  })

  it.effect("ends a flush by its `timeout` or by `flushTimeout`, whichever comes first", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.never
      yield* ThreadStats.gauge("a", 1)
      for (
        const [timeout, takes] of [
          ["2 seconds", 2000],
          ["1 hour", 5000],
          [untyped<string>("soon"), 5000],
          [undefined, 5000]
        ] as const
      ) {
        const fiber = yield* Effect.fork(
          ThreadStats.flush({ timeout: timeout as Duration.DurationInput | undefined })
        )
        yield* TestClock.adjust(takes - 1)
        assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* fiber).metrics.pending, 1)
        yield* TestClock.adjust("10 minutes")
      }
      assert.strictEqual((yield* ThreadStats.flush({ timeout: 0 })).metrics.pending, 0)
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("ends a flush that waited for another one within its own time budget", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.never
      yield* ThreadStats.increment("c")
      const first = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("2 seconds")
      const second = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* first).errors[0]?.reason, "Timeout")
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* second).errors[0]?.reason, "Timeout")
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  /** Reason and endpoint of each error of a receipt. */
  const faultsOf = ({ errors }: ThreadStats.FlushReceipt) =>
    errors.map(({ endpoint, reason }) => `${reason} at ${endpoint}`)

  it.effect("explains in its receipt that an earlier flush left it no time", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.never
      yield* ThreadStats.gauge("a", 1)
      const first = yield* startFlush(ThreadStats.flush())
      const urgent = yield* startFlush(ThreadStats.flush({ timeout: "1 second" }))
      const closed = yield* startFlush(ThreadStats.flush({ timeout: "1 second", upTo: 0 }))
      yield* TestClock.adjust("1 second")
      for (const fiber of [urgent, closed]) {
        const receipt = yield* fiber
        assert.deepStrictEqual(faultsOf(receipt), ["Timeout at flush"])
        assert.include(receipt.errors[0]!.message, "Raise flushTimeout")
      }
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(faultsOf(yield* first), ["Timeout at series"])
      reporter.answer = ({ batch }) => scripted.accept(batch)
      assert.deepStrictEqual(faultsOf(yield* ThreadStats.flush({ timeout: 0 })), ["Timeout at flush"])
      assert.deepStrictEqual(faultsOf(yield* ThreadStats.flush()), [])
      assert.deepStrictEqual(faultsOf(yield* ThreadStats.flush()), [])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("answers a reporter that flushes in its own flush at once, with the cause", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const nested: Array<string> = []
      reporter.answer = ({ batch }) =>
        Effect.gen(function*() {
          const receipt = yield* Effect.flatten(Effect.fork(client.flush()))
          nested.push(...faultsOf(receipt))
          assert.include(
            receipt.errors[0]!.message,
            "a running flush requested this one, which would wait for it. Do not flush in a reporter"
          )
          return yield* scripted.accept(batch)
        })
      yield* client.gauge("a", 1)
      assert.strictEqual((yield* client.flush()).metrics.delivered, 1)
      assert.deepStrictEqual(nested, ["Defect at flush"])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("names the log line that has the cause when a flush dies", () => {
    const lines: Array<scripted.Line> = []
    const layerBroken = Layer.map(
      Layer.fresh(layerMetricsAggregator),
      (context) =>
        Context.make(PipelineMetricsAggregator, {
          ...Context.get(context, PipelineMetricsAggregator),
          drainEach: () => Effect.die("bug")
        })
    )
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const { errors } = yield* ThreadStats.flush()
      assert.deepStrictEqual(errors.map(({ message }) => message), [
        "Defect at flush: the flush died. The log line \"A flush died\" has the cause: report it as a bug"
      ])
      assert.deepInclude(lines, { level: "ERROR", message: "A flush died" })
    }).pipe(
      Effect.provide(layerReporterWith({ periodicFlush: false })),
      Effect.provide([scripted.make().layer, layerBroken, Layer.fresh(layerEventsAggregator)]),
      Effect.provide(scripted.logsTo(lines))
    )
  })

  it.effect("lets a reporter flush another client in its own flush", () => {
    const outer = scripted.make()
    const inner = scripted.make()
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      outer.answer = ({ batch }) =>
        Effect.gen(function*() {
          yield* client.gauge("reported", 1)
          assert.strictEqual((yield* client.flush()).metrics.delivered, 1)
          return yield* scripted.accept(batch)
        })
      yield* Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
      }).pipe(Effect.provide(scripted.client(outer)))
    }).pipe(Effect.provide(scripted.client(inner)))
  })

  it.scoped("keeps its time budget when the clock of the machine is set back", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const settable = yield* makeSettableClock
      const client = Context.get(
        yield* Effect.withClock(Layer.build(scripted.client(reporter)), settable.clock),
        ThreadStats.ThreadStats
      )
      reporter.answer = () => Effect.never
      yield* client.gauge("a", 1)
      const first = yield* Effect.fork(client.flush())
      yield* TestClock.adjust("1 second")
      // Datadog would still accept the point, which is now ahead of the clock.
      settable.offset = -5 * 60_000
      const second = yield* Effect.fork(client.flush())
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* first).metrics.pending, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* second).metrics.pending, 1)
      reporter.answer = ({ batch }) => scripted.accept(batch)
    })
  })
})
