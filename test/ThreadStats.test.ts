import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  DateTime,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  TestClock
} from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { assertAllAccounted, memoryContents, metricValues, seconds, untyped } from "./support/clientAssertions.js"
import { layerInProcess } from "./support/intake.js"
import * as scripted from "./support/scripted.js"

describe("ThreadStats", () => {
  it.effect("reports metrics of all six kinds as the reference client does", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("page.views")
      yield* ThreadStats.increment("page.views", 4)
      yield* ThreadStats.decrement("page.views", 2)
      yield* ThreadStats.decrement("page.views")
      yield* ThreadStats.gauge("fuel.level", 0.5)
      yield* ThreadStats.set("users", "alice")
      yield* ThreadStats.set("users", 7)
      yield* ThreadStats.histogram("song.length", 20)
      yield* ThreadStats.timing("query.time", 12.5)
      yield* ThreadStats.distribution("order.value", 10)
      yield* ThreadStats.distribution("order.value", 12.5)
      yield* ThreadStats.flush()
      const { distributions, metrics } = yield* memoryContents
      assert.deepStrictEqual(metrics.slice(0, 3), [
        { metric: "page.views", points: [[0, 0.2]], type: "rate", tags: [], interval: 10 },
        { metric: "fuel.level", points: [[0, 0.5]], type: "gauge", tags: [], interval: 10 },
        { metric: "users", points: [[0, 2]], type: "gauge", tags: [], interval: 10 }
      ])
      assert.deepStrictEqual(metricValues(metrics.slice(3, 7)), [
        ["song.length.min", 20],
        ["song.length.max", 20],
        ["song.length.count", 0.1],
        ["song.length.avg", 20]
      ])
      assert.strictEqual(metrics.filter(({ metric }) => metric.startsWith("query.time.")).length, 8)
      assert.deepStrictEqual(distributions, [
        { metric: "order.value", points: [[0, [10, 12.5]]], type: "distribution", tags: [], interval: 10 }
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("reports metrics of all six kinds and events that the unsafe methods record", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      client.unsafeIncrement("c")
      client.unsafeIncrement("c", 4)
      client.unsafeDecrement("c")
      client.unsafeGauge("g", 1)
      client.unsafeSet("s", "a")
      client.unsafeHistogram("h", 1)
      client.unsafeTiming("t", 1)
      client.unsafeDistribution("d", 1)
      client.unsafeEvent("title", "text")
      yield* client.flush()
      const { distributions, events, metrics } = yield* memoryContents
      assert.deepStrictEqual(metricValues(metrics).filter(([name]) => !String(name).includes("percentile")), [
        ["c", 0.4],
        ["g", 1],
        ["s", 1],
        ["h.min", 1],
        ["h.max", 1],
        ["h.count", 0.1],
        ["h.avg", 1],
        ["t.min", 1],
        ["t.max", 1],
        ["t.count", 0.1],
        ["t.avg", 1]
      ])
      assert.deepStrictEqual(metricValues(distributions), [["d", [1]]])
      assert.deepStrictEqual(events, [{ title: "title", text: "text", date_happened: 0, tags: [] }])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("reports metrics of all six kinds and events that the service's methods record", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      yield* client.increment("c", 4)
      yield* client.decrement("c")
      yield* client.gauge("g", 1)
      yield* client.set("s", "a")
      yield* client.histogram("h", 1)
      yield* client.timing("t", 1)
      yield* client.distribution("d", 1)
      yield* client.event("title", "text")
      yield* client.flush()
      const { distributions, events, metrics } = yield* memoryContents
      assert.deepStrictEqual(metricValues(metrics.slice(0, 3)), [["c", 0.3], ["g", 1], ["s", 1]])
      assert.strictEqual(metrics.length, 3 + 2 * 8)
      assert.deepStrictEqual([distributions.length, events.length], [1, 1])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("adds namespace, constant tags, host and device to series, distributions and events", () =>
    Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1, { tags: { shard: 1, team: "x" } })
      yield* ThreadStats.distribution("b", 1, { host: "" })
      yield* ThreadStats.increment("c", 1, { host: "other" })
      yield* ThreadStats.event("title", "text", { tags: ["v:42"] })
      yield* ThreadStats.event("title", "text", { host: "other" })
      yield* ThreadStats.flush()
      const { distributions, events, metrics } = yield* memoryContents
      assert.deepStrictEqual(metrics, [
        {
          metric: "app.a",
          points: [[0, 1]],
          type: "gauge",
          device: "eth0",
          tags: ["shard:1", "team:x", "env:prod"],
          interval: 60
        },
        {
          metric: "app.c",
          points: [[0, 1 / 60]],
          type: "rate",
          host: "other",
          device: "eth0",
          tags: ["team:x", "env:prod"],
          interval: 60
        }
      ])
      assert.strictEqual(distributions[0]?.host, "web-1")
      assert.deepStrictEqual(events.map(({ host, tags, title }) => ({ host, tags, title })), [
        { host: "web-1", tags: ["v:42", "team:x", "env:prod"], title: "title" },
        { host: "other", tags: ["team:x", "env:prod"], title: "title" }
      ])
    }).pipe(Effect.provide(ThreadStats.layerTestWith({
      namespace: "app",
      constantTags: ["team:x"],
      env: "prod",
      hostname: "web-1",
      device: "eth0",
      rollUpInterval: "1 minute"
    }))))

  it.effect("adds the client's host to every series when `attachHost` is true", () =>
    Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.gauge("b", 1, { host: "other" })
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memoryContents).metrics.map(({ host }) => host), ["web-1", "other"])
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ hostname: "web-1", attachHost: true }))))

  it.effect("accepts a Date, a DateTime and milliseconds, zero included, as the timestamp of a point", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(seconds(60))
      yield* ThreadStats.gauge("zero", 1, { timestamp: 0 })
      yield* ThreadStats.gauge("date", 1, { timestamp: new Date(seconds(15)) })
      yield* ThreadStats.gauge("datetime", 1, { timestamp: DateTime.unsafeMake(seconds(25)) })
      yield* ThreadStats.gauge("millis", 1, { timestamp: 39_999.9 })
      yield* ThreadStats.gauge("now", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memoryContents).metrics.map(({ metric, points }) => [metric, points[0]?.[0]]), [
        ["zero", 0],
        ["date", 10],
        ["datetime", 20],
        ["millis", 30],
        ["now", 60]
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("drops and counts a point whose timestamp Datadog would ignore", () =>
    Effect.gen(function*() {
      const hour = seconds(3600)
      yield* TestClock.setTime(10 * hour)
      yield* ThreadStats.gauge("edge", 1, { timestamp: 9 * hour })
      yield* ThreadStats.gauge("edge", 1, { timestamp: 10 * hour + seconds(600) })
      yield* ThreadStats.gauge("old", 1, { timestamp: 9 * hour - 1 })
      yield* ThreadStats.gauge("new", 1, { timestamp: 10 * hour + seconds(600) + 1 })
      yield* ThreadStats.gauge("seconds", 1, { timestamp: 10 * 3600 })
      yield* ThreadStats.gauge("never", 1, { timestamp: Number.NaN })
      yield* ThreadStats.gauge("never", 1, { timestamp: new Date("no date") })
      yield* ThreadStats.gauge("never", 1, { timestamp: untyped("2026-01-01") })
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics, {
        received: 8,
        delivered: 0,
        pending: 2,
        dropped: { TooOld: 2, TooNew: 1, InvalidTimestamp: 3 }
      })
      yield* assertAllAccounted
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("accepts an old timestamp when `timestamps` is `any`", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(seconds(1_700_000_000))
      yield* ThreadStats.gauge("old", 1, { timestamp: 0 })
      assert.strictEqual((yield* ThreadStats.stats).metrics.pending, 1)
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ acceptedTimestamps: "any" }))))

  it.effect("delivers 999 of 1000 points when one of them is NaN", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 1000; i++) yield* ThreadStats.distribution("d", i === 500 ? Number.NaN : i)
      const { metrics } = yield* ThreadStats.flush()
      assert.deepStrictEqual(metrics, { delivered: 999, pending: 0, dropped: 0 })
      assert.strictEqual((yield* memoryContents).distributions[0]?.points[0]?.[1].length, 999)
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { InvalidValue: 1 })
      yield* assertAllAccounted
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("drops a point whose name exceeds 200 characters with its namespace and suffix", () =>
    Effect.gen(function*() {
      const longest = { gauge: 200 - "app.".length, histogram: 200 - "app.".length - ".75percentile".length }
      yield* ThreadStats.gauge("n".repeat(longest.gauge), 1)
      yield* ThreadStats.gauge("n".repeat(longest.gauge + 1), 1)
      yield* ThreadStats.histogram("n".repeat(longest.histogram), 1)
      yield* ThreadStats.histogram("n".repeat(longest.histogram + 1), 1)
      assert.deepInclude((yield* ThreadStats.stats).metrics, { pending: 2, dropped: { NameTooLong: 2 } })
      yield* ThreadStats.flush()
      assert.strictEqual(Math.max(...(yield* memoryContents).metrics.map(({ metric }) => metric.length)), 200)
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ namespace: "app" }))))

  it.effect("neither throws nor fails when its arguments have the wrong types", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const throwing = {
        get timestamp(): number {
          throw new Error("timestamp")
        },
        get tags(): Array<string> {
          throw new Error("tags")
        }
      }
      const inputs: ReadonlyArray<unknown> = [
        undefined,
        null,
        Symbol("s"),
        10n,
        {},
        { valueOf: () => assert.fail("must not be called") },
        throwing,
        [],
        () => 1
      ]
      for (const input of inputs) {
        client.unsafeGauge(untyped(input), untyped(input), untyped(input))
        client.unsafeDecrement("x", untyped(input ?? "3"), untyped(input))
        client.unsafeSet("x", untyped(input), untyped(input))
        client.unsafeEvent(untyped(input), untyped(input), untyped(input))
        client.unsafeEvent("title", "text", untyped({ alertType: input ?? "none" }))
        yield* client.distribution(untyped(input), untyped(input), untyped(input))
        yield* client.event("title", untyped(input), untyped(input))
      }
      client.unsafeGauge("x", 1, throwing)
      client.unsafeGauge("x", 1, {
        get tags() {
          return throwing.tags
        }
      })
      yield* assertAllAccounted
      const { events, metrics } = yield* client.stats
      assert.strictEqual(metrics.pending, 0)
      assert.strictEqual(metrics.received, inputs.length * 4 + 2)
      assert.strictEqual(events.received, inputs.length * 3)
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})

