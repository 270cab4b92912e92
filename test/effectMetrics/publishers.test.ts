import { assert, describe, it } from "@effect/vitest"
import * as EffectMetrics from "effect-threadstats/EffectMetrics"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as TestClock from "effect/TestClock"
import { indexes, layerRecorded, only, takeRecorded } from "../support/effectMetrics.js"
import * as Scripted from "../support/scripted.js"

describe("publishers of counters", () => {
  it.effect("report the increments since the last flush, with labels as tags", () =>
    Effect.gen(function*() {
      const requests = Metric.counter("c1.requests", { incremental: true })
      const eu = Metric.tagged(requests, "region", "eu")
      yield* Metric.incrementBy(requests, 3)
      yield* Metric.increment(eu)
      assert.deepStrictEqual(yield* takeRecorded, [["counter", "c1.requests", 3], [
        "counter",
        "c1.requests region:eu",
        1
      ]])
      yield* Metric.incrementBy(eu, 4)
      assert.deepStrictEqual(yield* takeRecorded, [["counter", "c1.requests region:eu", 4]])
    }).pipe(Effect.provide(layerRecorded(only("c1.")))))

  it.effect("report negative increments and bigints", () =>
    Effect.gen(function*() {
      const balance = Metric.counter("c2.balance")
      const bytes = Metric.counter("c2.bytes", { bigint: true })
      yield* Metric.update(balance, 5)
      yield* Metric.update(bytes, 9_007_199_254_740_993n)
      assert.deepStrictEqual(yield* takeRecorded, [
        ["counter", "c2.balance", 5],
        ["counter", "c2.bytes", 9_007_199_254_740_992]
      ])
      yield* Metric.update(balance, -7)
      yield* Metric.update(bytes, -3n)
      // A double cannot hold the last 1 of the first value. The second difference contains it.
      assert.deepStrictEqual(yield* takeRecorded, [["counter", "c2.balance", -7], ["counter", "c2.bytes", -2]])
    }).pipe(Effect.provide(layerRecorded(only("c2.")))))

  it.effect("add up to the value of the counter, fractions included, over many flushes", () =>
    Effect.gen(function*() {
      const spent = Metric.counter("c3.spent")
      for (const i of indexes(50)) {
        yield* Metric.update(spent, 0.1 * i)
        yield* ThreadStats.flush()
      }
      const { count } = yield* Metric.value(spent)
      assert.strictEqual(yield* Testing.count("c3.spent"), count)
    }).pipe(Effect.provide(layerRecorded(only("c3.")))))

  it.effect("send nothing for a counter that does not change", () =>
    Effect.gen(function*() {
      Metric.counter("c4.idle").register()
      yield* Metric.increment(Metric.counter("c4.once"))
      yield* ThreadStats.flush()
      const before = yield* ThreadStats.stats
      const receipt = yield* ThreadStats.flush()
      assert.strictEqual(receipt.payloads, 0)
      assert.strictEqual((yield* ThreadStats.stats).metrics.received, before.metrics.received)
      assert.deepStrictEqual(yield* Testing.names, ["c4.once"])
    }).pipe(Effect.provide(layerRecorded(only("c4.")))))

  it.effect("drop a counter that became NaN once and count the drop", () =>
    Effect.gen(function*() {
      const broken = Metric.counter("c5.broken")
      yield* Metric.update(broken, 2)
      yield* ThreadStats.flush()
      yield* Metric.update(broken, Number.NaN)
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
      yield* Testing.expectCount("c5.broken", 2)
    }).pipe(Effect.provide(layerRecorded(only("c5.")))))

  it.effect("report counters that can fall as gauges when `asGauge` selects them", () =>
    Effect.gen(function*() {
      const open = Metric.counter("c6.open")
      yield* Metric.incrementBy(open, 3)
      yield* Metric.update(open, -1)
      yield* Metric.increment(Metric.counter("c6.made", { incremental: true }))
      yield* Testing.expectGauge("c6.open", 2)
      yield* Testing.expectCount("c6.made", 1)
    }).pipe(Effect.provide(layerRecorded(only("c6.", { asGauge: () => true })))))

  it.effect("add counters of one name and set of tags together in any order of tags", () =>
    Effect.gen(function*() {
      const labels = [MetricLabel.make("a", "1"), MetricLabel.make("b", "2")]
      const counter = Metric.counter("c7.sum", { description: "one" })
      yield* Metric.increment(Metric.taggedWithLabels(counter, labels))
      yield* Metric.incrementBy(Metric.taggedWithLabels(counter, labels.slice().reverse()), 10)
      yield* Metric.incrementBy(
        Metric.taggedWithLabels(Metric.counter("c7.sum", { description: "other" }), labels),
        100
      )
      assert.deepStrictEqual(yield* takeRecorded, [["counter", "c7.sum a:1 b:2", 111]])
    }).pipe(Effect.provide(layerRecorded(only("c7.")))))
})

