import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, TestClock } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { assertAllAccounted, memoryContents, metricValues, seconds } from "../support/clientAssertions.js"
import { layerEventsAggregator, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"

describe("flush", () => {
  it.effect("sends nothing when nothing was recorded since the last flush", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(reporter.calls, [])
      assert.deepStrictEqual(receipt.metrics, { delivered: 0, pending: 0, dropped: 0 })
      yield* ThreadStats.gauge("x", 1)
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      assert.strictEqual(reporter.calls.length, 1)
    }).pipe(Effect.provide(scripted.client(reporter)))
  })

  it.effect("returns an empty receipt synchronously when nothing is pending", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const nothing = { delivered: 0, pending: 0, dropped: 0 }
      const empty = Effect.runSync(client.flush())
      assert.deepStrictEqual([empty.metrics, empty.events, empty.skipped], [nothing, nothing, false])
      yield* ThreadStats.gauge("x", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(Effect.runSync(client.flush({ timeout: 0 })), empty)
      assert.deepStrictEqual(Effect.runSync(client.flush({ upTo: 0 })), empty)
      yield* ThreadStats.event("x", "")
      yield* ThreadStats.flush()
      assert.strictEqual((yield* memoryContents).events.length, 1)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("logs drops when nothing is pending", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const warningsAfter = (record: Effect.Effect<void, never, ThreadStats.ThreadStats>) =>
        Effect.map(Effect.zipRight(record, ThreadStats.flush()), () => lines.splice(0).map(({ message }) => message))
      assert.match((yield* warningsAfter(ThreadStats.gauge("n".repeat(201), 1))).join(), /NameTooLong/)
      assert.match((yield* warningsAfter(ThreadStats.gauge("x", Number.NaN))).join(), /InvalidValue/)
      assert.match((yield* warningsAfter(ThreadStats.event("", ""))).join(), /InvalidEvent/)
      assert.deepStrictEqual(yield* warningsAfter(Effect.void), [])
    }).pipe(Effect.provide(Layer.merge(ThreadStats.layerTest, scripted.logsTo(lines))))
  })

  it.effect("drains the open bucket unless `upTo` limits it to the buckets closed by then", () =>
    Effect.gen(function*() {
      yield* ThreadStats.gauge("x", 1)
      yield* TestClock.setTime(seconds(15))
      yield* ThreadStats.gauge("x", 2)
      yield* ThreadStats.flush({ upTo: new Date(seconds(19)) })
      assert.deepStrictEqual(metricValues((yield* memoryContents).metrics), [["x", 1]])
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues((yield* memoryContents).metrics), [["x", 1], ["x", 2]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("reports the whole total of a bucket when it is flushed twice", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.flush()
      yield* ThreadStats.increment("c", 7)
      yield* ThreadStats.flush()
      const { metrics } = yield* memoryContents
      assert.deepStrictEqual(metrics.map(({ points }) => points[0]), [[0, 0.5], [0, 1.2]])
      assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 2)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("sends series, distributions and events concurrently", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      reporter.answer = ({ batch }) => Effect.zipRight(Deferred.await(gate), scripted.accept(batch))
      yield* ThreadStats.gauge("g", 1)
      yield* ThreadStats.distribution("d", 1)
      yield* ThreadStats.event("e", "")
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(reporter.calls.map(({ endpoint }) => endpoint), ["series", "distributions", "events"])
      yield* Deferred.succeed(gate, undefined)
      const receipt = yield* fiber
      assert.deepInclude(receipt, { payloads: 3, bytes: 30, errors: [] })
      assert.deepInclude(receipt.metrics, { delivered: 2 })
      assert.deepInclude(receipt.events, { delivered: 1 })
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})

describe("flush with a memory reporter", () => {
  const layer = (options: { readonly samples: boolean; readonly client?: ThreadStatsConfig.ThreadStatsOptions }) =>
    layerReporterWith({ periodicFlush: false, ...options.client }).pipe(
      Layer.provide(Layer.merge(layerMetricsAggregatorWith(options.client), layerEventsAggregator)),
      Layer.provideMerge(Reporter.layerMemoryWith({ temporality: "delta", samples: options.samples })),
      Layer.orDie
    )

  const recordAll = Effect.gen(function*() {
    yield* ThreadStats.increment("c", 3, { tags: ["a:1"] })
    yield* ThreadStats.decrement("c", 1, { tags: ["a:1"] })
    yield* ThreadStats.gauge("g", 1)
    yield* ThreadStats.gauge("g", 0.5, { host: "web-9" })
    yield* ThreadStats.set("s", "alice")
    yield* ThreadStats.set("s", 7)
    yield* ThreadStats.set("s", "alice")
    yield* ThreadStats.histogram("h", 20)
    yield* ThreadStats.histogram("h", 10)
    yield* ThreadStats.timing("t", 12.5)
    yield* ThreadStats.distribution("d", 1)
  })

  it.effect("reports only new samples in place of series when the reporter accepts samples", () =>
    Effect.gen(function*() {
      yield* recordAll
      yield* ThreadStats.flush()
      yield* ThreadStats.increment("c", 5, { tags: ["a:1"] })
      yield* ThreadStats.histogram("h", 1)
      const receipt = yield* ThreadStats.flush()
      const { distributions, metrics, samples } = yield* Effect.flatMap(Reporter.MemoryReporter, Effect.all)
      assert.deepStrictEqual(metrics, [])
      const common = { weight: 1, tags: ["k:v"], interval: 10, device: "sda" }
      assert.deepStrictEqual(samples, [
        { ...common, metric: "app.c", type: "counter", points: [[0, [2]]], tags: ["a:1", "k:v"] },
        { ...common, metric: "app.g", type: "gauge", points: [[0, [1]]] },
        { ...common, metric: "app.g", type: "gauge", points: [[0, [0.5]]], host: "web-9" },
        { ...common, metric: "app.s", type: "set", points: [[0, ["alice", 7]]] },
        { ...common, metric: "app.h", type: "histogram", points: [[0, [20, 10]]] },
        { ...common, metric: "app.t", type: "timing", points: [[0, [12.5]]] },
        { ...common, metric: "app.c", type: "counter", points: [[0, [5]]], tags: ["a:1", "k:v"] },
        { ...common, metric: "app.h", type: "histogram", points: [[0, [1]]] }
      ])
      assert.deepStrictEqual(metricValues(distributions), [["app.d", [1]]])
      assert.deepStrictEqual(receipt.metrics, { delivered: 2, pending: 0, dropped: 0 })
      yield* assertAllAccounted
    }).pipe(
      Effect.provide(layer({ samples: true, client: { namespace: "app", constantTags: ["k:v"], device: "sda" } }))
    ))

  it.effect("reports the weight of each sample when a histogram has more values than `sampleSize`", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 25; i++) yield* ThreadStats.histogram("h", i)
      yield* ThreadStats.flush()
      const [series] = yield* Effect.flatMap(Reporter.MemoryReporter, (self) => self.samples)
      assert.strictEqual(series?.points[0]?.[1].length, 10)
      assert.strictEqual(series?.weight, 2.5)
    }).pipe(Effect.provide(layer({ samples: true, client: { sampleSize: 10 } }))))

  it.effect("reports counters as distributions when `counters` is `distributions` and the reporter accepts samples", () =>
    Effect.gen(function*() {
      yield* recordAll
      yield* ThreadStats.flush()
      const { distributions, samples } = yield* Effect.flatMap(Reporter.MemoryReporter, Effect.all)
      assert.deepStrictEqual(metricValues(distributions).map(([name]) => name), ["c", "h", "t", "d"])
      assert.deepStrictEqual(samples.map(({ type }) => type), ["gauge", "gauge", "set"])
    }).pipe(Effect.provide(layer({ samples: true, client: { submitAs: "distributions" } }))))

  it.effect("reports series when the reporter does not accept samples", () =>
    Effect.gen(function*() {
      yield* recordAll
      yield* ThreadStats.flush()
      const { metrics, samples } = yield* Effect.flatMap(Reporter.MemoryReporter, Effect.all)
      assert.deepStrictEqual(samples, [])
      assert.deepStrictEqual(metrics[0]?.points, [[0, 0.2]])
    }).pipe(Effect.provide(layer({ samples: false }))))
})

describe("flush with a reporter of deltas", () => {
  it.effect("reports only the increase since the last flush when the reporter's temporality is delta", () => {
    const reporter = scripted.make("delta")
    return Effect.gen(function*() {
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.flush()
      yield* ThreadStats.increment("c", 7)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues(reporter.series()), [["c", 0.5], ["c", 0.7]])
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})

describe("ThreadStats.stats", () => {
  it.effect("counts flushes, payloads, bytes and retries", () => {
    const reporter = scripted.make()
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.gauge("b", 1)
      assert.strictEqual((yield* ThreadStats.stats).series, 2)
      yield* ThreadStats.flush()
      yield* ThreadStats.distribution("d", 1)
      reporter.answer = ({ batch }) => Effect.succeed({ items: batch.length, payloads: 1, bytes: 10, retries: 3 })
      assert.strictEqual((yield* ThreadStats.flush()).retries, 3)
      assert.deepInclude(yield* ThreadStats.stats, { series: 0, flushes: 2, payloads: 2, bytes: 20, retries: 3 })
    }).pipe(Effect.provide(scripted.client(reporter)))
  })
})
