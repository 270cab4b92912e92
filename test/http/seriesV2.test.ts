// not by the names of the packages, which would load many thousand files more
import * as client from "@datadog/datadog-api-client/dist/packages/datadog-api-client-common/index.js"
import type { MetricPayload } from "@datadog/datadog-api-client/dist/packages/datadog-api-client-v2/models/MetricPayload.js"
import { FetchHttpClient, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Data,
  Deferred,
  Duration,
  Effect,
  FastCheck as fc,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Random,
  Redacted,
  TestClock
} from "effect"
import { ApiKey, HttpReporter, LocalIntake, Reporter, ThreadStats } from "effect-threadstats"
import type { Series, ThreadStatsConfig } from "effect-threadstats"
import { syncBuiltinESMExports } from "node:module"
import * as zlib from "node:zlib"
import * as Delivery from "../../src/internal/delivery.js"
import { type Chunk, encode, type Encoded, groupBySize, hasZstd } from "../../src/internal/encoder.js"
import { seriesV2 } from "../../src/internal/endpoints.js"
import { toV2 } from "../../src/internal/seriesV2.js"
import { DeliveryFailure, type Transport } from "../../src/internal/transport.js"
import { layerIntake } from "../support/intake.js"
import { metrics, reporterContract } from "../support/reporterContract.js"
import { broken, reply, reporter as scripted } from "../support/scriptedHttp.js"

const path = "/api/v2/series"
const at = 1_700_000_000
const key = Redacted.make("0123456789abcdef")

const { zstdDecompressSync } = zlib as unknown as { readonly zstdDecompressSync?: typeof zlib.inflateSync }

const settings = (apiUrl: string, more: Partial<HttpReporter.Settings> = {}): HttpReporter.Settings => ({
  apiUrl,
  apiKey: Option.some(key),
  compress: true,
  delivery: "at-least-once",
  disabled: false,
  requestTimeout: Duration.seconds(3),
  series: "v2",
  ...more
})

/** A reporter that delivers to the intake. */
const reporterTo = (more?: Partial<HttpReporter.Settings>) =>
  Effect.flatMap(
    LocalIntake.LocalIntake,
    ({ url }) => Effect.provide(HttpReporter.make(settings(url, more)), NodeHttpClient.layer)
  )

/** Megabytes, or a module of six thousand files, on a machine that has other things to do. */
const patience = 60_000

const gauge = (metric: string, value = 1): Series.Series => ({
  metric,
  points: [[at, value]],
  type: "gauge",
  tags: [],
  interval: 10
})

const batchOf = (n: number) => Array.from({ length: n }, (_, i) => gauge(`m${i}`))

/** What was logged at the level of a warning or above. */
const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) lines.push(String(message))
    })
    return Effect.map(
      Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)),
      (result) => ({ result, lines })
    )
  })

describe.each([
  ["NodeHttpClient", NodeHttpClient.layer],
  ["NodeHttpClient over undici", NodeHttpClient.layerUndici],
  ["FetchHttpClient", FetchHttpClient.layer]
])("HttpReporter, series v2, over %s", (_, layerClient) => {
  const arrived = Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    assert.notInclude((yield* intake.requests).map(({ path }) => path), "/api/v1/series")
    return {
      metrics: yield* intake.series,
      distributions: yield* intake.distributions,
      events: yield* intake.events
    }
  })

  const layerReporter = Layer.effect(
    Reporter.Reporter,
    Effect.flatMap(LocalIntake.LocalIntake, ({ url }) => HttpReporter.make(settings(url)))
  ).pipe(Layer.provide(layerClient))

  reporterContract(Layer.provideMerge(layerReporter, layerIntake()), {
    arrived,
    // this form has no null
    metrics: metrics.map(({ device, host, ...rest }) => ({ ...rest, ...(host ? { host } : {}) }))
  })
})

