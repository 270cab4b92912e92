import { KeyValueStore } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, FastCheck, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { MetricsAggregator, Reporter, RetainedStore, ThreadStats } from "effect-threadstats"
import type { Event, Series, ThreadStatsConfig } from "effect-threadstats"
import { assertBalanced } from "../support/clientAssertions.js"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import { reporterContract } from "../support/reporterContract.js"
import * as scripted from "../support/scripted.js"
import { WireError } from "../support/wireReporter.js"

const layerClient = <E, R>(
  reporter: Layer.Layer<Reporter.Reporter, E, R>,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
) =>
  layerReporterWith({ periodicFlush: false, ...options }).pipe(
    Layer.provide(Layer.mergeAll(
      reporter,
      Layer.fresh(layerMetricsAggregatorWith(options)),
      Layer.fresh(layerEventsAggregatorWith(options))
    )),
    Layer.orDie
  )

/** Two scripted reporters, and a client that reports to both. */
const makeTwo = (
  temporalities: readonly [Reporter.Temporality, Reporter.Temporality] = ["total", "delta"],
  options: ThreadStatsConfig.ThreadStatsOptions = {}
) => {
  const [first, second] = [scripted.make(temporalities[0]), scripted.make(temporalities[1])]
  return { first, second, layer: layerClient(Reporter.combine(first.layer, second.layer), options) }
}

const failDelivery = ({ batch }: scripted.Call) => scripted.fail("Transport", { undelivered: batch })

/** Checks promise 6 for the client and for each pipeline, and that the client's numbers are the sums. Returns the statistics. */
const assertAllAccounted = Effect.map(ThreadStats.stats, (stats) => {
  for (const { events, metrics } of [stats, ...stats.pipelines!]) {
    assertBalanced({ events, metrics })
  }
  for (const part of ["received", "delivered", "pending"] as const) {
    assert.strictEqual(stats.metrics[part], stats.pipelines!.reduce((sum, { metrics }) => sum + metrics[part], 0))
    assert.strictEqual(stats.events[part], stats.pipelines!.reduce((sum, { events }) => sum + events[part], 0))
  }
  return stats
})

/** Sums up the values in a receiver that keeps the last value of every second. */
const lastValues = (series: ReadonlyArray<Series.Series>, name: string) => {
  const values = new Map(series.filter(({ metric }) => metric === name).map(({ points }) => points[0]!))
  return Array.from(values.values()).reduce((sum, value) => sum + value, 0)
}

/** Sums up the values in a receiver that adds all values. */
const addedValues = (series: ReadonlyArray<Series.Series>, name: string) =>
  series.filter(({ metric }) => metric === name).reduce((sum, { points }) => sum + points[0]![1], 0)

const distributedValues = (reporter: scripted.Scripted) =>
  reporter.distributions().flatMap(({ points }) => points[0]![1])

const eventTitles = (reporter: scripted.Scripted) => reporter.events().map(({ title }) => title)

