import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import wire from "../../fixtures/wire.json" with { type: "json" }
import * as Feed from "../../support/feed.js"
import { type Handler, layerInProcess } from "../../support/intake.js"

const now = 1_700_000_013

/** A source of datagrams. A packet is ingested when the intake takes the next one. */
const makeSource = Effect.gen(function*() {
  const packets = yield* Queue.unbounded<Uint8Array>()
  const pulls = yield* Queue.unbounded<void>()
  return {
    layer: Layer.succeed(LocalIntake.Datagrams, {
      url: "udp://example",
      packets: Stream.repeatEffect(Effect.zipRight(Queue.offer(pulls, undefined), Queue.take(packets)))
    }),
    /** Waits until the intake takes datagrams. */
    started: Queue.take(pulls),
    /** Sends a packet, and waits until the intake has ingested it. */
    send: (packet: string | Uint8Array) =>
      Queue.offer(packets, typeof packet === "string" ? new TextEncoder().encode(packet) : packet).pipe(
        Effect.zipRight(Queue.take(pulls))
      )
  }
})

/** Sends all packets at one time. Returns the result of the effect over the intake. */
const ingest = <A>(
  packets: ReadonlyArray<string | Uint8Array>,
  use: (intake: LocalIntake.LocalIntake["Type"]) => Effect.Effect<A, never, Handler>,
  options?: LocalIntake.IntakeOptions
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    const source = yield* makeSource
    return yield* Effect.gen(function*() {
      yield* source.started
      for (const packet of packets) yield* source.send(packet)
      return yield* Effect.flatMap(LocalIntake.LocalIntake, use)
    }).pipe(Effect.provide(Layer.provide(layerInProcess(options), source.layer)))
  })

describe("DogStatsD agent of the intake", () => {
  it.effect("converts the lines of datadogpy to the series, distributions, events and checks of an Agent", () =>
    Effect.gen(function*() {
      const { checks, distributions, events, findings, series } = yield* ingest(wire.dogstatsd, (intake) =>
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
          { ...gauge("page.views", 0.3, "rate"), points: [[1_700_000_003, 0.3]] },
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

  it.effect("accepts the points of a bucket when its ten seconds are over", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const source = yield* makeSource
      yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* source.started
        // at 13, 18, 23 and 28 seconds
        for (let i = 0; i < 4; i++) {
          yield* source.send("c:10|c\nd:1|d")
          yield* TestClock.adjust("5 seconds")
        }
        const points = (yield* intake.series).flatMap(({ points }) => points)
        assert.deepStrictEqual(points, [[1_700_000_010, 2], [1_700_000_020, 2]])
        assert.deepStrictEqual((yield* intake.distributions).flatMap(({ points }) => points), [
          [1_700_000_010, [1, 1]],
          [1_700_000_020, [1, 1]]
        ])
        assert.strictEqual(yield* intake.total("c"), 40)
        assert.deepStrictEqual(yield* intake.findings, [])
      }).pipe(Effect.provide(Layer.provide(layerInProcess(), source.layer)))
    }))

  it.effect("rolls up points in buckets of ten seconds, weighted by their sample rates", () =>
    Effect.gen(function*() {
      const packets = [
        "c:1:2|c\nc:3|c|@0.1\ng:1|g\ng:7|g\ns:a|s\ns:b|s\ns:a|s",
        "h:1:2:3|h\nh:100|h|@0.1\nd:1:1|d|@0.5",
        ...Array.from({ length: 3 }, () => "ms:5|ms")
      ]
      const { distributions, series, total } = yield* ingest(
        packets,
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

  it.effect("reports findings about invalid lines, old points, rewritten names and tags, and overlong packets", () =>
    Effect.gen(function*() {
      const packets = [
        "fine:1|c\nbad\n\nold:1|g|T5",
        "A b:1|c|#Env:X",
        `long:1|c|#${"x".repeat(9000)}`,
        new Uint8Array([0xff, 0xfe, 0x3a, 0x31, 0x7c, 0x63])
      ]
      const { findings, series } = yield* ingest(packets, ({ findings, series }) => Effect.all({ findings, series }))
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

  it.effect("forwards a value with a timestamp without its sample rate, and a count as a rate", () =>
    Effect.gen(function*() {
      const { series } = yield* ingest(
        [`c:20|c|@0.5|T${now}\ng:4|g|@0.5|T${now}`],
        ({ series }) => Effect.all({ series })
      )
      assert.deepStrictEqual(series.map(({ metric, points, type }) => [metric, type, points]), [
        ["c", "rate", [[now, 2]]],
        ["g", "gauge", [[now, 4]]]
      ])
    }))

  it.effect("turns the tag of a device into a field, except for distributions", () =>
    Effect.gen(function*() {
      const { distributions, series } = yield* ingest(
        ["a:1|g|#device:d,x,dd.internal.resource:pod:p\nb:1|d|#device:d"],
        ({ distributions, series }) => Effect.all({ distributions, series })
      )
      assert.deepInclude(series[0], { device: "d", tags: ["x"] })
      assert.deepInclude(distributions[0], { tags: ["device:d"] })
    }))

  it.effect("drops a count that a sample rate of 0 makes infinite, and reads a distribution's rate of 0 as 1", () =>
    Effect.gen(function*() {
      const { distributions, findings, series } = yield* ingest(
        ["a:1|c|@0\nb:1|d|@0"],
        ({ distributions, findings, series }) => Effect.all({ distributions, findings, series })
      )
      assert.deepStrictEqual(series, [])
      assert.deepStrictEqual(distributions[0]?.points[0]?.[1], [1])
      assert.sameMembers(findings.map(({ code, metric }) => `${code} ${metric}`), [
        "RateOutOfRange a",
        "NotFinite a",
        "RateOutOfRange b"
      ])
    }))

  it.effect("keeps a value with a small sample rate once, and at most a million values of all distributions of a bucket", () =>
    Effect.gen(function*() {
      const packets = Array.from({ length: 150 }, (_, i) => `d${i}:1|d|@0.0001`)
      yield* ingest(packets, (intake) =>
        Effect.gen(function*() {
          const { values } = yield* intake.summary
          assert.strictEqual(values, 1_000_000)
          const reader = yield* Feed.openInProcess
          const snapshot = yield* reader.next("snapshot")
          assert.strictEqual(snapshot.health.evicted, 500_000)
          assert.deepInclude(snapshot.distributions[0], { count: 10_000, sum: 10_000 })
        }).pipe(Effect.scoped))
    }))

  it.effect("keeps as many datagrams as the limit of requests, counts all, and discards open buckets on clear", () =>
    Effect.gen(function*() {
      const packets = Array.from({ length: 300 }, (_, i) => `d:${i}|d\ns:${i}|s`)
      yield* ingest(packets, (intake) =>
        Effect.gen(function*() {
          const reader = yield* Feed.openInProcess
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
