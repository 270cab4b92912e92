import { assert, describe, it } from "@effect/vitest"
import * as EffectMetrics from "effect-threadstats/EffectMetrics"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as Lambda from "effect-threadstats/Lambda"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricState from "effect/MetricState"
import * as Redacted from "effect/Redacted"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as HistogramWindow from "../src/internal/histogramWindow.js"
import { layerIntake } from "./support/intake.js"
import * as Scripted from "./support/scripted.js"

/** Effect's registry is that of the process: every test has names of its own, and looks at no others. */
const only = (prefix: string, options: EffectMetrics.Options = {}): EffectMetrics.Options => ({
  filter: ({ name }) => name.startsWith(prefix),
  ...options
})

const over = (
  options: EffectMetrics.Options,
  client?: ThreadStatsConfig.Options
): Layer.Layer<ThreadStats.ThreadStats | Testing.Recorded> =>
  EffectMetrics.layerWith(options).pipe(Layer.provideMerge(Layer.orDie(Testing.layerWith(client))))

/** What was recorded since the last look. */
const news = Effect.gen(function*() {
  const { metrics } = yield* Testing.recording
  yield* Testing.clear
  return metrics.map(({ kind, name, tags, values }) => [kind, [name, ...tags].join(" "), ...values])
})

const times = (count: number) => Array.from({ length: count }, (_, i) => i)

describe("counters", () => {
  it.effect("are reported as what was added since the last flush, with their labels as tags", () =>
    Effect.gen(function*() {
      const requests = Metric.counter("c1.requests", { incremental: true })
      const eu = Metric.tagged(requests, "region", "eu")
      yield* Metric.incrementBy(requests, 3)
      yield* Metric.increment(eu)
      assert.deepStrictEqual(yield* news, [["counter", "c1.requests", 3], ["counter", "c1.requests region:eu", 1]])
      yield* Metric.incrementBy(eu, 4)
      assert.deepStrictEqual(yield* news, [["counter", "c1.requests region:eu", 4]])
    }).pipe(Effect.provide(over(only("c1.")))))

  it.effect("take what is less than nothing, and bigints", () =>
    Effect.gen(function*() {
      const balance = Metric.counter("c2.balance")
      const bytes = Metric.counter("c2.bytes", { bigint: true })
      yield* Metric.update(balance, 5)
      yield* Metric.update(bytes, 9_007_199_254_740_993n)
      assert.deepStrictEqual(yield* news, [
        ["counter", "c2.balance", 5],
        ["counter", "c2.bytes", 9_007_199_254_740_992]
      ])
      yield* Metric.update(balance, -7)
      yield* Metric.update(bytes, -3n)
      // with the one that no double could hold
      assert.deepStrictEqual(yield* news, [["counter", "c2.balance", -7], ["counter", "c2.bytes", -2]])
    }).pipe(Effect.provide(over(only("c2.")))))

  it.effect("add up to what they are, fractions too, however often they are flushed", () =>
    Effect.gen(function*() {
      const spent = Metric.counter("c3.spent")
      for (const i of times(50)) {
        yield* Metric.update(spent, 0.1 * i)
        yield* ThreadStats.flush()
      }
      const { count } = yield* Metric.value(spent)
      assert.strictEqual(yield* Testing.count("c3.spent"), count)
    }).pipe(Effect.provide(over(only("c3.")))))

  it.effect("that move not at all are not reported, nor is anything sent for them", () =>
    Effect.gen(function*() {
      Metric.counter("c4.idle").register()
      yield* Metric.increment(Metric.counter("c4.once"))
      yield* ThreadStats.flush()
      const before = yield* ThreadStats.stats
      const receipt = yield* ThreadStats.flush()
      assert.strictEqual(receipt.payloads, 0)
      assert.strictEqual((yield* ThreadStats.stats).metrics.received, before.metrics.received)
      assert.deepStrictEqual(yield* Testing.names, ["c4.once"])
    }).pipe(Effect.provide(over(only("c4.")))))

  it.effect("that are no number any more are dropped once, and counted", () =>
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
    }).pipe(Effect.provide(over(only("c5.")))))

  it.effect("that stand for something are gauges where that is asked for", () =>
    Effect.gen(function*() {
      const open = Metric.counter("c6.open")
      yield* Metric.incrementBy(open, 3)
      yield* Metric.update(open, -1)
      yield* Metric.increment(Metric.counter("c6.made", { incremental: true }))
      yield* Testing.expectGauge("c6.open", 2)
      yield* Testing.expectCount("c6.made", 1)
    }).pipe(Effect.provide(over(only("c6.", { asGauge: () => true })))))

  it.effect("with the same name and tags add up, in whatever order their tags are", () =>
    Effect.gen(function*() {
      const labels = [MetricLabel.make("a", "1"), MetricLabel.make("b", "2")]
      const counter = Metric.counter("c7.sum", { description: "one" })
      yield* Metric.increment(Metric.taggedWithLabels(counter, labels))
      yield* Metric.incrementBy(Metric.taggedWithLabels(counter, labels.slice().reverse()), 10)
      yield* Metric.incrementBy(
        Metric.taggedWithLabels(Metric.counter("c7.sum", { description: "other" }), labels),
        100
      )
      assert.deepStrictEqual(yield* news, [["counter", "c7.sum a:1 b:2", 111]])
    }).pipe(Effect.provide(over(only("c7.")))))
})

