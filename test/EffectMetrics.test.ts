import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as EffectMetrics from "effect-threadstats/EffectMetrics"
import * as Lambda from "effect-threadstats/Lambda"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKeyType from "effect/MetricKeyType"
import * as MetricLabel from "effect/MetricLabel"
import * as Redacted from "effect/Redacted"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { deliveredEqualsRegistry } from "./effectMetrics/properties.js"
import { indexes, layerRecorded, only, takeRecorded } from "./support/effectMetrics.js"
import { layerInProcess } from "./support/intake.js"
import * as Scripted from "./support/scripted.js"

describe("EffectMetrics layer", () => {
  it.effect("reports metrics of the program without options", () =>
    Effect.gen(function*() {
      yield* Effect.succeed(3).pipe(
        Effect.withMetric(Metric.counter("l1.made")),
        Effect.withMetric(Metric.withConstantInput(Metric.gauge("l1.last"), 8)),
        Effect.tagMetrics("region", "eu")
      )
      yield* Testing.expectCount("l1.made", 3, { region: "eu" })
      yield* Testing.expectGauge("l1.last", 8, { region: "eu" })
    }).pipe(Effect.provide(EffectMetrics.layer.pipe(Layer.provideMerge(Testing.layer)))))

  it.effect("reports the fiber metrics of the Effect runtime", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(indexes(5), () => Effect.fork(Effect.never))
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

  it.effect("excludes flush fibers from the fiber metrics, so that a second flush has nothing to send", () =>
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

  it.effect("excludes the fibers of periodic flushes, so that an idle invocation counts none", () => {
    const reporter = Scripted.make()
    const idle = Lambda.lambdaProgram(Effect.never, { flushInterval: "10 seconds" }).pipe(
      Effect.provide(
        EffectMetrics.layerWith({ filter: ({ tags }) => tags.some(({ value }) => value === "l6") }).pipe(
          Layer.provideMerge(Scripted.client(reporter, { periodicFlush: true, flushInterval: "10 seconds" }))
        )
      ),
      Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics)),
      Effect.tagMetrics("test", "l6")
    )
    return Effect.gen(function*() {
      const fiber = yield* Effect.fork(idle)
      const started = () => reporter.series().filter(({ metric }) => metric === "effect_fiber_started").length
      yield* TestClock.adjust("30 seconds")
      const atFirst = started()
      assert.isAbove(atFirst, 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(started(), atFirst)
      yield* Fiber.interrupt(fiber)
    })
  })

  it.effect("reports pending increments when it closes, before the client closes", () =>
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

  it.effect("reports nothing after it was closed when the client stays open", () =>
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

  it.effect("calls no option when the client is disabled", () =>
    Effect.gen(function*() {
      let calls = 0
      const options = { filter: () => ++calls > 0, since: "layer" } as const
      yield* Metric.increment(Metric.counter("l5.made"))
      yield* Effect.provide(ThreadStats.flush(), layerRecorded(options, { disabled: true }))
      assert.strictEqual(calls, 0)
    }))

  it.effect("reports increments of a closed bucket with the next periodic flush", () => {
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

describe("EffectMetrics since", () => {
  it.effect("reports increments from before the layer to each client by default", () =>
    Effect.gen(function*() {
      yield* Metric.incrementBy(Metric.counter("b1.early"), 5)
      const first = yield* Layer.build(Layer.fresh(layerRecorded(only("b1."))))
      yield* Effect.provide(Testing.expectCount("b1.early", 5), first)
      const second = yield* Layer.build(Layer.fresh(layerRecorded(only("b1."))))
      yield* Metric.increment(Metric.counter("b1.early"))
      yield* Effect.provide(Testing.expectCount("b1.early", 6), first)
      yield* Effect.provide(Testing.expectCount("b1.early", 6), second)
    }).pipe(Effect.scoped))

  it.effect("leaves out values from before the layer, gauges excepted, when `since` is layer", () =>
    Effect.gen(function*() {
      const boundaries = MetricBoundaries.linear({ start: 0, width: 10, count: 4 })
      const record = Effect.all([
        Metric.incrementBy(Metric.counter("b2.count"), 5),
        Metric.update(Metric.histogram("b2.size", boundaries), 7),
        Metric.update(Metric.frequency("b2.word"), "a"),
        Metric.set(Metric.gauge("b2.depth"), 3)
      ])
      yield* record
      const context = yield* Layer.build(
        Layer.fresh(layerRecorded(only("b2.", { since: "layer", histograms: "both" })))
      )
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

describe("EffectMetrics options", () => {
  it.effect("filter and rename metrics and replace their tags", () =>
    Effect.gen(function*() {
      for (const name of ["o1.a", "o1.b"]) {
        const tagged = Metric.tagged(Metric.tagged(Metric.counter(name), "pod", "p-1"), "zone", "z")
        yield* Metric.increment(tagged)
      }
      yield* Metric.update(Metric.tagged(Metric.frequency("o1.words"), "pod", "p-2"), "hello")
      assert.deepStrictEqual(yield* takeRecorded, [
        ["counter", "app.b_made zone:z kind:counter", 1],
        ["counter", "app.words_made kind:other key:hello", 1]
      ])
    }).pipe(Effect.provide(layerRecorded({
      filter: ({ name }) => `${name}`.startsWith("o1.") && name !== "o1.a",
      rename: (name) => `${name.replace("o1.", "app.")} made`,
      tags: (tags, key) => [
        ...tags.filter((tag) => !tag.startsWith("pod:")),
        MetricKeyType.isCounterKey(key.keyType) ? "kind:counter" : "kind:other"
      ]
    }))))

  it.effect("call `filter` once for each metric", () => {
    const filtered: Array<string> = []
    return Effect.gen(function*() {
      for (const _ of indexes(3)) {
        yield* Metric.increment(Metric.counter("o2.a"))
        yield* ThreadStats.flush()
      }
      assert.deepStrictEqual(filtered.filter((name) => name.startsWith("o2.")), ["o2.a"])
    }).pipe(Effect.provide(layerRecorded({
      filter: ({ name }) => {
        filtered.push(name)
        return `${name}`.startsWith("o2.")
      }
    })))
  })

  const fails = (name: string) => {
    if (name === "o3.bad") throw new Error("no such metric")
    return `${name}`.startsWith("o3.")
  }
  for (
    const [fault, options] of Object.entries<EffectMetrics.EffectMetricsOptions>({
      filter: { filter: ({ name }) => fails(name) },
      rename: only("o3.", { rename: (name) => (fails(name), name) }),
      "rename to something other than a text": only("o3.", { rename: (name) => name === "o3.bad" ? 7 as never : name }),
      tags: only("o3.", { tags: (tags, { name }) => (fails(name), tags) }),
      "tags that are not texts": only("o3.", { tags: (tags, { name }) => name === "o3.bad" ? [7 as never] : tags }),
      asGauge: only("o3.", { asGauge: ({ name }) => !fails(name) })
    })
  ) {
    const logged: Array<Scripted.Line> = []
    it.effect(`leave out only the failing metric and warn once when the fault is in ${fault}`, () =>
      Effect.gen(function*() {
        for (const _ of indexes(2)) {
          for (const name of ["o3.good", "o3.bad", "o3.fine"]) yield* Metric.increment(Metric.counter(name))
          yield* ThreadStats.flush()
        }
        assert.deepStrictEqual(yield* Testing.names, ["o3.fine", "o3.good"])
        assert.lengthOf(logged, 1)
        assert.strictEqual(logged[0]?.level, "WARN")
        assert.match(
          logged[0]!.message,
          /^Left out 1 of Effect's metrics \(o3\.bad\): .*a function of the options, failed/
        )
      }).pipe(Effect.provide(layerRecorded(options).pipe(Layer.provideMerge(Scripted.logsTo(logged))))))
  }

  it.effect("leave out only the failing metric when the logger throws too", () => {
    const reporter = Scripted.make()
    let lines = 0
    const brokenLogger = Logger.make(() => {
      lines++
      throw new Error("broken logger")
    })
    return Effect.gen(function*() {
      for (const _ of indexes(2)) {
        for (const name of ["o5.good", "o5.bad", "o5.shared", "o5/shared"]) {
          yield* Metric.increment(Metric.counter(name))
        }
        const { errors, metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual([errors, metrics.delivered], [[], 3])
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(reporter.series().map(({ metric }) => metric), [
        "o5.good",
        "o5_shared",
        "o5.good",
        "o5_shared"
      ])
      assert.strictEqual(lines, 2)
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith({
          filter: ({ name }) => `${name}`.startsWith("o5"),
          rename: (name) => {
            if (name === "o5.bad") throw new Error("no such metric")
            return name.replace(".shared", "_shared")
          }
        }).pipe(
          Layer.provideMerge(Scripted.client(reporter)),
          // Effect logs the unhandled failure of a fiber at the level Debug.
          Layer.provideMerge(Layer.mergeAll(
            Logger.replace(Logger.defaultLogger, brokenLogger),
            Logger.minimumLogLevel(LogLevel.Debug)
          ))
        )
      )
    )
  })

  it.effect("fall back to their defaults when they are invalid", () =>
    Effect.gen(function*() {
      const boundaries = MetricBoundaries.linear({ start: 0, width: 10, count: 4 })
      for (const i of indexes(5)) yield* Metric.update(Metric.histogram("o4.size", boundaries), i)
      assert.lengthOf(yield* Testing.values("o4.size"), 5)
    }).pipe(
      Effect.provide(layerRecorded(only("o4.", { histogramValues: Number.NaN, gaugeInterval: "soon" as never })))
    ))

  it.effect("are named in one warning when they are invalid or do not exist", () => {
    const lines: Array<Scripted.Line> = []
    const options = { histogram: "both", histograms: "all", since: "now", gaugeInterval: "soon", histogramValues: 0 }
    return Effect.sync(() =>
      assert.deepStrictEqual(lines, [{
        level: "WARN",
        message:
          "Ignored invalid options of EffectMetrics: histogram, gaugeInterval, histograms, histogramValues, since. "
          + "Their defaults apply. Correct or remove them"
      }])
    ).pipe(Effect.provide(layerRecorded(options as never).pipe(Layer.provideMerge(Scripted.logsTo(lines)))))
  })
})

describe("EffectMetrics hostile input", () => {
  const logged: Array<Scripted.Line> = []

  it.effect("leaves out only the metrics that cannot be read, warns once and reports all others", () =>
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
        () => Metric.counter("i1.labels").unsafeUpdate(1, indexes(1001).map((i) => MetricLabel.make("n", `${i}`))),
        () => Metric.counter("i1.__proto__").unsafeUpdate(1, [MetricLabel.make("__proto__", "constructor")]),
        () => Metric.counter("i1.made").unsafeUpdate(1, [])
      ]
      for (const update of updates) update()
      for (const _ of indexes(3)) yield* ThreadStats.flush()
      yield* Testing.expectCount("i1.made", 1)
      yield* Testing.expectCount("i1.label", 1, ["a:5"])
      yield* Testing.expectCount("i1.__proto__", 1, ["__proto__:constructor"])
      yield* Testing.expectNone("i1.hostile")
      const { dropped } = yield* Testing.recording
      assert.hasAllKeys(dropped, ["InvalidValue"])
      const warnings = logged.filter(({ message }) => message.startsWith("Left out"))
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!.message, /^Left out 4 /)
    }).pipe(Effect.provide(
      layerRecorded({ filter: ({ name, tags }) => `${name}`.startsWith("i1.") || tags.some(({ key }) => key === "i1") })
        .pipe(
          Layer.provideMerge(Scripted.logsTo(logged))
        )
    )))
})

describe("EffectMetrics when flushes fail", () => {
  deliveredEqualsRegistry(15)

  it.effect("reports each increment once after failed flushes", () => {
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
})

describe("EffectMetrics on Lambda", () => {
  it.effect("reports increments at the end of every invocation, and an unchanged gauge once", () =>
    Effect.gen(function*() {
      yield* Metric.set(Metric.gauge("a1.depth"), 3)
      const invocation = Lambda.lambdaProgram(Metric.increment(Metric.counter("a1.made")))
      yield* invocation
      assert.deepStrictEqual(yield* takeRecorded, [["gauge", "a1.depth", 3], ["distribution", "a1.made", 1]])
      yield* invocation
      assert.deepStrictEqual(yield* takeRecorded, [["distribution", "a1.made", 1]])
    }).pipe(Effect.provide(layerRecorded(only("a1."), { submitAs: "distributions" }))))

  it.effect("delivers metrics of a handler over HTTP before the handler answers", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const client = yield* HttpClient.HttpClient
      const timer = Metric.timer("a2.took")
      const handler = Lambda.makeHandler({
        handler: (event: { readonly size: number }) =>
          Metric.incrementBy(Metric.tagged(Metric.counter("a2.made"), "shop", "eu"), event.size).pipe(
            Metric.trackDuration(timer),
            Effect.as("done")
          ),
        layer: EffectMetrics.layerWith(only("a2.")).pipe(
          Layer.provideMerge(ThreadStats.layerHttpClientWith({
            apiKey: Redacted.make("key"),
            apiUrl: intake.url,
            submitAs: "distributions",
            periodicFlush: false
          })),
          Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
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
    }).pipe(Effect.provide(layerInProcess())))
})
