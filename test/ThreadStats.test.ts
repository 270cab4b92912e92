import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Scope,
  TestClock
} from "effect"
import { EventsAggregator, MetricsAggregator, Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import * as scripted from "./support/scripted.js"

const seconds = (n: number) => n * 1000

/** A lie to the type checker, as a caller without types would tell it. */
const lie = <A>(value: unknown): A => value as A

const memory = Effect.flatMap(
  Reporter.MemoryReporter,
  ({ distributions, events, metrics }) => Effect.all({ distributions, events, metrics })
)

/** Metric names and values of a batch. */
const shown = (
  series: ReadonlyArray<{ readonly metric: string; readonly points: ReadonlyArray<readonly [number, unknown]> }>
) => series.map(({ metric, points }) => [metric, points[0]?.[1]])

const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.held + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

/** Promise 6: recorded = delivered + held + dropped. */
const addsUp = Effect.map(ThreadStats.stats, ({ events, metrics }) => {
  assert.strictEqual(metrics.received, sumOf(metrics))
  assert.strictEqual(events.received, sumOf(events))
})

describe("ThreadStats", () => {
  describe("recording", () => {
    it.effect("reports all six kinds as the reference does", () =>
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
        const { distributions, metrics } = yield* memory
        assert.deepStrictEqual(metrics.slice(0, 3), [
          { metric: "page.views", points: [[0, 0.2]], type: "rate", tags: [], interval: 10 },
          { metric: "fuel.level", points: [[0, 0.5]], type: "gauge", tags: [], interval: 10 },
          { metric: "users", points: [[0, 2]], type: "gauge", tags: [], interval: 10 }
        ])
        assert.deepStrictEqual(shown(metrics.slice(3, 7)), [
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

    it.effect("does the same through the unsafe functions", () =>
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
        const { distributions, events, metrics } = yield* memory
        assert.deepStrictEqual(shown(metrics).filter(([name]) => !String(name).includes("percentile")), [
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
        assert.deepStrictEqual(shown(distributions), [["d", [1]]])
        assert.deepStrictEqual(events, [{ title: "title", text: "text", date_happened: 0, tags: [] }])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("does the same through the methods of the service", () =>
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
        const { distributions, events, metrics } = yield* memory
        assert.deepStrictEqual(shown(metrics.slice(0, 3)), [["c", 0.3], ["g", 1], ["s", 1]])
        assert.strictEqual(metrics.length, 3 + 2 * 8)
        assert.deepStrictEqual([distributions.length, events.length], [1, 1])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("puts namespace, tags, host and device on what it sends", () =>
      Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1, { tags: { shard: 1, team: "x" } })
        yield* ThreadStats.distribution("b", 1, { host: "" })
        yield* ThreadStats.increment("c", 1, { host: "other" })
        yield* ThreadStats.event("title", "text", { tags: ["v:42"] })
        yield* ThreadStats.event("title", "text", { host: "other" })
        yield* ThreadStats.flush()
        const { distributions, events, metrics } = yield* memory
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
        host: "web-1",
        device: "eth0",
        rollUpInterval: "1 minute"
      }))))

    it.effect("puts the client's host on every point where asked to", () =>
      Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        yield* ThreadStats.gauge("b", 1, { host: "other" })
        yield* ThreadStats.flush()
        assert.deepStrictEqual((yield* memory).metrics.map(({ host }) => host), ["web-1", "other"])
      }).pipe(Effect.provide(ThreadStats.layerTestWith({ host: "web-1", attachHost: true }))))

    it.effect("takes a Date, a DateTime or milliseconds as a time; zero is one", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(seconds(60))
        yield* ThreadStats.gauge("zero", 1, { timestamp: 0 })
        yield* ThreadStats.gauge("date", 1, { timestamp: new Date(seconds(15)) })
        yield* ThreadStats.gauge("datetime", 1, { timestamp: DateTime.unsafeMake(seconds(25)) })
        yield* ThreadStats.gauge("millis", 1, { timestamp: 39_999.9 })
        yield* ThreadStats.gauge("now", 1)
        yield* ThreadStats.flush()
        assert.deepStrictEqual((yield* memory).metrics.map(({ metric, points }) => [metric, points[0]?.[0]]), [
          ["zero", 0],
          ["date", 10],
          ["datetime", 20],
          ["millis", 30],
          ["now", 60]
        ])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("drops points for times Datadog would drop in silence, and says so", () =>
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
        yield* ThreadStats.gauge("never", 1, { timestamp: lie("2026-01-01") })
        assert.deepStrictEqual((yield* ThreadStats.stats).metrics, {
          received: 8,
          delivered: 0,
          held: 2,
          dropped: { TooOld: 2, TooNew: 1, InvalidTimestamp: 3 }
        })
        yield* addsUp
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("takes any time where historical metrics are ingested", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(seconds(1_700_000_000))
        yield* ThreadStats.gauge("old", 1, { timestamp: 0 })
        assert.strictEqual((yield* ThreadStats.stats).metrics.held, 1)
      }).pipe(Effect.provide(ThreadStats.layerTestWith({ timestamps: "any" }))))

    it.effect("delivers 999 of 1000 points when one is NaN", () =>
      Effect.gen(function*() {
        for (let i = 0; i < 1000; i++) yield* ThreadStats.distribution("d", i === 500 ? Number.NaN : i)
        const { metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual(metrics, { delivered: 999, kept: 0, dropped: 0 })
        assert.strictEqual((yield* memory).distributions[0]?.points[0]?.[1].length, 999)
        assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { InvalidValue: 1 })
        yield* addsUp
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("drops a name that is too long with its namespace and suffix", () =>
      Effect.gen(function*() {
        const longest = { gauge: 200 - "app.".length, histogram: 200 - "app.".length - ".75percentile".length }
        yield* ThreadStats.gauge("n".repeat(longest.gauge), 1)
        yield* ThreadStats.gauge("n".repeat(longest.gauge + 1), 1)
        yield* ThreadStats.histogram("n".repeat(longest.histogram), 1)
        yield* ThreadStats.histogram("n".repeat(longest.histogram + 1), 1)
        assert.deepInclude((yield* ThreadStats.stats).metrics, { held: 2, dropped: { NameTooLong: 2 } })
        yield* ThreadStats.flush()
        assert.strictEqual(Math.max(...(yield* memory).metrics.map(({ metric }) => metric.length)), 200)
      }).pipe(Effect.provide(ThreadStats.layerTestWith({ namespace: "app" }))))

    it.effect("never throws and never fails, whatever it is handed", () =>
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
          client.unsafeGauge(lie(input), lie(input), lie(input))
          client.unsafeDecrement("x", lie(input ?? "3"), lie(input))
          client.unsafeSet("x", lie(input), lie(input))
          client.unsafeEvent(lie(input), lie(input), lie(input))
          client.unsafeEvent("title", "text", lie({ alertType: input ?? "none" }))
          yield* client.distribution(lie(input), lie(input), lie(input))
          yield* client.event("title", lie(input), lie(input))
        }
        client.unsafeGauge("x", 1, throwing)
        client.unsafeGauge("x", 1, {
          get tags() {
            return throwing.tags
          }
        })
        yield* addsUp
        const { events, metrics } = yield* client.stats
        assert.strictEqual(metrics.held, 0)
        assert.strictEqual(metrics.received, inputs.length * 4 + 2)
        assert.strictEqual(events.received, inputs.length * 3)
      }).pipe(Effect.provide(ThreadStats.layerTest)))
  })

  describe("events", () => {
    it.effect("sends every field under its wire name", () =>
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
        assert.deepStrictEqual((yield* memory).events, [{
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

    it.effect("dates an event when it is recorded, not when it is sent", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(seconds(1000))
        yield* ThreadStats.event("a", "")
        yield* TestClock.setTime(seconds(1500))
        yield* ThreadStats.flush()
        assert.strictEqual((yield* memory).events[0]?.date_happened, 1000)
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("cuts what is too long, never inside a character", () =>
      Effect.gen(function*() {
        yield* ThreadStats.event("t".repeat(500), "🙂".repeat(2001), { aggregationKey: `k${"🙂".repeat(60)}` })
        yield* ThreadStats.flush()
        const [event] = (yield* memory).events
        assert.strictEqual(event?.title.length, 500)
        assert.strictEqual(event?.text, "🙂".repeat(2000))
        assert.strictEqual(event?.aggregation_key, `k${"🙂".repeat(49)}`)
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("drops what Datadog would refuse, under its reason", () =>
      Effect.gen(function*() {
        const hour = seconds(3600)
        yield* TestClock.setTime(100 * hour)
        yield* ThreadStats.event("", "no title")
        yield* ThreadStats.event("t", "x", { alertType: lie("catastrophe") })
        yield* ThreadStats.event("t", "x", { priority: lie("high") })
        yield* ThreadStats.event("t", "x", { relatedEventId: 1.5 })
        yield* ThreadStats.event("t", "x", { aggregationKey: lie(5) })
        yield* ThreadStats.event("t", "x", { host: "h".repeat(256) })
        yield* ThreadStats.event("t", "x", { tags: lie("a") })
        yield* ThreadStats.event("t", "x", { tags: ["a".repeat(201)] })
        yield* ThreadStats.event("t", "x", { dateHappened: 82 * hour - 1 })
        yield* ThreadStats.event("t", "x", { dateHappened: 102 * hour + 1 })
        yield* ThreadStats.event("t", "x", { dateHappened: Number.NaN })
        yield* ThreadStats.event("edge", "", { dateHappened: 82 * hour })
        assert.deepStrictEqual((yield* ThreadStats.stats).events, {
          received: 12,
          delivered: 0,
          held: 1,
          dropped: { InvalidEvent: 6, InvalidTags: 1, TagTooLong: 1, TooOld: 1, TooNew: 1, InvalidTimestamp: 1 }
        })
      }).pipe(Effect.provide(ThreadStats.layerTest)))
  })

  describe("timer", () => {
    const recorded = Effect.gen(function*() {
      yield* ThreadStats.flush()
      return (yield* memory).metrics
        .filter(({ metric }) => metric.endsWith(".avg"))
        .map(({ metric, points, tags }) => [metric, points[0]?.[1], ...tags])
    })

    it.effect("records seconds, or milliseconds where asked", () =>
      Effect.gen(function*() {
        const work = Effect.fork(Effect.all([
          Effect.sleep("1500 millis").pipe(ThreadStats.timer("s")),
          Effect.sleep("1500 millis").pipe(ThreadStats.timer("ms", { unit: "milliseconds" }))
        ], { concurrency: "unbounded" }))
        const fiber = yield* work
        yield* TestClock.adjust("1500 millis")
        yield* fiber
        assert.sameDeepMembers(yield* recorded, [["s.avg", 1.5], ["ms.avg", 1500]])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("takes the unit of the client, and the point's own over it", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(
          Effect.sleep("2 seconds").pipe(
            ThreadStats.timer("inner", { unit: "seconds" }),
            ThreadStats.timer("outer")
          )
        )
        yield* TestClock.adjust("2 seconds")
        yield* fiber
        assert.deepStrictEqual(yield* recorded, [["inner.avg", 2], ["outer.avg", 2000]])
      }).pipe(Effect.provide(ThreadStats.layerTestWith({ timerUnit: "milliseconds" }))))

    it.effect("records success, failure, defect and interruption, and changes none of them", () =>
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
        assert.deepStrictEqual(yield* recorded, [
          ["t.avg", 0, "success"],
          ["t.avg", 0, "failure"],
          ["t.avg", 0, "defect"],
          ["t.avg", 3, "interruption"]
        ])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("does not let a tag function that throws reach the program", () =>
      Effect.gen(function*() {
        const tags = () => {
          throw new Error("tags")
        }
        assert.strictEqual(yield* ThreadStats.timer(Effect.succeed(1), "t", { tags }), 1)
        assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { InvalidTags: 1 })
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("makes a function one that is timed, each call on its own", () =>
      Effect.gen(function*() {
        const nap = ThreadStats.timed("nap", { tags: ["kind:nap"] })((n: number) => Effect.as(Effect.sleep(n), n * 2))
        const fiber = yield* Effect.fork(Effect.all([nap(1000), nap(3000)], { concurrency: "unbounded" }))
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(yield* fiber, [2000, 6000])
        assert.deepStrictEqual(yield* recorded, [["nap.avg", 2, "kind:nap"]])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("times an effect through the decorator's name as well", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(Effect.as(Effect.sleep("2 seconds"), "done").pipe(ThreadStats.timed("nap")))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* fiber, "done")
        assert.deepStrictEqual(yield* recorded, [["nap.avg", 2]])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it("keeps the types of the effect", () => {
      const effect = Effect.fail("no" as const).pipe(Effect.as(1), ThreadStats.timer("t"))
      const typed: Effect.Effect<number, "no", ThreadStats.ThreadStats> = effect
      const decorated: (n: number) => Effect.Effect<string, never, ThreadStats.ThreadStats> = ThreadStats.timed("t")(
        (n: number) => Effect.succeed(`${n}`)
      )
      assert.strictEqual(typed, effect)
      assert.strictEqual(decorated.length, 0)
    })
  })

  describe("flush", () => {
    it.effect("sends nothing when nothing was recorded", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const receipt = yield* ThreadStats.flush()
        assert.deepStrictEqual(reporter.calls, [])
        assert.deepStrictEqual(receipt.metrics, { delivered: 0, kept: 0, dropped: 0 })
        yield* ThreadStats.gauge("x", 1)
        yield* ThreadStats.flush()
        yield* ThreadStats.flush()
        assert.strictEqual(reporter.calls.length, 1)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("is over at once with nothing to do, whether everything or closed buckets were asked for", () =>
      Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        const nothing = { delivered: 0, kept: 0, dropped: 0 }
        const empty = Effect.runSync(client.flush())
        assert.deepStrictEqual([empty.metrics, empty.events, empty.skipped], [nothing, nothing, false])
        yield* ThreadStats.gauge("x", 1)
        yield* ThreadStats.flush()
        assert.deepStrictEqual(Effect.runSync(client.flush({ timeout: 0 })), empty)
        assert.deepStrictEqual(Effect.runSync(client.flush({ upTo: 0 })), empty)
        yield* ThreadStats.event("x", "")
        yield* ThreadStats.flush()
        assert.strictEqual((yield* memory).events.length, 1)
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("warns of what was dropped also when there is nothing to send", () => {
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        const said = (record: Effect.Effect<void, never, ThreadStats.ThreadStats>) =>
          Effect.map(Effect.zipRight(record, ThreadStats.flush()), () => lines.splice(0).map(({ message }) => message))
        assert.match((yield* said(ThreadStats.gauge("n".repeat(201), 1))).join(), /NameTooLong/)
        assert.match((yield* said(ThreadStats.gauge("x", Number.NaN))).join(), /InvalidValue/)
        assert.match((yield* said(ThreadStats.event("", ""))).join(), /InvalidEvent/)
        assert.deepStrictEqual(yield* said(Effect.void), [])
      }).pipe(Effect.provide(Layer.merge(ThreadStats.layerTest, scripted.logsTo(lines))))
    })

    it.effect("drains the open bucket; with `upTo` only what is closed by then", () =>
      Effect.gen(function*() {
        yield* ThreadStats.gauge("x", 1)
        yield* TestClock.setTime(seconds(15))
        yield* ThreadStats.gauge("x", 2)
        yield* ThreadStats.flush({ upTo: new Date(seconds(19)) })
        assert.deepStrictEqual(shown((yield* memory).metrics), [["x", 1]])
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown((yield* memory).metrics), [["x", 1], ["x", 2]])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("keeps totals intact when two flushes fall into one bucket and one second", () =>
      Effect.gen(function*() {
        yield* ThreadStats.increment("c", 5)
        yield* ThreadStats.flush()
        yield* ThreadStats.increment("c", 7)
        yield* ThreadStats.flush()
        const { metrics } = yield* memory
        assert.deepStrictEqual(metrics.map(({ points }) => points[0]), [[0, 0.5], [0, 1.2]])
        assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 2)
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("runs one at a time, and each caller waits until what it recorded has left", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        let running = 0
        let most = 0
        reporter.answer = ({ batch }) =>
          Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* Deferred.await(gates[reporter.calls.length - 1]!)
            running--
            return yield* scripted.accept(batch)
          })
        const done: Array<string> = []
        const caller = (name: string) =>
          ThreadStats.gauge(name, 1).pipe(
            Effect.zipRight(ThreadStats.flush()),
            Effect.tap(() => Effect.sync(() => done.push(name))),
            Effect.fork
          )
        yield* caller("a")
        yield* Effect.yieldNow()
        yield* caller("b")
        yield* caller("c")
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(shown(reporter.series()), [["a", 1]])
        yield* Deferred.succeed(gates[0]!, undefined)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(done, ["a"])
        assert.deepStrictEqual(shown(reporter.series()), [["a", 1], ["b", 1], ["c", 1]])
        yield* Deferred.succeed(gates[1]!, undefined)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(done, ["a", "b", "c"])
        assert.strictEqual(most, 1)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("sends series, distributions and events at the same time", () => {
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

    it.effect("keeps what was not delivered, and merges it under what comes later", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
        yield* ThreadStats.increment("c", 5)
        yield* ThreadStats.distribution("d", 1)
        yield* ThreadStats.event("first", "")
        const receipt = yield* ThreadStats.flush()
        assert.deepStrictEqual(receipt.metrics, { delivered: 0, kept: 2, dropped: 0 })
        assert.deepStrictEqual(receipt.events, { delivered: 0, kept: 1, dropped: 0 })
        assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), [
          "ServerError",
          "ServerError",
          "ServerError"
        ])
        yield* addsUp
        reporter.calls.length = 0
        reporter.answer = ({ batch }) => scripted.accept(batch)
        yield* ThreadStats.increment("c", 7)
        yield* ThreadStats.distribution("d", 2)
        yield* ThreadStats.event("second", "")
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown(reporter.series()), [["c", 1.2]])
        assert.deepStrictEqual(shown(reporter.distributions()), [["d", [1, 2]]])
        assert.deepStrictEqual(reporter.events().map(({ title }) => title), ["first", "second"])
        assert.deepInclude((yield* ThreadStats.stats).metrics, { received: 4, delivered: 4, held: 0 })
        yield* addsUp
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("lets one endpoint fail on its own", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch, endpoint }) =>
          endpoint === "series" ? scripted.fail("Timeout", { undelivered: batch }) : scripted.accept(batch)
        yield* ThreadStats.gauge("g", 1)
        yield* ThreadStats.distribution("d", 1)
        yield* ThreadStats.event("e", "")
        const receipt = yield* ThreadStats.flush()
        assert.deepStrictEqual(receipt.metrics, { delivered: 1, kept: 1, dropped: 0 })
        assert.deepStrictEqual(receipt.events, { delivered: 1, kept: 0, dropped: 0 })
        yield* addsUp
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("drops and counts what is refused for good, and keeps only what is worth another try", () => {
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
        assert.deepStrictEqual(receipt.metrics, { delivered: 2, kept: 2, dropped: 2 })
        assert.deepStrictEqual(receipt.events, { delivered: 2, kept: 0, dropped: 1 })
        assert.deepStrictEqual((yield* ThreadStats.stats).metrics.dropped, { Refused: 2 })
        yield* addsUp
        reporter.answer = ({ batch }) => scripted.accept(batch)
        reporter.calls.length = 0
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown(reporter.series()), [["b", 0.2]])
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("sends a histogram again when one of its series was not delivered", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => scripted.fail("Timeout", { undelivered: batch.slice(3, 4) })
        yield* ThreadStats.histogram("h", 1)
        assert.deepStrictEqual((yield* ThreadStats.flush()).metrics, { delivered: 0, kept: 1, dropped: 0 })
        yield* ThreadStats.flush()
        assert.strictEqual(reporter.calls[1]?.batch.length, 8)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    const broken: { readonly [name: string]: () => scripted.Answer } = {
      "dies": () => Effect.die(new Error("bug")),
      "throws": () => {
        throw new Error("bug")
      },
      "interrupts itself": () => Effect.interrupt,
      "never comes back": () => Effect.never,
      "never comes back and cannot be interrupted": () => Effect.uninterruptible(Effect.never)
    }

    for (const [name, answer] of Object.entries(broken)) {
      it.effect(`outlives a reporter that ${name}`, () => {
        const reporter = scripted.make()
        return Effect.gen(function*() {
          reporter.answer = answer
          yield* ThreadStats.increment("c")
          const fiber = yield* Effect.fork(Effect.zipRight(ThreadStats.flush(), Effect.succeed("result")))
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual(yield* fiber, "result")
          assert.strictEqual((yield* ThreadStats.stats).metrics.held, 1)
          yield* addsUp
          reporter.answer = ({ batch }) => scripted.accept(batch)
          assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
        }).pipe(Effect.provide(scripted.client(reporter)))
      })

      it.effect(`closes its scope within the budget over a reporter that ${name}`, () => {
        const reporter = scripted.make()
        return Effect.gen(function*() {
          reporter.answer = answer
          const fiber = yield* ThreadStats.increment("c").pipe(
            Effect.as("result"),
            Effect.provide(scripted.client(reporter)),
            Effect.fork
          )
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual(yield* fiber, "result")
          assert.strictEqual(reporter.calls.length, 1)
        })
      })
    }

    it.effect("gives back what it took when its caller is interrupted", () => {
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
        assert.deepStrictEqual([metrics.held, events.held], [2, 1])
        reporter.calls.length = 0
        reporter.answer = ({ batch }) => scripted.accept(batch)
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown(reporter.series()), [["c", 1.2]])
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("keeps the endpoints that were done when it was interrupted", () => {
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
        assert.deepInclude((yield* ThreadStats.stats).metrics, { delivered: 1, held: 1 })
        yield* addsUp
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("runs to its end in the finalizer of a fiber that was interrupted", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const recorded = yield* Deferred.make<void>()
        const fiber = yield* ThreadStats.increment("c").pipe(
          Effect.zipRight(Deferred.succeed(recorded, undefined)),
          Effect.zipRight(Effect.never),
          Effect.provide(scripted.client(reporter)),
          Effect.fork
        )
        yield* Deferred.await(recorded)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(shown(reporter.series()), [["c", 0.1]])
      })
    })

    it.effect("takes no longer than the budget, also when it had to wait for another", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = () => Effect.never
        yield* ThreadStats.increment("c")
        const first = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("2 seconds")
        const second = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* first).errors[0]?.reason, "Timeout")
        assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* second).errors[0]?.reason, "Timeout")
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })
  })

  describe("with a reporter that takes what was recorded", () => {
    const layer = (options: { readonly samples: boolean; readonly client?: ThreadStatsConfig.Options }) =>
      ThreadStats.layer({ periodicFlush: false, ...options.client }).pipe(
        Layer.provide(Layer.merge(MetricsAggregator.layer(options.client), EventsAggregator.layer)),
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

    it.effect("hands over samples in place of series, and only what is new", () =>
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
        assert.deepStrictEqual(shown(distributions), [["app.d", [1]]])
        assert.deepStrictEqual(receipt.metrics, { delivered: 2, kept: 0, dropped: 0 })
        yield* addsUp
      }).pipe(
        Effect.provide(layer({ samples: true, client: { namespace: "app", constantTags: ["k:v"], device: "sda" } }))
      ))

    it.effect("says for how many each value stands where not all are kept", () =>
      Effect.gen(function*() {
        for (let i = 0; i < 25; i++) yield* ThreadStats.histogram("h", i)
        yield* ThreadStats.flush()
        const [series] = yield* Effect.flatMap(Reporter.MemoryReporter, (self) => self.samples)
        assert.strictEqual(series?.points[0]?.[1].length, 10)
        assert.strictEqual(series?.weight, 2.5)
      }).pipe(Effect.provide(layer({ samples: true, client: { sampleSize: 10 } }))))

    it.effect("counters that travel as distributions stay distributions", () =>
      Effect.gen(function*() {
        yield* recordAll
        yield* ThreadStats.flush()
        const { distributions, samples } = yield* Effect.flatMap(Reporter.MemoryReporter, Effect.all)
        assert.deepStrictEqual(shown(distributions).map(([name]) => name), ["c", "h", "t", "d"])
        assert.deepStrictEqual(samples.map(({ type }) => type), ["gauge", "gauge", "set"])
      }).pipe(Effect.provide(layer({ samples: true, client: { counters: "distributions" } }))))

    it.effect("a reporter without it is handed series", () =>
      Effect.gen(function*() {
        yield* recordAll
        yield* ThreadStats.flush()
        const { metrics, samples } = yield* Effect.flatMap(Reporter.MemoryReporter, Effect.all)
        assert.deepStrictEqual(samples, [])
        assert.deepStrictEqual(metrics[0]?.points, [[0, 0.2]])
      }).pipe(Effect.provide(layer({ samples: false }))))
  })

  describe("onFlush", () => {
    it.effect("records at the beginning of every flush, and once more when its scope closes", () =>
      Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        let looks = 0
        yield* Effect.scoped(Effect.gen(function*() {
          yield* client.onFlush(() => client.unsafeGauge("looks", ++looks))
          yield* ThreadStats.flush()
          yield* ThreadStats.flush()
          assert.deepStrictEqual(shown((yield* memory).metrics), [["looks", 1], ["looks", 2]])
        }))
        yield* ThreadStats.flush()
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown((yield* memory).metrics), [["looks", 1], ["looks", 2], ["looks", 3]])
      }).pipe(Effect.provide(ThreadStats.layerTest)))

    it.effect("what it throws is logged, and costs nothing else", () => {
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        yield* client.onFlush(() => {
          throw new Error("broken look")
        })
        yield* client.onFlush(() => client.unsafeGauge("other", 1))
        yield* ThreadStats.gauge("g", 1)
        const receipt = yield* ThreadStats.flush()
        assert.deepStrictEqual(receipt.metrics, { delivered: 2, kept: 0, dropped: 0 })
        assert.strictEqual(lines.filter(({ level }) => level === "WARN").length, 1)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(ThreadStats.layerTest, scripted.logsTo(lines)))
      )
    })

    it.effect("two registrations of one function are two", () =>
      Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        const look = () => client.unsafeIncrement("looks")
        yield* client.onFlush(look)
        yield* Effect.scoped(client.onFlush(look))
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown((yield* memory).metrics), [["looks", 0.2]])
      }).pipe(Effect.scoped, Effect.provide(ThreadStats.layerTest)))
  })

  describe("flushes that wait for one that is under way", () => {
    /** An intake that takes a second. */
    const slow = () => {
      const reporter = scripted.make()
      reporter.answer = ({ batch }) => Effect.delay(scripted.accept(batch), "1 second")
      return reporter
    }
    const began = (effect: Effect.Effect<ThreadStats.FlushReceipt, never, ThreadStats.ThreadStats>) =>
      Effect.zipLeft(Effect.fork(effect), TestClock.adjust("1 millis"))

    it.effect("are one flush, with one receipt for all, however many they are", () => {
      const reporter = slow()
      return Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        const first = yield* began(ThreadStats.flush())
        const others: Array<Fiber.RuntimeFiber<ThreadStats.FlushReceipt>> = []
        for (let i = 0; i < 20; i++) {
          yield* ThreadStats.gauge(`b${i}`, 1)
          others.push(yield* began(ThreadStats.flush()))
        }
        yield* TestClock.adjust("980 millis")
        assert.strictEqual((yield* first).metrics.delivered, 1)
        yield* TestClock.adjust("1 seconds")
        for (const other of others) assert.strictEqual((yield* other).metrics.delivered, 20)
        assert.deepStrictEqual(reporter.calls.map(({ batch }) => batch.length), [1, 20])
        assert.strictEqual((yield* ThreadStats.stats).flushes, 2)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("wait for it also when there is nothing else to send", () => {
      const reporter = slow()
      return Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        const first = yield* began(ThreadStats.flush())
        const second = yield* began(ThreadStats.flush())
        yield* TestClock.adjust("997 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* first).metrics.delivered, 1)
        assert.strictEqual((yield* second).metrics.delivered, 0)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("take what they were asked for: closed buckets do not become everything", () => {
      const reporter = slow()
      return Effect.gen(function*() {
        yield* TestClock.adjust("15 seconds")
        yield* ThreadStats.gauge("now", 1)
        const first = yield* began(ThreadStats.flush())
        yield* ThreadStats.gauge("old", 1, { timestamp: 5000 })
        yield* ThreadStats.gauge("now", 2)
        const closed = yield* began(ThreadStats.flush({ upTo: 15_000 }))
        const everything = yield* began(ThreadStats.flush())
        const closedToo = yield* began(ThreadStats.flush({ upTo: 15_000 }))
        yield* TestClock.adjust("3 seconds")
        const delivered = (yield* Effect.all([first, closed, everything, closedToo].map(Fiber.join)))
          .map(({ metrics }) => metrics.delivered)
        assert.deepStrictEqual(delivered, [1, 1, 1, 1])
        assert.deepStrictEqual(reporter.calls.map(({ batch }) => shown(batch as never)), [
          [["now", 1]],
          [["old", 1]],
          [["now", 2]]
        ])
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("go on when one of their callers is interrupted, and end when all are", () => {
      const reporter = slow()
      return Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        yield* began(ThreadStats.flush())
        yield* ThreadStats.gauge("b", 1)
        const [one, two] = [yield* began(ThreadStats.flush()), yield* began(ThreadStats.flush())]
        yield* Fiber.interrupt(one)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* two).metrics.delivered, 1)
        yield* ThreadStats.gauge("c", 1)
        const [three, four] = [yield* began(ThreadStats.flush()), yield* began(ThreadStats.flush())]
        yield* ThreadStats.gauge("d", 1)
        yield* Fiber.interrupt(four)
        yield* TestClock.adjust("999 millis")
        assert.strictEqual((yield* three).metrics.delivered, 1)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* ThreadStats.stats).metrics.held, 1)
        assert.strictEqual(reporter.calls.length, 3)
        yield* addsUp
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("are waited for no longer than each caller has time", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = () => Effect.never
        yield* ThreadStats.gauge("a", 1)
        const first = yield* began(ThreadStats.flush())
        yield* ThreadStats.gauge("b", 1)
        const hasty = yield* began(ThreadStats.flush({ timeout: "1 second" }))
        const patient = yield* began(ThreadStats.flush())
        yield* TestClock.adjust(997)
        assert.strictEqual((yield* Fiber.poll(hasty))._tag, "None")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* hasty).metrics.delivered, 0)
        assert.strictEqual((yield* Fiber.poll(patient))._tag, "None")
        reporter.answer = ({ batch }) => scripted.accept(batch)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual((yield* first).metrics.kept, 1)
        assert.strictEqual((yield* patient).metrics.delivered, 2)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("take no longer than they are given, where that is less than the client's own time", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = () => Effect.never
        yield* ThreadStats.gauge("a", 1)
        for (
          const [timeout, takes] of [
            ["2 seconds", 2000],
            ["1 hour", 5000],
            [lie<string>("soon"), 5000],
            [undefined, 5000]
          ] as const
        ) {
          const fiber = yield* Effect.fork(
            ThreadStats.flush({ timeout: timeout as Duration.DurationInput | undefined })
          )
          yield* TestClock.adjust(takes - 1)
          assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
          yield* TestClock.adjust(1)
          assert.strictEqual((yield* fiber).metrics.kept, 1)
          yield* TestClock.adjust("10 minutes")
        }
        assert.strictEqual((yield* ThreadStats.flush({ timeout: 0 })).metrics.kept, 0)
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })
  })

  describe("on the interval", () => {
    const periodic = (reporter: scripted.Scripted, options: ThreadStatsConfig.Options = {}) =>
      scripted.client(reporter, { periodicFlush: true, ...options })

    it.effect("flushes closed buckets only", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        yield* TestClock.adjust("9 seconds")
        yield* ThreadStats.gauge("closed", 1)
        yield* TestClock.adjust("5 seconds")
        yield* ThreadStats.gauge("open", 1)
        assert.deepStrictEqual(reporter.calls, [])
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(shown(reporter.series()), [["closed", 1]])
        yield* TestClock.adjust("14 seconds")
        assert.strictEqual(reporter.calls.length, 1)
        yield* TestClock.adjust("1 seconds")
        assert.deepStrictEqual(shown(reporter.series()), [["closed", 1], ["open", 1]])
      }).pipe(Effect.provide(periodic(reporter, { flushInterval: "15 seconds" })))
    })

    it.effect("goes on after a flush that failed", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = () => Effect.die("bug")
        yield* ThreadStats.gauge("a", 1)
        yield* TestClock.adjust("10 seconds")
        reporter.answer = ({ batch }) => scripted.accept(batch)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(reporter.calls.length, 2)
        assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 1)
      }).pipe(Effect.provide(periodic(reporter)))
    })

    it.effect("takes the interval of the settings; an infinite one is never", () => {
      const often = scripted.make()
      const never = scripted.make()
      const wait = ThreadStats.gauge("a", 1).pipe(Effect.zipRight(TestClock.adjust("60 seconds")))
      return Effect.gen(function*() {
        yield* Effect.provide(wait, periodic(often, { flushInterval: "30 seconds" }))
        assert.strictEqual(often.calls.length, 1)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Effect.provide(wait, yield* Layer.build(periodic(never, { flushInterval: Infinity })))
          assert.strictEqual(never.calls.length, 0)
        }))
        assert.strictEqual(never.calls.length, 1)
      })
    })

    it.effect("flushes one last time when the scope closes", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        yield* ThreadStats.increment("c").pipe(Effect.provide(periodic(reporter)))
        assert.deepStrictEqual(shown(reporter.series()), [["c", 0.1]])
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(reporter.calls.length, 1)
      })
    })

    it.effect("loses nothing, and sends nothing twice, when the scope closes in the middle of a flush", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(periodic(reporter), scope)
        const client = Context.get(context, ThreadStats.ThreadStats)
        reporter.answer = ({ batch }) => Effect.zipRight(Deferred.await(gate), scripted.accept(batch))
        client.unsafeDistribution("d", 1)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(reporter.calls.length, 1)
        client.unsafeDistribution("d", 2)
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("1 seconds")
        yield* Deferred.succeed(gate, undefined)
        yield* closing
        assert.deepStrictEqual(shown(reporter.distributions()), [["d", [1]], ["d", [2]]])
        assert.deepInclude((yield* client.stats).metrics, { received: 2, delivered: 2, held: 0 })
      })
    })

    it.effect("costs a closing program one budget at most over a dead intake", () => {
      const reporter = scripted.make()
      reporter.answer = () => Effect.never
      return Effect.gen(function*() {
        const fiber = yield* ThreadStats.increment("c").pipe(
          Effect.zipRight(Effect.sleep("12 seconds")),
          Effect.provide(periodic(reporter)),
          Effect.fork
        )
        yield* TestClock.adjust("12 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(Option.isSome(yield* Fiber.poll(fiber)))
      })
    })

    it.effect("can be built, and closed, inside an uninterruptible region", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Effect.acquireRelease(Layer.buildWithScope(periodic(reporter), scope), () => Effect.void)
        yield* Scope.close(scope, Exit.void)
      }).pipe(Effect.scoped)
    })
  })

  describe("over an intake that is dead", () => {
    const flushFor = (duration: string) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust(duration as "5 seconds")
        return yield* fiber
      })

    it.effect("three flushes are paid for; then they cost nothing, until one tries again", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        const state = Effect.map(ThreadStats.stats, ({ breaker }) => breaker)
        reporter.answer = () => Effect.never
        yield* ThreadStats.increment("c")
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* state, "closed")
          assert.isFalse((yield* flushFor("5 seconds")).skipped)
        }
        assert.strictEqual(yield* state, "open")
        yield* TestClock.adjust("29 seconds")
        yield* ThreadStats.increment("c")
        const skipped = yield* flushFor("0 seconds")
        assert.deepInclude(skipped, { skipped: true, payloads: 0, errors: [] })
        assert.strictEqual(reporter.calls.length, 3)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* state, "half-open")
        assert.isFalse((yield* flushFor("5 seconds")).skipped)
        assert.strictEqual(reporter.calls.length, 4)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* state, "open")
        yield* TestClock.adjust("1 seconds")
        reporter.answer = ({ batch }) => scripted.accept(batch)
        assert.strictEqual((yield* flushFor("0 seconds")).metrics.delivered, 2)
        assert.strictEqual(yield* state, "closed")
        yield* addsUp
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("a flush with nothing to send is skipped like any other", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => Effect.delay(scripted.fail("Rejected", { refused: batch }), "3 seconds")
        for (let i = 0; i < 3; i++) {
          yield* ThreadStats.increment("c")
          yield* flushFor("3 seconds")
        }
        assert.deepInclude((yield* ThreadStats.stats).metrics, { held: 0, dropped: { Refused: 3 } })
        assert.isTrue((yield* ThreadStats.flush()).skipped)
        yield* TestClock.adjust("30 seconds")
        assert.isFalse((yield* ThreadStats.flush()).skipped)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("failures that cost no time, or deliver a part, do not count", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
        yield* ThreadStats.increment("c")
        for (let i = 0; i < 10; i++) yield* ThreadStats.flush()
        assert.strictEqual((yield* ThreadStats.stats).breaker, "closed")
        reporter.answer = ({ batch, endpoint }) => endpoint === "series" ? Effect.never : scripted.accept(batch)
        for (let i = 0; i < 5; i++) {
          yield* ThreadStats.event("e", "")
          yield* flushFor("5 seconds")
        }
        assert.strictEqual((yield* ThreadStats.stats).breaker, "closed")
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("the flush of a scope that closes tries in any case", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        yield* Effect.gen(function*() {
          reporter.answer = () => Effect.never
          yield* ThreadStats.increment("c")
          for (let i = 0; i < 3; i++) yield* flushFor("5 seconds")
          reporter.answer = ({ batch }) => scripted.accept(batch)
        }).pipe(Effect.provide(scripted.client(reporter)))
        assert.strictEqual(reporter.calls.length, 4)
      })
    })
  })

  describe("where an answer was lost", () => {
    const record = Effect.gen(function*() {
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.gauge("g", 5)
      yield* ThreadStats.distribution("d", 1)
      yield* ThreadStats.distribution("d", 2)
      yield* ThreadStats.event("e", "")
    })

    const atMostOnce = (
      temporality: Reporter.Temporality,
      lose: (reporter: scripted.Scripted) => Effect.Effect<unknown, never, ThreadStats.ThreadStats>
    ) =>
      Effect.gen(function*() {
        const reporter = scripted.make(temporality)
        return yield* Effect.gen(function*() {
          yield* record
          yield* lose(reporter)
          const { events, metrics } = yield* ThreadStats.stats
          yield* addsUp
          reporter.answer = ({ batch }) => scripted.accept(batch)
          reporter.calls.length = 0
          yield* ThreadStats.flush()
          return {
            dropped: [metrics.dropped.Ambiguous ?? 0, events.dropped.Ambiguous ?? 0],
            again: reporter.calls.flatMap(({ batch }) =>
              batch.map((item) => "title" in item ? item.title : item.metric)
            )
          }
        }).pipe(Effect.provide(scripted.client(reporter, { delivery: "at-most-once" })))
      })

    const ambiguous = (reporter: scripted.Scripted) => {
      reporter.answer = ({ batch }) => scripted.fail("Timeout", { undelivered: batch, ambiguous: batch })
      return ThreadStats.flush()
    }

    it.effect("at-most-once drops what would count twice, and counts it", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* atMostOnce("total", ambiguous), { dropped: [2, 1], again: ["c", "g"] })
        assert.deepStrictEqual(yield* atMostOnce("delta", ambiguous), { dropped: [3, 1], again: ["g"] })
      }))

    it.effect("at-most-once takes a flush that was interrupted, hung or died for one whose answer was lost", () =>
      Effect.gen(function*() {
        const lost = { dropped: [2, 1], again: ["c", "g"] }
        assert.deepStrictEqual(
          yield* atMostOnce("total", (reporter) => {
            reporter.answer = () => Effect.never
            return Effect.flatMap(
              Effect.fork(ThreadStats.flush()),
              (fiber) => Effect.zipRight(TestClock.adjust(1), Fiber.interrupt(fiber))
            )
          }),
          lost
        )
        assert.deepStrictEqual(
          yield* atMostOnce("total", (reporter) => {
            reporter.answer = () => Effect.never
            return Effect.flatMap(
              Effect.fork(ThreadStats.flush()),
              (fiber) => Effect.zipRight(TestClock.adjust("5 seconds"), Fiber.join(fiber))
            )
          }),
          lost
        )
        assert.deepStrictEqual(
          yield* atMostOnce("total", (reporter) => {
            reporter.answer = () => Effect.die("broken")
            return ThreadStats.flush()
          }),
          lost
        )
      }))

    it.effect("at-most-once keeps what certainly did not arrive", () =>
      Effect.gen(function*() {
        const kept = yield* atMostOnce("total", (reporter) => {
          reporter.answer = ({ batch }) => scripted.fail("RateLimited", { undelivered: batch })
          return ThreadStats.flush()
        })
        assert.deepStrictEqual(kept, { dropped: [0, 0], again: ["c", "g", "d", "e"] })
      }))

    it.effect("at-least-once sends everything again", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        yield* record
        yield* ambiguous(reporter)
        reporter.answer = ({ batch }) => scripted.accept(batch)
        const receipt = yield* ThreadStats.flush()
        assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered], [4, 1])
      }).pipe(Effect.provide(scripted.client(reporter)))
    })
  })

  describe("near a limit", () => {
    it.effect("flushes early, before anything is dropped", () => {
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
      }).pipe(Effect.provide(scripted.client(reporter, { maxEvents: 10, maxContexts: 10, maxValues: 10 })))
    })

    it.effect("over an intake that is down it tries once per budget, and holds no more than the limit", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
        for (let i = 0; i < 1000; i++) {
          yield* ThreadStats.gauge(`g${i}`, i)
          yield* ThreadStats.event(`e${i}`, "")
        }
        yield* TestClock.adjust("4 seconds")
        yield* ThreadStats.gauge("more", 1)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(reporter.calls.filter(({ endpoint }) => endpoint === "events").length, 1)
        yield* TestClock.adjust("500 millis")
        yield* ThreadStats.gauge("more", 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(reporter.calls.filter(({ endpoint }) => endpoint === "events").length, 2)
        const { contexts, events, metrics } = yield* ThreadStats.stats
        assert.isAtMost(contexts, 10)
        assert.isAtMost(events.held, 10)
        assert.isAbove(metrics.dropped.TooManyContexts ?? 0, 900)
        assert.isAbove(events.dropped.TooManyEvents ?? 0, 900)
        yield* addsUp
        reporter.answer = ({ batch }) => scripted.accept(batch)
      }).pipe(Effect.provide(scripted.client(reporter, { maxEvents: 10, maxContexts: 10 })))
    })
  })

  describe("what it says", () => {
    it.effect("warns once per reason and flush, with numbers and names", () => {
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
          "WARN Dropped 2 points: InvalidValue (a, b)",
          "WARN Dropped 1 points: TagTooLong (c)",
          "WARN Dropped 1 events: InvalidEvent ()",
          "WARN The name d is used with more than one kind of metric"
        ])
        yield* ThreadStats.gauge("d", 1)
        yield* ThreadStats.flush()
        assert.strictEqual(lines.length, 4)
      }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
    })

    it.effect("warns of a failed flush with what it kept and dropped", () => {
      const reporter = scripted.make()
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        reporter.answer = ({ batch }) => scripted.fail("ServerError", { undelivered: batch })
        yield* ThreadStats.gauge("a", 1)
        yield* ThreadStats.flush()
        assert.deepStrictEqual(lines, [{
          level: "WARN",
          message: "ServerError at test: as told; kept 1, dropped 0"
        }])
        assert.strictEqual((yield* ThreadStats.stats).lastError?.reason, "ServerError")
      }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
    })

    it.effect("reports a refused key as an error, once, until a flush succeeds", () => {
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

    it.effect("reports its own numbers when asked to, with something else and never on its own", () => {
      const reporter = scripted.make()
      /** Of the last batch. */
      const own = () => {
        const all = reporter.series()
        const batch = all.slice(-(reporter.calls.findLast(({ endpoint }) => endpoint === "series")?.batch.length ?? 0))
        return Object.fromEntries(
          batch
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
        assert.deepStrictEqual(own(), {
          "points.received": 2,
          "points.held": 1,
          "points.dropped reason:InvalidValue": 1,
          "events.held": 0,
          contexts: 1,
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
        assert.deepStrictEqual(own(), {
          "points.received": delivered - 1,
          "points.delivered": delivered,
          "points.held": 0,
          "events.received": 1,
          "events.held": 1,
          contexts: 0,
          flushes: 1,
          payloads: 1,
          bytes: 10,
          "breaker.open": 0
        })
        yield* addsUp
      }).pipe(Effect.provide(scripted.client(reporter, { selfMetrics: true, namespace: "shop" })))
    })

    it.effect("counts flushes, payloads, bytes and retries", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        yield* ThreadStats.gauge("a", 1)
        yield* ThreadStats.gauge("b", 1)
        assert.strictEqual((yield* ThreadStats.stats).contexts, 2)
        yield* ThreadStats.flush()
        yield* ThreadStats.distribution("d", 1)
        reporter.answer = ({ batch }) => Effect.succeed({ items: batch.length, payloads: 1, bytes: 10, retries: 3 })
        assert.strictEqual((yield* ThreadStats.flush()).retries, 3)
        assert.deepInclude(yield* ThreadStats.stats, { contexts: 0, flushes: 2, payloads: 2, bytes: 20, retries: 3 })
      }).pipe(Effect.provide(scripted.client(reporter)))
    })
  })

  describe("layers", () => {
    it.effect("a disabled client records and sends nothing, and needs no key", () =>
      Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        yield* client.increment("c")
        yield* client.event("e", "")
        assert.strictEqual(yield* client.timer(Effect.succeed(1), "t"), 1)
        assert.deepStrictEqual((yield* client.flush()).metrics, { delivered: 0, kept: 0, dropped: 0 })
        assert.strictEqual((yield* client.stats).metrics.received, 0)
      }).pipe(
        Effect.provide(Layer.provide(ThreadStats.layerHttpWith({ disabled: true }), FetchHttpClient.layer)),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
      ))

    it.effect("a missing key fails the layer with a message that names the variables", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.provide(ThreadStats.flush(), ThreadStats.layerFetch))
        assert.include(String(error), "DATADOG_API_KEY")
        assert.include(String(error), "DD_API_KEY")
      }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))))

    it.effect("layerConfig reads each option from a Config of the user's own", () =>
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

    it.effect("one layer constant is one client, also for two consumers", () => {
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
        assert.deepStrictEqual(shown(reporter.series()), [["hits", 0.2]])
      })
    })

    it.effect("two layers are two clients, also when built together", () =>
      Effect.gen(function*() {
        class Second extends Context.Tag("Second")<Second, ThreadStats.ThreadStats["Type"]>() {}
        const options = { apiKey: Redacted.make("abc"), periodicFlush: false, flushTimeout: 1 }
        const both = Layer.mergeAll(
          ThreadStats.layerHttpWith(options),
          Layer.effect(Second, ThreadStats.ThreadStats).pipe(Layer.provide(ThreadStats.layerHttpWith(options)))
        ).pipe(Layer.provide(FetchHttpClient.layer))
        yield* Effect.gen(function*() {
          const first = yield* ThreadStats.ThreadStats
          const second = yield* Second
          yield* first.increment("a", Number.NaN)
          yield* first.event("e", "", { dateHappened: Number.NaN })
          assert.strictEqual((yield* second.stats).metrics.received, 0)
          assert.strictEqual((yield* second.stats).events.received, 0)
        }).pipe(Effect.provide(both))
      }))

    it.effect("asks the aggregator for what its reporter can take", () => {
      const reporter = scripted.make("delta")
      return Effect.gen(function*() {
        yield* ThreadStats.increment("c", 5)
        yield* ThreadStats.flush()
        yield* ThreadStats.increment("c", 7)
        yield* ThreadStats.flush()
        assert.deepStrictEqual(shown(reporter.series()), [["c", 0.5], ["c", 0.7]])
      }).pipe(Effect.provide(scripted.client(reporter)))
    })

    it.effect("is not seen by the program's own tracer", () => {
      const reporter = scripted.make()
      return Effect.gen(function*() {
        let enabled: boolean | undefined
        reporter.answer = ({ batch }) =>
          Effect.zipRight(
            Effect.map(Effect.option(Effect.currentSpan.pipe(Effect.withSpan("inner"))), (span) => {
              enabled = Option.match(span, { onNone: () => false, onSome: (s) => s._tag === "Span" && s.sampled })
            }),
            scripted.accept(batch)
          )
        yield* ThreadStats.increment("c")
        yield* ThreadStats.flush().pipe(Effect.withSpan("outer"))
        assert.strictEqual(enabled, false)
      }).pipe(Effect.provide(scripted.client(reporter)))
    })
  })
})