describe("Reporter.combine", () => {
  describe("two memory reporters", () => {
    const layer = Layer.provideMerge(
      Reporter.combine(Reporter.layerMemory, Reporter.layerMemoryWith({ temporality: "total" })),
      Reporter.layerMemory
    )
    const arrived = Effect.flatMap(
      Reporter.MemoryReporter,
      ({ distributions, events, metrics }) => Effect.all({ distributions, events, metrics })
    )
    const layerDown = () => {
      const reporter = scripted.make()
      reporter.answer = failDelivery
      return reporter.layer
    }
    reporterContract(layer, { arrived, dead: Reporter.combine(layerDown(), layerDown()) })
  })

  const buildReporter = (layer: Layer.Layer<Reporter.Reporter>) => Effect.provide(Reporter.Reporter, layer)

  it.effect("returns an empty receipt when all pipelines are idle, and waits for the slower one otherwise", () => {
    const { first, layer, second } = makeTwo()
    second.answer = ({ batch }) => Effect.delay(scripted.accept(batch), "1 second")
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const empty = Effect.runSync(client.flush())
      assert.deepStrictEqual(empty.pipelines?.map(({ metrics }) => metrics.delivered), [0, 0])
      yield* ThreadStats.gauge("x", 1)
      yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("1 millis")
      const waiting = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("998 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* waiting, empty)
      assert.deepStrictEqual([first.calls.length, second.calls.length], [1, 1])
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends everything once to a reporter that is combined twice at different depths", () =>
    Effect.gen(function*() {
      const [a, b, c] = [scripted.make(), scripted.make(), scripted.make()]
      const reporter = yield* buildReporter(
        Reporter.combine(a.layer, Reporter.combine(b.layer, Reporter.combine(a.layer, c.layer)), b.layer)
      )
      assert.lengthOf(reporter.reporters!, 3)
      yield* reporter.reportEvents([{ title: "t", text: "", tags: [] }])
      for (const { calls } of [a, b, c]) assert.lengthOf(calls, 1)
    }))

  it.effect("returns the reporter itself when it combines one reporter", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* buildReporter(Reporter.combine(Reporter.layerNoop))).reporters)
      assert.isUndefined((yield* buildReporter(Reporter.combine(Reporter.layerNoop, Reporter.layerNoop))).reporters)
    }))

  it.effect("fails with the items that any reporter did not deliver, as ambiguous ones, when it is called directly", () =>
    Effect.gen(function*() {
      const [a, b, c] = [scripted.make(), scripted.make(), scripted.make()]
      const reporter = yield* buildReporter(Reporter.combine(a.layer, b.layer, c.layer))
      const event = (title: string): Event.Event => ({ title, text: "", tags: [] })
      const [undelivered, refused, both, delivered] = [
        event("undelivered"),
        event("refused"),
        event("both"),
        event("delivered")
      ]
      const batch = [undelivered, refused, both, delivered]
      b.answer = () => scripted.fail("Timeout", { undelivered: [undelivered, both] })
      c.answer = () => scripted.fail("Rejected", { refused: [refused, both] })
      const error = yield* Effect.flip(reporter.reportEvents(batch))
      assert.deepStrictEqual(error.undelivered, [undelivered, both])
      assert.deepStrictEqual(error.refused, [refused])
      assert.deepStrictEqual(error.ambiguous, [undelivered, both])
      assert.strictEqual(error.receipt.items, 1)
      assert.strictEqual(error.reason, "Timeout")
      assert.lengthOf(a.calls, 1)
    }))

  it.effect("warms all of its reporters", () =>
    Effect.gen(function*() {
      const warmed: Array<number> = []
      const warm = (n: number) =>
        Layer.map(
          Layer.fresh(Reporter.layerNoop),
          (context) =>
            Context.make(Reporter.Reporter, {
              ...Context.get(context, Reporter.Reporter),
              warm: Effect.sync(() => {
                warmed.push(n)
              })
            })
        )
      yield* Effect.flatMap(ThreadStats.ThreadStats, ({ warm }) => warm).pipe(
        Effect.provide(layerClient(Reporter.combine(warm(1), warm(2))))
      )
      assert.sameMembers(warmed, [1, 2])
    }))
})