describe("what was there before", () => {
  it.effect("is part of the first delta, for each client", () =>
    Effect.gen(function*() {
      yield* Metric.incrementBy(Metric.counter("b1.early"), 5)
      const one = yield* Layer.build(Layer.fresh(over(only("b1."))))
      yield* Effect.provide(Testing.expectCount("b1.early", 5), one)
      const other = yield* Layer.build(Layer.fresh(over(only("b1."))))
      yield* Metric.increment(Metric.counter("b1.early"))
      yield* Effect.provide(Testing.expectCount("b1.early", 6), one)
      yield* Effect.provide(Testing.expectCount("b1.early", 6), other)
    }).pipe(Effect.scoped))

  it.effect("is left out when asked to, but not where a gauge stands", () =>
    Effect.gen(function*() {
      const boundaries = MetricBoundaries.linear({ start: 0, width: 10, count: 4 })
      const record = Effect.all([
        Metric.incrementBy(Metric.counter("b2.count"), 5),
        Metric.update(Metric.histogram("b2.size", boundaries), 7),
        Metric.update(Metric.frequency("b2.word"), "a"),
        Metric.set(Metric.gauge("b2.depth"), 3)
      ])
      yield* record
      const context = yield* Layer.build(Layer.fresh(over(only("b2.", { since: "layer", histograms: "both" }))))
      const { metrics } = yield* Effect.provide(Testing.recording, context)
      assert.deepStrictEqual(metrics.map(({ name }) => name), ["b2.depth"])
      yield* record
      yield* Effect.gen(function*() {
        yield* Testing.expectCount("b2.count", 5)
        yield* Testing.expectCount("b2.word", 1)
        yield* Testing.expectValues("b2.size", [7])
        yield* Testing.expectCount("b2.size.count", 1)
        yield* Testing.expectCount("b2.size.sum", 7)
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped))
})

describe("gauges", () => {
  it.effect("are reported when they change, and while they stand once in the interval", () =>
    Effect.gen(function*() {
      const depth = Metric.gauge("g1.depth")
      yield* Metric.set(depth, 3)
      const reported: Array<unknown> = []
      for (const i of times(12)) {
        if (i === 4) yield* Metric.set(depth, 4)
        reported.push(...(yield* news).map(([, , value]) => [i, value]))
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(reported, [[0, 3], [4, 4], [6, 4]])
    }).pipe(Effect.provide(over(only("g1.")))))

  for (
    const [gaugeInterval, expected] of [
      ["0 seconds", [0, 1, 2, 3, 4, 5, 6, 7]],
      ["20 seconds", [0, 2, 4, 6]],
      ["infinity", [0]]
    ] as const
  ) {
    it.effect(`that stand still are reported once in ${gaugeInterval}`, () => {
      const name = `g2.${gaugeInterval.length}`
      return Effect.gen(function*() {
        yield* Metric.set(Metric.gauge(name), 3)
        const reported: Array<number> = []
        for (const i of times(8)) {
          if ((yield* news).length > 0) reported.push(i)
          yield* TestClock.adjust("10 seconds")
        }
        assert.deepStrictEqual(reported, [...expected])
      }).pipe(Effect.provide(over(only(name, {
        gaugeInterval: gaugeInterval === "infinity" ? Infinity : gaugeInterval
      }))))
    })
  }

  it.effect("that stand still are reported in every interval by a client that flushes by itself", () => {
    const reporter = Scripted.make("delta")
    return Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("g3.depth"), 3)
      yield* TestClock.adjust("61 seconds")
      const points = reporter.series().flatMap(({ points }) => points)
      assert.deepStrictEqual(points, times(5).map((i) => [i * 10 + 10, 3] as const))
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith(only("g3.")).pipe(
          Layer.provideMerge(Scripted.client(reporter, { periodicFlush: true }))
        )
      )
    )
  })

  it.effect("take bigints, and what is no number only to be dropped", () =>
    Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("g4.big", { bigint: true }), 12n)
      yield* Metric.set(Metric.gauge("g4.bad"), Number.NaN)
      yield* Testing.expectGauge("g4.big", 12)
      yield* ThreadStats.flush()
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
      yield* Metric.set(Metric.gauge("g4.bad"), 7)
      yield* Testing.expectGauge("g4.bad", 7)
    }).pipe(Effect.provide(over(only("g4.", { gaugeInterval: 0 })))))

  it.effect("with the same name and tags: the one that changed last", () =>
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
      assert.deepStrictEqual((yield* news).at(-1), ["gauge", "g5.depth", 4])
    }).pipe(Effect.provide(over(only("g5.", { tags: () => [] })))))
})

/** How many values are up to each boundary, and above the one before. */
const bucketsOf = (values: ReadonlyArray<number>, boundaries: ReadonlyArray<number>) =>
  boundaries.map((boundary, i) =>
    values.filter((value) => value <= boundary && value > (boundaries[i - 1] ?? -Infinity)).length
  )

const sumOf = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0)

const close = (actual: number, expected: number, message?: string) =>
  assert.approximately(actual, expected, 1e-9 * Math.max(1, Math.abs(expected)), message)