describe("a series in the form of v2", () => {
  /** The body that leaves for these series. */
  const sent = Effect.fnUntraced(function*(batch: ReadonlyArray<Series.Series>, more?: Partial<HttpReporter.Settings>) {
    const { reporter, requests } = yield* scripted(() => reply(202, {}, `{"errors":[]}`), { series: "v2", ...more })
    yield* reporter.flushMetrics(batch)
    assert.deepStrictEqual(requests.map(({ path }) => path), [path])
    return requests[0]!.body.series as ReadonlyArray<unknown>
  })

  it.effect("has its type as a number, whole seconds, and host and device among its resources", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* sent([
          {
            metric: "shop.orders",
            type: "count",
            points: [[at, 3], [at + 10, 0.5]],
            host: "web-1",
            device: "eth0",
            tags: ["env:test"],
            interval: 10
          },
          { metric: "shop.rate", type: "rate", points: [[at + 0.9, -1]], host: "名", tags: [], interval: 1 },
          { metric: "shop.queue", type: "gauge", points: [[at, 1e300]], device: "d", tags: [], interval: 60 }
        ]),
        [
          {
            metric: "shop.orders",
            type: 1,
            points: [{ timestamp: at, value: 3 }, { timestamp: at + 10, value: 0.5 }],
            resources: [{ type: "host", name: "web-1" }, { type: "device", name: "eth0" }],
            tags: ["env:test"],
            interval: 10
          },
          {
            metric: "shop.rate",
            type: 2,
            points: [{ timestamp: at, value: -1 }],
            resources: [{ type: "host", name: "名" }],
            tags: [],
            interval: 1
          },
          {
            metric: "shop.queue",
            type: 3,
            points: [{ timestamp: at, value: 1e300 }],
            resources: [{ type: "device", name: "d" }],
            tags: [],
            interval: 60
          }
        ]
      )
    }))

  it.effect("has no resources where there is neither host nor device, or they are empty", () =>
    Effect.gen(function*() {
      for (const none of [{}, { host: null, device: null }, { host: "", device: "" }, { host: undefined }]) {
        const [series] = yield* sent([{ ...gauge("m"), ...none }])
        assert.deepStrictEqual(series, {
          metric: "m",
          type: 3,
          points: [{ timestamp: at, value: 1 }],
          tags: [],
          interval: 10
        })
      }
    }))

  it.effect("has the unit of its metric, and of the histogram it is an aggregate of", () =>
    Effect.gen(function*() {
      const units = JSON.parse(`{
        "shop.latency": "second",
        "shop.size": "byte",
        "shop.size.max": "kibibyte",
        "a.99": "x",
        "__proto__": "apdex"
      }`)
      const expected = {
        "shop.latency": "second",
        "shop.latency.avg": "second",
        "shop.latency.max": "second",
        "shop.latency.median": "second",
        "shop.latency.min": "second",
        "shop.latency.sum": "second",
        "shop.latency.95percentile": "second",
        "shop.latency.99.9percentile": "second",
        "shop.latency.count": undefined,
        "shop.latency.other": undefined,
        "shop.latency.avg.x": undefined,
        "shop.latencyavg": undefined,
        "latency": undefined,
        "shop.size.max": "kibibyte",
        "shop.size.min": "byte",
        "a.99.9percentile": undefined,
        "constructor": undefined,
        "toString.max": undefined
      }
      const unitsOf = (series: ReadonlyArray<unknown>) => series.map((item) => (item as Series.SeriesV2).unit)
      const batch = [...Object.keys(expected), "__proto__"].map((metric) => gauge(metric))
      assert.deepStrictEqual(unitsOf(yield* sent(batch, { units })), [...Object.values(expected), "apdex"])
      assert.isTrue(unitsOf(yield* sent(batch)).every((unit) => unit === undefined))
      assert.isTrue(unitsOf(yield* sent(batch, { units: {} })).every((unit) => unit === undefined))
    }))

  it.effect("is what LocalIntake takes units from, and v1 has none", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const units = { m: "byte" }
      yield* Effect.flatMap(reporterTo({ units }), (reporter) => reporter.flushMetrics([gauge("m")]))
      yield* Effect.flatMap(reporterTo({ units, series: "v1" }), (reporter) => reporter.flushMetrics([gauge("m")]))
      assert.deepStrictEqual((yield* intake.series).map(({ unit }) => unit), ["byte", undefined])
      assert.deepStrictEqual((yield* intake.requests).map(({ path }) => path), [path, "/api/v1/series"])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("that is no JSON, or no series, is left out, and the object that was handed over is named", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(() => reply(202), { series: "v2" })
      const wrong = [{ ...gauge("a"), interval: 1n as unknown as number }, { metric: "b" } as unknown as Series.Series]
      const error = yield* Effect.flip(reporter.flushMetrics([gauge("m"), ...wrong]))
      assert.deepInclude(error, { reason: "Encoding", endpoint: `https://api.datadoghq.example${path}` })
      assert.strictEqual(error.refused[0], wrong[0])
      assert.strictEqual(error.refused[1], wrong[1])
      assert.deepStrictEqual(requests.map(({ body }) => body.series.map(({ metric }) => metric)), [["m"]])
    }))

  it.effect("goes without half a surrogate pair", () =>
    Effect.gen(function*() {
      const [series] = yield* sent([{ ...gauge("m\ud800"), host: "h\udc00", tags: ["t\ud800"] }])
      assert.deepInclude(series, {
        metric: "m\ufffd",
        tags: ["t\ufffd"],
        resources: [{ type: "host", name: "h\ufffd" }]
      })
    }))
})

