import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as zlib from "node:zlib"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib"
import { layerIntake } from "./support/intake.js"
import { distributions, events, metrics } from "./support/reporterContract.js"
import { recordingTracer } from "./support/tracer.js"

const key = "k3Y-d1st1nct1ve"

interface Reply {
  readonly status: number
  readonly type: string | null
  readonly text: string
}

const send = Effect.fnUntraced(function*(method: string, path: string, options: {
  readonly body?: unknown
  readonly bytes?: Uint8Array
  readonly encoding?: string
  readonly key?: string | undefined
  readonly headers?: Record<string, string>
} = {}) {
  const { url } = yield* LocalIntake.LocalIntake
  const body = options.bytes ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
  return yield* Effect.promise(async (signal): Promise<Reply> => {
    const response = await fetch(url + path, {
      method,
      signal,
      headers: {
        "content-type": "application/json",
        ...("key" in options
          ? (options.key === undefined ? {} : { "DD-API-KEY": options.key })
          : { "DD-API-KEY": key }),
        ...(options.encoding === undefined ? {} : { "content-encoding": options.encoding }),
        ...options.headers
      },
      ...(body === undefined ? {} : { body })
    })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })
})

const json = (text: string): unknown => JSON.parse(text)

const assertRefused = (reply: Reply, status: number, reason: RegExp) => {
  assert.strictEqual(reply.status, status)
  const { errors } = JSON.parse(reply.text) as { readonly errors: ReadonlyArray<string> }
  assert.strictEqual(errors.length, 1)
  assert.match(errors[0] ?? "", reason)
}

const assertNothingAccepted = Effect.gen(function*() {
  const { events, distributions, series } = yield* LocalIntake.LocalIntake
  assert.deepStrictEqual(yield* Effect.all([series, distributions, events]), [[], [], []])
})

const posts: ReadonlyArray<readonly [string, unknown]> = [
  ["/api/v1/series", { series: metrics }],
  ["/api/v1/distribution_points", { series: distributions }],
  ["/api/v1/events", events[0]]
]

