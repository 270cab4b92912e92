import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, TestClock } from "effect"
import { LogReporter, Reporter, ThreadStats } from "effect-threadstats"
import { EventEmitter } from "node:events"
import { toWire } from "../support/wireReporter.js"
import {
  asMetric,
  bytesOf,
  checkedStats,
  distribution,
  layerClient,
  linesIn,
  makeOutput,
  makeReporter,
  metricsIn
} from "./output.js"

describe("log writer", () => {
  it.effect("writes whole lines, at most 4096 bytes at once unless one line is longer", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      const batch = [
        distribution("short", Array.from({ length: 1000 }, (_, i) => i)),
        distribution("long", [1, 2], Array.from({ length: 30 }, () => "t".repeat(200))),
        distribution("short", Array.from({ length: 100 }, (_, i) => i))
      ]
      const receipt = yield* reporter.flushDistributions(batch)
      for (const write of output.writes) {
        assert.isTrue(write.endsWith("\n"))
        assert.isTrue(bytesOf(write) <= 4096 || write.indexOf("\n") === write.length - 1)
      }
      assert.deepInclude(receipt, { items: 3, payloads: output.writes.length, bytes: bytesOf(output.text()) })
      assert.isBelow(output.writes.length, 20)
      assert.lengthOf(metricsIn(output.text()), 1102)
    }))

  it.effect("begins a new line only after another part of the program has written", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      const flush = reporter.flushDistributions([distribution("a", [1])])
      yield* flush
      yield* flush
      assert.isFalse(output.text().includes("\n\n") || output.text().startsWith("\n"))
      output.writeOther("downloading...")
      yield* flush
      yield* flush
      assert.deepStrictEqual(linesIn(output.text()).map((text) => asMetric(text) !== undefined), [
        true,
        true,
        false,
        true,
        true
      ])
      assert.isFalse(output.text().includes("\n\n"))
    }))

  it.effect("begins a new line once after earlier output, and every time when the output counts no bytes", () =>
    Effect.gen(function*() {
      const before = makeOutput()
      before.writeOther("starting")
      const unknown = makeOutput()
      unknown.bytesWritten = undefined
      for (const output of [before, unknown]) {
        const reporter = yield* makeReporter(output)
        yield* reporter.flushDistributions([distribution("a", Array.from({ length: 200 }, () => 1))])
        assert.strictEqual(output.text().indexOf("\n"), output === before ? "starting".length : 0)
        assert.lengthOf(metricsIn(output.text()), 200)
        const pieces = output.writes.filter((write) => write.includes("{"))
        assert.isAbove(pieces.length, 1)
        // without a count every write begins a new line, with a count only the first
        assert.strictEqual(
          pieces.filter((write) => write.startsWith("\n")).length,
          output === before ? 1 : pieces.length
        )
      }
    }))
})

describe("log writers of several clients", () => {
  it.effect("share one listener for errors of one output", () =>
    Effect.gen(function*() {
      const callbacks: Array<() => void> = []
      const output = Object.assign(new EventEmitter(), {
        write: (_: string, callback: () => void) => callbacks.push(callback)
      })
      const fibers = yield* Effect.forEach(Array.from({ length: 12 }), () =>
        Effect.fork(Effect.flatMap(
          LogReporter.make({ output }),
          (reporter) => toWire(reporter).flushDistributions([distribution("a", [1])])
        )))
      yield* Effect.yieldNow()
      assert.lengthOf(callbacks, 12)
      assert.strictEqual(output.listenerCount("error"), 1)
      for (const callback of callbacks) callback()
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(output.listenerCount("error"), 0)
    }))
})

