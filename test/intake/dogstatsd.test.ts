import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { StatsD } from "hot-shots"
import { createServer } from "node:http"
import * as Parser from "../../src/internal/dogstatsdParser.js"
import wire from "../fixtures/wire.json" with { type: "json" }
import { freePort, udpServer } from "../support/dogstatsd.js"
import * as Feed from "../support/feed.js"

const now = 1_700_000_013

const server = NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }).pipe(Layer.orDie)

/** An intake that takes these packets, and no others. */
const layerOf = (packets: ReadonlyArray<string | Uint8Array>, options: LocalIntake.Options = {}) =>
  LocalIntake.layer(options).pipe(
    Layer.provide([
      server,
      Layer.succeed(LocalIntake.Datagrams, {
        url: "udp://example",
        packets: Stream.fromIterable(packets).pipe(
          Stream.map((packet) => typeof packet === "string" ? new TextEncoder().encode(packet) : packet)
        )
      })
    ])
  )

const arrived = (count: number) =>
  Effect.flatMap(
    LocalIntake.LocalIntake,
    ({ datagrams }) =>
      Effect.repeat(Effect.zipLeft(datagrams, Effect.yieldNow()), { until: (seen) => seen >= count, times: 10_000 })
  )

/** What an intake has of packets that all came at once. */
const after = <A>(
  packets: ReadonlyArray<string | Uint8Array>,
  look: (intake: typeof LocalIntake.LocalIntake.Service) => Effect.Effect<A>,
  options?: LocalIntake.Options
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    return yield* Effect.gen(function*() {
      yield* arrived(packets.length)
      return yield* Effect.flatMap(LocalIntake.LocalIntake, look)
    }).pipe(Effect.provide(layerOf(packets, options)))
  })

const codesOf = (found: ReadonlyArray<LocalIntake.Verdict>) => found.map(({ code, outcome }) => `${outcome} ${code}`)

describe("a line", () => {
  const metric = (line: string) => {
    const parsed = Parser.parse(line)
    return parsed._tag === "Metric" ? parsed : assert.fail(JSON.stringify(parsed))
  }

  it("of every type, packed or not, with its fields in any order, is read", () => {
    for (const type of ["c", "g", "ms", "h", "d"] as const) {
      assert.deepInclude(metric(`a.b:1|${type}`), { name: "a.b", type, values: [1], rate: 1, tags: [], verdicts: [] })
      assert.deepInclude(metric(`a:1:-2.5:3e2::.5|${type}`), { values: [1, -2.5, 300, 0.5] })
    }
    assert.deepInclude(metric("a:x:y|s"), { type: "s", values: ["x:y"] })
    assert.deepInclude(
      metric("a:1|c|T1700000000|e:it-false,cn-x|@0.5|card:low|#k:v,b,,|c:ci-1|z:unknown"),
      {
        rate: 0.5,
        timestamp: 1_700_000_000,
        tags: ["k:v", "b"],
        container: "ci-1",
        externalData: "it-false,cn-x",
        cardinality: "low"
      }
    )
    assert.deepInclude(metric("a:1|c|#host:h,x,device:d,dd.internal.entity_id:e"), {
      host: "h",
      device: "d",
      tags: ["x"]
    })
  })

  it("that makes no sense is dropped, with the reason", () => {
    for (
      const [line, why] of [
        ["a", /no name/],
        [":1|c", /no name/],
        ["a:1", /no type/],
        ["a:1|x", /no type/],
        ["a:|c", /no value/],
        ["a:one|c", /no number/],
        ["a:0x10|g", /no number/],
        ["a:1|c|@2", /no sample rate/],
        ["a:1|c|@0", /no sample rate/],
        ["a:1|c|T0", /no time/],
        ["a:1|g|T1.5", /no time/],
        ["_e{1}:a|b", /no lengths/],
        ["_e{1,9}:a|b", /wrong lengths/],
        ["_e{2,1}:a|b", /wrong lengths/],
        ["_e{0,1}:|b", /no title/],
        ["_sc|a|4", /no status/],
        ["_sc||1", /no name/]
      ] as const
    ) {
      const parsed = Parser.parse(line)
      assert.strictEqual(parsed._tag, "Fault", line)
      if (parsed._tag === "Fault") {
        assert.deepInclude(parsed.verdict, { outcome: "dropped", code: "BadLine" })
        assert.match(parsed.verdict.message, why)
        assert.include(parsed.verdict.message, JSON.stringify(line))
      }
    }
    assert.deepStrictEqual(codesOf(metric("a:NaN:1:+inf|g").verdicts), ["dropped NotFinite", "dropped NotFinite"])
    assert.deepStrictEqual(codesOf(metric("a:1e999|g").verdicts), ["dropped NotFinite"])
    assert.deepStrictEqual(codesOf(metric("a:1|g|@0.5").verdicts), ["warning RateIgnored"])
    assert.deepStrictEqual(codesOf(metric("a:1|d|T5").verdicts), ["warning TimeIgnored"])
  })

  it("whatever it is, is read or dropped, and never throws", () => {
    const unit = FastCheck.constantFrom(..."_escghmd{}:|#@T,.-0123456789\\n é🚀", "NaN")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit, maxLength: 40 }), (line) => {
      const parsed = Parser.parse(line)
      if (parsed._tag === "Metric") {
        assert.isTrue(parsed.rate > 0 && parsed.rate <= 1)
        assert.isTrue(parsed.values.every((value) => typeof value === "string" || Number.isFinite(value)))
      }
    }))
  })
})