describe("histograms", () => {
  const boundaries = MetricBoundaries.linear({ start: 10, width: 10, count: 11 })

  it.effect("become distributions: as many values between two boundaries, and the same sum", () =>
    Effect.gen(function*() {
      const latency = Metric.histogram("h1.latency", boundaries)
      const batches = [[12, 13, 13, 17, 55, 99, 250], [3, 12, 12, 12, 19.5, 55, 260, 260], [60]]
      for (const batch of batches) {
        for (const value of batch) yield* Metric.update(latency, value)
        const [found, ...others] = yield* news
        const values = found!.slice(2) as Array<number>
        assert.deepStrictEqual(found!.slice(0, 2), ["distribution", "h1.latency"])
        assert.isEmpty(others)
        assert.deepStrictEqual(bucketsOf(values, boundaries.values), bucketsOf(batch, boundaries.values))
        close(sumOf(values), sumOf(batch))
      }
      assert.isEmpty(yield* news)
    }).pipe(Effect.provide(over(only("h1.")))))

  it.effect("have exact values where those can be told: one or two, a new minimum, a new maximum", () =>
    Effect.gen(function*() {
      const size = Metric.histogram("h2.size", boundaries)
      const after = (...batch: ReadonlyArray<number>) =>
        Effect.zipRight(
          Effect.forEach(batch, (value) => Metric.update(size, value)),
          Effect.map(news, ([found]) => found!.slice(2) as Array<number>)
        )
      assert.deepStrictEqual(yield* after(31.5, 66), [31.5, 66])
      const [one] = yield* after(47.25)
      close(one!, 47.25)
      const lower = yield* after(33, 2.5, 44)
      assert.strictEqual(lower[0], 2.5)
      const higher = yield* after(33, 44, 612.5)
      assert.strictEqual(higher.at(-1), 612.5)
    }).pipe(Effect.provide(over(only("h2.")))))

  it.effect("keep their percentiles to within a boundary, and all else in proportion, where there are too many values", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h3.busy", boundaries)
      const batch = times(100_000).map((i) => (i * 7919) % 100 + 0.5)
      for (const value of batch) busy.unsafeUpdate(value, [])
      const values = (yield* Testing.values("h3.busy")).slice().sort((a, b) => a - b)
      assert.lengthOf(values, 1000)
      assert.strictEqual(values[0], 0.5)
      assert.strictEqual(values.at(-1), 99.5)
      bucketsOf(values, boundaries.values).slice(0, -1).forEach((count) => assert.approximately(count, 100, 2))
      assert.approximately(sumOf(values) / 1000, sumOf(batch) / 100_000, 0.01)
    }).pipe(Effect.provide(over(only("h3.", { histogramValues: 1000 })))))

  it.effect("record no more than ten thousand values at a look, if nothing else was said", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h4.busy", boundaries)
      for (let i = 0; i < 1_000_000; i++) busy.unsafeUpdate(i % 100, [])
      assert.lengthOf(yield* Testing.values("h4.busy"), 10_000)
    }).pipe(Effect.provide(over(only("h4.")))))

  it.effect("become exact counts and sums, and gauges, where that is asked for", () =>
    Effect.gen(function*() {
      const busy = Metric.histogram("h5.busy", boundaries)
      for (let i = 1; i <= 100_000; i++) busy.unsafeUpdate(i / 1000, [])
      yield* Testing.expectCount("h5.busy.count", 100_000)
      close(yield* Testing.count("h5.busy.sum"), (yield* Metric.value(busy)).sum)
      yield* Testing.expectGauge("h5.busy.min", 0.001)
      yield* Testing.expectGauge("h5.busy.max", 100)
      assert.approximately((yield* Testing.gauge("h5.busy.95percentile"))!, 95, 0.1)
      assert.approximately((yield* Testing.gauge("h5.busy.75percentile"))!, 75, 0.1)
      yield* Testing.expectNone("h5.busy")
      yield* Testing.clear
      yield* Metric.update(busy, 42)
      yield* Testing.expectCount("h5.busy.count", 1)
      // of what is new, and not of all times
      for (const suffix of ["min", "max", "99percentile"]) {
        assert.approximately((yield* Testing.gauge(`h5.busy.${suffix}`))!, 42, 0.001)
      }
    }).pipe(Effect.provide(over(only("h5.", { histograms: "aggregates" })))))

  it.effect("become both", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.histogram("h6.size", boundaries), 5)
      yield* Testing.expectValues("h6.size", [5])
      yield* Testing.expectCount("h6.size.count", 1)
      yield* Testing.expectGauge("h6.size.50percentile", 5)
    }).pipe(Effect.provide(over(only("h6.", { histograms: "both" }), { percentiles: [0.5] }))))

  it.effect("hold nothing but zeros or what is below, and what is no number", () =>
    Effect.gen(function*() {
      const options = MetricBoundaries.fromIterable([-10, 0, 10])
      const record = (name: string, ...values: ReadonlyArray<number>) =>
        Effect.forEach(values, (value) => Metric.update(Metric.histogram(`h7.${name}`, options), value))
      yield* record("zero", 0, 0, 0)
      yield* record("below", -30, -20, -15, -1)
      yield* record("infinite", 5, Infinity, -Infinity)
      yield* record("bad", Number.NaN, 5, Number.NaN)
      yield* Testing.expectValues("h7.zero", [0, 0, 0])
      const below = yield* Testing.values("h7.below")
      assert.deepStrictEqual(bucketsOf(below, [-10, 0]), [3, 1])
      close(sumOf(below), -66)
      assert.strictEqual(below[0], -30)
      const infinite = yield* Testing.values("h7.infinite")
      assert.deepStrictEqual(bucketsOf(infinite, [-10, 0, 10]), [1, 0, 2])
      yield* Testing.expectValues("h7.bad", [5])
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
    }).pipe(Effect.provide(over(only("h7.")))))

  it.effect("are those of timers, in milliseconds", () =>
    Effect.gen(function*() {
      const timer = Metric.timer("h8.took")
      const fiber = yield* Effect.sleep("250 millis").pipe(
        Metric.trackDuration(timer),
        Effect.tagMetrics("route", "/home"),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* fiber.await
      yield* Testing.expectValues("h8.took", [250], { time_unit: "milliseconds", route: "/home" })
    }).pipe(Effect.provide(over(only("h8.")))))

  it("count on where Effect's 32 bits begin anew", () => {
    const state = (first: number, second: number) =>
      MetricState.histogram({
        buckets: [[10, first], [Infinity, first + second]],
        count: first + second,
        min: 1,
        max: 20,
        sum: 0
      })
    const before = state(2 ** 32 - 2, 5)
    const after = state(1, 6)
    const window = HistogramWindow.windowOf(HistogramWindow.see(before), HistogramWindow.see(after), after.buckets)
    assert.deepStrictEqual(window.parts.map(({ count }) => count), [3, 1])
    assert.strictEqual(window.count, 4)
  })

  it.effect.prop("whatever is in them, keep every count and the sum", {
    boundaries: FastCheck.uniqueArray(FastCheck.integer({ min: -50, max: 50 }), { maxLength: 8 }),
    batches: FastCheck.array(
      FastCheck.array(FastCheck.integer({ min: -640, max: 640 }).map((i) => i / 8), { maxLength: 30 }),
      { minLength: 1, maxLength: 4 }
    )
  }, ({ batches, boundaries }) => {
    const name = `hp.${(run++)}.`
    const limits = MetricBoundaries.fromIterable(boundaries)
    const sorted = limits.values.slice().sort((a, b) => a - b)
    return Effect.gen(function*() {
      const histogram = Metric.histogram(name, limits)
      for (const batch of batches) {
        for (const value of batch) yield* Metric.update(histogram, value)
        const values = yield* Testing.values(name.slice(0, -1) + ".")
        yield* Testing.clear
        assert.deepStrictEqual(bucketsOf(values, sorted), bucketsOf(batch, sorted))
        assert.approximately(sumOf(values), sumOf(batch), 1e-6)
      }
    }).pipe(Effect.provide(over(only(name))))
  }, { fastCheck: { numRuns: 50 }, timeout: 30_000 })
})