describe("flush over several reporters", () => {
  it.effect("reports totals, deltas or samples to each reporter, by its temporality, when an open bucket is drained repeatedly", () => {
    const { first, layer, second } = makeTwo()
    const raw = Layer.fresh(Reporter.layerMemoryWith({ temporality: "delta", samples: true }))
    return Effect.gen(function*() {
      const memory = yield* Layer.build(raw)
      const reporters = Reporter.combine(
        first.layer,
        second.layer,
        Layer.succeed(Reporter.Reporter, Context.get(memory, Reporter.Reporter))
      )
      yield* Effect.gen(function*() {
        for (let round = 1; round <= 3; round++) {
          yield* ThreadStats.increment("orders", 10 * round)
          yield* ThreadStats.gauge("queue", round)
          yield* ThreadStats.set("users", `user ${round}`)
          yield* ThreadStats.set("users", "the same")
          yield* ThreadStats.histogram("size", round)
          yield* ThreadStats.distribution("latency", round)
          yield* ThreadStats.event(`round ${round}`, "")
          const { metrics } = yield* ThreadStats.flush()
          assert.deepStrictEqual(metrics, { delivered: 18, pending: 0, dropped: 0 })
        }
        yield* assertAllAccounted
      }).pipe(Effect.provide(layerClient(reporters)))

      const rates = (reporter: scripted.Scripted, name: string) =>
        reporter.series().filter(({ metric }) => metric === name).map(({ points }) => points[0]![1])
      assert.deepStrictEqual(rates(first, "orders"), [1, 3, 6])
      assert.deepStrictEqual(rates(second, "orders"), [1, 2, 3])
      assert.deepStrictEqual(rates(first, "users"), [2, 3, 4])
      assert.deepStrictEqual(rates(second, "users"), [2, 2, 2])
      assert.deepStrictEqual(rates(first, "size.max"), [1, 2, 3])
      assert.closeTo(lastValues(first.series(), "size.count"), 0.3, 1e-9)
      assert.closeTo(addedValues(second.series(), "size.count"), 0.3, 1e-9)
      for (const reporter of [first, second]) {
        assert.deepStrictEqual(rates(reporter, "queue"), [1, 2, 3])
        assert.deepStrictEqual(distributedValues(reporter), [1, 2, 3])
        assert.deepStrictEqual(eventTitles(reporter), ["round 1", "round 2", "round 3"])
      }
      const samples = yield* Context.get(memory, Reporter.MemoryReporter).samples
      const valuesOf = (name: string) =>
        samples.filter(({ metric }) => metric === name).flatMap(({ points }) => points[0]![1])
      assert.deepStrictEqual(valuesOf("orders"), [10, 20, 30])
      assert.deepStrictEqual(valuesOf("size"), [1, 2, 3])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("delivers everything to a reporter that fails for a while, without delaying or repeating data of the other", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      first.answer = failDelivery
      for (let n = 1; n <= 3; n++) {
        yield* ThreadStats.increment("orders", 10)
        yield* ThreadStats.distribution("latency", n)
        yield* ThreadStats.event(`event ${n}`, "")
        const { pipelines, errors, metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual(pipelines?.map(({ metrics }) => metrics), [
          { delivered: 0, pending: 2 * n, dropped: 0 },
          { delivered: 2, pending: 0, dropped: 0 }
        ])
        assert.deepStrictEqual(metrics, { delivered: 2, pending: 2 * n, dropped: 0 })
        assert.lengthOf(errors, 3)
        assert.deepStrictEqual(distributedValues(second), Array.from({ length: n }, (_, i) => i + 1))
        assert.lengthOf(eventTitles(second), n)
        const [down, up] = (yield* assertAllAccounted).pipelines!
        assert.strictEqual(down!.metrics.pending, 2 * n)
        assert.strictEqual(down!.lastError?.reason, "Transport")
        assert.strictEqual(up!.metrics.pending, 0)
        assert.isUndefined(up!.lastError)
        yield* TestClock.adjust("10 seconds")
      }
      first.calls.length = 0
      first.answer = ({ batch }) => scripted.accept(batch)
      const { pipelines } = yield* ThreadStats.flush()
      assert.deepStrictEqual(pipelines?.map(({ metrics }) => metrics.delivered), [6, 0])
      assert.strictEqual(lastValues(first.series(), "orders"), 3)
      assert.deepStrictEqual(distributedValues(first), [1, 2, 3])
      assert.deepStrictEqual(eventTitles(first), ["event 1", "event 2", "event 3"])
      assert.strictEqual(addedValues(second.series(), "orders"), 3)
      assert.deepStrictEqual(distributedValues(second), [1, 2, 3])
      assert.strictEqual((yield* assertAllAccounted).metrics.pending, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("delivers to a working reporter at once, and ends within its time budget, when the other reporter hangs", () => {
    const { first, layer, second } = makeTwo(undefined, { flushTimeout: "5 seconds" })
    return Effect.gen(function*() {
      first.answer = () => Effect.uninterruptible(Effect.never)
      for (let n = 1; n <= 3; n++) {
        yield* ThreadStats.increment("orders", 10)
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(second.calls, n)
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("5 seconds")
        const { pipelines } = yield* fiber
        assert.deepStrictEqual(pipelines?.map(({ metrics }) => metrics.delivered), [0, 1])
      }
      yield* ThreadStats.increment("orders", 10)
      // The breaker is open, so this flush ends without any time passing.
      const { pipelines, skipped } = yield* ThreadStats.flush()
      assert.isFalse(skipped)
      assert.deepStrictEqual(pipelines?.map(({ skipped }) => skipped), [true, false])
      const stats = yield* assertAllAccounted
      assert.strictEqual(stats.breaker, "open")
      assert.deepStrictEqual(stats.pipelines!.map(({ breaker }) => breaker), ["open", "closed"])
      first.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(
      Effect.provide(layer),
      Effect.zipRight(Effect.sync(() => {
        // The last flush, at the end of the scope, ignores the breaker.
        assert.strictEqual(lastValues(first.series(), "orders"), 4)
        assert.strictEqual(addedValues(second.series(), "orders"), 4)
      }))
    )
  })

  it.effect("delivers to a working reporter on every interval when the other reporter hangs", () => {
    const { first, layer, second } = makeTwo(undefined, {
      periodicFlush: true,
      flushInterval: "10 seconds",
      flushTimeout: "5 seconds"
    })
    return Effect.gen(function*() {
      first.answer = () => Effect.never
      const times: Array<number> = []
      second.answer = ({ batch }) =>
        Effect.zipRight(
          Effect.clockWith((clock) =>
            Effect.sync(() => {
              times.push(clock.unsafeCurrentTimeMillis() / 1000)
            })
          ),
          scripted.accept(batch)
        )
      for (let n = 1; n <= 6; n++) {
        yield* ThreadStats.increment("orders", 10)
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(times, [10, 20, 30, 40, 50, 60])
      // The hung reporter used up three time budgets until its breaker opened.
      assert.lengthOf(first.calls, 3)
      first.answer = ({ batch }) => scripted.accept(batch)
      yield* TestClock.adjust("1 minute")
      yield* assertAllAccounted
      assert.strictEqual(lastValues(first.series(), "orders"), 6)
      assert.strictEqual(addedValues(second.series(), "orders"), 6)
    }).pipe(Effect.provide(layer))
  })

  it.effect("delivers to a working reporter when the other reporter dies", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      second.answer = () => Effect.die(new Error("broken reporter"))
      yield* ThreadStats.increment("orders", 10)
      const { pipelines } = yield* ThreadStats.flush()
      assert.deepStrictEqual(pipelines?.map(({ errors }) => errors.map(({ reason }) => reason)), [[], ["Defect"]])
      assert.lengthOf(first.series(), 1)
      assert.deepStrictEqual((yield* assertAllAccounted).pipelines!.map(({ metrics }) => metrics.pending), [0, 1])
    }).pipe(Effect.provide(layer))
  })

  it.effect("drops refused events only in the pipeline whose reporter refused them", () => {
    const { layer, second } = makeTwo()
    return Effect.gen(function*() {
      second.answer = ({ batch, endpoint }) =>
        endpoint === "events" ? scripted.fail("Rejected", { refused: batch }) : scripted.accept(batch)
      yield* ThreadStats.event("title", "text")
      const { events } = yield* ThreadStats.flush()
      assert.deepStrictEqual(events, { delivered: 1, pending: 0, dropped: 1 })
      const { pipelines } = yield* assertAllAccounted
      assert.deepStrictEqual(pipelines!.map(({ events }) => events.dropped), [{}, { Refused: 1 }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("drops additive series that may have arrived, by the temporality of each pipeline, when delivery is at-most-once", () => {
    const { first, layer, second } = makeTwo(["total", "delta"], { delivery: "at-most-once" })
    return Effect.gen(function*() {
      const loseAnswer = ({ batch }: scripted.Call) =>
        scripted.fail("Timeout", { undelivered: batch, ambiguous: batch })
      first.answer = loseAnswer
      second.answer = loseAnswer
      yield* ThreadStats.increment("orders")
      yield* ThreadStats.gauge("queue", 1)
      yield* ThreadStats.distribution("latency", 1)
      yield* ThreadStats.flush()
      const { pipelines } = yield* assertAllAccounted
      // A total that arrives twice counts once. A delta counts twice.
      assert.deepStrictEqual(pipelines!.map(({ metrics }) => [metrics.pending, metrics.dropped]), [
        [2, { Ambiguous: 1 }],
        [1, { Ambiguous: 2 }]
      ])
      first.answer = second.answer = ({ batch }) => scripted.accept(batch)
    }).pipe(Effect.provide(layer))
  })

  it.effect("restores everything in every pipeline when a flush is interrupted", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      const entered = yield* Deferred.make<void>()
      second.answer = () => Effect.zipRight(Deferred.succeed(entered, undefined), Effect.never)
      first.answer = () => Effect.never
      yield* ThreadStats.increment("orders", 10)
      yield* ThreadStats.event("title", "")
      const fiber = yield* Effect.fork(ThreadStats.flush())
      yield* Deferred.await(entered)
      yield* Fiber.interrupt(fiber)
      const { pipelines } = yield* assertAllAccounted
      assert.deepStrictEqual(pipelines!.map(({ events, metrics }) => [metrics.pending, events.pending]), [[1, 1], [
        1,
        1
      ]])
      first.answer = second.answer = ({ batch }) => scripted.accept(batch)
      first.calls.length = second.calls.length = 0
      yield* ThreadStats.flush()
      for (const reporter of [first, second]) {
        assert.strictEqual(lastValues(reporter.series(), "orders"), 1)
        assert.deepStrictEqual(eventTitles(reporter), ["title"])
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("returns one receipt to concurrent callers, and respects the `timeout` of a flush", () => {
    const { first, layer, second } = makeTwo(undefined, { flushTimeout: "5 seconds" })
    return Effect.gen(function*() {
      second.answer = () => Effect.never
      yield* ThreadStats.increment("orders")
      const fiber = yield* Effect.fork(ThreadStats.flush({ timeout: "1 second" }))
      yield* TestClock.adjust("1 millis")
      const waiting = yield* Effect.fork(
        Effect.all([ThreadStats.flush(), ThreadStats.flush()], { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* fiber).pipelines?.map(({ metrics }) => metrics.delivered), [1, 0])
      second.answer = ({ batch }) => scripted.accept(batch)
      yield* TestClock.adjust("5 seconds")
      const [firstReceipt, secondReceipt] = yield* waiting
      assert.strictEqual(firstReceipt, secondReceipt)
      yield* ThreadStats.flush()
      yield* assertAllAccounted
      assert.lengthOf(first.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends closed buckets only when `upTo` is set", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      yield* ThreadStats.increment("orders", 10)
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.increment("orders", 20)
      yield* ThreadStats.flush({ upTo: 10_000 })
      for (const reporter of [first, second]) assert.strictEqual(addedValues(reporter.series(), "orders"), 1)
      assert.deepStrictEqual((yield* assertAllAccounted).pipelines!.map(({ metrics }) => metrics.pending), [1, 1])
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts a dropped point in every pipeline, and logs it once", () => {
    const { layer, second } = makeTwo()
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      second.answer = failDelivery
      yield* ThreadStats.gauge("bad", Number.NaN)
      yield* ThreadStats.gauge("n".repeat(201), 1)
      yield* ThreadStats.gauge("old", 1, { timestamp: -4_000_000 })
      yield* ThreadStats.event("", "")
      yield* ThreadStats.increment("both")
      yield* ThreadStats.gauge("both", 1)
      client.unsafeGauge("thrown", 1, {
        get tags(): never {
          throw new Error("no tags")
        }
      })
      yield* ThreadStats.flush()
      const { pipelines } = yield* assertAllAccounted
      for (const { events, metrics } of pipelines!) {
        assert.deepStrictEqual(metrics.dropped, {
          InvalidValue: 1,
          NameTooLong: 1,
          TooOld: 1,
          InvalidTags: 1,
          KindConflict: 1
        })
        assert.deepStrictEqual(events.dropped, { InvalidEvent: 1 })
        assert.strictEqual(metrics.received, 6)
      }
      const warnings = lines.filter(({ level }) => level === "WARN").map(({ message }) => message)
      const countOf = (text: string) => warnings.filter((message) => message.includes(text)).length
      for (
        const text of ["InvalidValue", "NameTooLong", "TooOld", "InvalidTags", "InvalidEvent", "more than one kind"]
      ) {
        assert.strictEqual(countOf(text), 1, text)
      }
      assert.strictEqual(countOf("Transport at test"), 1)
    }).pipe(Effect.provide(Layer.merge(layer, scripted.logsTo(lines))))
  })

  it.effect("reads the tags of a point once for all pipelines", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      let reads = 0
      client.unsafeIncrement("orders", 1, {
        get tags() {
          return [`read:${++reads}`]
        }
      })
      yield* Effect.void.pipe(ThreadStats.timer("timed", { tags: () => [`read:${++reads}`] }))
      yield* ThreadStats.flush()
      for (const reporter of [first, second]) {
        assert.deepStrictEqual(reporter.series()[0]?.tags, ["read:1"])
        assert.deepStrictEqual(reporter.series()[1]?.tags, ["read:2"])
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("runs a flush hook once for all pipelines", () => {
    const { first, layer, second } = makeTwo()
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      let runs = 0
      yield* client.onFlush(() => client.unsafeGauge("runs", ++runs))
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      assert.strictEqual(runs, 2)
      for (const reporter of [first, second]) {
        assert.deepStrictEqual(reporter.series().map(({ points }) => points[0]![1]), [1, 2])
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("runs a flush hook once per interval for all pipelines", () => {
    const { first, layer, second } = makeTwo(["total", "delta"], { periodicFlush: true, flushInterval: "10 seconds" })
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      let runs = 0
      yield* client.onFlush(() => client.unsafeIncrement("runs", ++runs))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(runs, 3)
      for (const reporter of [first, second]) assert.closeTo(addedValues(reporter.series(), "runs"), 0.3, 1e-9)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("reports each pipeline's own metrics to its reporter when `selfMetrics` is true", () => {
    const { first, layer, second } = makeTwo(["total", "delta"], { selfMetrics: true })
    return Effect.gen(function*() {
      yield* ThreadStats.increment("orders")
      first.answer = failDelivery
      yield* ThreadStats.flush()
      first.calls.length = second.calls.length = 0
      first.answer = ({ batch }) => scripted.accept(batch)
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.increment("orders")
      yield* ThreadStats.flush()
      const delivered = "threadstats.client.points.delivered"
      assert.strictEqual(addedValues(first.series(), delivered), 0)
      assert.isAbove(addedValues(second.series(), delivered), 0)
      yield* assertAllAccounted
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts an early flush only in the pipeline that is near its limit", () => {
    const { first, layer, second } = makeTwo(["total", "delta"], { maxEvents: 10, flushTimeout: "5 seconds" })
    return Effect.gen(function*() {
      first.answer = failDelivery
      for (let n = 1; n <= 5; n++) yield* ThreadStats.event(`event ${n}`, "")
      yield* ThreadStats.flush()
      first.answer = ({ batch }) => scripted.accept(batch)
      first.calls.length = second.calls.length = 0
      for (let n = 6; n <= 8; n++) yield* ThreadStats.event(`event ${n}`, "")
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(first.calls, 1)
      assert.lengthOf(second.calls, 0)
      assert.deepStrictEqual((yield* assertAllAccounted).pipelines!.map(({ events }) => events.pending), [0, 3])
    }).pipe(Effect.provide(layer))
  })

  it.effect("builds the aggregators of all pipelines with the settings of the given one", () => {
    const [first, second] = [scripted.make("total"), scripted.make("delta")]
    const outside = Layer.fresh(layerMetricsAggregatorWith({ percentiles: [0.5], aggregates: ["max"], maxValues: 2 }))
    const events = Layer.fresh(layerEventsAggregatorWith({ maxEvents: 1 }))
    // The client's own settings differ from these.
    const layer = layerReporterWith({ periodicFlush: false }).pipe(
      Layer.provide(Reporter.combine(first.layer, second.layer)),
      Layer.provideMerge(Layer.merge(outside, events)),
      Layer.orDie
    )
    return Effect.gen(function*() {
      first.answer = second.answer = () => Effect.fail(unreachable)
      yield* ThreadStats.histogram("size", 1)
      for (let n = 1; n <= 3; n++) yield* ThreadStats.distribution("latency", n)
      for (let n = 1; n <= 2; n++) yield* ThreadStats.event(`event ${n}`, "")
      const aggregator = yield* MetricsAggregator.MetricsAggregator
      assert.strictEqual((yield* aggregator.stats).received, 4)
      first.answer = second.answer = ({ batch }) => scripted.accept(batch)
      yield* ThreadStats.flush()
      for (const reporter of [first, second]) {
        assert.deepStrictEqual(reporter.series().map(({ metric }) => metric), ["size.max", "size.50percentile"])
        assert.lengthOf(eventTitles(reporter), 1)
        assert.lengthOf(distributedValues(reporter), 2)
      }
      assert.strictEqual((yield* aggregator.stats).pending, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("records nothing in any pipeline when `disabled` is true", () => {
    const { first, layer, second } = makeTwo(["total", "delta"], { disabled: true })
    return Effect.gen(function*() {
      yield* ThreadStats.increment("orders")
      yield* ThreadStats.flush()
      assert.lengthOf([...first.calls, ...second.calls], 0)
    }).pipe(Effect.provide(layer))
  })
})

const unreachable = new WireError({
  reason: "Transport",
  endpoint: "test",
  description: "unreachable",
  undelivered: [],
  refused: [],
  ambiguous: [],
  receipt: Reporter.emptyReceipt
})

describe("RetainedStore over several reporters", () => {
  /** Starts a client whose scope is never closed, as if the process were killed. */
  const startAbandoned = (
    entries: Map<string, string>,
    ...reporters: readonly [scripted.Scripted, ...Array<scripted.Scripted>]
  ) =>
    Effect.gen(function*() {
      const [first, ...more] = reporters.map(({ layer }) => layer) as [
        Layer.Layer<Reporter.Reporter>,
        ...Array<Layer.Layer<Reporter.Reporter>>
      ]
      const disk = Layer.sync(KeyValueStore.KeyValueStore, () =>
        KeyValueStore.makeStringOnly({
          get: (key) => Effect.sync(() => Option.fromNullable(entries.get(key))),
          set: (key, value) => Effect.sync(() => entries.set(key, value)),
          remove: (key) => Effect.sync(() => entries.delete(key)),
          clear: Effect.sync(() => entries.clear()),
          size: Effect.sync(() => entries.size)
        }))
      const layer = Layer.provide(
        layerClient(Reporter.combine(first, ...more)),
        Layer.provide(Layer.fresh(RetainedStore.layer), disk)
      )
      return Context.get(yield* Layer.buildWithScope(layer, yield* Scope.make()), ThreadStats.ThreadStats)
    })

  it.effect("retains the pending data of each pipeline, and restores it in the same one after a restart", () =>
    Effect.gen(function*() {
      const entries = new Map<string, string>()
      const [a, b, c] = [scripted.make("total"), scripted.make("delta"), scripted.make("delta")]
      const client = yield* startAbandoned(entries, a, b, c)
      // Each reporter fails for other data.
      a.answer = ({ batch, endpoint }) =>
        endpoint === "events" ? failDelivery({ batch, endpoint }) : scripted.accept(batch)
      b.answer = failDelivery
      client.unsafeIncrement("orders", 10)
      client.unsafeEvent("title", "")
      yield* client.flush()
      assert.isAbove(entries.size, 0)

      const [a2, b2, c2] = [scripted.make("total"), scripted.make("delta"), scripted.make("delta")]
      const after = yield* startAbandoned(entries, a2, b2, c2)
      yield* after.flush()
      assert.deepStrictEqual(eventTitles(a2), ["title"])
      assert.lengthOf(a2.series(), 0)
      assert.deepStrictEqual(eventTitles(b2), ["title"])
      assert.strictEqual(addedValues(b2.series(), "orders"), 1)
      assert.lengthOf(c2.calls, 0)

      // The second process delivered everything, so a third one finds an empty store.
      const [a3, b3, c3] = [scripted.make("total"), scripted.make("delta"), scripted.make("delta")]
      const third = yield* startAbandoned(entries, a3, b3, c3)
      yield* third.flush()
      assert.lengthOf([...a3.calls, ...b3.calls, ...c3.calls], 0)
    }))

  it.effect("restores the data of a single reporter in the first pipeline after reporters were added", () =>
    Effect.gen(function*() {
      const entries = new Map<string, string>()
      const alone = scripted.make("total")
      alone.answer = failDelivery
      const before = yield* startAbandoned(entries, alone)
      before.unsafeIncrement("orders", 10)
      yield* before.flush()

      const [first, second] = [scripted.make("total"), scripted.make("delta")]
      const after = yield* startAbandoned(entries, first, second)
      yield* after.flush()
      assert.strictEqual(addedValues(first.series(), "orders"), 1)
      assert.lengthOf(second.calls, 0)
    }))
})

describe("flush over several reporters after random histories", () => {
  const anyStep = FastCheck.oneof(
    { weight: 5, arbitrary: FastCheck.record({ count: FastCheck.integer({ min: 1, max: 9 }) }) },
    { weight: 2, arbitrary: FastCheck.record({ flush: FastCheck.boolean() }) },
    { weight: 2, arbitrary: FastCheck.record({ pass: FastCheck.integer({ min: 1, max: 15 }) }) },
    { weight: 2, arbitrary: FastCheck.record({ index: FastCheck.nat(2), down: FastCheck.boolean() }) }
  )

  it.effect.prop(
    "delivers every recorded point to every receiver",
    [FastCheck.array(anyStep, { maxLength: 40 })],
    ([steps]) => {
      const reporters = [scripted.make("total"), scripted.make("delta"), scripted.make("total")] as const
      const [a, b, c] = reporters
      return Effect.gen(function*() {
        let counted = 0
        const values: Array<number> = []
        yield* Effect.gen(function*() {
          for (const step of steps) {
            if ("count" in step) {
              counted += step.count
              values.push(step.count)
              yield* ThreadStats.increment("orders", step.count)
              yield* ThreadStats.distribution("latency", step.count)
            } else if ("flush" in step) {
              const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
              yield* ThreadStats.flush(step.flush ? {} : { upTo: now })
            } else if ("pass" in step) yield* TestClock.adjust(Duration.seconds(step.pass))
            else {
              const reporter = reporters[step.index]!
              reporter.answer = (call) => {
                if (!step.down) return scripted.accept(call.batch)
                // The assertions below compare delivered batches only.
                reporter.calls.splice(reporter.calls.indexOf(call), 1)
                return failDelivery(call)
              }
            }
            yield* assertAllAccounted
          }
          for (const reporter of reporters) reporter.answer = ({ batch }) => scripted.accept(batch)
          yield* ThreadStats.flush()
          const { metrics } = yield* assertAllAccounted
          assert.strictEqual(metrics.pending, 0)
        }).pipe(Effect.provide(layerClient(Reporter.combine(a.layer, b.layer, c.layer))))
        for (const reporter of [a, c]) assert.closeTo(lastValues(reporter.series(), "orders"), counted / 10, 1e-9)
        assert.closeTo(addedValues(b.series(), "orders"), counted / 10, 1e-9)
        // A restored bucket may be sent after a later one.
        const sorted = (all: ReadonlyArray<number>) => all.toSorted((x, y) => x - y)
        for (const reporter of reporters) assert.deepStrictEqual(sorted(distributedValues(reporter)), sorted(values))
      })
    },
    { fastCheck: { numRuns: 30 } }
  )
})
