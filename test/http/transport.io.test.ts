import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import { DistributionPayload, type DistributionSeries, type Series, SeriesPayload } from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Cause from "effect/Cause"
import type { ConfigError } from "effect/ConfigError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import packageJson from "../../package.json" with { type: "json" }
import { compressionThreshold } from "../../src/internal/http/compression.js"
import wire from "../fixtures/wire.json" with { type: "json" }
import { layerIntake } from "../support/intake.js"
import { apiKey, assertHidden, sweepKeys } from "../support/keySweep.js"
import { distributions, events, metrics, reporterContract } from "../support/reporterContract.js"
import { renderings } from "../support/secrets.js"
import { recordingTracer } from "../support/tracer.js"
import { toWire } from "../support/wireReporter.js"
import { settings } from "./fakeClient.js"

const it = sweepKeys(apiKey)

/** The transports of a reporter, with the library's own first. */
const transports: ReadonlyArray<
  readonly [
    string,
    (
      settings: HttpReporter.HttpReporterSettings
    ) => Effect.Effect<Reporter.Reporter["Type"], ConfigError, HttpClient.HttpClient | Scope.Scope>,
    Layer.Layer<HttpClient.HttpClient>
  ]
> = [
  ["node:http", HttpReporter.makeNode, FetchHttpClient.layer],
  ["layerHttpClient", HttpReporter.make, FetchHttpClient.layer],
  ["NodeHttpClient", HttpReporter.make, NodeHttpClient.layer],
  ["NodeHttpClient with undici", HttpReporter.make, NodeHttpClient.layerUndici],
  ["FetchHttpClient", HttpReporter.make, FetchHttpClient.layer]
]

const assertNoKey = (value: unknown) => assertHidden(renderings(value), [apiKey])