let run = 0

describe("frequencies", () => {
  it.effect("are counters, with the word as the tag key", () =>
    Effect.gen(function*() {
      const errors = Metric.tagged(
        Metric.frequency("f1.errors", { preregisteredWords: ["Timeout"] }),
        "service",
        "shop"
      )
      yield* Metric.update(errors, "NotFound")
      yield* Metric.update(errors, "NotFound")
      yield* Metric.update(errors, "Größe / 2")
      assert.deepStrictEqual(yield* news, [
        ["counter", "f1.errors service:shop key:NotFound", 2],
        ["counter", "f1.errors service:shop key:Größe / 2", 1]
      ])
      yield* Metric.update(errors, "Timeout")
      yield* Metric.update(errors, "NotFound")
      assert.deepStrictEqual(yield* news, [
        ["counter", "f1.errors service:shop key:Timeout", 1],
        ["counter", "f1.errors service:shop key:NotFound", 1]
      ])
      assert.isEmpty(yield* news)
    }).pipe(Effect.provide(over(only("f1.")))))
})

describe("summaries", () => {
  it.effect("are gauges for each quantile, the least and the greatest, and count and sum", () =>
    Effect.gen(function*() {
      const summary = Metric.summary({
        name: "s1.wait",
        maxAge: "1 day",
        maxSize: 100,
        error: 0,
        quantiles: [0.5, 0.95]
      })
      summary.register()
      assert.isEmpty(yield* news)
      for (const value of times(21)) yield* Metric.update(summary, value)
      const { quantiles } = yield* Metric.value(summary)
      const standing = quantiles.map(([, value]) => value._tag === "Some" ? value.value : undefined)
      assert.notInclude(standing, undefined)
      assert.deepStrictEqual(yield* news, [
        ["counter", "s1.wait.count", 21],
        ["counter", "s1.wait.sum", 210],
        ["gauge", "s1.wait.min", 0],
        ["gauge", "s1.wait.max", 20],
        ["gauge", "s1.wait.50percentile", standing[0]],
        ["gauge", "s1.wait.95percentile", standing[1]]
      ])
      yield* Metric.update(summary, -1)
      const after = yield* news
      assert.includeDeepMembers(after, [
        ["counter", "s1.wait.count", 1],
        ["counter", "s1.wait.sum", -1],
        ["gauge", "s1.wait.min", -1]
      ])
      assert.notInclude(after.map(([, name]) => name), "s1.wait.max")
    }).pipe(Effect.provide(over(only("s1.")))))

  it.effect("report no quantile that has no value", () =>
    Effect.gen(function*() {
      const summary = Metric.summaryTimestamp({
        name: "s2.wait",
        maxAge: "1 second",
        maxSize: 10,
        error: 0,
        quantiles: [0.5]
      })
      yield* Metric.update(summary, [5, 0])
      assert.deepStrictEqual((yield* news).map(([, name]) => name), [
        "s2.wait.count",
        "s2.wait.sum",
        "s2.wait.min",
        "s2.wait.max"
      ])
    }).pipe(Effect.provide(over(only("s2.", { gaugeInterval: 0 })))))
})

