import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { assertAllAccounted } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"
import { makeSettableClock } from "../support/settableClock.js"

describe("high-water mark", () => {
  it.effect("starts a flush at 80 % of a limit, before anything is dropped", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      for (let i = 0; i < 7; i++) yield* ThreadStats.event(`e${i}`, "")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(reporter.calls.length, 0)
      yield* ThreadStats.event("e7", "")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(reporter.events().length, 8)
      yield* TestClock.adjust("5 seconds")
      for (let i = 0; i < 8; i++) yield* ThreadStats.gauge(`g${i}`, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(reporter.series().length, 8)
      yield* TestClock.adjust("5 seconds")
      for (let i = 0; i < 8; i++) (yield* ThreadStats.ThreadStats).unsafeDistribution("d", i)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(reporter.distributions().length, 1)
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, {})
    }).pipe(Effect.provide(scripted.client(reporter, { maxEvents: 10, maxSeries: 10, maxValues: 10 })))
  })

  it.effect("starts one early flush per time budget and exceeds no limit while flushes fail", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
      for (let i = 0; i < 1000; i++) {
        yield* ThreadStats.gauge(`g${i}`, i)
        yield* ThreadStats.event(`e${i}`, "")
      }
      const eventBatches = () => reporter.calls.filter(({ endpoint }) => endpoint === "events").length
      yield* TestClock.adjust("4 seconds")
      yield* ThreadStats.gauge("more", 1)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(eventBatches(), 1)
      yield* TestClock.adjust("500 millis")
      yield* ThreadStats.gauge("more", 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(eventBatches(), 2)
      const { events, metrics, series } = yield* ThreadStats.stats
      assert.isAtMost(series, 10)
      assert.isAtMost(events.pending, 10)
      assert.isAbove(metrics.dropped.TooManySeries ?? 0, 900)
      assert.isAbove(events.dropped.TooManyEvents ?? 0, 900)
      yield* assertAllAccounted
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter, { maxEvents: 10, maxSeries: 10 })))
  })

  it.scoped("starts a flush after the time budget of the previous one when the clock of the machine was set back", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const settable = yield* makeSettableClock
      const layer = scripted.client(reporter, { maxEvents: 10 })
      const client = Context.get(yield* Effect.withClock(Layer.build(layer), settable.clock), ThreadStats.ThreadStats)
      const fill = Effect.suspend(() => {
        for (let i = 0; i < 8; i++) client.unsafeEvent(`e${i}`, "")
        return TestClock.adjust("1 millis")
      })
      yield* TestClock.adjust("12 hours")
      yield* fill
      assert.lengthOf(reporter.events(), 8)
      yield* TestClock.adjust("5 seconds")
      settable.offset = -6 * 3_600_000
      yield* fill
      assert.lengthOf(reporter.events(), 16)
    })
  })
})
