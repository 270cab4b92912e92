import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, LogLevel, Option, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { assertAllAccounted } from "../support/clientAssertions.js"
import { layerEventsAggregator, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"

describe("flush", () => {
  it.effect("logs one warning per reason and flush, with the number of drops and the names", () => {
    const reporter = scripted.make()
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", Number.NaN)
      yield* ThreadStats.gauge("b", Infinity)
      yield* ThreadStats.gauge("c", 1, { tags: ["t".repeat(201)] })
      yield* ThreadStats.event("", "")
      yield* ThreadStats.gauge("d", 1)
      yield* ThreadStats.increment("d")
      assert.deepStrictEqual(lines, [])
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines.map(({ level, message }) => `${level} ${message}`), [
        "WARN Dropped 2 points: InvalidValue (a, b). Remedy: docs/delivery.md",
        "WARN Dropped 1 point: KindConflict (d). Remedy: docs/delivery.md",
        "WARN Dropped 1 event: InvalidEvent (). Remedy: docs/delivery.md",
        "WARN Tags cut to 200 characters, Datadog's limit: 1 (c). Shorten them",
        "WARN The name d is used with more than one kind of metric. Rename one"
      ])
      yield* ThreadStats.gauge("d", 1)
      yield* ThreadStats.flush()
      assert.strictEqual(lines.length, 5)
    }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
  })

  it.effect("logs a failed flush with its reason and the numbers of pending and dropped points", () => {
    const reporter = scripted.make()
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines, [{
        level: "WARN",
        message: "ServerError at test: as told (1 pending, 0 dropped)"
      }])
      assert.strictEqual((yield* ThreadStats.stats).lastError?.reason, "ServerError")
    }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
  })

  it.effect("logs a refused key once as an error until a flush succeeds", () => {
    const reporter = scripted.make()
    const lines: Array<scripted.Line> = []
    const refuse: typeof reporter.answer = ({ batch }) => scripted.fail("Unauthorized", { undelivered: batch })
    return Effect.gen(function*() {
      reporter.answer = refuse
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines.map(({ level }) => level), ["ERROR"])
      reporter.answer = ({ batch }) => scripted.accept(batch)
      yield* ThreadStats.flush()
      reporter.answer = refuse
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines.map(({ level }) => level), ["ERROR", "ERROR"])
    }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
  })

  it.effect("delivers and returns its receipt when the logger throws", () => {
    const reporter = scripted.make()
    const brokenLogger = Logger.make(() => {
      throw new Error("broken logger")
    })
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      yield* client.onFlush(() => {
        throw new Error("broken hook")
      })
      yield* ThreadStats.gauge("bad", Number.NaN)
      yield* ThreadStats.gauge("good", 1)
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
      assert.deepStrictEqual((yield* fiber).metrics, { delivered: 1, pending: 0, dropped: 0 })
      yield* assertAllAccounted
    }).pipe(
      Effect.scoped,
      Effect.provide([scripted.client(reporter), Logger.replace(Logger.defaultLogger, brokenLogger)])
    )
  })

  it.effect("logs the defect of an aggregator and returns an empty receipt", () => {
    const reporter = scripted.make()
    const lines: Array<scripted.Line> = []
    const layerBrokenAggregator = Layer.map(
      Layer.fresh(layerMetricsAggregatorWith()),
      (context) =>
        Context.make(PipelineMetricsAggregator, {
          ...Context.get(context, PipelineMetricsAggregator),
          drainEach: () => Effect.die("broken aggregator")
        })
    )
    const layer = layerReporterWith({ periodicFlush: false }).pipe(
      Layer.provide(Layer.mergeAll(reporter.layer, layerBrokenAggregator, Layer.fresh(layerEventsAggregator))),
      Layer.orDie
    )
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.metrics, { delivered: 0, pending: 0, dropped: 0 })
      // Effect does not log the fiber of the flush a second time, at debug level.
      assert.deepStrictEqual(lines.map(({ level }) => level), ["ERROR"])
    }).pipe(Effect.provide([layer, scripted.logsTo(lines)]), Logger.withMinimumLogLevel(LogLevel.All))
  })
})