describe("names and tags", () => {
  it.effect("are brought to what Datadog takes", () =>
    Effect.gen(function*() {
      for (
        const name of ["http/requests total", "größe", "🚀launch", "_._hidden", "2xx", "_9", "ok.A_b.9", "n3-é😀ö"]
      ) yield* Metric.increment(Metric.tagged(Metric.counter(name), "n1", "x"))
      assert.deepStrictEqual(yield* Testing.names, [
        "gr__e",
        "hidden",
        "http_requests_total",
        "launch",
        "metric_2xx",
        "metric_9",
        "n3____",
        "ok.A_b.9"
      ])
    }).pipe(Effect.provide(over({ filter: ({ tags }) => tags.some(({ key }) => key === "n1") }))))

  it.effect("that cannot be taken are dropped by the client, and counted", () =>
    Effect.gen(function*() {
      for (const name of ["", "///", "n2".repeat(101)]) {
        yield* Metric.increment(Metric.tagged(Metric.counter(name), "n2", "x"))
      }
      const { dropped, metrics } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidName: 2, NameTooLong: 1 })
      assert.isEmpty(metrics)
    }).pipe(Effect.provide(over({ filter: ({ tags }) => tags.some(({ key }) => key === "n2") }))))

  it.effect("stand behind the client's namespace", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.counter("n3.made"))
      assert.deepStrictEqual(yield* Testing.names, ["shop.n3.made"])
    }).pipe(Effect.provide(over(only("n3."), { namespace: "shop" }))))

  it.effect("are cut where they are too long, and stand alone without key or value", () =>
    Effect.gen(function*() {
      const counter = Metric.taggedWithLabels(Metric.counter("n4.made"), [
        MetricLabel.make("long", "x".repeat(300)),
        MetricLabel.make("rocket", `${"x".repeat(192)}🚀`),
        MetricLabel.make("", "alone"),
        MetricLabel.make("canary", ""),
        MetricLabel.make("", ""),
        MetricLabel.make("url", "http://a/b?c,d|e#f\n")
      ])
      yield* Metric.increment(counter)
      const { dropped, metrics } = yield* Testing.recording
      assert.deepStrictEqual(dropped, {})
      assert.deepStrictEqual(metrics[0]?.tags, [
        `long:${"x".repeat(195)}`,
        `rocket:${"x".repeat(192)}`,
        "alone",
        "canary",
        "url:http://a/b?c,d|e#f\n"
      ])
    }).pipe(Effect.provide(over(only("n4.")))))

  const logged: Array<Scripted.Line> = []
  it.effect("that become the same are warned of once, and so is a name with two kinds", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.counter("n5/made"))
      yield* Metric.increment(Metric.tagged(Metric.counter("n5 made"), "a", "b"))
      yield* Metric.increment(Metric.tagged(Metric.counter("n5 made"), "a", "c"))
      yield* Metric.increment(Metric.counter("n5.two"))
      yield* Metric.set(Metric.gauge("n5.two"), 7)
      for (const _ of times(3)) yield* ThreadStats.flush()
      yield* Testing.expectCount("n5_made", 3)
      yield* Testing.expectCount("n5.two", 1)
      yield* Testing.expectGauge("n5.two", 7)
      assert.deepStrictEqual(logged, [
        {
          level: "WARN",
          message: "Reported 1 of Effect's metrics under a name that another one has (n5 made)"
        },
        { level: "WARN", message: "The name n5.two is used with more than one kind of metric" }
      ])
    }).pipe(Effect.provide(over(only("n5")).pipe(Layer.provideMerge(Scripted.logsTo(logged))))))
})