describe("datagrams", () => {
  it.effect("as datadogpy writes them become what an Agent sends on", () =>
    Effect.gen(function*() {
      const { checks, distributions, events, findings, series } = yield* after(wire.dogstatsd, (intake) =>
        Effect.all({
          series: intake.series,
          distributions: intake.distributions,
          events: intake.events,
          checks: intake.serviceChecks,
          findings: intake.findings
        }))
      const tags = ["team:x"]
      const at = 1_700_000_010
      const gauge = (metric: string, value: number, type = "gauge") => ({
        metric: `myapp.${metric}`,
        points: [[at, value]],
        type,
        tags,
        interval: 10
      })
      assert.sameDeepMembers<unknown>(
        [...series],
        [
          gauge("fuel.level", 0.5),
          { ...gauge("fuel.level", 0.5), points: [[1_700_000_003, 0.5]] },
          { ...gauge("page.views", 0.1, "rate"), tags: ["page:home", "team:x"] },
          gauge("page.views", -0.2, "rate"),
          { ...gauge("page.views", 3, "count"), points: [[1_700_000_003, 3]] },
          ...["query.time", "song.length"].flatMap((name) => {
            const value = name === "query.time" ? 12.5 : 20
            return [
              gauge(`${name}.95percentile`, value),
              gauge(`${name}.avg`, value),
              gauge(`${name}.count`, 0.1, "rate"),
              gauge(`${name}.max`, value),
              gauge(`${name}.median`, value)
            ]
          }),
          gauge("users.uniques", 1)
        ]
      )
      assert.deepStrictEqual<unknown>(distributions, [
        { ...gauge("order.value", 0), points: [[at, [10]]], type: "distribution", tags: ["cur:eur", "team:x"] }
      ])
      assert.deepStrictEqual<unknown>(events, [{
        title: "Deploy",
        text: "line one\nline two",
        alert_type: "success",
        priority: "low",
        tags: ["v:42", "team:x"],
        date_happened: 1_700_000_000,
        aggregation_key: "deploys",
        source_type_name: "my apps",
        host: "web-9"
      }])
      assert.deepStrictEqual<unknown>(checks, [
        {
          name: "app.ok",
          status: 0,
          timestamp: 1_700_000_000,
          host: "web-9",
          tags: ["v:42", "team:x"],
          message: "fine"
        }
      ])
      assert.deepStrictEqual(findings, [])
    }))

  it.effect("are sent on when their ten seconds are over", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.unbounded<Uint8Array>()
      const source = Layer.succeed(LocalIntake.Datagrams, { url: "udp://example", packets: Stream.fromQueue(queue) })
      yield* TestClock.setTime(now * 1000)
      yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        for (let i = 0; i < 4; i++) {
          yield* Queue.offer(queue, new TextEncoder().encode("c:10|c\nd:1|d"))
          yield* arrived(i + 1)
          yield* TestClock.adjust("5 seconds")
        }
        const points = (yield* intake.series).flatMap(({ points }) => points)
        // at 13, 18, 23 and 28 seconds
        assert.deepStrictEqual(points, [[1_700_000_010, 2], [1_700_000_020, 2]])
        assert.deepStrictEqual((yield* intake.distributions).flatMap(({ points }) => points), [
          [1_700_000_010, [1, 1]],
          [1_700_000_020, [1, 1]]
        ])
        assert.strictEqual(yield* intake.total("c"), 40)
        assert.deepStrictEqual(yield* intake.findings, [])
      }).pipe(Effect.provide(LocalIntake.layer().pipe(Layer.provide([server, source]))))
    }))

  it.effect("are rolled up in buckets of ten seconds, with weights", () =>
    Effect.gen(function*() {
      const lines = [
        "c:1:2|c\nc:3|c|@0.1\ng:1|g\ng:7|g\ns:a|s\ns:b|s\ns:a|s",
        "h:1:2:3|h\nh:100|h|@0.1\nd:1:1|d|@0.5",
        ...Array.from({ length: 3 }, () => "ms:5|ms")
      ]
      const { distributions, series, total } = yield* after(
        lines,
        (intake) => Effect.all({ series: intake.series, distributions: intake.distributions, total: intake.total("c") })
      )
      const values = Object.fromEntries(series.map(({ metric, points, type }) => [`${metric} ${type}`, points[0]![1]]))
      assert.deepStrictEqual(values, {
        "c rate": 3.3,
        "g gauge": 7,
        "s gauge": 2,
        "h.max gauge": 100,
        "h.median gauge": 100,
        "h.avg gauge": 1006 / 13,
        "h.count rate": 1.3,
        "h.95percentile gauge": 100,
        "ms.max gauge": 5,
        "ms.median gauge": 5,
        "ms.avg gauge": 5,
        "ms.count rate": 0.3,
        "ms.95percentile gauge": 5
      })
      assert.deepStrictEqual(distributions[0]?.points, [[1_700_000_010, [1, 1, 1, 1]]])
      assert.strictEqual(total, 33)
    }))

  it.effect("that are too long, hold what nobody understands, or are rewritten, are judged", () =>
    Effect.gen(function*() {
      const long = `long:1|c|#${"x".repeat(9000)}`
      const packets = [
        "fine:1|c\nbad\n\nold:1|g|T5",
        "A b:1|c|#Env:X",
        long,
        new Uint8Array([0xff, 0xfe, 0x3a, 0x31, 0x7c, 0x63])
      ]
      const { findings, series } = yield* after(packets, ({ findings, series }) => Effect.all({ findings, series }))
      assert.deepStrictEqual(findings.map(({ code, metric, outcome }) => [outcome, code, metric]), [
        ["dropped", "BadLine", null],
        ["dropped", "TooOld", "old"],
        ["rewritten", "NameRewritten", "A b"],
        ["rewritten", "TagRewritten", "A b"],
        ["dropped", "PacketTooLong", null],
        ["warning", "TagTooLong", "long"],
        ["dropped", "NameStart", "\ufffd\ufffd"],
        ["rewritten", "NameRewritten", "\ufffd\ufffd"]
      ])
      assert.deepStrictEqual(series.map(({ metric }) => metric), ["old", "fine", "A b", "long"])
    }))

  it.effect("stay within the limits, and their buckets are given up when they are over", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 300 }, (_, i) => `d:${i}|d\ns:${i}|s`)
      yield* after(many, (intake) =>
        Effect.gen(function*() {
          const reader = yield* Feed.open(intake.url)
          const snapshot = yield* reader.next("snapshot")
          assert.lengthOf(snapshot.requests, 10)
          assert.strictEqual(snapshot.health.datagrams, 300)
          assert.deepInclude(snapshot.requests[0], { protocol: "dogstatsd", target: "UDP", items: 2, status: null })
          assert.strictEqual(snapshot.distributions[0]?.count, 300)
          yield* intake.clear
          assert.deepStrictEqual(yield* intake.series, [])
        }).pipe(Effect.scoped), { limits: { requests: 10 } })
    }))
})

