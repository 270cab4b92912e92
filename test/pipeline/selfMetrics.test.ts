import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, TestClock } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { Series } from "effect-threadstats"
import { assertAllAccounted } from "../support/clientAssertions.js"
import { layerInProcess } from "../support/intake.js"
import * as scripted from "../support/scripted.js"
import { recordingTracer } from "../support/tracer.js"

describe("selfMetrics option", () => {
  it.effect("reports the client's own metrics together with others and never by themselves when `selfMetrics` is true", () => {
    const reporter = scripted.make()
    const ownMetricsOfLastBatch = () => {
      const batch = reporter.calls.findLast(({ endpoint }) => endpoint === "series")?.batch ?? []
      return Object.fromEntries(
        (batch as ReadonlyArray<Series.Series>)
          .filter(({ metric }) => metric.startsWith("shop.threadstats.client."))
          .map(({ metric, points, tags, type }) => [
            [metric.slice("shop.threadstats.client.".length), ...tags].join(" "),
            Math.round(points[0]![1] * (type === "rate" ? 10 : 1))
          ])
      )
    }
    return Effect.gen(function*() {
      yield* ThreadStats.flush()
      assert.strictEqual(reporter.calls.length, 0)
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.gauge("b", Number.NaN)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(ownMetricsOfLastBatch(), {
        "points.received": 2,
        "points.pending": 1,
        "points.dropped reason:InvalidValue": 1,
        "events.pending": 0,
        series: 1,
        "breaker.open": 0
      })
      const delivered = (yield* ThreadStats.stats).metrics.delivered
      const calls = reporter.calls.length
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      assert.strictEqual(reporter.calls.length, calls)
      yield* ThreadStats.event("e", "")
      yield* ThreadStats.flush()
      assert.deepStrictEqual(ownMetricsOfLastBatch(), {
        "points.received": delivered - 1,
        "points.delivered": delivered,
        "points.pending": 0,
        "events.received": 1,
        "events.pending": 1,
        series: 0,
        flushes: 1,
        payloads: 1,
        bytes: 10,
        "breaker.open": 0
      })
      yield* assertAllAccounted
    }).pipe(Effect.provide(scripted.client(reporter, { selfMetrics: true, namespace: "shop" })))
  })
})

describe("ThreadStats", () => {
  it.effect("records nothing about itself by default", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.flush()
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.event("e", "")
      yield* ThreadStats.flush()
      assert.deepStrictEqual(reporter.calls.map(({ endpoint }) => endpoint), ["series", "events"])
      assert.deepStrictEqual(reporter.series().map(({ metric }) => metric), ["a"])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("creates no span for its own requests", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const client = yield* ThreadStats.ThreadStats
        yield* client.warm
        yield* ThreadStats.increment("c")
        yield* ThreadStats.distribution("d", 1)
        yield* ThreadStats.event("e", "")
        yield* Effect.withSpan(ThreadStats.flush(), "program")
        assert.deepStrictEqual((yield* intake.requests).map(({ method, status }) => [method, status]), [
          ["GET", 200],
          ["POST", 202],
          ["POST", 202],
          ["POST", 202]
        ])
        assert.deepStrictEqual(spans.map(({ name }) => name), ["program"])
        // The same HTTP client creates a span for a request of the program.
        yield* HttpClient.get(intake.url)
        assert.strictEqual(spans[1]?.name, "http.client GET")
      }).pipe(
        Effect.provide(
          ThreadStats.layerHttpClientWith({
            apiUrl: "http://127.0.0.1:8080",
            apiKey: Redacted.make("key"),
            periodicFlush: false
          })
            .pipe(Layer.provideMerge(layerInProcess()))
        ),
        Effect.scoped,
        Effect.withTracer(tracer)
      )
    }))

  it.effect("disables tracing while the reporter delivers", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      reporter.answer = ({ batch }) => Effect.withSpan(scripted.accept(batch), "delivery")
      yield* ThreadStats.increment("c")
      yield* ThreadStats.flush().pipe(Effect.withSpan("program"), Effect.withTracer(tracer))
      assert.lengthOf(reporter.calls, 1)
      assert.deepStrictEqual(spans.map(({ name }) => name), ["program"])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})