describe("options", () => {
  it.effect("leave out, rename, and give other tags", () =>
    Effect.gen(function*() {
      for (const name of ["o1.a", "o1.b"]) {
        const tagged = Metric.tagged(Metric.tagged(Metric.counter(name), "pod", "p-1"), "zone", "z")
        yield* Metric.increment(tagged)
      }
      yield* Metric.update(Metric.tagged(Metric.frequency("o1.words"), "pod", "p-2"), "hello")
      assert.deepStrictEqual(yield* news, [
        ["counter", "app.b_made zone:z kind:counter", 1],
        ["counter", "app.words_made kind:other key:hello", 1]
      ])
    }).pipe(Effect.provide(over({
      filter: ({ name }) => name.startsWith("o1.") && name !== "o1.a",
      rename: (name) => `${name.replace("o1.", "app.")} made`,
      tags: (tags, key) => [
        ...tags.filter((tag) => !tag.startsWith("pod:")),
        MetricKeyType.isCounterKey(key.keyType) ? "kind:counter" : "kind:other"
      ]
    }))))

  it.effect("are asked once for each metric", () => {
    const asked: Array<string> = []
    return Effect.gen(function*() {
      for (const _ of times(3)) {
        yield* Metric.increment(Metric.counter("o2.a"))
        yield* ThreadStats.flush()
      }
      assert.deepStrictEqual(asked.filter((name) => name.startsWith("o2.")), ["o2.a"])
    }).pipe(Effect.provide(over({
      filter: ({ name }) => {
        asked.push(name)
        return name.startsWith("o2.")
      }
    })))
  })

  const fails = (name: string) => {
    if (name === "o3.bad") throw new Error("no such metric")
    return name.startsWith("o3.")
  }
  for (
    const [which, options] of Object.entries<EffectMetrics.Options>({
      filter: { filter: ({ name }) => fails(name) },
      rename: only("o3.", { rename: (name) => (fails(name), name) }),
      "rename without a name": only("o3.", { rename: (name) => name === "o3.bad" ? 7 as never : name }),
      tags: only("o3.", { tags: (tags, { name }) => (fails(name), tags) }),
      "tags that are none": only("o3.", { tags: (tags, { name }) => name === "o3.bad" ? [7 as never] : tags }),
      "tags too long": only("o3.", { tags: (tags, { name }) => name === "o3.bad" ? ["x".repeat(201)] : tags }),
      asGauge: only("o3.", { asGauge: ({ name }) => !fails(name) })
    })
  ) {
    const logged: Array<Scripted.Line> = []
    it.effect(`that throw cost their metric only, and are warned of once: ${which}`, () =>
      Effect.gen(function*() {
        for (const _ of times(2)) {
          for (const name of ["o3.good", "o3.bad", "o3.fine"]) yield* Metric.increment(Metric.counter(name))
          yield* ThreadStats.flush()
        }
        assert.deepStrictEqual(yield* Testing.names, ["o3.fine", "o3.good"])
        assert.lengthOf(logged, 1)
        assert.strictEqual(logged[0]?.level, "WARN")
        assert.match(logged[0]!.message, /^Left out 1 of Effect's metrics, on which an option failed \(o3\.bad\)/)
      }).pipe(Effect.provide(over(options).pipe(Layer.provideMerge(Scripted.logsTo(logged))))))
  }

  it.effect("that are none are as if they were not given", () =>
    Effect.gen(function*() {
      const boundaries = MetricBoundaries.linear({ start: 0, width: 10, count: 4 })
      for (const i of times(5)) yield* Metric.update(Metric.histogram("o4.size", boundaries), i)
      assert.lengthOf(yield* Testing.values("o4.size"), 5)
    }).pipe(Effect.provide(over(only("o4.", { histogramValues: Number.NaN, gaugeInterval: "soon" as never })))))
})

describe("hostile input", () => {
  const logged: Array<Scripted.Line> = []

  it.effect("costs no more than the metric that takes it", () =>
    Effect.gen(function*() {
      const hostile = {
        valueOf() {
          throw new Error("no value")
        }
      }
      const boundaries = MetricBoundaries.linear({ start: 0, width: 10, count: 4 })
      const updates: ReadonlyArray<() => void> = [
        () => Metric.counter("i1.text").unsafeUpdate("7" as never, []),
        () => Metric.counter("i1.huge", { bigint: true }).unsafeUpdate(10n ** 400n, []),
        () => Metric.gauge("i1.hostile").unsafeUpdate(hostile as never, []),
        () => Metric.gauge("i1.nothing").unsafeUpdate(undefined as never, []),
        () => Metric.frequency("i1.symbol").unsafeUpdate(Symbol("word") as never, []),
        () => Metric.histogram("i1.sizes", boundaries).unsafeUpdate("5" as never, []),
        () => Metric.counter(7 as never).unsafeUpdate(1, [MetricLabel.make("i1", "x")]),
        () => Metric.counter("i1.label").unsafeUpdate(1, [MetricLabel.make("a", 5 as never)]),
        () => Metric.counter("i1.labels").unsafeUpdate(1, times(1001).map((i) => MetricLabel.make("n", `${i}`))),
        () => Metric.counter("i1.__proto__").unsafeUpdate(1, [MetricLabel.make("__proto__", "constructor")]),
        () => Metric.counter("i1.made").unsafeUpdate(1, [])
      ]
      for (const update of updates) update()
      for (const _ of times(3)) yield* ThreadStats.flush()
      yield* Testing.expectCount("i1.made", 1)
      yield* Testing.expectCount("i1.label", 1, ["a:5"])
      yield* Testing.expectCount("i1.__proto__", 1, ["__proto__:constructor"])
      yield* Testing.expectNone("i1.hostile")
      const { dropped } = yield* Testing.recording
      assert.hasAllKeys(dropped, ["InvalidValue"])
      const left = logged.filter(({ message }) => message.startsWith("Left out"))
      assert.lengthOf(left, 1)
      assert.match(left[0]!.message, /^Left out 4 /)
    }).pipe(Effect.provide(
      over({ filter: ({ name, tags }) => `${name}`.startsWith("i1.") || tags.some(({ key }) => key === "i1") }).pipe(
        Layer.provideMerge(Scripted.logsTo(logged))
      )
    )))
})

describe("a flush that fails", () => {
  it.effect("consumes no delta, and makes none count twice", () => {
    const reporter = Scripted.make()
    return Effect.gen(function*() {
      const counter = Metric.counter("x1.made")
      yield* Metric.incrementBy(counter, 3)
      reporter.answer = ({ batch }) => Scripted.fail("ServerError", { undelivered: batch })
      yield* ThreadStats.flush()
      yield* Metric.incrementBy(counter, 4)
      yield* ThreadStats.flush()
      reporter.calls.length = 0
      reporter.answer = ({ batch }) => Scripted.accept(batch)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(reporter.series().map(({ metric, points }) => [metric, points]), [["x1.made", [[0, 0.7]]]])
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.flush()
      assert.lengthOf(reporter.calls, 1)
    }).pipe(
      Effect.provide(EffectMetrics.layerWith(only("x1.")).pipe(Layer.provideMerge(Scripted.client(reporter))))
    )
  })

  const step = FastCheck.oneof(
    FastCheck.record({ what: FastCheck.constant("count"), by: FastCheck.integer({ min: -20, max: 50 }) }),
    FastCheck.record({ what: FastCheck.constant("add"), by: FastCheck.integer({ min: 0, max: 50 }) }),
    FastCheck.record({ what: FastCheck.constant("observe"), by: FastCheck.integer({ min: -5, max: 50 }) }),
    FastCheck.record({ what: FastCheck.constant("word"), by: FastCheck.integer({ min: 0, max: 3 }) }),
    FastCheck.record({ what: FastCheck.constant("sleep"), by: FastCheck.integer({ min: 1, max: 15 }) }),
    FastCheck.record({ what: FastCheck.constantFrom("flush", "fail", "part"), by: FastCheck.constant(0) })
  )

  it.effect.prop("however often, leaves what arrives equal to the registry", {
    temporality: FastCheck.constantFrom("total" as const, "delta" as const),
    steps: FastCheck.array(step, { minLength: 5, maxLength: 60 })
  }, ({ steps, temporality }) => {
    const prefix = `p.${run++}.`
    const reporter = Scripted.make(temporality)
    const arrived: Array<Scripted.Call> = []
    const answer = (which: string) => (call: Scripted.Call) => {
      const undelivered = call.batch.filter((_, i) => which === "fail" || (which === "part" && i % 2 === 0))
      const batch = call.batch.filter((item) => !undelivered.includes(item))
      arrived.push({ endpoint: call.endpoint, batch })
      return undelivered.length === 0 ? Scripted.accept(batch) : Scripted.fail("ServerError", { undelivered })
    }
    const counter = Metric.counter(`${prefix}count`)
    const incremental = Metric.counter(`${prefix}add`, { incremental: true, bigint: true })
    const histogram = Metric.histogram(`${prefix}observe`, MetricBoundaries.fromIterable([0, 10, 20, 40]))
    const words = Metric.frequency(`${prefix}word`)
    const counts = () => {
      const points = new Map<string, number>()
      for (const { batch, endpoint } of arrived) {
        if (endpoint !== "series") continue
        for (const item of batch) {
          if (!("points" in item) || item.type !== "rate") continue
          const key = (timestamp: number) => JSON.stringify([item.metric, item.tags, timestamp])
          for (const [timestamp, value] of item.points) {
            const before = temporality === "total" ? 0 : points.get(key(timestamp)) ?? 0
            points.set(key(timestamp), before + (value as number) * 10)
          }
        }
      }
      const sums: Record<string, number> = {}
      for (const [key, value] of points) {
        const [metric, [tag = ""]] = JSON.parse(key)
        const name = `${metric.slice(prefix.length)}${tag}`
        sums[name] = Math.round((sums[name] ?? 0) + value)
      }
      return sums
    }
    return Effect.gen(function*() {
      for (const { by, what } of steps) {
        switch (what) {
          case "count":
            yield* Metric.update(counter, by)
            break
          case "add":
            yield* Metric.update(incremental, BigInt(by))
            break
          case "observe":
            yield* Metric.update(histogram, by)
            break
          case "word":
            yield* Metric.update(words, `w${by}`)
            break
          case "sleep":
            yield* TestClock.adjust(by * 1000)
            break
          default:
            reporter.answer = answer(what)
            yield* ThreadStats.flush()
        }
      }
      reporter.answer = answer("flush")
      yield* ThreadStats.flush()
      const { occurrences } = yield* Metric.value(words)
      const expected: Record<string, number> = {
        count: (yield* Metric.value(counter)).count,
        add: Number((yield* Metric.value(incremental)).count),
        ...Object.fromEntries(Array.from(occurrences, ([word, count]) => [`wordkey:${word}`, count]))
      }
      const found = counts()
      for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
        assert.strictEqual(found[name] ?? 0, expected[name] ?? 0, name)
      }
      const values = arrived.flatMap(({ batch, endpoint }) =>
        endpoint === "distributions"
          ? batch.flatMap((item) => "points" in item ? item.points.flatMap(([, v]) => v) : [])
          : []
      ) as ReadonlyArray<number>
      const observed = yield* Metric.value(histogram)
      assert.lengthOf(values, observed.count)
      assert.approximately(sumOf(values), observed.sum, 1e-6)
      assert.deepStrictEqual(
        observed.buckets.map(([boundary]) => values.filter((value) => value <= boundary).length),
        observed.buckets.map(([, count]) => count)
      )
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith(only(prefix)).pipe(
          Layer.provideMerge(Scripted.client(reporter, { counters: "series" }))
        )
      )
    )
  }, { fastCheck: { numRuns: 50 }, timeout: 30_000 })
})