describe("publishers of gauges", () => {
  it.effect("report a gauge when it changes, and once in each interval while it does not", () =>
    Effect.gen(function*() {
      const depth = Metric.gauge("g1.depth")
      yield* Metric.set(depth, 3)
      const reported: Array<unknown> = []
      for (const i of indexes(12)) {
        if (i === 4) yield* Metric.set(depth, 4)
        reported.push(...(yield* takeRecorded).map(([, , value]) => [i, value]))
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(reported, [[0, 3], [4, 4], [6, 4]])
    }).pipe(Effect.provide(layerRecorded(only("g1.")))))

  for (
    const [gaugeInterval, expected] of [
      ["0 seconds", [0, 1, 2, 3, 4, 5, 6, 7]],
      ["20 seconds", [0, 2, 4, 6]],
      ["infinity", [0]]
    ] as const
  ) {
    it.effect(`report an unchanged gauge once in a \`gaugeInterval\` of ${gaugeInterval}`, () => {
      const name = `g2.${gaugeInterval.length}`
      return Effect.gen(function*() {
        yield* Metric.set(Metric.gauge(name), 3)
        const reported: Array<number> = []
        for (const i of indexes(8)) {
          if ((yield* takeRecorded).length > 0) reported.push(i)
          yield* TestClock.adjust("10 seconds")
        }
        assert.deepStrictEqual(reported, [...expected])
      }).pipe(Effect.provide(layerRecorded(only(name, {
        gaugeInterval: gaugeInterval === "infinity" ? Infinity : gaugeInterval
      }))))
    })
  }

  it.effect("report an unchanged gauge in every interval when the client flushes periodically", () => {
    const reporter = Scripted.make("delta")
    return Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("g3.depth"), 3)
      yield* TestClock.adjust("61 seconds")
      const points = reporter.series().flatMap(({ points }) => points)
      assert.deepStrictEqual(points, indexes(5).map((i) => [i * 10 + 10, 3] as const))
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith(only("g3.")).pipe(
          Layer.provideMerge(Scripted.client(reporter, { periodicFlush: true }))
        )
      )
    )
  })

  it.effect("report bigints, and drop and count NaN", () =>
    Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("g4.big", { bigint: true }), 12n)
      yield* Metric.set(Metric.gauge("g4.bad"), Number.NaN)
      yield* Testing.expectGauge("g4.big", 12)
      yield* ThreadStats.flush()
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
      yield* Metric.set(Metric.gauge("g4.bad"), 7)
      yield* Testing.expectGauge("g4.bad", 7)
    }).pipe(Effect.provide(layerRecorded(only("g4.", { gaugeInterval: 0 })))))

  it.effect("report the gauge that changed last when two have one name and set of tags", () =>
    Effect.gen(function*() {
      const [first, second] = ["a", "b"].map((pod) => Metric.tagged(Metric.gauge("g5.depth"), "pod", pod))
      yield* Metric.set(first!, 1)
      yield* Metric.set(second!, 2)
      yield* Testing.expectGauge("g5.depth", 2)
      yield* Metric.set(first!, 3)
      yield* Testing.expectGauge("g5.depth", 3)
      yield* TestClock.adjust("5 minutes")
      yield* Testing.expectGauge("g5.depth", 3)
      yield* Metric.set(second!, 4)
      assert.deepStrictEqual((yield* takeRecorded).at(-1), ["gauge", "g5.depth", 4])
    }).pipe(Effect.provide(layerRecorded(only("g5.", { tags: () => [] })))))
})