describe("what was recorded", () => {
  const text = fc.constantFrom("a", "b", "größe", "名", "🚀", "env:test", "x:y:z")
  const name = fc.constantFrom("shop.orders", "shop.queue", "größe", "a.b.c")
  const host = fc.constantFrom(undefined, null, "", "web-1", "名")
  const call = fc.record({
    kind: fc.constantFrom(
      ...["gauge", "increment", "decrement", "histogram", "distribution", "timing", "set"] as const
    ),
    name,
    host,
    value: fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    tags: fc.array(text, { maxLength: 3 }),
    timestamp: fc.option(fc.integer({ min: (at - 3000) * 1000, max: (at + 500) * 1000 }), { nil: undefined })
  })

  it.effect.prop("is the same to see, whichever of the endpoints it went to", {
    calls: fc.array(call, { minLength: 1, maxLength: 25 }),
    device: fc.constantFrom(undefined, "eth0"),
    host,
    attachHost: fc.boolean(),
    compress: fc.constantFrom(true, false, "zstd" as const)
  }, ({ attachHost, calls, compress, device, host }) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(at * 1000)
      const intake = yield* LocalIntake.LocalIntake
      const run = (series: ThreadStatsConfig.SeriesVersion) =>
        Effect.gen(function*() {
          yield* Effect.gen(function*() {
            const client = yield* ThreadStats.ThreadStats
            for (const { host, kind, name, tags, timestamp, value } of calls) {
              const options = { tags, host, timestamp }
              if (kind === "set") yield* client.set(`${kind}.${name}`, value, options)
              else yield* client[kind](`${kind}.${name}`, value, options)
            }
            yield* client.flush()
            // a late one, whose total is sent again
            yield* client.increment("late", 2, { timestamp: at * 1000 })
            yield* client.flush()
            yield* client.increment("late", 3, { timestamp: at * 1000 })
          }).pipe(
            Effect.provide(Layer.provide(
              ThreadStats.layerHttpWith({
                apiKey: key,
                apiUrl: intake.url,
                series,
                compress,
                device,
                host: host ?? undefined,
                attachHost
              }),
              NodeHttpClient.layer
            )),
            Effect.withRandom(Random.make("the same sample")),
            warnings
          )
          const stored = yield* intake.stored
          const paths = new Set((yield* intake.requests).map(({ path }) => path))
          const statuses = new Set((yield* intake.requests).map(({ status }) => status))
          const late = yield* intake.total("late")
          yield* intake.clear
          assert.deepStrictEqual([...statuses], [202])
          return { stored, paths, late }
        })
      const v1 = yield* run("v1")
      const v2 = yield* run("v2")
      assert.deepStrictEqual(v2.stored, v1.stored)
      assert.deepStrictEqual([v1.late, v2.late], [5, 5])
      assert.isTrue(v1.paths.has("/api/v1/series") && !v1.paths.has(path))
      assert.isTrue(v2.paths.has(path) && !v2.paths.has("/api/v1/series"))
    }).pipe(Effect.provide(layerIntake())), { fastCheck: { numRuns: 12 }, timeout: patience })
})