describe("what is accepted", () => {
  it.effect("series: 202, and remembered as they came", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const extra = { ...metrics[0], source_type_name: "kept", metadata: { origin: 1 } }
      const reply = yield* send("POST", "/api/v1/series", { body: { series: [...metrics, extra] } })
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(json(reply.text), { status: "ok" })
      assert.deepStrictEqual<unknown>(yield* intake.series, [...metrics, extra])
      assert.deepStrictEqual(yield* intake.distributions, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("distributions: 202, and remembered as they came", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reply = yield* send("POST", "/api/v1/distribution_points", { body: { series: distributions } })
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(json(reply.text), { status: "ok" })
      assert.deepStrictEqual<unknown>(yield* intake.distributions, distributions)
      assert.deepStrictEqual(yield* intake.series, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("events: 202 with an id that only its text has exactly", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const ids: Array<string> = []
      for (const body of events) {
        const reply = yield* send("POST", "/api/v1/events", { body })
        assert.strictEqual(reply.status, 202)
        const answer = json(reply.text) as {
          readonly status: string
          readonly event: { readonly id: number; readonly id_str: string; readonly title: string }
        }
        assert.strictEqual(answer.status, "ok")
        assert.strictEqual(answer.event.title, body.title)
        assert.include(reply.text, `"id":${answer.event.id_str},`)
        assert.isFalse(Number.isSafeInteger(answer.event.id))
        ids.push(answer.event.id_str)
      }
      assert.strictEqual(new Set(ids).size, events.length)
      assert.deepStrictEqual<unknown>(yield* intake.events, events)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("validate: 200", () =>
    Effect.gen(function*() {
      const reply = yield* send("GET", "/api/v1/validate")
      assert.strictEqual(reply.status, 200)
      assert.deepStrictEqual(json(reply.text), { valid: true })
    }).pipe(Effect.provide(layerIntake())))

  it.effect("points of any age", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_900_000_000_000)
      const body = { series: [{ metric: "old", points: [[1, 1]] }] }
      assert.strictEqual((yield* send("POST", "/api/v1/series", { body })).status, 202)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("encodings: deflate and gzip, for distributions deflate only", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const [path, body] of posts) {
        const text = JSON.stringify(body)
        const deflated = yield* send("POST", path, { bytes: deflateSync(text), encoding: "deflate" })
        assert.strictEqual(deflated.status, 202, path)
        const identity = yield* send("POST", path, { body, encoding: "identity" })
        assert.strictEqual(identity.status, 202, path)
        const gzipped = yield* send("POST", path, { bytes: gzipSync(text), encoding: "GZIP" })
        if (path === "/api/v1/distribution_points") assertRefused(gzipped, 400, /gzip is not supported/)
        else assert.strictEqual(gzipped.status, 202, path)
      }
      assert.strictEqual((yield* intake.series).length, 3 * metrics.length)
      assert.strictEqual((yield* intake.distributions).length, 2 * distributions.length)
      assert.strictEqual((yield* intake.events).length, 3)
    }).pipe(Effect.provide(layerIntake())))
})

describe("series in the form of v2", () => {
  const at = 1_700_000_000
  const point = { timestamp: at, value: 1.5 }
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
  const post = (options: Parameters<typeof send>[2]) => send("POST", "/api/v2/series", options)

  it.effect("are accepted with 202, and shown as those of v1 are", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const others = [0, 1, 2, undefined].map((type) => ({ metric: `type.${type}`, type, points: [point] }))
      const body = { series: [full, ...others] }
      const reply = yield* post({ body })
      assert.strictEqual(reply.status, 202)
      assert.deepStrictEqual(json(reply.text), { errors: [] })
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
    }).pipe(Effect.provide(layerIntake())))

  it.effect("overwrite, and are overwritten by, the same series in the form of v1", () =>
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
      yield* send("POST", "/api/v1/series", { body: { series: [v1] } })
      yield* post({ body: { series: [v2] } })
      assert.deepStrictEqual((yield* intake.stored).series.map(({ points }) => points), [[[at, 2]]])
      yield* send("POST", "/api/v1/series", { body: { series: [v1] } })
      assert.strictEqual(yield* intake.total("m"), 1)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("need a key, and the form of v2", () =>
    Effect.gen(function*() {
      assertRefused(yield* post({ body: { series: [full] }, key: undefined }), 403, /API key required/)
      assertRefused(yield* post({ body: { series: [full] }, key: "another" }), 403, /Forbidden/)
      assertRefused(yield* post({ bytes: Buffer.from("{") }), 400, /not valid JSON/)
      for (
        const [wrong, path] of [
          [{ points: [[at, 1]] }, "points"],
          [{ points: [{ timestamp: at + 0.5, value: 1 }] }, "points"],
          [{ points: [{ timestamp: at, value: null }] }, "points"],
          [{ type: "gauge" }, "type"],
          [{ type: 4 }, "type"],
          [{ resources: [{ type: "host" }] }, "resources"],
          [{ tags: null }, "tags"],
          [{ interval: 1.5 }, "interval"],
          [{ unit: 1 }, "unit"]
        ] as const
      ) {
        const reply = yield* post({ body: { series: [full, { ...full, ...wrong }] } })
        assertRefused(reply, 400, new RegExp(`expected format: series\\.1\\.${path}`))
      }
      yield* assertNothingAccepted
      assert.strictEqual((yield* post({ body: { series: [full] } })).status, 202)
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  it.effect("have limits of their own, to the byte, on the wire and unpacked", () =>
    Effect.gen(function*() {
      const padded = (length: number) => Buffer.alloc(length, " ").fill("{\"series\":[]}", 0, 13)
      assert.strictEqual((yield* post({ bytes: padded(512_000) })).status, 202)
      assertRefused(yield* post({ bytes: padded(512_001) }), 413, /over 512000 bytes$/)
      for (const [encoding, packed] of [["deflate", deflateSync], ["gzip", gzipSync]] as const) {
        assert.strictEqual((yield* post({ bytes: packed(padded(5_242_880)), encoding })).status, 202)
        assertRefused(yield* post({ bytes: packed(padded(5_242_881)), encoding }), 413, /5242880 bytes unpacked/)
      }
    }).pipe(Effect.provide(layerIntake())))

  it.effect("keep to limits that were given for all", () =>
    Effect.gen(function*() {
      assertRefused(yield* post({ body: { series: [full] } }), 413, /over 50 bytes/)
      const bytes = deflateSync(JSON.stringify({ series: [], padding: "x".repeat(100) }))
      assertRefused(yield* post({ bytes, encoding: "deflate" }), 413, /60 bytes unpacked/)
    }).pipe(Effect.provide(layerIntake({ maxBodyBytes: 50, maxUnpackedBytes: 60 }))))

  const { zstdCompressSync } = zlib as unknown as { readonly zstdCompressSync?: typeof deflateSync }

  it.effect.runIf(zstdCompressSync !== undefined)(
    `are taken in zstd (Node.js ${process.version} has it)`,
    () =>
      Effect.gen(function*() {
        const pack = zstdCompressSync!
        const bytes = pack(JSON.stringify({ series: [full] }))
        for (const encoding of ["zstd", "zstd1", "ZSTD"]) {
          assert.strictEqual((yield* post({ bytes, encoding })).status, 202)
        }
        const intake = yield* LocalIntake.LocalIntake
        assert.strictEqual((yield* intake.series).length, 3)
        assert.deepStrictEqual((yield* intake.requests).map(({ encoding }) => encoding), ["zstd", "zstd1", "zstd"])
        for (const wrong of [bytes.subarray(0, -3), Buffer.from("{}"), deflateSync("{}"), Buffer.alloc(0)]) {
          // Node.js 22 takes an end that is missing for an end
          assertRefused(yield* post({ bytes: wrong, encoding: "zstd" }), 400, /not valid (zstd|JSON)/)
        }
        const bomb = pack(Buffer.alloc(200 * 1024 * 1024))
        assert.isBelow(bomb.byteLength, 512_000)
        assertRefused(yield* post({ bytes: bomb, encoding: "zstd" }), 413, /5242880 bytes unpacked/)
        for (const path of ["/api/v1/series", "/api/v1/distribution_points", "/api/v1/events"]) {
          assertRefused(yield* send("POST", path, { bytes, encoding: "zstd" }), 400, /zstd is not supported/)
        }
      }).pipe(Effect.provide(layerIntake()))
  )

  it.effect.runIf(zstdCompressSync === undefined)(
    `are refused in zstd (Node.js ${process.version} has none)`,
    () =>
      Effect.gen(function*() {
        for (const encoding of ["zstd", "zstd1"]) {
          const bytes = Buffer.from("28b52ffd", "hex")
          assertRefused(yield* post({ bytes, encoding }), 400, new RegExp(`${encoding} is not supported`))
        }
        yield* assertNothingAccepted
      }).pipe(Effect.provide(layerIntake()))
  )
})

describe("what is refused", () => {
  it.effect("403 without a key, with an empty one, or with another", () =>
    Effect.gen(function*() {
      for (const [method, path, body] of [["GET", "/api/v1/validate"], ...posts.map(([p, b]) => ["POST", p, b])]) {
        const request = { ...(body === undefined ? {} : { body }) }
        const go = (key: string | undefined) => send(String(method), String(path), { ...request, key })
        assertRefused(yield* go(undefined), 403, /API key required/)
        assertRefused(yield* go(""), 403, /API key required/)
        assertRefused(yield* go("another"), 403, /Forbidden/)
        assertRefused(yield* go(`${key} `.repeat(2).trim()), 403, /Forbidden/)
        assert.isBelow((yield* go(key)).status, 300)
      }
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  it.effect("a key in the query is no key", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reply = yield* send("GET", `/api/v1/validate?api_key=${key}`, { key: undefined })
      assertRefused(reply, 403, /API key required/)
      assert.strictEqual((yield* intake.requests)[0]?.path, "/api/v1/validate")
    }).pipe(Effect.provide(layerIntake())))

  it.effect("400 for what is not JSON, or not of the form", () =>
    Effect.gen(function*() {
      const notJson = ["", "{", "{\"series\":[{\"metric\":\"a\",\"points\":[[1,NaN]]}]}", "\u0000"]
      for (const [path] of posts) {
        for (const text of notJson) {
          assertRefused(yield* send("POST", path, { bytes: Buffer.from(text) }), 400, /not valid JSON/)
        }
        assertRefused(yield* send("POST", path, { bytes: new Uint8Array([0x22, 0xff, 0xfe, 0x22]) }), 400, /valid JSON/)
        for (const body of [null, 1, [], {}, { series: {} }, { series: [{ metric: "a" }] }]) {
          assertRefused(yield* send("POST", path, { body }), 400, /not in the expected format/)
        }
      }
      const series = (points: unknown) => ({ series: [{ metric: "a", points }] })
      for (const points of [[[1, null]], [[1, "1"]], [[1]], [[null, 1]], [[1, [1]]]]) {
        assertRefused(yield* send("POST", "/api/v1/series", { body: series(points) }), 400, /series\.0\.points/)
      }
      for (const points of [[[1, 1]], [[1, [null]]], [[1, ["1"]]]]) {
        assertRefused(
          yield* send("POST", "/api/v1/distribution_points", { body: series(points) }),
          400,
          /series\.0\.points/
        )
      }
      const longText = { ...events[0], text: "x".repeat(4001) }
      assertRefused(yield* send("POST", "/api/v1/events", { body: longText }), 400, /text/)
      yield* assertNothingAccepted
    }).pipe(Effect.provide(layerIntake())))

  it.effect("one bad series takes its whole payload along", () =>
    Effect.gen(function*() {
      const body = { series: [...metrics, { metric: "bad", points: [[1, null]] }] }
      assertRefused(yield* send("POST", "/api/v1/series", { body }), 400, /series\.3\.points/)
      yield* assertNothingAccepted
    }).pipe(Effect.provide(layerIntake())))

  it.effect("400 for unknown encodings, and for bytes that are not what they claim", () =>
    Effect.gen(function*() {
      for (const [path, body] of posts) {
        const text = JSON.stringify(body)
        for (const encoding of ["br", "zstd", "deflate, gzip", "x"]) {
          assertRefused(
            yield* send("POST", path, { bytes: brotliCompressSync(text), encoding }),
            400,
            /is not supported/
          )
        }
        const packed = deflateSync(text)
        const flipped = Uint8Array.from(packed, (byte, index) => index === 12 ? byte ^ 0xff : byte)
        for (
          const bytes of [deflateRawSync(text), Buffer.from(text), packed.subarray(0, -6), flipped, gzipSync(text)]
        ) {
          assertRefused(yield* send("POST", path, { bytes, encoding: "deflate" }), 400, /not valid deflate/)
        }
        assertRefused(yield* send("POST", path, { bytes: packed }), 400, /not valid JSON/)
      }
      yield* assertNothingAccepted
    }).pipe(Effect.provide(layerIntake())))

  it.effect("413 over the limit on the wire, to the byte", () =>
    Effect.gen(function*() {
      const padded = (length: number) => Buffer.from(JSON.stringify({ series: [] }).padEnd(length))
      assert.strictEqual((yield* send("POST", "/api/v1/series", { bytes: padded(3_200_000) })).status, 202)
      assertRefused(yield* send("POST", "/api/v1/series", { bytes: padded(3_200_001) }), 413, /3200000/)
      assertRefused(yield* send("POST", "/api/v1/series", { bytes: padded(20_000_000) }), 413, /3200000/)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("413 over the limit unpacked, without unpacking it all", () =>
    Effect.gen(function*() {
      const padded = (length: number) => deflateSync(Buffer.alloc(length, " ").fill("{\"series\":[]}", 0, 13))
      const post = (length: number) => send("POST", "/api/v1/series", { bytes: padded(length), encoding: "deflate" })
      assert.strictEqual((yield* post(62_914_560)).status, 202)
      assertRefused(yield* post(62_914_561), 413, /62914560 bytes unpacked/)
      const bomb = Buffer.concat(Array(64).fill(gzipSync(Buffer.alloc(16 * 1024 * 1024))))
      const before = process.memoryUsage().rss
      const reply = yield* send("POST", "/api/v1/series", { bytes: bomb, encoding: "gzip" })
      assertRefused(reply, 413, /62914560 bytes unpacked/)
      assert.isBelow(process.memoryUsage().rss - before, 300 * 1024 * 1024)
    }).pipe(Effect.provide(layerIntake())), 30_000)

  it.effect("413 by the limits it was given", () =>
    Effect.gen(function*() {
      const small = { body: { series: [] } }
      assert.strictEqual((yield* send("POST", "/api/v1/series", small)).status, 202)
      assertRefused(yield* send("POST", "/api/v1/series", { body: { series: metrics } }), 413, /50 bytes/)
      const bytes = deflateSync(JSON.stringify({ series: [], padding: "x".repeat(100) }))
      assertRefused(yield* send("POST", "/api/v1/series", { bytes, encoding: "deflate" }), 413, /60 bytes unpacked/)
    }).pipe(Effect.provide(layerIntake({ maxBodyBytes: 50, maxUnpackedBytes: 60 }))))

  it.effect("400 as text for events older than 18 hours", () =>
    Effect.gen(function*() {
      const now = 1_700_000_000
      yield* TestClock.setTime(now * 1000)
      const post = (date_happened: number) => send("POST", "/api/v1/events", { body: { ...events[0], date_happened } })
      for (const age of [-60, 0, 18 * 3600]) assert.strictEqual((yield* post(now - age)).status, 202)
      const reply = yield* post(now - 18 * 3600 - 1)
      assertRefused(reply, 400, /^Event too far in the past$/)
      assert.include(reply.type ?? "", "text/plain")
    }).pipe(Effect.provide(layerIntake())))

  it.effect("404 for everything else, key or not", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const others = [["GET", "/api/v1/series"], ["POST", "/api/v1/validate"], ["POST", "/api/v2/events"], ["PUT", "/"]]
      for (const [method, path] of others) {
        assertRefused(
          yield* send(method!, path!, { body: {}, key: undefined }).pipe(
            method === "GET" ? () => send("GET", path!) : (self) => self
          ),
          404,
          /Not found/
        )
      }
      assert.deepStrictEqual((yield* intake.requests).map(({ method, path }) => [method, path]), others)
    }).pipe(Effect.provide(layerIntake())))
})

describe("what is remembered", () => {
  it.effect("every request, with its answer, and without secrets", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(1_700_000_000_000)
      const bytes = deflateSync(JSON.stringify({ series: metrics }))
      yield* send("POST", "/api/v1/series", { bytes, encoding: "deflate", headers: { authorization: "Bearer s3cret" } })
      yield* send("POST", "/api/v1/series", { body: { series: 1 } })
      yield* send("GET", "/api/v1/validate", { key: undefined })
      const [accepted, malformed, keyless, ...rest] = yield* intake.requests
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(accepted?.receivedAt, 1_700_000_000_000)
      assert.strictEqual(accepted?.status, 202)
      assert.strictEqual(accepted?.reason, undefined)
      assert.strictEqual(accepted?.bytes, bytes.byteLength)
      assert.strictEqual(accepted?.encoding, "deflate")
      assert.deepStrictEqual(accepted?.body, JSON.parse(JSON.stringify({ series: metrics })))
      assert.strictEqual(accepted?.headers["dd-api-key"], "<redacted>")
      assert.strictEqual(accepted?.headers["authorization"], "<redacted>")
      assert.strictEqual(malformed?.status, 400)
      assert.match(malformed?.reason ?? "", /expected format/)
      assert.strictEqual(malformed?.encoding, "identity")
      assert.deepStrictEqual(malformed?.body, { series: 1 })
      assert.strictEqual(keyless?.status, 403)
      assert.notProperty(keyless?.headers, "dd-api-key")
    }).pipe(Effect.provide(layerIntake())))

  it.effect("is shown as JSON at GET /, without any key", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const [path, body] of posts) yield* send("POST", path, { body })
      yield* send("POST", "/api/v1/series", { body: {}, key: `${key}-wrong` })
      const reply = yield* send("GET", "/", { key: undefined })
      assert.strictEqual(reply.status, 200)
      assert.include(reply.type ?? "", "application/json")
      assert.notInclude(reply.text, key)
      const view = json(reply.text) as LocalIntake.View
      assert.deepStrictEqual(Object.keys(view), ["series", "distributions", "events", "requests"])
      assert.deepStrictEqual<unknown>(view.series, metrics)
      assert.deepStrictEqual<unknown>(view.distributions, distributions)
      assert.deepStrictEqual<unknown>(view.events, [events[0]])
      assert.deepStrictEqual(view.requests.map(({ status }) => status), [202, 202, 202, 403])
      assert.strictEqual((yield* intake.requests).length, 4)
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  it.effect("adds up, and is forgotten on request", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const [path, body] of posts) yield* send("POST", path, { body })
      yield* send("POST", "/api/v1/series", { body: {} })
      const { bytes, ...summary } = yield* intake.summary
      assert.deepStrictEqual(summary, {
        requests: 4,
        refused: 1,
        series: metrics.length,
        points: 4,
        distributions: distributions.length,
        values: 5,
        events: 1
      })
      assert.strictEqual(bytes, posts.reduce((total, [, body]) => total + Buffer.byteLength(JSON.stringify(body)), 2))
      const before = yield* intake.series
      const requests = yield* intake.requests
      yield* send("GET", "/api/v1/validate")
      assert.strictEqual(requests.length, 4)
      yield* intake.clear
      assert.strictEqual((yield* intake.summary).requests, 0)
      assert.deepStrictEqual(yield* intake.requests, [])
      yield* assertNothingAccepted
      assert.strictEqual(before.length, metrics.length)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("holds under many requests at once", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const bodies = Array.from({ length: 200 }, (_, index) => ({
        series: [{ metric: `m${index}`, points: [[1, index]] }]
      }))
      const replies = yield* Effect.forEach(bodies, (body) => send("POST", "/api/v1/series", { body }), {
        concurrency: 50
      })
      for (const { status } of replies) assert.strictEqual(status, 202)
      const names = new Set((yield* intake.series).map(({ metric }) => metric))
      assert.strictEqual(names.size, bodies.length)
      assert.strictEqual((yield* intake.requests).length, bodies.length)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("is not shared by two intakes", () =>
    Effect.gen(function*() {
      const { url } = yield* LocalIntake.LocalIntake
      yield* Effect.gen(function*() {
        const other = yield* LocalIntake.LocalIntake
        assert.notStrictEqual(other.url, url)
        yield* send("POST", "/api/v1/series", { body: { series: metrics } })
        assert.strictEqual((yield* other.series).length, metrics.length)
      }).pipe(Effect.provide(layerIntake()))
      yield* assertNothingAccepted
    }).pipe(Effect.provide(layerIntake())))

  it.effect("leaves no spans, and with them no key, in a traced program", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      yield* send("GET", "/api/v1/validate").pipe(Effect.provide(layerIntake()), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans.map(({ name }) => name), [])
    }))
})

describe("what there would be to see", () => {
  const point = (type: string, value: unknown, more: object = {}) => ({
    metric: "m",
    points: [[1_700_000_000, value]],
    type,
    tags: ["b", "a"],
    interval: 10,
    ...more
  })
  const post = (path: "series" | "distribution_points", ...items: ReadonlyArray<object>) =>
    send("POST", `/api/v1/${path}`, { body: { series: items } })

  it.effect("is the last value of each series and second, whoever sent it", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* post("series", point("rate", 1), point("rate", 2, { points: [[1_700_000_000.9, 2], [1_699_999_990, 9]] }))
      yield* post("series", point("rate", 3, { tags: ["a", "b", "a"], host: null }))
      assert.deepStrictEqual((yield* intake.stored).series, [{
        metric: "m",
        type: "rate",
        host: "",
        device: "",
        tags: ["a", "b"],
        interval: 10,
        points: [[1_699_999_990, 9], [1_700_000_000, 3]]
      }])
      assert.strictEqual(yield* intake.total("m"), 120)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("tells series apart by name, host, device and tags, and by nothing else", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const others = [{}, { metric: "n" }, { host: "h" }, { device: "d" }, { tags: ["a"] }, { tags: ["a", "b", "c"] }]
      for (const other of others) yield* post("series", point("count", 1, other))
      yield* post("series", point("gauge", 7))
      const { series } = yield* intake.stored
      assert.deepStrictEqual(series.map(({ points, type }) => `${type} ${points[0]?.[1]}`), [
        "gauge 7",
        ...others.slice(1).map(() => "count 1")
      ])
      assert.strictEqual(yield* intake.total("m"), 4)
      assert.strictEqual(yield* intake.total("n"), 1)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("is every value of a distribution", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* post("distribution_points", point("distribution", [1, 2]))
      yield* post("distribution_points", point("distribution", [2]), point("distribution", [5], { host: "h" }))
      const { distributions } = yield* intake.stored
      assert.deepStrictEqual(distributions.map(({ points }) => points), [
        [[1_700_000_000, [1, 2, 2]]],
        [[1_700_000_000, [5]]]
      ])
      assert.strictEqual(yield* intake.total("m"), 10)
      yield* intake.clear
      assert.deepStrictEqual(yield* intake.stored, { series: [], distributions: [] })
    }).pipe(Effect.provide(layerIntake())))
})

describe("scripted answers", () => {
  const validate = send("GET", "/api/v1/validate")
  const post = send("POST", "/api/v1/series", { body: { series: metrics } })

  it.effect("come one per request, and then it is as usual", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* intake.script([
        HttpServerResponse.empty({ status: 503 }),
        "usual",
        HttpServerResponse.text("slow down", { status: 429, headers: { "retry-after": "7" } })
      ])
      const statuses = yield* Effect.replicateEffect(Effect.map(post, ({ status }) => status), 4)
      assert.deepStrictEqual(statuses, [503, 202, 429, 202])
      assert.strictEqual((yield* intake.series).length, 2 * metrics.length)
      assert.deepStrictEqual((yield* intake.requests).map(({ status }) => status), [503, 202, 429, 202])
      assert.deepStrictEqual((yield* intake.requests)[0]?.body, JSON.parse(JSON.stringify({ series: metrics })))
    }).pipe(Effect.provide(layerIntake())))

  it.effect("can be for one path, and that script goes first", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* intake.script([HttpServerResponse.empty({ status: 500 })])
      yield* intake.script([HttpServerResponse.empty({ status: 503 })], "/api/v1/series")
      assert.strictEqual((yield* post).status, 503)
      assert.strictEqual((yield* post).status, 500)
      yield* intake.script([HttpServerResponse.empty({ status: 503 })], "/api/v1/series")
      assert.strictEqual((yield* validate).status, 200)
      assert.strictEqual((yield* post).status, 503)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("may take their time, and are not waited for when the intake closes", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const pending = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([Effect.zipRight(Deferred.succeed(arrived, undefined), Effect.never)])
        const fiber = yield* Effect.forkDaemon(post)
        yield* Deferred.await(arrived)
        assert.strictEqual((yield* intake.requests)[0]?.status, undefined)
        assert.strictEqual((yield* validate).status, 200)
        return fiber
      }).pipe(Effect.provide(layerIntake()))
      assert.strictEqual((yield* Fiber.join(pending)).status, 503)
    }))
})