describe("ThreadStats.event", () => {
  it.effect("sends every field of an event under its wire name", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(seconds(1000))
      yield* ThreadStats.event("Deploy", "v42 is out", {
        alertType: "success",
        aggregationKey: "deploys",
        sourceTypeName: "my apps",
        dateHappened: DateTime.unsafeMake(999_999),
        priority: "low",
        relatedEventId: 7,
        deviceName: "eth0",
        tags: { v: 42 },
        host: "web-9"
      })
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memoryContents).events, [{
        title: "Deploy",
        text: "v42 is out",
        alert_type: "success",
        aggregation_key: "deploys",
        source_type_name: "my apps",
        date_happened: 999,
        priority: "low",
        related_event_id: 7,
        device_name: "eth0",
        host: "web-9",
        tags: ["v:42"]
      }])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("dates an event by the time at which it was recorded", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(seconds(1000))
      yield* ThreadStats.event("a", "")
      yield* TestClock.setTime(seconds(1500))
      yield* ThreadStats.flush()
      assert.strictEqual((yield* memoryContents).events[0]?.date_happened, 1000)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("cuts text and aggregation key to Datadog's limits without splitting a character", () =>
    Effect.gen(function*() {
      yield* ThreadStats.event("t".repeat(500), "🙂".repeat(2001), { aggregationKey: `k${"🙂".repeat(60)}` })
      yield* ThreadStats.flush()
      const [event] = (yield* memoryContents).events
      assert.strictEqual(event?.title.length, 500)
      assert.strictEqual(event?.text, `${"🙂".repeat(1999)}…`)
      assert.strictEqual(event?.aggregation_key, `k${"🙂".repeat(49)}`)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  for (
    const [title, text, end] of [
      ["keeps the end of markdown and the text behind it", `%%% \n${"x".repeat(5000)}\n %%% @team`, "x…\n %%% @team"],
      [
        "leaves out markdown that would begin shortly before the cut",
        `${"x".repeat(3990)}%%%${"y".repeat(50)}%%% @team`,
        "x… @team"
      ],
      ["marks the cut of text outside of markdown", `%%% a %%%${"x".repeat(5000)}%%%`, "xx…"]
    ] as const
  ) {
    it.effect(`${title} when it cuts the text of an event, and counts the cut`, () =>
      Effect.gen(function*() {
        yield* ThreadStats.event("deployed", text)
        yield* ThreadStats.flush()
        const [event] = (yield* memoryContents).events
        assert.isAtMost(event!.text.length, 4000)
        assert.isAtLeast(event!.text.length, 3980)
        assert.isTrue(event!.text.endsWith(end), event!.text.slice(-20))
        assert.strictEqual((event!.text.match(/%%%/g) ?? []).length % 2, 0)
        assert.deepStrictEqual((yield* ThreadStats.stats).truncated, { TextTooLong: 1 })
      }).pipe(Effect.provide(ThreadStats.layerTest)))
  }

  it.effect("takes an array in place of options as tags, for events and points", () =>
    Effect.gen(function*() {
      yield* ThreadStats.event("deployed", "", untyped(["x:y"]))
      yield* ThreadStats.increment("b", 1, untyped(["x:y"]))
      yield* ThreadStats.flush()
      const { events, metrics } = yield* memoryContents
      assert.deepStrictEqual([events[0]?.tags, metrics[0]?.tags], [["x:y"], ["x:y"]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("drops an event more than two hours ahead when it is flushed, because the clock was set back", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(seconds(100_000))
      yield* ThreadStats.event("ahead", "")
      yield* TestClock.setTime(seconds(100_000 - 7201))
      yield* ThreadStats.flush()
      assert.lengthOf((yield* memoryContents).events, 0)
      assert.deepStrictEqual((yield* ThreadStats.stats).events.dropped, { TooNew: 1 })
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("drops an event that Datadog would refuse, and counts it by reason", () =>
    Effect.gen(function*() {
      const hour = seconds(3600)
      yield* TestClock.setTime(100 * hour)
      yield* ThreadStats.event("", "no title")
      yield* ThreadStats.event("t", "x", { alertType: untyped("catastrophe") })
      yield* ThreadStats.event("t", "x", { priority: untyped("high") })
      yield* ThreadStats.event("t", "x", { relatedEventId: 1.5 })
      yield* ThreadStats.event("t", "x", { aggregationKey: untyped(5) })
      yield* ThreadStats.event("t", "x", { host: "h".repeat(256) })
      yield* ThreadStats.event("t", "x", { tags: untyped("a") })
      yield* ThreadStats.event("t", "x", { tags: ["a".repeat(201)] })
      yield* ThreadStats.event("t", "x", { dateHappened: 82 * hour - 1 })
      yield* ThreadStats.event("t", "x", { dateHappened: 102 * hour + 1 })
      yield* ThreadStats.event("t", "x", { dateHappened: Number.NaN })
      yield* ThreadStats.event("edge", "", { dateHappened: 82 * hour })
      assert.deepStrictEqual((yield* ThreadStats.stats).events, {
        received: 12,
        delivered: 0,
        pending: 2,
        dropped: { InvalidEvent: 6, InvalidTags: 1, TooOld: 1, TooNew: 1, InvalidTimestamp: 1 }
      })
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})

/** The name, the average and the tags of every timing. */
const flushedTimings = Effect.gen(function*() {
  yield* ThreadStats.flush()
  return (yield* memoryContents).metrics
    .filter(({ metric }) => metric.endsWith(".avg"))
    .map(({ metric, points, tags }) => [metric, points[0]?.[1], ...tags])
})

describe("ThreadStats.timer", () => {
  it.effect("records seconds by default, and milliseconds when `unit` is `milliseconds`", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.all([
        Effect.sleep("1500 millis").pipe(ThreadStats.timer("s")),
        Effect.sleep("1500 millis").pipe(ThreadStats.timer("ms", { unit: "milliseconds" }))
      ], { concurrency: "unbounded" }))
      yield* TestClock.adjust("1500 millis")
      yield* fiber
      assert.sameDeepMembers(yield* flushedTimings, [["s.avg", 1.5], ["ms.avg", 1500]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("prefers its own unit to the client's `timerUnit`", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Effect.sleep("2 seconds").pipe(
          ThreadStats.timer("inner", { unit: "seconds" }),
          ThreadStats.timer("outer")
        )
      )
      yield* TestClock.adjust("2 seconds")
      yield* fiber
      assert.deepStrictEqual(yield* flushedTimings, [["inner.avg", 2], ["outer.avg", 2000]])
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ timerUnit: "milliseconds" }))))

  it.effect("records the time of an effect that succeeds, fails, dies or is interrupted, and returns its exit unchanged", () =>
    Effect.gen(function*() {
      const tags = (exit: Exit.Exit<unknown, unknown>) => [
        Exit.match(exit, {
          onSuccess: () => "success",
          onFailure: (cause) =>
            Cause.isInterruptedOnly(cause) ? "interruption" : Cause.isFailure(cause) ? "failure" : "defect"
        })
      ]
      const timed = ThreadStats.timer("t", { tags })
      assert.strictEqual(yield* timed(Effect.succeed(1)), 1)
      assert.deepStrictEqual(yield* Effect.exit(timed(Effect.fail("no"))), Exit.fail("no"))
      assert.deepStrictEqual(yield* Effect.exit(timed(Effect.die("bug"))), Exit.die("bug"))
      const fiber = yield* Effect.fork(timed(Effect.never))
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(yield* flushedTimings, [
        ["t.avg", 0, "success"],
        ["t.avg", 0, "failure"],
        ["t.avg", 0, "defect"],
        ["t.avg", 3, "interruption"]
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("returns the effect's result and drops the time as InvalidValue when the unit does not exist", () =>
    Effect.gen(function*() {
      for (const unit of ["ms", "constructor", 1000, { toString: () => assert.fail("read") }]) {
        assert.strictEqual(yield* ThreadStats.timer(Effect.succeed(1), "t", { unit: unit as "seconds" }), 1)
      }
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { InvalidValue: 4 })
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("returns the effect's result when the tag function throws", () =>
    Effect.gen(function*() {
      const tags = () => {
        throw new Error("tags")
      }
      assert.strictEqual(yield* ThreadStats.timer(Effect.succeed(1), "t", { tags }), 1)
      assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { InvalidTags: 1 })
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})

describe("ThreadStats.timed", () => {
  it("keeps the name and the length of the function", () => {
    const charge = (amount: number, currency: string) => Effect.succeed(`${amount} ${currency}`)
    const timed = ThreadStats.timed("charge.time")(charge)
    assert.deepStrictEqual([timed.name, timed.length], ["charge", 2])
  })

  it.effect("times each call of a function by itself", () =>
    Effect.gen(function*() {
      const sleepFor = ThreadStats.timed("sleep", { tags: ["kind:long"] })((n: number) =>
        Effect.as(Effect.sleep(n), n * 2)
      )
      const fiber = yield* Effect.fork(Effect.all([sleepFor(1000), sleepFor(3000)], { concurrency: "unbounded" }))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* fiber, [2000, 6000])
      assert.deepStrictEqual(yield* flushedTimings, [["sleep.avg", 2, "kind:long"]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("times an effect as `timer` does", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.as(Effect.sleep("2 seconds"), "done").pipe(ThreadStats.timed("sleep")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* fiber, "done")
      assert.deepStrictEqual(yield* flushedTimings, [["sleep.avg", 2]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("preserves the effect's success, error and parameter types", () =>
    Effect.gen(function*() {
      const effect: Effect.Effect<number, "no", ThreadStats.ThreadStats> = Effect.fail("no" as const).pipe(
        Effect.as(1),
        ThreadStats.timed("t")
      )
      const decorated: (n: number) => Effect.Effect<string, never, ThreadStats.ThreadStats> = ThreadStats.timed("t")(
        (n: number) => Effect.succeed(`${n}`)
      )
      assert.strictEqual(yield* Effect.flip(effect), "no")
      assert.strictEqual(yield* decorated(1), "1")
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})

describe("ThreadStats.onFlush", () => {
  it.effect("runs the hook at the beginning of every flush, and once more when its scope closes", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      let runs = 0
      yield* Effect.scoped(Effect.gen(function*() {
        yield* client.onFlush(() => client.unsafeGauge("runs", ++runs))
        yield* ThreadStats.flush()
        yield* ThreadStats.flush()
        assert.deepStrictEqual(metricValues((yield* memoryContents).metrics), [["runs", 1], ["runs", 2]])
      }))
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues((yield* memoryContents).metrics), [["runs", 1], ["runs", 2], ["runs", 3]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("runs a hook once for each of its registrations", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const hook = () => client.unsafeIncrement("runs")
      yield* client.onFlush(hook)
      yield* Effect.scoped(client.onFlush(hook))
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricValues((yield* memoryContents).metrics), [["runs", 0.2]])
    }).pipe(Effect.scoped, Effect.provide(ThreadStats.layerTest)))
})

describe("ThreadStats.layerHttpClientWith", () => {
  it.effect("records and sends nothing, and needs no key, when `disabled` is true", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      yield* client.increment("c")
      yield* client.event("e", "")
      assert.strictEqual(yield* client.timer(Effect.succeed(1), "t"), 1)
      assert.deepStrictEqual((yield* client.flush()).metrics, { delivered: 0, pending: 0, dropped: 0 })
      assert.strictEqual((yield* client.stats).metrics.received, 0)
    }).pipe(
      Effect.provide(Layer.provide(ThreadStats.layerHttpClientWith({ disabled: true }), FetchHttpClient.layer)),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    ))

  it.effect("builds clients that share no state when two layers are built together", () =>
    Effect.gen(function*() {
      class Second extends Context.Tag("Second")<Second, ThreadStats.ThreadStats["Type"]>() {}
      const options = { apiUrl: "http://127.0.0.1:8080", apiKey: Redacted.make("abc"), periodicFlush: false }
      const both = Layer.merge(
        ThreadStats.layerHttpClientWith(options),
        Layer.effect(Second, ThreadStats.ThreadStats).pipe(Layer.provide(ThreadStats.layerHttpClientWith(options)))
      ).pipe(Layer.provideMerge(layerInProcess()))
      yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const first = yield* ThreadStats.ThreadStats
        const second = yield* Second
        yield* first.increment("a")
        yield* first.increment("b", Number.NaN)
        yield* first.event("e", "")
        yield* first.event("f", "", { dateHappened: Number.NaN })
        assert.deepStrictEqual((yield* second.flush()).metrics, { delivered: 0, pending: 0, dropped: 0 })
        const { events, metrics } = yield* second.stats
        assert.deepStrictEqual([metrics.received, events.received], [0, 0])
        assert.deepStrictEqual(yield* intake.requests, [])
        assert.deepStrictEqual((yield* first.flush()).metrics, { delivered: 1, pending: 0, dropped: 0 })
      }).pipe(Effect.provide(both))
    }))
})

describe("ThreadStats.layerHttpClient", () => {
  it.effect("fails with an error that names the variables of the key when the key is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Effect.provide(ThreadStats.flush(), Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer))
      )
      assert.include(String(error), "DATADOG_API_KEY")
      assert.include(String(error), "DD_API_KEY")
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))))
})

describe("ThreadStats.layerConfig", () => {
  it.effect("reads each option from its own Config", () =>
    Effect.gen(function*() {
      const { config } = yield* ThreadStats.ThreadStats
      assert.strictEqual(config.namespace, "mine")
      assert.strictEqual(Redacted.value(Option.getOrThrow(config.apiKey)), "abc")
    }).pipe(
      Effect.provide(
        ThreadStats.layerConfig({
          namespace: Config.string("MY_NAMESPACE"),
          apiKey: Config.redacted("MY_KEY"),
          periodicFlush: Config.succeed(false)
        }).pipe(Layer.provide(FetchHttpClient.layer))
      ),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["MY_NAMESPACE", "mine"], ["MY_KEY", "abc"]])))
    ))
})

describe("ThreadStats.layer", () => {
  it.effect("builds one client from one layer constant for two consumers", () => {
    const reporter = scripted.make()
    const layer = scripted.client(reporter)
    class A extends Context.Tag("A")<A, { readonly hit: Effect.Effect<void> }>() {}
    class B extends Context.Tag("B")<B, { readonly hit: Effect.Effect<void> }>() {}
    const hit = Effect.map(ThreadStats.ThreadStats, (client) => ({ hit: client.increment("hits") }))
    const consumers = Layer.mergeAll(
      Layer.effect(A, hit).pipe(Layer.provide(layer)),
      Layer.effect(B, hit).pipe(Layer.provide(layer))
    )
    return Effect.gen(function*() {
      yield* Effect.provide(
        Effect.all([Effect.flatMap(A, (a) => a.hit), Effect.flatMap(B, (b) => b.hit)]),
        consumers
      )
      assert.deepStrictEqual(metricValues(reporter.series()), [["hits", 0.2]])
    })
  })
})