describe("bodies", () => {
  const { bytes: onWire, unpackedBytes } = seriesV2.limits
  const form = toV2()
  const sizeOf = (series: Series.Series) => Buffer.byteLength(JSON.stringify(form(series)))

  const unpacked = (encoded: Encoded) =>
    encoded.chunks.map(({ body, encoding }) =>
      encoding === "deflate"
        ? zlib.inflateSync(body)
        : encoding === "zstd"
        ? zstdDecompressSync!(body)
        : Buffer.from(body)
    )

  it("have the limits that Datadog documents", () => {
    assert.deepStrictEqual(seriesV2.limits, { bytes: 512_000, unpackedBytes: 5_242_880 })
    assert.strictEqual(seriesV2.compression, "deflate")
  })

  const characters = ["x", "ü", "名", "🚀"] as const

  /** A series whose JSON, as it is sent, has exactly this many bytes, most of them of this character. */
  const sized = (bytes: number, character: string, index: number): Series.Series => {
    const one = { ...gauge(`m${index}`), tags: [""] }
    const left = bytes - sizeOf(one)
    const width = Buffer.byteLength(character)
    return { ...one, tags: [character.repeat(left / width) + "x".repeat(left % width)] }
  }

  /** Digits that no encoding makes much smaller. */
  const noise = (bytes: number, seed: number): string => {
    let state = seed + 1
    let out = ""
    while (out.length < bytes) {
      state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0
      out += ((state ^ state >>> 13) >>> 0).toString(36)
    }
    return out.slice(0, bytes)
  }

  /** Whatever is in them: how many bytes and series the bodies have. */
  const check = (items: ReadonlyArray<Series.Series>, compress: boolean | "zstd") =>
    Effect.gen(function*() {
      const encoded = yield* encode(seriesV2, items, { compress, form, group: groupBySize })
      assert.deepStrictEqual(encoded.unencodable, [])
      const texts = unpacked(encoded)
      for (const [i, { body }] of encoded.chunks.entries()) {
        assert.isAtMost(body.byteLength, onWire)
        assert.isAtMost(texts[i]!.byteLength, unpackedBytes)
      }
      const sent = texts.flatMap((text): ReadonlyArray<object> => JSON.parse(text.toString()).series)
      assert.deepStrictEqual(JSON.stringify(sent), JSON.stringify(items.map(form)))
      return encoded.chunks.map(({ entries }, i) => ({ unpacked: texts[i]!.byteLength, items: entries.length }))
    })

  /** The first of each body would have been too much for the one before. */
  const assertFull = (
    chunks: ReadonlyArray<{ readonly items: number; readonly unpacked: number }>,
    sizes: ReadonlyArray<number>,
    limit: number
  ) => {
    let next = 0
    for (const { items, unpacked } of chunks.slice(0, -1)) {
      next += items
      assert.isAbove(unpacked + 1 + sizes[next]!, limit)
    }
  }

  it.effect.prop("stay within the limit unpacked, and are as full as can be", {
    sizes: fc.array(fc.integer({ min: 400_000, max: 2_700_000 }), { minLength: 1, maxLength: 6 }),
    character: fc.constantFrom(...characters),
    zstd: fc.boolean()
  }, ({ character, sizes, zstd }) =>
    Effect.gen(function*() {
      const items = sizes.map((size, i) => sized(size, character, i))
      assertFull(yield* check(items, zstd && hasZstd() ? "zstd" : true), sizes, unpackedBytes)
    }), { fastCheck: { numRuns: 6 }, timeout: patience })

  it.effect.prop("stay within the limit on the wire where nothing is packed, and are as full as can be", {
    sizes: fc.array(fc.integer({ min: 1_000, max: 400_000 }), { minLength: 1, maxLength: 12 }),
    character: fc.constantFrom(...characters)
  }, ({ character, sizes }) =>
    Effect.gen(function*() {
      assertFull(yield* check(sizes.map((size, i) => sized(size, character, i)), false), sizes, onWire)
    }), { fastCheck: { numRuns: 20 }, timeout: patience })

  it.effect.prop("stay within the limit on the wire by their measured size, where packing does not help much", {
    sizes: fc.array(fc.integer({ min: 1_000, max: 400_000 }), { minLength: 1, maxLength: 8 }),
    seed: fc.integer({ min: 0, max: 1_000_000 }),
    zstd: fc.boolean()
  }, ({ seed, sizes, zstd }) =>
    Effect.gen(function*() {
      const items = sizes.map((size, i) => ({ ...gauge(`m${i}`), tags: [noise(size, seed + i), "名".repeat(i)] }))
      const chunks = yield* check(items, zstd && hasZstd() ? "zstd" : true)
      // of a character that is one of 36, six bits or so are left
      const total = sizes.reduce((sum, size) => sum + size, 0)
      if (total > 2 * onWire) assert.isAbove(chunks.length, 1)
    }), { fastCheck: { numRuns: 10 }, timeout: patience })

  it.effect("are filled to the byte, in UTF-8 and not in characters", () =>
    Effect.gen(function*() {
      for (const character of characters) {
        for (const [compress, limit] of [[false, onWire], [true, unpackedBytes]] as const) {
          const half = Math.floor(limit / 2)
          const pair = (bytes: number) => [sized(half, character, 0), sized(bytes - 14 - half, character, 1)]
          assert.deepStrictEqual(yield* check(pair(limit), compress), [{ unpacked: limit, items: 2 }])
          const over = yield* check(pair(limit + 1), compress)
          assert.deepStrictEqual(over.map(({ items }) => items), [1, 1])
          const alone = (bytes: number) =>
            encode(seriesV2, [sized(bytes - 13, character, 0)], { compress, form, group: groupBySize })
          assert.strictEqual((yield* alone(limit)).chunks.length, 1)
          const { chunks, unencodable } = yield* alone(limit + 1)
          assert.deepStrictEqual([chunks.length, unencodable[0]?.reason], [0, "PayloadTooLarge"])
        }
      }
    }), patience)

  it.effect("are taken by LocalIntake at their limits, and what fits into none is named", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const plain = yield* reporterTo({ compress: false })
      const two = [sized(300_000, "🚀", 0), sized(onWire - 14 - 300_000, "ü", 1)]
      assert.deepInclude(yield* plain.flushMetrics(two), { items: 2, payloads: 1, bytes: onWire })
      const one = [sized(onWire - 13, "名", 2), sized(onWire - 12, "x", 3)]
      const error = yield* Effect.flip(plain.flushMetrics(one))
      assert.deepInclude(error, { reason: "PayloadTooLarge", refused: [one[1]!], undelivered: [] })
      assert.include(error.description, "512000 bytes")
      assert.deepInclude(error.receipt, { items: 1, payloads: 1, bytes: onWire })

      const packed = yield* reporterTo()
      const five = Array.from({ length: 5 }, (_, i) => sized(i < 4 ? 1_000_000 : unpackedBytes - 4_000_017, "名", i))
      assert.deepInclude(yield* packed.flushMetrics(five), { items: 5, payloads: 1 })
      assert.deepInclude(yield* packed.flushMetrics([...five, gauge("m")]), { items: 6, payloads: 2 })
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(({ status }) => status), Array(5).fill(202))
      assert.strictEqual((yield* intake.series).length, 14)
    }).pipe(Effect.provide(layerIntake())), patience)
})

