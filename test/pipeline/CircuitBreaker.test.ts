import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { assertAllAccounted, seconds } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"
import { makeSettableClock } from "../support/settableClock.js"

describe("circuit breaker", () => {
  /** Starts a flush, and returns its receipt when the clock has gone on for this time. */
  const flushFor = (duration: string) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust(duration as "5 seconds")
      return yield* fiber
    })

  it.effect("skips flushes after three that timed out until a pause of 30 seconds has passed", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const state = Effect.map(ThreadStats.stats, ({ breaker }) => breaker)
      reporter.answer = () => Effect.never
      yield* ThreadStats.increment("c")
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(yield* state, "closed")
        assert.isFalse((yield* flushFor("5 seconds")).skipped)
      }
      assert.strictEqual(yield* state, "open")
      yield* TestClock.adjust("29 seconds")
      yield* ThreadStats.increment("c")
      const skipped = yield* flushFor("0 seconds")
      assert.deepInclude(skipped, { skipped: true, payloads: 0, errors: [] })
      assert.strictEqual(reporter.calls.length, 3)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* state, "half-open")
      assert.isFalse((yield* flushFor("5 seconds")).skipped)
      assert.strictEqual(reporter.calls.length, 4)
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* state, "open")
      yield* TestClock.adjust("1 seconds")
      reporter.answer = ({ batch }) => scripted.accept(batch)
      assert.strictEqual((yield* flushFor("0 seconds")).metrics.delivered, 2)
      assert.strictEqual(yield* state, "closed")
      yield* assertAllAccounted
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("opens after three failures that took half of a short time, and not after shorter ones", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const state = Effect.map(ThreadStats.stats, ({ breaker }) => breaker)
      const flush = (timeout: number) =>
        Effect.zipRight(Effect.fork(ThreadStats.flush({ timeout })), TestClock.adjust(timeout))
      reporter.answer = () => Effect.never
      yield* ThreadStats.increment("c")
      // A slow answer of a healthy receiver takes as long.
      for (let i = 0; i < 5; i++) yield* flush(499)
      assert.strictEqual(yield* state, "closed")
      for (let i = 0; i < 3; i++) yield* flush(1000)
      assert.strictEqual(yield* state, "open")
      reporter.answer = ({ batch }) => scripted.accept(batch)
      assert.isTrue((yield* ThreadStats.flush({ timeout: 1000 })).skipped)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("opens after three time-outs when flushTimeout is shorter than a second", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = () => Effect.never
      yield* ThreadStats.increment("c")
      for (let i = 0; i < 3; i++) yield* flushFor("200 millis")
      assert.strictEqual((yield* ThreadStats.stats).breaker, "open")
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter, { flushTimeout: "200 millis" })))
  })

  it.effect("doubles the pause up to five minutes while flushes time out", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const state = Effect.map(ThreadStats.stats, ({ breaker }) => breaker)
      reporter.answer = () => Effect.never
      yield* ThreadStats.increment("c")
      for (let i = 0; i < 2; i++) yield* flushFor("5 seconds")
      for (const pause of [30, 60, 120, 240, 300, 300]) {
        yield* flushFor("5 seconds")
        yield* TestClock.adjust(seconds(pause) - 1)
        assert.strictEqual(yield* state, "open")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* state, "half-open")
      }
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("skips a flush with nothing to send while the circuit breaker is open", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => Effect.delay(scripted.fail("Rejected", { refused: batch }), "3 seconds")
      for (let i = 0; i < 3; i++) {
        yield* ThreadStats.increment("c")
        yield* flushFor("3 seconds")
      }
      assert.deepInclude((yield* ThreadStats.stats).metrics, { pending: 0, dropped: { Refused: 3 } })
      assert.isTrue((yield* ThreadStats.flush()).skipped)
      yield* TestClock.adjust("30 seconds")
      assert.isFalse((yield* ThreadStats.flush()).skipped)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("keeps the circuit breaker closed when flushes fail early or deliver a part", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
      yield* ThreadStats.increment("c")
      for (let i = 0; i < 10; i++) yield* ThreadStats.flush()
      assert.strictEqual((yield* ThreadStats.stats).breaker, "closed")
      reporter.answer = ({ batch, endpoint }) => endpoint === "series" ? Effect.never : scripted.accept(batch)
      for (let i = 0; i < 5; i++) {
        yield* ThreadStats.event("e", "")
        yield* flushFor("5 seconds")
      }
      assert.strictEqual((yield* ThreadStats.stats).breaker, "closed")
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("runs the last flush of a scope while the circuit breaker is open", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* Effect.gen(function*() {
        reporter.answer = () => Effect.never
        yield* ThreadStats.increment("c")
        for (let i = 0; i < 3; i++) yield* flushFor("5 seconds")
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
      assert.strictEqual(reporter.calls.length, 4)
    })
  })

  for (const [change, offset] of Object.entries({ "set back": -6 * 3_600_000, "put forward": 6 * 3_600_000 })) {
    it.scoped(`ends its pause after 30 seconds or earlier when the clock of the machine is ${change} by six hours`, () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const settable = yield* makeSettableClock
        const client = Context.get(
          yield* Effect.withClock(
            Layer.build(scripted.client(reporter, { acceptedTimestamps: "any" })),
            settable.clock
          ),
          ThreadStats.ThreadStats
        )
        reporter.answer = () => Effect.never
        yield* client.increment("c")
        for (let i = 0; i < 3; i++) {
          const fiber = yield* Effect.fork(client.flush())
          yield* TestClock.adjust("5 seconds")
          assert.isFalse((yield* fiber).skipped)
        }
        assert.strictEqual((yield* client.stats).breaker, "open")
        settable.offset = offset
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* client.stats).breaker, "half-open")
        reporter.answer = ({ batch }) => scripted.accept(batch)
        assert.strictEqual((yield* client.flush()).metrics.delivered, 1)
      })
    })
  }
})