describe("over a socket", () => {
  const layer = LocalIntake.layer().pipe(
    Layer.provideMerge(LocalIntake.layerDatagrams({ port: 0 })),
    Layer.provide(server),
    Layer.orDie
  )

  const eventually = <A>(look: Effect.Effect<A>, is: (found: A) => boolean) =>
    look.pipe(
      Effect.filterOrFail(is),
      Effect.retry(Schedule.spaced("5 millis")),
      Effect.timeout("15 seconds")
    )

  it.live("what our own reporter sends arrives", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { url } = yield* LocalIntake.Datagrams
      const reader = yield* Feed.open(intake.url)
      assert.strictEqual((yield* reader.next("hello")).dogstatsd, url)
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("orders", 3, { tags: ["env:test"] })
        yield* ThreadStats.gauge("queue", 7)
        for (const value of [10, 20, 30]) yield* ThreadStats.histogram("size", value)
        for (const value of [1, 2]) yield* ThreadStats.distribution("latency", value)
        for (const member of ["a", "b", "a"]) yield* ThreadStats.set("users", member)
        yield* ThreadStats.event("Deploy", "v42\nis out", { tags: ["v:42"] })
        yield* ThreadStats.flush()
      }).pipe(
        Effect.provide(ThreadStats.layerDogStatsDWith({ periodicFlush: false, dogstatsd: { url } })),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
      )
      const series = yield* eventually(intake.series, (series) => series.some(({ metric }) => metric === "users"))
      const valueOf = (metric: string) => series.find((item) => item.metric === metric)?.points[0]?.[1]
      assert.strictEqual(yield* intake.total("orders"), 3)
      assert.deepStrictEqual([valueOf("queue"), valueOf("size.max"), valueOf("size.avg"), valueOf("users")], [
        7,
        30,
        20,
        2
      ])
      yield* eventually(intake.events, ({ length }) => length === 1)
      const [event] = yield* intake.events
      assert.deepInclude(event, { title: "Deploy", text: "v42\nis out", tags: ["v:42"] })
      assert.strictEqual(yield* intake.total("latency"), 3)
      assert.deepStrictEqual(yield* intake.findings, [])
      const update = yield* reader.next("update", ({ series }) => series.some(({ metric }) => metric === "orders"))
      assert.strictEqual(update.requests[0]?.protocol, "dogstatsd")
      assert.isAbove(yield* intake.datagrams, 0)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("what hot-shots sends arrives", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { url } = yield* LocalIntake.Datagrams
      const client = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new StatsD({ host: "127.0.0.1", port: Number(new URL(url).port), globalTags: { env: "test" } })
        ),
        (client) => Effect.async<void>((resume) => client.close(() => resume(Effect.void)))
      )
      client.increment("hs.count", 2, ["a:b"])
      client.gauge("hs.gauge", 1.5)
      client.histogram("hs.histogram", 4)
      client.timing("hs.timing", 12)
      client.distribution("hs.distribution", 9)
      client.set("hs.set", "member")
      client.event("title", "text", { alert_type: "error" })
      client.check("hs.check", client.CHECKS.CRITICAL, { message: "down" }, ["c:d"])
      yield* eventually(intake.datagrams, (count) => count >= 8)
      const names = (yield* intake.series).map(({ metric }) => metric)
      assert.includeMembers(names, ["hs.count", "hs.gauge", "hs.histogram.max", "hs.timing.avg", "hs.set"])
      assert.deepStrictEqual((yield* intake.series)[0]?.tags, ["env:test", "a:b"])
      assert.strictEqual(yield* intake.total("hs.distribution"), 9)
      assert.deepInclude((yield* intake.events)[0], { title: "title", alert_type: "error" })
      assert.deepInclude((yield* intake.serviceChecks)[0], { name: "hs.check", status: 2, message: "down" })
      assert.deepStrictEqual(yield* intake.findings, [])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("there is none on a port that is taken, and it says so", () =>
    Effect.gen(function*() {
      const { url } = yield* udpServer()
      const port = Number(new URL(url).port)
      const error = yield* Effect.flip(Layer.build(LocalIntake.layerDatagrams({ port })))
      assert.strictEqual(error.reason, "PortTaken")
      assert.strictEqual(error.message, `UDP port ${port} of 127.0.0.1 is taken by another process`)
      const other = yield* Effect.flip(Layer.build(LocalIntake.layerDatagrams({ port: 0, host: "203.0.113.1" })))
      assert.strictEqual(other.reason, "CannotListen")
      // and none is left
      const free = yield* freePort
      yield* Effect.scoped(Layer.build(LocalIntake.layerDatagrams({ port: free })))
      yield* Layer.build(LocalIntake.layerDatagrams({ port: free }))
    }).pipe(Effect.scoped))
})
