import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import type { Reporter } from "effect-threadstats"
import { assertAllAccounted, metricValues } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"

describe("flush", () => {
  it.effect("restores undelivered series and events, and merges them with later ones", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.distribution("d", 1)
      yield* ThreadStats.event("first", "")
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.metrics, { delivered: 0, pending: 2, dropped: 0 })
      assert.deepStrictEqual(receipt.events, { delivered: 0, pending: 1, dropped: 0 })
      assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), [
        "ServerError",
        "ServerError",
        "ServerError"
      ])
      yield* assertAllAccounted
      reporter.calls.length = 0
      reporter.answer = ({ batch }) => scripted.accept(batch)
      yield* ThreadStats.increment("c", 7)
      yield* ThreadStats.distribution("d", 2)
      yield* ThreadStats.event("second", "")
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues(reporter.series()), [["c", 1.2]])
      assert.deepStrictEqual(metricValues(reporter.distributions()), [["d", [1, 2]]])
      assert.deepStrictEqual(reporter.events().map(({ title }) => title), ["first", "second"])
      assert.deepInclude((yield* ThreadStats.stats).metrics, { received: 4, delivered: 4, pending: 0 })
      yield* assertAllAccounted
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("delivers distributions and events when the series fail", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch, endpoint }) =>
        endpoint === "series" ? scripted.fail("Timeout", { undelivered: batch }) : scripted.accept(batch)
      yield* ThreadStats.gauge("g", 1)
      yield* ThreadStats.distribution("d", 1)
      yield* ThreadStats.event("e", "")
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.metrics, { delivered: 1, pending: 1, dropped: 0 })
      assert.deepStrictEqual(receipt.events, { delivered: 1, pending: 0, dropped: 0 })
      yield* assertAllAccounted
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("drops refused series and events, and sends only undelivered ones again", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch, endpoint }) =>
        endpoint === "series"
          ? scripted.fail("Rejected", { refused: batch.slice(0, 1), undelivered: batch.slice(1, 2) })
          : scripted.fail("Rejected", { refused: batch.slice(0, 1) })
      for (const name of ["a", "b", "c"]) {
        yield* ThreadStats.increment(name)
        yield* ThreadStats.increment(name)
        yield* ThreadStats.event(name, "")
      }
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.metrics, { delivered: 2, pending: 2, dropped: 2 })
      assert.deepStrictEqual(receipt.events, { delivered: 2, pending: 0, dropped: 1 })
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { Refused: 2 })
      yield* assertAllAccounted
      reporter.answer = ({ batch }) => scripted.accept(batch)
      reporter.calls.length = 0
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues(reporter.series()), [["b", 0.2]])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("sends all series of a histogram again when one of them was not delivered", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => scripted.fail("Timeout", { undelivered: batch.slice(3, 4) })
      yield* ThreadStats.histogram("h", 1)
      assert.deepStrictEqual((yield* ThreadStats.flush()).metrics, { delivered: 0, pending: 1, dropped: 0 })
      yield* ThreadStats.flush()
      assert.strictEqual(reporter.calls[1]?.batch.length, 8)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("restores the drained series and events when the caller of the flush is interrupted", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const entered = yield* Deferred.make<void>()
      reporter.answer = () => Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never)
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.event("e", "")
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* Deferred.await(entered)
      yield* ThreadStats.increment("c", 7)
      yield* Fiber.interrupt(fiber)
      const { events, metrics } = yield* ThreadStats.stats
      assert.deepStrictEqual([metrics.pending, events.pending], [2, 1])
      yield* assertAllAccounted
      reporter.calls.length = 0
      reporter.answer = ({ batch }) => scripted.accept(batch)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues(reporter.series()), [["c", 1.2]])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("counts the endpoints that had answered as delivered when the flush is interrupted", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const entered = yield* Deferred.make<void>()
      reporter.answer = ({ batch, endpoint }) =>
        endpoint === "series"
          ? scripted.accept(batch)
          : Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never)
      yield* ThreadStats.increment("c")
      yield* ThreadStats.distribution("d", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* Deferred.await(entered)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interrupt(fiber)
      assert.deepInclude((yield* ThreadStats.stats).metrics, { delivered: 1, pending: 1 })
      yield* assertAllAccounted
      reporter.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})