describe("the layer", () => {
  it.effect("needs one line, and reports everything Effect counts", () =>
    Effect.gen(function*() {
      yield* Effect.succeed(3).pipe(
        Effect.withMetric(Metric.counter("l1.made")),
        Effect.withMetric(Metric.withConstantInput(Metric.gauge("l1.last"), 8)),
        Effect.tagMetrics("region", "eu")
      )
      yield* Testing.expectCount("l1.made", 3, { region: "eu" })
      yield* Testing.expectGauge("l1.last", 8, { region: "eu" })
    }).pipe(Effect.provide(EffectMetrics.layer.pipe(Layer.provideMerge(Testing.layer)))))

  it.effect("reports the fiber runtime metrics", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(times(5), () => Effect.fork(Effect.never))
        const failing = yield* Effect.fork(Effect.fail("no"))
        yield* failing.await
        yield* Effect.forEach(fibers.slice(0, 2), (fiber) => fiber.interruptAsFork(fiber.id()))
        yield* Effect.forEach(fibers.slice(0, 2), (fiber) => fiber.await)
      }).pipe(
        Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics)),
        Effect.tagMetrics("test", "l2")
      )
      const tags = { test: "l2" }
      const started = yield* Testing.count("effect_fiber_started", tags)
      assert.isAtLeast(started, 6)
      const ended = (yield* Testing.count("effect_fiber_successes", tags)) +
        (yield* Testing.count("effect_fiber_failures", tags))
      assert.isAtLeast(ended, 3)
      yield* Testing.expectGauge("effect_fiber_active", started - ended, tags)
      const lifetimes = yield* Testing.values("effect_fiber_lifetimes", { ...tags, time_unit: "milliseconds" })
      assert.lengthOf(lifetimes, ended)
    }).pipe(Effect.provide(EffectMetrics.layer.pipe(Layer.provideMerge(Testing.layer)))))

  it.effect("a flush is not among the fibers that are counted, or there would always be something to flush", () =>
    Effect.gen(function*() {
      const flush = Effect.flatMap(ThreadStats.flush(), ({ metrics }) => Effect.succeed(metrics.delivered))
      const counting = Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics))
      assert.isAbove(yield* counting(Effect.zipRight(Effect.fork(Effect.void), flush)), 0)
      assert.strictEqual(yield* counting(flush), 0)
    }).pipe(
      Effect.tagMetrics("test", "l4"),
      Effect.provide(
        EffectMetrics.layerWith({ filter: ({ tags }) => tags.some(({ value }) => value === "l4") }).pipe(
          Layer.provideMerge(Testing.layer)
        )
      )
    ))

  it.effect("reports the rest when it closes, before the client does", () =>
    Effect.gen(function*() {
      const reporter = Scripted.make()
      const scope = yield* Scope.make()
      const layer = EffectMetrics.layerWith(only("l3.")).pipe(Layer.provideMerge(Scripted.client(reporter)))
      yield* Layer.buildWithScope(layer, scope)
      yield* Metric.increment(Metric.counter("l3.made"))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(reporter.series().map(({ metric }) => metric), ["l3.made"])
      yield* Metric.increment(Metric.counter("l3.made"))
      assert.lengthOf(reporter.calls, 1)
    }))

  it.effect("looks no more when it is closed, where the client goes on", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Testing.layer)
      yield* Effect.gen(function*() {
        const counter = Metric.counter("l4.made")
        yield* Metric.increment(counter)
        yield* Effect.scoped(EffectMetrics.make(only("l4.")))
        yield* Metric.increment(counter)
        yield* Testing.expectCount("l4.made", 1)
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped))

  it.effect("does nothing for a client that is disabled, nor asks anything", () =>
    Effect.gen(function*() {
      let asked = 0
      const options = { filter: () => ++asked > 0, since: "layer" } as const
      yield* Metric.increment(Metric.counter("l5.made"))
      yield* Effect.provide(ThreadStats.flush(), over(options, { disabled: true }))
      assert.strictEqual(asked, 0)
    }))

  it.effect("goes out with the flush after, where the client flushes by itself", () => {
    const reporter = Scripted.make()
    return Effect.gen(function*() {
      yield* TestClock.adjust("5 seconds")
      yield* Metric.incrementBy(Metric.counter("l6.made"), 20)
      yield* TestClock.adjust("6 seconds")
      assert.isEmpty(reporter.calls)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(reporter.series().map(({ points }) => points), [[[10, 2]]])
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith(only("l6.")).pipe(
          Layer.provideMerge(Scripted.client(reporter, { periodicFlush: true }))
        )
      )
    )
  })
})