describe("answers", () => {
  it.effect("400 and 413 cost only what is wrong, as those of v1 do", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const series of ["v1", "v2"] as const) {
        yield* intake.clear
        const reporter = yield* reporterTo({ series })
        const bad = [gauge("m", Number.NaN), gauge("n", Infinity)]
        const batch = [...batchOf(20), bad[0]!, ...batchOf(30), bad[1]!]
        const error = yield* Effect.flip(reporter.flushMetrics(batch))
        assert.deepInclude(error, { reason: "Rejected", status: 400, undelivered: [], ambiguous: [] })
        assert.deepStrictEqual(error.refused, bad)
        assert.match(error.description, /expected format: series\.\d+\.points/)
        assert.strictEqual(error.receipt.items, 50)
        assert.strictEqual((yield* intake.series).length, 50)
        assert.isBelow((yield* intake.requests).length, 30)
      }
      const { reporter, requests } = yield* scripted(
        ({ body }) => reply(body.series.length > 10 ? 413 : 202, {}, `{"errors":[]}`),
        { series: "v2" }
      )
      assert.deepInclude(yield* reporter.flushMetrics(batchOf(40)), { items: 40, payloads: 4 })
      assert.strictEqual(requests.length, 7)
    }).pipe(Effect.provide(layerIntake())), patience)

  it.effect("403 names the key, 404 the address", () =>
    Effect.gen(function*() {
      for (
        const [status, reason, hint] of [[403, "Unauthorized", "DD_API_KEY"], [404, "Rejected", "DD_SITE"]] as const
      ) {
        const { reporter } = yield* scripted(() => reply(status, {}, `{"errors":["no"]}`), { series: "v2" })
        const error = yield* Effect.flip(reporter.flushMetrics(batchOf(2)))
        assert.deepInclude(error, { reason, status, endpoint: `https://api.datadoghq.example${path}` })
        assert.include(error.message, hint)
      }
    }))

  it.effect("that got lost are made good by sending again, also at most once: series do not add up", () =>
    Effect.gen(function*() {
      for (const first of [reply(503), broken("ECONNRESET"), reply(429, { "x-ratelimit-reset": "1" })]) {
        const { reporter, requests } = yield* scripted(
          (_, i) => i === 0 ? first : reply(202),
          { series: "v2", delivery: "at-most-once" }
        )
        const now = yield* TestClock.currentTimeMillis
        const fiber = yield* Effect.fork(
          Effect.provideService(reporter.flushMetrics([gauge("m")]), Reporter.Deadline, now + 5000)
        )
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* Fiber.join(fiber), { items: 1, retries: 1 })
        assert.deepStrictEqual(requests[0]?.body, requests[1]?.body)
      }
    }))

  it.effect("of distributions and events come from where they always did", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reporter = yield* reporterTo({ compress: "zstd" })
      yield* reporter.flushDistributions([{ ...gauge("d"), type: "distribution", points: [[at, [1]]] }])
      yield* reporter.flushEvents([{ title: "e", text: "", tags: [] }])
      yield* reporter.warm
      assert.deepStrictEqual((yield* intake.requests).map(({ encoding, path }) => [path, encoding]), [
        ["/api/v1/distribution_points", "deflate"],
        ["/api/v1/events", "identity"],
        ["/api/v1/validate", "identity"]
      ])
    }).pipe(Effect.provide(layerIntake()), warnings))
})