describe("delivery option", () => {
  const recordAll = Effect.gen(function*() {
    yield* ThreadStats.increment("c", 5)
    yield* ThreadStats.gauge("g", 5)
    yield* ThreadStats.distribution("d", 1)
    yield* ThreadStats.distribution("d", 2)
    yield* ThreadStats.event("e", "")
  })

  /** Records, lets a flush fail, and returns the dropped numbers and the names that the next flush sends again. */
  const flushTwice = (
    temporality: Reporter.Temporality,
    failingFlush: (reporter: scripted.Scripted) => Effect.Effect<unknown, never, ThreadStats.ThreadStats>
  ) =>
    Effect.gen(function*() {
      const reporter = scripted.make(temporality)
      return yield* Effect.gen(function*() {
        yield* recordAll
        yield* failingFlush(reporter)
        const { events, metrics } = yield* ThreadStats.stats
        yield* assertAllAccounted
        reporter.answer = ({ batch }) => scripted.accept(batch)
        reporter.calls.length = 0
        yield* ThreadStats.flush()
        return {
          dropped: [metrics.dropped.Ambiguous ?? 0, events.dropped.Ambiguous ?? 0],
          sentAgain: reporter.calls.flatMap(({ batch }) =>
            batch.map((item) => "title" in item ? item.title : item.metric)
          )
        }
      }).pipe(Effect.provide(scripted.client(reporter, { delivery: "at-most-once" })))
    })

  const loseAnswers = (reporter: scripted.Scripted) => {
    reporter.answer = ({ batch }) => scripted.fail("Timeout", { undelivered: batch, ambiguous: batch })
    return ThreadStats.flush()
  }

  it.effect("drops and counts additive series and events that may have arrived when delivery is at-most-once", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* flushTwice("total", loseAnswers), { dropped: [2, 1], sentAgain: ["c", "g"] })
      assert.deepStrictEqual(yield* flushTwice("delta", loseAnswers), { dropped: [3, 1], sentAgain: ["g"] })
    }))

  it.effect("treats an interrupted, hung or dead delivery as one that may have arrived when delivery is at-most-once", () =>
    Effect.gen(function*() {
      const assumedArrived = { dropped: [2, 1], sentAgain: ["c", "g"] }
      assert.deepStrictEqual(
        yield* flushTwice("total", (reporter) => {
          reporter.answer = () => Effect.never
          return Effect.flatMap(
            Effect.fork(ThreadStats.flush()),
            (fiber) => Effect.zipRight(TestClock.adjust(1), Fiber.interrupt(fiber))
          )
        }),
        assumedArrived
      )
      assert.deepStrictEqual(
        yield* flushTwice("total", (reporter) => {
          reporter.answer = () => Effect.never
          return Effect.flatMap(
            Effect.fork(ThreadStats.flush()),
            (fiber) => Effect.zipRight(TestClock.adjust("5 seconds"), Fiber.join(fiber))
          )
        }),
        assumedArrived
      )
      assert.deepStrictEqual(
        yield* flushTwice("total", (reporter) => {
          reporter.answer = () => Effect.die("broken")
          return ThreadStats.flush()
        }),
        assumedArrived
      )
    }))

  it.effect("restores everything that certainly did not arrive when delivery is at-most-once", () =>
    Effect.gen(function*() {
      const outcome = yield* flushTwice("total", (reporter) => {
        reporter.answer = ({ batch }) => scripted.fail("RateLimited", { undelivered: batch })
        return ThreadStats.flush()
      })
      assert.deepStrictEqual(outcome, { dropped: [0, 0], sentAgain: ["c", "g", "d", "e"] })
    }))

  it.effect("sends everything that may have arrived again when delivery is at-least-once", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* recordAll
      yield* loseAnswers(reporter)
      reporter.answer = ({ batch }) => scripted.accept(batch)
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered], [4, 1])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})