describe("publishers of frequencies", () => {
  it.effect("report a counter for each word, with the word in the tag `key`", () =>
    Effect.gen(function*() {
      const errors = Metric.tagged(
        Metric.frequency("f1.errors", { preregisteredWords: ["Timeout"] }),
        "service",
        "shop"
      )
      yield* Metric.update(errors, "NotFound")
      yield* Metric.update(errors, "NotFound")
      yield* Metric.update(errors, "Größe / 2")
      assert.deepStrictEqual(yield* takeRecorded, [
        ["counter", "f1.errors service:shop key:NotFound", 2],
        ["counter", "f1.errors service:shop key:Größe / 2", 1]
      ])
      yield* Metric.update(errors, "Timeout")
      yield* Metric.update(errors, "NotFound")
      assert.deepStrictEqual(yield* takeRecorded, [
        ["counter", "f1.errors service:shop key:Timeout", 1],
        ["counter", "f1.errors service:shop key:NotFound", 1]
      ])
      assert.isEmpty(yield* takeRecorded)
    }).pipe(Effect.provide(layerRecorded(only("f1.")))))
})

describe("publishers of summaries", () => {
  it.effect("report count and sum as counters, and minimum, maximum and quantiles as gauges", () =>
    Effect.gen(function*() {
      const summary = Metric.summary({
        name: "s1.wait",
        maxAge: "1 day",
        maxSize: 100,
        error: 0,
        quantiles: [0.5, 0.95]
      })
      summary.register()
      assert.isEmpty(yield* takeRecorded)
      for (const value of indexes(21)) yield* Metric.update(summary, value)
      const { quantiles } = yield* Metric.value(summary)
      const quantileValues = quantiles.map(([, value]) => value._tag === "Some" ? value.value : undefined)
      assert.notInclude(quantileValues, undefined)
      assert.deepStrictEqual(yield* takeRecorded, [
        ["counter", "s1.wait.count", 21],
        ["counter", "s1.wait.sum", 210],
        ["gauge", "s1.wait.min", 0],
        ["gauge", "s1.wait.max", 20],
        ["gauge", "s1.wait.50percentile", quantileValues[0]],
        ["gauge", "s1.wait.95percentile", quantileValues[1]]
      ])
      yield* Metric.update(summary, -1)
      const after = yield* takeRecorded
      assert.includeDeepMembers(after, [
        ["counter", "s1.wait.count", 1],
        ["counter", "s1.wait.sum", -1],
        ["gauge", "s1.wait.min", -1]
      ])
      assert.notInclude(after.map(([, name]) => name), "s1.wait.max")
    }).pipe(Effect.provide(layerRecorded(only("s1.")))))

  it.effect("report no gauge for a quantile without a value", () =>
    Effect.gen(function*() {
      const summary = Metric.summaryTimestamp({
        name: "s2.wait",
        maxAge: "1 second",
        maxSize: 10,
        error: 0,
        quantiles: [0.5]
      })
      yield* Metric.update(summary, [5, 0])
      assert.deepStrictEqual((yield* takeRecorded).map(([, name]) => name), [
        "s2.wait.count",
        "s2.wait.sum",
        "s2.wait.min",
        "s2.wait.max"
      ])
    }).pipe(Effect.provide(layerRecorded(only("s2.", { gaugeInterval: 0 })))))
})