describe.each(transports)("transport over %s", (name, makeReporter, layerClient) => {
  const make = (to: HttpReporter.HttpReporterSettings) => Effect.map(makeReporter(to), toWire)
  const toSeries = (item: LocalIntake.AcceptedSeries): Series => ({
    ...item,
    type: item.type === undefined || item.type === "" ? "gauge" : item.type,
    tags: item.tags ?? [],
    interval: item.interval ?? 0
  })
  const toDistribution = (item: LocalIntake.AcceptedDistribution): DistributionSeries => ({
    ...item,
    type: "distribution",
    tags: item.tags ?? [],
    interval: item.interval ?? 0
  })
  const normalize = (body: unknown): unknown =>
    JSON.parse(JSON.stringify(body), (name, value: unknown) => {
      if (name === "tags") return Array.isArray(value) && value.length > 0 ? [...value].sort() : undefined
      return value === null ? undefined : value
    })

  for (const kind of ["plain", "compressed"] as const) {
    it.scoped(`sends the ${kind} requests of the reference`, () =>
      Effect.gen(function*() {
        const expected = wire[kind]
        const referenceKey = Redacted.make(expected[0]!.headers["dd-api-key"])
        yield* Effect.gen(function*() {
          const intake = yield* LocalIntake.LocalIntake
          const reporter = yield* make(
            settings(intake.url, { apiKey: Option.some(referenceKey), compress: kind === "compressed" })
          )
          const sent: Array<Event> = []
          for (const { body, path } of expected) {
            if (path === "/api/v1/series") {
              const { series } = yield* Schema.decodeUnknown(SeriesPayload)(body)
              yield* reporter.flushMetrics(series.map(toSeries))
            } else if (path === "/api/v1/distribution_points") {
              const { series } = yield* Schema.decodeUnknown(DistributionPayload)(body)
              yield* reporter.flushDistributions(series.map(toDistribution))
            } else {
              sent.push({ tags: [], ...body } as Event)
            }
          }
          yield* reporter.flushEvents(sent)

          const requests = yield* intake.requests
          assert.strictEqual(requests.length, expected.length)
          expected.forEach((request, index) => {
            const actual = requests[index]!
            assert.strictEqual(actual.method, request.method)
            assert.strictEqual(actual.path, request.path)
            assert.strictEqual(actual.status, 202)
            assert.deepStrictEqual(normalize(actual.body), normalize(request.body))
            assert.strictEqual(actual.headers["content-type"], request.headers["content-type"])
            const encoding: string | undefined = "content-encoding" in request.headers
              ? request.headers["content-encoding"]
              : undefined
            // The reference compresses small bodies too: a deliberate difference (docs/parity.md).
            const isSmall = JSON.stringify(actual.body).length < compressionThreshold
            assert.strictEqual(actual.headers["content-encoding"], isSmall ? undefined : encoding)
            assert.strictEqual(actual.headers["user-agent"], `effect-threadstats/${packageJson.version}`)
          })
        }).pipe(Effect.provide([layerClient, layerIntake({ apiKey: referenceKey })]))
      }))
  }

  it.scoped("sends no trace headers and creates no spans inside a traced program", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      const intake = yield* LocalIntake.LocalIntake
      const reporter = yield* make(settings(intake.url))
      yield* Effect.all([
        reporter.warm,
        reporter.flushMetrics(metrics),
        reporter.flushDistributions(distributions),
        reporter.flushEvents(events)
      ]).pipe(Effect.withSpan("program"), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans.map(({ name }) => name), ["program"])
      const requests = yield* intake.requests
      assert.strictEqual(requests.length, 3 + events.length)
      for (const { headers } of requests) {
        for (const name of Object.keys(headers)) assert.notMatch(name, /trace|b3|baggage/)
      }
    }).pipe(Effect.provide([layerClient, layerIntake()])))

  it.scoped("fails with Transport when no server listens", () =>
    Effect.gen(function*() {
      const reporter = yield* make(settings(yield* deadAddress))
      const error = yield* Effect.flip(reporter.flushMetrics(metrics))
      assert.strictEqual(error.reason, "Transport")
      assert.strictEqual(error.status, undefined)
      assert.deepStrictEqual(error.undelivered, metrics)
      assert.deepStrictEqual(error.refused, [])
      assert.include(error.message, "ECONNREFUSED")
      assertNoKey(error)
      assertNoKey(Cause.fail(error))
    }).pipe(Effect.provide(layerClient)))

  it.scoped("fails with Transport when the connection breaks before the answer", () =>
    Effect.gen(function*() {
      const url = yield* rawServer((socket) => socket.resetAndDestroy())
      const reporter = yield* make(settings(url))
      const error = yield* Effect.flip(reporter.flushEvents(events))
      assert.strictEqual(error.reason, "Transport")
      assert.deepStrictEqual(error.undelivered, events)
      assertNoKey(Cause.fail(error))
    }).pipe(Effect.provide(layerClient)))

  it.scoped("decides by the status when the body of the answer breaks off", () =>
    Effect.gen(function*() {
      const half = (status: string) =>
        rawServer((socket) => {
          socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 100\r\n\r\n{"sta`, () => socket.destroy())
        })
      const delivered = yield* make(settings(yield* half("202 Accepted")))
      assert.strictEqual((yield* delivered.flushMetrics(metrics)).items, metrics.length)
      const failed = yield* make(settings(yield* half("503 Service Unavailable")))
      const error = yield* Effect.flip(failed.flushMetrics(metrics))
      assert.strictEqual(error.reason, "ServerError")
      assert.strictEqual(error.status, 503)
    }).pipe(Effect.provide(layerClient)))

  it.scoped("fails with Timeout when the server reads the request and does not answer, and delivers later", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const arrived = yield* Deferred.make<void>()
      yield* intake.script([Effect.zipRight(Deferred.succeed(arrived, undefined), Effect.never)])
      const reporter = yield* make(settings(intake.url))
      const fiber = yield* Effect.fork(Effect.flip(reporter.flushMetrics(metrics)))
      yield* Deferred.await(arrived)
      yield* TestClock.adjust("2999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason, "Timeout")
      assert.deepStrictEqual(error.undelivered, metrics)
      assert.include(error.message, "3s")
      assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
    }).pipe(Effect.provide([layerClient, layerIntake()])))

  it.scoped("sends the key that the intake requires, and hides a wrong one in its failure", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const right = yield* make(settings(intake.url))
      yield* right.flushMetrics(metrics)
      const wrong = yield* make(
        settings(intake.url, { apiKey: Option.some(Redacted.make("another-key")) })
      )
      const error = yield* Effect.flip(wrong.flushMetrics(metrics))
      assert.strictEqual(error.reason, "Unauthorized")
      assert.strictEqual(error.status, 403)
      assert.deepStrictEqual(error.undelivered, metrics)
      for (const name of ["Forbidden", "DATADOG_API_KEY", "DD_API_KEY", "DD_SITE"]) {
        assert.include(error.message, name)
      }
      assert.notInclude(inspect(error, { depth: Infinity }), "another-key")
    }).pipe(Effect.provide([layerClient, layerIntake({ apiKey: Redacted.make(apiKey) })])))

  if (name !== "FetchHttpClient") {
    it.scoped("follows no redirect", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([
          HttpServerResponse.redirect(`${intake.url}/elsewhere`, { status: 301 }),
          HttpServerResponse.redirect(`${intake.url}/elsewhere`, { status: 307 })
        ])
        const reporter = yield* make(settings(intake.url))
        for (const status of [301, 307]) {
          const error = yield* Effect.flip(reporter.flushMetrics(metrics))
          assert.strictEqual(error.reason, "UnexpectedResponse")
          assert.strictEqual(error.status, status)
          for (const name of ["DD_SITE", "DATADOG_HOST"]) assert.include(error.message, name)
        }
        assert.deepStrictEqual((yield* intake.requests).map(({ path }) => path), ["/api/v1/series", "/api/v1/series"])
      }).pipe(Effect.provide([layerClient, layerIntake()])))
  }
})