describe("on Lambda", () => {
  it.effect("reports at the end of every invocation, and a gauge that stands still not each time", () =>
    Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("a1.depth"), 3)
      const invocation = Lambda.lambdaProgram(Metric.increment(Metric.counter("a1.made")))
      yield* invocation
      assert.deepStrictEqual(yield* news, [["gauge", "a1.depth", 3], ["distribution", "a1.made", 1]])
      yield* invocation
      assert.deepStrictEqual(yield* news, [["distribution", "a1.made", 1]])
    }).pipe(Effect.provide(over(only("a1."), { counters: "distributions" }))))

  it.live("arrives over HTTP from a handler", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const timer = Metric.timer("a2.took")
      const handler = Lambda.makeHandler({
        handler: (event: { readonly size: number }) =>
          Metric.incrementBy(Metric.tagged(Metric.counter("a2.made"), "shop", "eu"), event.size).pipe(
            Metric.trackDuration(timer),
            Effect.as("done")
          ),
        layer: EffectMetrics.layerWith(only("a2.")).pipe(
          Layer.provideMerge(ThreadStats.layerHttpWith({
            apiKey: Redacted.make("key"),
            apiUrl: intake.url,
            counters: "distributions",
            periodicFlush: false
          })),
          Layer.provide(HttpReporter.layerHttpClient),
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
        )
      })
      for (const size of [2, 3]) {
        assert.strictEqual(yield* Effect.promise(() => handler({ size }, {} as never)), "done")
      }
      const made = (yield* intake.distributions).filter(({ metric }) => metric === "a2.made")
      assert.deepStrictEqual(made.map(({ points, tags }) => [tags, ...points.map(([, values]) => values)]), [
        [["shop:eu"], [2]],
        [["shop:eu"], [3]]
      ])
      const took = (yield* intake.distributions).filter(({ metric }) => metric === "a2.took")
      assert.lengthOf(took.flatMap(({ points }) => points.flatMap(([, values]) => values)), 2)
    }).pipe(Effect.provide(layerIntake())))
})
