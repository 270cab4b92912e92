import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { deflateSync } from "node:zlib"
import wire from "../fixtures/wire.json" with { type: "json" }
import { layerInProcess } from "../support/intake.js"
import {
  assertRefused,
  codesOf,
  gauge,
  postDistributions,
  postEvent,
  postSeries,
  send
} from "../support/intakeClient.js"
import { distributions, events, metrics } from "../support/reporterContract.js"

const now = 1_700_000_020

const findings = Effect.flatMap(LocalIntake.LocalIntake, ({ findings }) => findings)

const postSeriesV2 = (...series: ReadonlyArray<object>) => send("POST", "/api/v2/series", { body: { series } })

describe("ingest of series", () => {
  it.effect("answers 202 and keeps series as they arrived, with unknown fields", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const extra = { ...metrics[0], source_type_name: "kept", metadata: { origin: 1 } }
      const reply = yield* postSeries(...metrics, extra)
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(JSON.parse(reply.text), { status: "ok" })
      assert.deepStrictEqual<unknown>(yield* intake.series, [...metrics, extra])
      assert.deepStrictEqual(yield* intake.distributions, [])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("accepts points of any age unless it is strict", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_900_000_000_000)
      assert.strictEqual((yield* postSeries({ metric: "old", points: [[1, 1]] })).status, 202)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("ingest of series of version 2", () => {
  const at = 1_700_000_000

  it.effect("answers 202 and shows them in the form of version 1", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const full = {
        metric: "shop.queue",
        type: 3,
        points: [{ timestamp: at, value: -3 }, { timestamp: at + 10, value: 4 }],
        resources: [{ type: "cluster", name: "c" }, { type: "host", name: "web-1" }, { type: "device", name: "eth0" }],
        tags: ["b", "a"],
        interval: 10,
        unit: "item",
        source_type_name: "kept",
        metadata: { origin: { product: 1 } }
      }
      const others = [0, 1, 2, undefined].map((type) => ({
        metric: `type.${type}`,
        type,
        points: [{ timestamp: at, value: 1.5 }]
      }))
      const reply = yield* postSeriesV2(full, ...others)
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(JSON.parse(reply.text), { errors: [] })
      const { metadata, metric, source_type_name, tags, unit } = full
      assert.deepStrictEqual<unknown>(yield* intake.series, [
        {
          metric,
          type: "gauge",
          points: [[at, -3], [at + 10, 4]],
          host: "web-1",
          device: "eth0",
          tags,
          interval: 10,
          unit,
          source_type_name,
          metadata
        },
        ...others.map(({ metric, type }) => ({
          metric,
          type: type === 1 ? "count" : type === 2 ? "rate" : "",
          points: [[at, 1.5]]
        }))
      ])
      const body = { series: [full, ...others] }
      assert.deepStrictEqual((yield* intake.requests)[0]?.body, JSON.parse(JSON.stringify(body)))
      assert.deepStrictEqual((yield* intake.stored).series[0], {
        metric,
        type: "gauge",
        host: "web-1",
        device: "eth0",
        tags: ["a", "b"],
        interval: 10,
        points: [[at, -3], [at + 10, 4]]
      })
      assert.strictEqual(yield* intake.total("type.1"), 1.5)
      assert.deepInclude(yield* intake.summary, { requests: 1, refused: 0, series: 5, points: 6 })
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("stores the series of versions 1 and 2 as one when they are equal", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const v1 = { metric: "m", type: "count", points: [[at, 1]], host: "h", device: "d", tags: ["t"], interval: 10 }
      const v2 = {
        metric: "m",
        type: 1,
        points: [{ timestamp: at, value: 2 }],
        resources: [{ type: "device", name: "d" }, { type: "host", name: "h" }],
        tags: ["t"],
        interval: 10
      }
      yield* postSeries(v1)
      yield* postSeriesV2(v2)
      assert.deepStrictEqual((yield* intake.stored).series.map(({ points }) => points), [[[at, 2]]])
      yield* postSeries(v1)
      assert.strictEqual(yield* intake.total("m"), 1)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("ingest of distributions", () => {
  it.effect("answers 202 and keeps distributions as they arrived", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reply = yield* postDistributions(...distributions)
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(JSON.parse(reply.text), { status: "ok" })
      assert.deepStrictEqual<unknown>(yield* intake.distributions, distributions)
      assert.deepStrictEqual(yield* intake.series, [])
    }).pipe(Effect.provide(layerInProcess())))
})

describe("ingest of events", () => {
  it.effect("answers 202 with a unique identifier that only a string represents exactly", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const ids: Array<string> = []
      for (const event of events) {
        const reply = yield* postEvent(event)
        assert.strictEqual(reply.status, 202)
        const answer = JSON.parse(reply.text) as {
          readonly status: string
          readonly event: { readonly id: number; readonly id_str: string; readonly title: string }
        }
        assert.strictEqual(answer.status, "ok")
        assert.strictEqual(answer.event.title, event.title)
        assert.include(reply.text, `"id":${answer.event.id_str},`)
        assert.isFalse(Number.isSafeInteger(answer.event.id))
        ids.push(answer.event.id_str)
      }
      assert.strictEqual(new Set(ids).size, events.length)
      assert.deepStrictEqual<unknown>(yield* intake.events, events)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("answers 400 as plain text when an event is older than 18 hours", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const postAged = (seconds: number) => postEvent({ ...events[0], date_happened: now - seconds })
      for (const seconds of [-60, 0, 18 * 3600]) assert.strictEqual((yield* postAged(seconds)).status, 202)
      const reply = yield* postAged(18 * 3600 + 1)
      assertRefused(reply, 400, /^Event too far in the past$/)
      assert.include(reply.headers["content-type"], "text/plain")
    }).pipe(Effect.provide(layerInProcess())))
})

describe("payloads that Datadog takes though its documentation does not", () => {
  it.effect("are events with null fields, and with an empty title, which causes a warning", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const empty = {
        alert_type: null,
        aggregation_key: null,
        source_type_name: null,
        date_happened: null,
        priority: null,
        host: null,
        device_name: null,
        related_event_id: null,
        tags: null
      }
      assert.strictEqual((yield* postEvent({ title: "t", text: "", ...empty })).status, 202)
      assert.deepStrictEqual(yield* intake.findings, [])
      assert.strictEqual((yield* postEvent({ title: "", text: "x" })).status, 202)
      assert.deepStrictEqual(codesOf(yield* intake.findings), ["warning NoTitle"])
      assert.lengthOf(yield* intake.events, 2)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("ingest of service checks", () => {
  const post = (body: unknown) => send("POST", "/api/v1/check_run", { body })

  it.effect("takes a list or one, and drops one that is older than ten minutes", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const check = {
        check: "app.ok",
        host_name: "web-1",
        status: 1,
        tags: ["a:b"],
        message: "slow",
        timestamp: now - 9
      }
      const reply = yield* post(check)
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(JSON.parse(reply.text), { status: "ok" })
      yield* post([{ check: "b", status: 0 }, { check: "old", status: 3, timestamp: now - 601 }])
      assert.deepStrictEqual(yield* intake.serviceChecks, [
        { name: "app.ok", host: "web-1", status: 1, tags: ["a:b"], message: "slow", timestamp: now - 9 },
        { name: "b", host: "", status: 0, tags: [], message: "", timestamp: now },
        { name: "old", host: "", status: 3, tags: [], message: "", timestamp: now - 601 }
      ])
      assert.deepStrictEqual(codesOf(yield* intake.findings), ["dropped TooOld"])
      assert.strictEqual((yield* post({ check: "a", status: 4 })).status, 400)
      assert.strictEqual((yield* post([{ status: 0 }])).status, 400)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("ingest of series of version 2 in protobuf", () => {
  const varint = (value: number): Array<number> =>
    value < 128 ? [value] : [value % 128 + 128, ...varint(Math.floor(value / 128))]
  const field = (number: number, bytes: ReadonlyArray<number> | string): Array<number> => {
    const content = typeof bytes === "string" ? [...Buffer.from(bytes)] : bytes
    return [number * 8 + 2, ...varint(content.length), ...content]
  }
  const double = (number: number, value: number) => {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    return [number * 8 + 1, ...bytes]
  }
  const whole = (number: number, value: number) => [number * 8, ...varint(value)]
  const post = (bytes: Uint8Array) =>
    send("POST", "/api/v2/series", {
      bytes,
      encoding: "deflate",
      headers: { "content-type": "application/x-protobuf" }
    })

  it.effect("stores the same series as JSON", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const series = [
        ...field(1, [...field(1, "host"), ...field(2, "web-1")]),
        ...field(2, "shop.größe"),
        ...field(3, "a:b"),
        ...field(3, "c"),
        ...field(4, [...double(1, -1.5), ...whole(2, now)]),
        ...whole(5, 3),
        ...field(6, "byte"),
        ...whole(8, 10),
        ...field(9, [1, 2])
      ]
      const reply = yield* post(deflateSync(Uint8Array.from([...field(1, series), ...field(1, field(2, "m"))])))
      assert.strictEqual(reply.status, 202, reply.text)
      assert.deepStrictEqual(JSON.parse(reply.text), { errors: [] })
      assert.deepStrictEqual<unknown>(yield* intake.series, [
        {
          metric: "shop.größe",
          type: "gauge",
          points: [[now, -1.5]],
          host: "web-1",
          tags: ["a:b", "c"],
          unit: "byte",
          interval: 10
        },
        { metric: "m", type: "", points: [], tags: [] }
      ])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("refuses bytes that are not a payload", () =>
    Effect.gen(function*() {
      for (
        const bytes of [
          [0x0a],
          [0x0a, 0x7f, 0],
          [0xff, 0xff, 0xff],
          field(1, field(2, [0xff])),
          field(1, whole(2, 1)),
          Buffer.from("{}")
        ]
      ) {
        const reply = yield* post(deflateSync(Uint8Array.from(bytes)))
        assertRefused(reply, 400, /not valid protobuf/)
      }
    }).pipe(Effect.provide(layerInProcess())))
})

describe("verdicts of an ingested payload", () => {
  it.effect("name each part that Datadog would refuse, drop, rewrite or warn of", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(
        gauge("shop queue", now, 1, { tags: ["Env:Prod"] }),
        gauge("old", now - 4000, 1),
        gauge("fine", now, 1)
      )
      yield* postSeries({ metric: "bad", points: "none" })
      yield* postDistributions({ metric: "fine", points: [[now, [1, 2]]] })
      yield* send("GET", "/api/v1/validate", { key: null })
      yield* postEvent({ title: "t", text: "", date_happened: now - 100_000 })
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(({ verdicts }) => codesOf(verdicts)), [
        ["accepted Accepted", "rewritten NameRewritten", "rewritten TagRewritten", "dropped TooOld"],
        ["refused WrongForm"],
        ["accepted Accepted", "warning KindConflict"],
        ["refused NoKey"],
        ["refused TooOld"]
      ])
      assert.deepStrictEqual(requests[0]?.verdicts[0]?.message, "3 series with 2 points")
      assert.deepStrictEqual(
        (yield* findings).map(({ code, count, metric }) => [code, metric, count]),
        [
          ["NameRewritten", "shop queue", 1],
          ["TagRewritten", "shop queue", 1],
          ["TooOld", "old", 1],
          ["WrongForm", null, 1],
          ["KindConflict", "fine", 1],
          ["NoKey", null, 1],
          ["TooOld", null, 1]
        ]
      )
      yield* intake.clear
      assert.deepStrictEqual(yield* findings, [])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("report an overwritten value when the same series arrives in another spelling or version", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(gauge("m", now, 1, { tags: ["a:b", "C"] }))
      yield* postSeries(gauge("m", now, 1, { tags: ["c", "a:b"] }))
      assert.deepStrictEqual(codesOf(yield* findings), ["rewritten TagRewritten"])
      yield* postSeriesV2({
        metric: "m",
        type: 3,
        points: [{ timestamp: now, value: 7 }, { timestamp: now - 1, value: 0 }],
        tags: ["a:b", "c"]
      })
      yield* postSeries(
        gauge("m", now, 8, { host: "h", tags: ["a:b", "c"] }),
        gauge("m", now + 1, 8, { tags: ["a:b", "c"] })
      )
      const found = (yield* findings).filter(({ code }) => code === "Overwritten")
      assert.deepStrictEqual(found.map(({ count, message, outcome }) => ({ count, message, outcome })), [{
        count: 1,
        outcome: "overwritten",
        message: "\"m\" already had a value for 2023-11-14T22:13:40.000Z: 7 replaces 1"
      }])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("accept the requests of datadogpy without a finding, until they are two hours old", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      for (const { body, headers, method, path } of [...wire.plain, ...wire.compressed]) {
        const text = JSON.stringify(body)
        const bytes = "content-encoding" in headers ? deflateSync(text) : Buffer.from(text)
        const reply = yield* send(method, path, { headers, bytes, key: null })
        assert.strictEqual(reply.status, 202)
      }
      assert.deepStrictEqual(yield* findings, [])
      for (const { verdicts } of yield* intake.requests) {
        assert.deepStrictEqual(codesOf(verdicts), ["accepted Accepted"])
      }
      yield* TestClock.adjust("2 hours")
      for (const { body, path } of wire.plain) yield* send("POST", path, { body })
      assert.deepStrictEqual(new Set(codesOf(yield* findings)), new Set(["dropped TooOld"]))
    }).pipe(Effect.provide(layerInProcess())))
})

describe("the option strict", () => {
  it.effect("refuses payloads that Datadog would drop in part, and accepts rewritten and overwritten ones", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const refused = yield* postSeries(gauge("fine", now, 1), gauge("old", 1, 1), gauge("9", now, 1))
      assert.strictEqual(refused.status, 400)
      assert.match(refused.text, /^\{"errors":\["Datadog would drop a part of this: TooOld: 1 of 1 .*; NameStart: /)
      const others = [
        yield* postDistributions({ metric: "d", points: [[now + 1000, [1]]] }),
        yield* postSeriesV2({ metric: "old", type: 3, points: [{ timestamp: 1, value: 1 }] }),
        yield* postEvent({ title: "t", text: "", date_happened: now + 10_000 })
      ]
      assert.deepStrictEqual(others.map(({ status }) => status), [400, 400, 400])
      assert.deepStrictEqual(yield* intake.series, [])
      assert.deepStrictEqual(yield* intake.distributions, [])
      assert.deepStrictEqual(yield* intake.events, [])
      const accepted = yield* postSeries(gauge("fine", now, 1), gauge("fine", now, 2), gauge("not fine", now, 1))
      assert.strictEqual(accepted.status, 202)
      assert.lengthOf(yield* intake.series, 3)
      assert.strictEqual((yield* intake.requests)[0]?.reason?.startsWith("Datadog would drop"), true)
    }).pipe(Effect.provide(layerInProcess({ strict: true }))))
})