describe.each([
  ["NodeHttpClient", NodeHttpClient.layer],
  ["NodeHttpClient with undici", NodeHttpClient.layerUndici],
  ["FetchHttpClient", FetchHttpClient.layer]
])("HttpReporter with series v2 over %s", (_, layerClient) => {
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
    Effect.flatMap(LocalIntake.LocalIntake, ({ url }) => HttpReporter.make(settings(url, { seriesVersion: "v2" })))
  ).pipe(Layer.provide(layerClient))

  reporterContract(Layer.provideMerge(layerReporter, layerIntake()), { arrived })
})

type MakeLayer = (options: ThreadStatsConfig.ThreadStatsOptions) => ReturnType<typeof ThreadStats.layerWith>

const clients: ReadonlyArray<readonly [string, MakeLayer]> = [
  ["node:http", ThreadStats.layerWith],
  ["NodeHttpClient", (options) => Layer.provide(ThreadStats.layerHttpClientWith(options), NodeHttpClient.layer)]
]

describe.each(clients)("client over %s", (_, makeLayer) => {
  /** The pauses between retries are zero, and the test's clock stands still. */
  const provideClient = (intake: LocalIntake.IntakeOptions = {}) =>
    Effect.provide(
      Layer.unwrapEffect(Effect.map(LocalIntake.LocalIntake, ({ url }) =>
        makeLayer({ apiUrl: url, apiKey: Redacted.make(apiKey), periodicFlush: false }))).pipe(
          Layer.provideMerge(layerIntake(intake)),
          Layer.provideMerge(Layer.setRandom(Random.fixed([0])))
        )
    )

  it.effect("delivers everything when the intake answers 503 and 429 at first", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const path of ["series", "distribution_points", "events"]) {
        yield* intake.script([
          HttpServerResponse.empty({ status: 503 }),
          HttpServerResponse.empty({ status: 429, headers: { "retry-after": "0" } })
        ], `/api/v1/${path}`)
      }
      yield* ThreadStats.increment("c", 5)
      yield* ThreadStats.distribution("d", 7)
      yield* ThreadStats.event("e", "")
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.errors, [])
      assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered, receipt.retries], [2, 1, 6])
      // The intake accepted each of them in the third request alone, and no time limit can cut an answer off.
      assert.deepStrictEqual((yield* intake.series).map(({ points }) => points[0]?.[1]), [0.5])
      assert.deepStrictEqual((yield* intake.distributions).map(({ points }) => points[0]?.[1]), [[7]])
      assert.deepStrictEqual((yield* intake.events).map(({ title }) => title), ["e"])
      assert.strictEqual((yield* intake.requests).length, 9)
    }).pipe(provideClient()))

  it.effect("delivers all of a batch in parts when it exceeds the limit of the intake", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (let i = 0; i < 3000; i++) yield* ThreadStats.gauge(`metric.number.${i}`, i, { tags: [`shard:${i % 7}`] })
      const { errors, metrics, payloads } = yield* ThreadStats.flush()
      assert.deepStrictEqual(errors, [])
      assert.strictEqual(metrics.delivered, 3000)
      assert.isAbove(payloads, 1)
      const values = (yield* intake.series).map(({ points }) => points[0]?.[1])
      assert.deepStrictEqual(values, Array.from({ length: 3000 }, (_, i) => i))
    }).pipe(provideClient({ maxBodyBytes: 4000 })))
})

/** An address of this machine without a server. */
const deadAddress = Effect.async<string>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(`http://127.0.0.1:${port}`)))
  })
})

/** A server that calls the function with the socket of a request after its first bytes. */
const rawServer = (onData: (socket: Socket) => void) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly url: string; readonly close: Effect.Effect<void> }>((resume) => {
        const sockets = new Set<Socket>()
        const server = createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.once("data", () => onData(socket))
        }).listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({
            url: `http://127.0.0.1:${port}`,
            close: Effect.async<void>((done) => {
              sockets.forEach((socket) => socket.destroy())
              server.close(() => done(Effect.void))
            })
          }))
        })
      }),
      ({ close }) => close
    ),
    ({ url }) => url
  )