describe("the vendor's client", () => {
  const loaded = Effect.promise(() =>
    import("@datadog/datadog-api-client/dist/packages/datadog-api-client-v2/apis/MetricsApi.js")
  )

  const vendor = (apiKey = Redacted.value(key)) =>
    Effect.gen(function*() {
      const { MetricsApi } = yield* loaded
      const { url } = yield* LocalIntake.LocalIntake
      const configuration = client.createConfiguration({
        serverIndex: 1,
        authMethods: { apiKeyAuth: apiKey },
        ...(hasZstd() ?
          {
            zstdCompressorCallback: (body: string) =>
              (zlib as unknown as { readonly zstdCompressSync: typeof zlib.deflateSync }).zstdCompressSync(body)
          } :
          {})
      })
      configuration.setServerVariables({ protocol: "http", name: new URL(url).host })
      return new MetricsApi(configuration)
    })

  class Refused extends Data.TaggedError("Refused")<{ readonly code: number; readonly reasons: unknown }> {}

  /** What it makes of a refusal; anything else that it throws is a defect. */
  const refusal = (send: () => Promise<unknown>) =>
    Effect.tryPromise({
      try: send,
      catch: (error) =>
        error instanceof client.ApiException
          ? new Refused({ code: error.code, reasons: (error.body as { readonly errors: unknown }).errors })
          : undefined
    }).pipe(
      Effect.catchAll((refused) => refused === undefined ? Effect.dieMessage("no ApiException") : Effect.fail(refused)),
      Effect.flip
    )

  const series: ReadonlyArray<Series.Series> = [
    { metric: "shop.queue", type: "gauge", points: [[at, -3.25], [at + 10, 4]], tags: [], interval: 10 },
    {
      metric: "shop.orders",
      type: "rate",
      points: [[at, 0.1]],
      host: "web-1",
      device: "eth0",
      tags: ["env:test", "urgent"],
      interval: 10
    },
    { metric: "shop.größe", type: "count", points: [[at, 1e-7]], host: "名", tags: ["名:値", "🚀:x"], interval: 60 }
  ]
  const units = { "shop.größe": "byte" }

  /** By the reference's numbers. */
  const types = { count: 1, rate: 2, gauge: 3 } as const

  const payload = (items: ReadonlyArray<Series.Series>): MetricPayload => ({
    series: items.map(({ device, host, interval, metric, points, tags, type }) => ({
      metric,
      type: types[type],
      points: points.map(([timestamp, value]) => ({ timestamp, value })),
      tags: [...tags],
      interval,
      ...(host === undefined
        ? {}
        : {
          resources: [
            { type: "host", name: host! },
            ...(device === undefined ? [] : [{ type: "device", name: device! }])
          ]
        }),
      ...(metric in units ? { unit: units[metric as keyof typeof units] } : {})
    }))
  })

  const look = Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const accepted = yield* intake.series
    const stored = yield* intake.stored
    const requests = (yield* intake.requests).map(({ body, headers, path, status }) => ({
      body,
      type: headers["content-type"],
      path,
      status
    }))
    yield* intake.clear
    return { accepted, stored, requests }
  })

  const encodings = [
    [undefined, false],
    ["deflate", true],
    ["gzip", true],
    ...(hasZstd() ? [["zstd1", "zstd"] as const] : [])
  ] as const
  for (const [contentEncoding, compress] of encodings) {
    it.effect(
      `and ours are accepted alike, their bodies equal (${contentEncoding ?? "not packed"})`,
      () =>
        Effect.gen(function*() {
          const metrics = yield* vendor()
          const answer = yield* Effect.promise(() =>
            metrics.submitMetrics({
              body: payload(series),
              ...(contentEncoding === undefined ? {} : { contentEncoding })
            })
          )
          assert.deepStrictEqual({ ...answer }, { errors: [] })
          const theirs = yield* look
          yield* Effect.flatMap(reporterTo({ compress, units }), (reporter) => reporter.flushMetrics(series))
          const ours = yield* look
          assert.deepStrictEqual(ours, theirs)
          assert.deepStrictEqual(ours.requests.map(({ path, status }) => [path, status]), [[path, 202]])
          assert.strictEqual(ours.stored.series.length, series.length)
        }).pipe(Effect.provide(layerIntake({ apiKey: key }))),
      patience
    )
  }

  it.effect(
    "and ours are refused alike: a wrong key, a value that is no number, too large a body",
    () =>
      Effect.gen(function*() {
        const compare = (apiKey: string, items: ReadonlyArray<Series.Series>, status: number) =>
          Effect.gen(function*() {
            const metrics = yield* vendor(apiKey)
            const { code, reasons } = yield* refusal(() => metrics.submitMetrics({ body: payload(items) }))
            const reporter = yield* reporterTo({ compress: false, apiKey: Option.some(Redacted.make(apiKey)) })
            const error = yield* Effect.flip(reporter.flushMetrics(items))
            assert.deepStrictEqual([code, error.status], [status, status])
            // ours says more, for a wrong key
            assert.deepStrictEqual(reasons, [error.description.split(";", 1)[0]])
            const { accepted, requests } = yield* look
            assert.deepStrictEqual([accepted, requests.map(({ status }) => status)], [[], [status, status]])
          })
        yield* compare("wrong", series, 403)
        yield* compare(Redacted.value(key), [gauge("m", Number.NaN)], 400)
        yield* compare(Redacted.value(key), [{ ...gauge("m"), tags: ["x".repeat(600)] }], 413)
      }).pipe(Effect.provide(layerIntake({ apiKey: key, maxBodyBytes: 500 }))),
    patience
  )
})