describe("log writer with a slow output", () => {
  const many = distribution("many", Array.from({ length: 1000 }, (_, i) => i))

  it.effect("hands over one piece at a time, over concurrent batches", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const callbacks: Array<() => void> = []
      output.answer = (callback) => callbacks.push(callback)
      const reporter = yield* makeReporter(output)
      const fiber = yield* Effect.fork(Effect.all([
        reporter.flushDistributions([many]),
        reporter.flushDistributions([many])
      ], { concurrency: "unbounded" }))
      yield* Effect.yieldNow()
      let rounds = 0
      for (; fiber.unsafePoll() === null; rounds++) {
        assert.isAtMost(callbacks.length, 1)
        callbacks.shift()?.()
        yield* TestClock.adjust(0)
      }
      yield* fiber
      assert.lengthOf(metricsIn(output.text()), 2000)
      assert.strictEqual(output.listeners, 0)
    }))

  it.effect("ends at the flush timeout, keeps undelivered points, and hands nothing over before the pending write has ended", () => {
    const output = makeOutput()
    const waiting: Array<() => void> = []
    return Effect.gen(function*() {
      output.answer = (callback) => waiting.push(callback)
      yield* ThreadStats.distribution("first", 1)
      for (let n = 0; n < 200; n++) yield* ThreadStats.distribution("second", n)
      yield* ThreadStats.distribution("third", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("4 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      const { errors, metrics } = yield* fiber
      assert.deepStrictEqual(metrics, { delivered: 0, pending: 202, dropped: 0 })
      assert.deepStrictEqual(errors.map(({ reason }) => reason), ["Timeout"])
      // the pending piece may still be written
      assert.deepStrictEqual(
        errors[0]!.ambiguous.map((item) => "name" in item && item.name),
        ["first", "second"]
      )
      assert.lengthOf(output.writes, 1)

      // a later flush waits for the pending write
      yield* ThreadStats.distribution("fourth", 1)
      const later = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("5 seconds")
      const { errors: [error] } = yield* later
      assert.strictEqual(error?.reason, "Timeout")
      assert.deepStrictEqual(error?.ambiguous, [])
      assert.lengthOf(output.writes, 1)

      output.answer = (callback) => callback()
      waiting.shift()!()
      assert.deepStrictEqual((yield* ThreadStats.flush()).metrics, { delivered: 203, pending: 0, dropped: 0 })
      yield* checkedStats
      assert.strictEqual(output.listeners, 0)
    }).pipe(Effect.provide(layerClient(output, { flushTimeout: "5 seconds" })))
  })

  it.effect("does not resend the pending piece when `delivery` is \"at-most-once\"", () => {
    const output = makeOutput()
    return Effect.gen(function*() {
      output.answer = () => {}
      yield* ThreadStats.distribution("first", 1)
      for (let n = 0; n < 200; n++) yield* ThreadStats.distribution("second", n)
      yield* ThreadStats.distribution("third", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual((yield* fiber).metrics, { delivered: 0, pending: 1, dropped: 201 })
      assert.deepStrictEqual((yield* checkedStats).metrics.dropped, { Ambiguous: 201 })
    }).pipe(
      Effect.provide(layerClient(output, { flushTimeout: "5 seconds", delivery: "at-most-once" })),
      // the last flush ends at its timeout, too
      Effect.raceFirst(Effect.forever(TestClock.adjust("1 second")))
    )
  })

  it.effect("writes nothing when the deadline has passed", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      const error = yield* Effect.flip(
        reporter.flushDistributions([many]).pipe(
          Effect.provideServiceEffect(Reporter.Deadline, Clock.currentTimeMillis)
        )
      )
      assert.deepStrictEqual([error.reason, error.ambiguous, error.undelivered], ["Timeout", [], [many]])
      assert.lengthOf(output.writes, 0)
    }))

  it.effect("keeps points when the flush is interrupted", () => {
    const output = makeOutput()
    const waiting: Array<() => void> = []
    return Effect.gen(function*() {
      output.answer = (callback) => waiting.push(callback)
      yield* ThreadStats.distribution("first", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(waiting, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* checkedStats).metrics.pending, 1)
      output.answer = (callback) => callback()
      waiting.shift()!()
    }).pipe(Effect.provide(layerClient(output)))
  })
})

describe("log writer with a broken output", () => {
  const errors: Record<string, (callback: (error?: unknown) => void) => void> = {
    "reports an error": (callback) => callback(new Error("write EPIPE")),
    "throws": () => {
      throw new Error("write after end")
    },
    "reports a value that is not an error": (callback) => callback("gone")
  }
  for (const [name, answer] of Object.entries(errors)) {
    it.effect(`keeps points and writes them with the next flush when the output ${name}`, () => {
      const output = makeOutput()
      return Effect.gen(function*() {
        output.answer = answer
        yield* ThreadStats.distribution("a", 1)
        yield* ThreadStats.increment("b")
        const { errors, metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual(metrics, { delivered: 0, pending: 2, dropped: 0 })
        assert.deepStrictEqual(errors.map(({ ambiguous, reason }) => [reason, ambiguous]), [
          ["Transport", []],
          ["Transport", []]
        ])
        output.answer = (callback) => callback()
        assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 2)
        yield* checkedStats
        yield* output.unobserved
        assert.strictEqual(output.listeners, 0)
      }).pipe(Effect.provide(layerClient(output)))
    })
  }

  it.effect("reports an item as ambiguous when only some of its pieces were written", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      const before = distribution("before", [1])
      const many = distribution("many", Array.from({ length: 1000 }, (_, i) => i))
      const after = distribution("after", [1])
      output.answer = (callback) => callback(output.writes.length > 3 ? new Error("write EPIPE") : undefined)
      const error = yield* Effect.flip(reporter.flushDistributions([before, many, after]))
      assert.deepStrictEqual(error.undelivered, [many, after])
      assert.deepStrictEqual(error.ambiguous, [many])
      assert.deepInclude(error.receipt, { items: 1, payloads: 3 })
    }))
})