describe("a body in zstd that is refused", () => {
  const entry = (metric: string) => {
    const item = gauge(metric)
    const json = JSON.stringify(item)
    return { item, json, bytes: json.length }
  }

  /** As if it were one: the transport is told, and looks at nothing else. Needs no zstd. */
  const chunkOf = (...names: ReadonlyArray<string>): Chunk => ({
    endpoint: seriesV2,
    entries: names.map(entry),
    body: new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]),
    encoding: "zstd"
  })

  const failure = (status: number, more: Partial<DeliveryFailure> = {}) =>
    new DeliveryFailure({
      reason: status === 413 ? "PayloadTooLarge" : status >= 500 ? "ServerError" : "Rejected",
      transient: status >= 500,
      ambiguous: status >= 500,
      status,
      description: "no",
      ...more
    })

  const namesIn = (body: Uint8Array) =>
    JSON.parse(zlib.inflateSync(body).toString()).series.map(({ metric }: Series.Series) => metric) as Array<string>

  const deliver = Effect.fnUntraced(function*(
    chunks: ReadonlyArray<Chunk>,
    send: (encoding: string, names: ReadonlyArray<string>, index: number) => Effect.Effect<void, DeliveryFailure>,
    deadline = Infinity
  ) {
    const sent: Array<string> = []
    let refused = 0
    const transport: Transport = {
      send: ({ body, encoding }) =>
        Effect.suspend(() => {
          const names = encoding === "zstd" ? [] : namesIn(body)
          return send(encoding, names, sent.push(`${encoding} ${names.join(",")}`.trim()) - 1)
        }),
      warm: Effect.void as never
    }
    const result = yield* Delivery.deliver(
      transport,
      ApiKey.constant(key),
      { chunks, unencodable: [] },
      1,
      {
        deadline,
        repeat: true,
        maxAge: Infinity,
        zstdRefused: Effect.sync(() => {
          refused++
        })
      }
    )
    const named = (tag: Delivery.Outcome["_tag"]) =>
      result.outcomes.flatMap((outcome) =>
        outcome._tag === tag && "chunk" in outcome
          ? outcome.chunk.entries.map(({ item }) => (item as Series.Series).metric)
          : []
      )
    return { sent, refused, retries: result.retries, delivered: named("Delivered"), failed: named("Failed"), result }
  })

  for (const status of [400, 404, 406, 415, 422]) {
    it.effect(`with ${status} is sent again with deflate, and the client is told`, () =>
      Effect.gen(function*() {
        const { delivered, failed, refused, retries, sent } = yield* deliver(
          [chunkOf("a", "b")],
          (encoding) => encoding === "zstd" ? failure(status) : Effect.void
        )
        assert.deepStrictEqual(sent, ["zstd", "deflate a,b"])
        assert.deepStrictEqual([delivered, failed, refused, retries], [["a", "b"], [], 1, 1])
      }))
  }

  it.effect("for what is in it costs only that, and says nothing of zstd", () =>
    Effect.gen(function*() {
      const { delivered, failed, refused, sent } = yield* deliver(
        [chunkOf("a", "b", "bad", "c"), chunkOf("d")],
        (_, names, index) => index === 0 || names.includes("bad") ? failure(400) : Effect.void
      )
      assert.deepStrictEqual(sent, [
        "zstd",
        "deflate a,b,bad,c",
        "deflate a,b",
        "deflate bad,c",
        "deflate bad",
        "deflate c",
        "zstd"
      ])
      assert.deepStrictEqual([delivered, failed, refused], [["a", "b", "c", "d"], ["bad"], 0])
    }))

  it.effect("is kept where the other one fails for the moment, and nothing is concluded", () =>
    Effect.gen(function*() {
      const { failed, refused, result, sent } = yield* deliver(
        [chunkOf("a")],
        (encoding) => failure(encoding === "zstd" ? 415 : 503)
      )
      assert.deepStrictEqual([sent, failed, refused], [["zstd", "deflate a"], ["a"], 0])
      const [outcome] = result.outcomes
      assert.isTrue(outcome?._tag === "Failed" && outcome.failure.transient && outcome.ambiguous)
    }))

  it.effect("is kept where there is no time left for another", () =>
    Effect.gen(function*() {
      const { failed, refused, result, sent } = yield* deliver(
        [chunkOf("a")],
        () => Effect.zipRight(TestClock.adjust(1000), Effect.fail(failure(415))),
        1000
      )
      assert.deepStrictEqual([sent, failed, refused], [["zstd"], ["a"], 0])
      const [outcome] = result.outcomes
      assert.isTrue(outcome?._tag === "Failed" && outcome.failure.transient)
    }))

  it.effect("only for the moment, for its size or for the key says nothing of zstd", () =>
    Effect.gen(function*() {
      const unauthorized = failure(403, { reason: "Unauthorized", transient: true })
      for (const refusal of [failure(503), failure(413), unauthorized]) {
        const { failed, refused, sent } = yield* deliver([chunkOf("a")], () => refusal)
        assert.deepStrictEqual([sent, failed, refused], [["zstd"], ["a"], 0])
      }
    }))

  it.effect("only for the moment is sent again as it is", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        deliver([chunkOf("a")], (_, __, index) => index < 2 ? failure(503) : Effect.void, 5000)
      )
      yield* TestClock.adjust(2000)
      const { delivered, refused, retries, sent } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([sent, delivered, refused, retries], [["zstd", "zstd", "zstd"], ["a"], 0, 2])
    }))
})

const node = `Node.js ${process.version}`

describe("zstd", () => {
  const compress = "zstd"

  it.effect("is not used unless it was asked for", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const more of [{}, { compress: true }, { compress: false }]) {
        yield* Effect.flatMap(reporterTo(more), (reporter) => reporter.flushMetrics(metrics))
      }
      const encodings = (yield* intake.requests).map(({ encoding }) => encoding)
      assert.deepStrictEqual(encodings, ["deflate", "deflate", "identity"])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("asked for without series v2 is deflate, and a warning says why, once", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { lines } = yield* Effect.flatMap(reporterTo({ compress, series: "v1" }), (reporter) =>
        Effect.all([reporter.flushMetrics(metrics), reporter.flushMetrics(metrics)])).pipe(warnings)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /deflate, not zstd.*DD_THREADSTATS_SERIES/)
      assert.deepStrictEqual((yield* intake.requests).map(({ encoding, path }) => [path, encoding]), [
        ["/api/v1/series", "deflate"],
        ["/api/v1/series", "deflate"]
      ])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("asked for by a client that is disabled is not worth a word", () =>
    Effect.gen(function*() {
      const { lines } = yield* warnings(reporterTo({ compress, disabled: true }))
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(layerIntake())))

  /** As on a Node.js that has none. */
  const hidden = Effect.acquireRelease(
    Effect.sync(() => {
      const module = zlib as unknown as { readonly default: { zstdCompress?: unknown } }
      const { zstdCompress } = module.default
      if (zstdCompress !== undefined) {
        module.default.zstdCompress = undefined
        syncBuiltinESMExports()
      }
      assert.isFalse(hasZstd())
      return () => {
        if (zstdCompress !== undefined) {
          module.default.zstdCompress = zstdCompress
          syncBuiltinESMExports()
        }
      }
    }),
    (restore) => Effect.sync(restore)
  )

  describe(hasZstd() ? `(${node} has it, but not for this test)` : `(${node} has none)`, () => {
    it.scoped("is deflate, and a warning says why, once", () =>
      Effect.gen(function*() {
        yield* hidden
        const intake = yield* LocalIntake.LocalIntake
        const { lines } = yield* Effect.flatMap(reporterTo({ compress }), (reporter) =>
          Effect.all([reporter.flushMetrics(metrics), reporter.flushMetrics(metrics)])).pipe(warnings)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /deflate, not zstd.*this Node\.js has none/)
        assert.deepStrictEqual((yield* intake.requests).map(({ encoding, status }) => [encoding, status]), [
          ["deflate", 202],
          ["deflate", 202]
        ])
      }).pipe(Effect.provide(layerIntake())))
  })

  describe.runIf(hasZstd())(`(${node} has it)`, () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ ...gauge(`shop.metric.${i}`, i), tags: [`shard:${i}`] }))

    it.effect("packs small and large bodies, and is called by its name", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const { lines } = yield* Effect.flatMap(reporterTo({ compress }), (reporter) =>
          Effect.all([reporter.flushMetrics(metrics.slice(1)), reporter.flushMetrics(many)])).pipe(warnings)
        assert.deepStrictEqual(lines, [])
        const requests = yield* intake.requests
        assert.deepStrictEqual(
          requests.map(({ headers, status }) => [headers["content-encoding"], status]),
          [["zstd", 202], ["zstd", 202]]
        )
        assert.isBelow(requests[1]!.bytes, 100_000)
        assert.strictEqual((yield* intake.series).length, metrics.length - 1 + many.length)
      }).pipe(Effect.provide(layerIntake())))

    it.effect("is deflate from the first refusal on, with nothing lost and one warning", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        for (const status of [400, 415]) {
          yield* intake.clear
          const { lines, result } = yield* Effect.gen(function*() {
            const reporter = yield* reporterTo({ compress })
            yield* intake.script([HttpServerResponse.text(`{"errors":["unsupported"]}`, { status })])
            return yield* Effect.all([reporter.flushMetrics(many), reporter.flushMetrics(metrics)])
          }).pipe(warnings)
          assert.deepInclude(result[0], { items: many.length, payloads: 1, retries: 1 })
          assert.deepStrictEqual(
            (yield* intake.requests).map(({ encoding, status }) => [encoding, status]),
            [["zstd", status], ["deflate", 202], ["deflate", 202]]
          )
          assert.strictEqual((yield* intake.series).length, many.length + metrics.length)
          assert.strictEqual(lines.length, 1)
          assert.include(lines[0], `${intake.url}${path} refused it`)
        }
      }).pipe(Effect.provide(layerIntake())))

    it.effect("is refused by several bodies at once and warned of once", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const gate = yield* Deferred.make<void>()
        const four = Array.from({ length: 16 }, (_, i) => ({ ...gauge(`m${i}`), tags: ["名".repeat(400_000)] }))
        let waiting = 0
        const refuse = Effect.suspend(() => {
          if (++waiting === 4) Deferred.unsafeDone(gate, Effect.void)
          return Effect.as(Deferred.await(gate), HttpServerResponse.empty({ status: 415 }))
        })
        const { lines, result } = yield* Effect.gen(function*() {
          const reporter = yield* reporterTo({ compress })
          yield* intake.script([refuse, refuse, refuse, refuse])
          return yield* reporter.flushMetrics(four)
        }).pipe(warnings)
        assert.deepInclude(result, { items: 16, payloads: 4, retries: 4 })
        assert.strictEqual((yield* intake.series).length, 16)
        assert.strictEqual(lines.length, 1)
      }).pipe(Effect.provide(layerIntake())), patience)

    it.effect("stays where it was the content that was refused", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const { lines } = yield* Effect.gen(function*() {
          const reporter = yield* reporterTo({ compress })
          const bad = gauge("bad", Number.NaN)
          const error = yield* Effect.flip(reporter.flushMetrics([...batchOf(9), bad]))
          assert.deepStrictEqual(error.refused, [bad])
          assert.strictEqual(error.receipt.items, 9)
          yield* reporter.flushMetrics(metrics)
        }).pipe(warnings)
        assert.deepStrictEqual(lines, [])
        const requests = yield* intake.requests
        assert.deepStrictEqual([requests[0]?.encoding, requests.at(-1)?.encoding], ["zstd", "zstd"])
        assert.strictEqual((yield* intake.series).length, 9 + metrics.length)
      }).pipe(Effect.provide(layerIntake())))

    it.effect("halves what is too large as zstd", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([HttpServerResponse.empty({ status: 413 })])
        const reporter = yield* reporterTo({ compress })
        assert.deepInclude(yield* reporter.flushMetrics(batchOf(10)), { items: 10, payloads: 2 })
        assert.deepStrictEqual((yield* intake.requests).map(({ encoding }) => encoding), ["zstd", "zstd", "zstd"])
      }).pipe(Effect.provide(layerIntake())))
  })
})
