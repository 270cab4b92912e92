import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import { DistributionPayload, type DistributionSeries, type Series, SeriesPayload } from "effect-threadstats/Series"
import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import { createServer as createHttpServer } from "node:http"
import { createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import { inflateRawSync, inflateSync } from "node:zlib"
import packageJson from "../package.json" with { type: "json" }
import wire from "./fixtures/wire.json" with { type: "json" }
import { layerIntake } from "./support/intake.js"
import { distributions, events, metrics } from "./support/reporterContract.js"
import { recordingTracer } from "./support/tracer.js"

const key = "k3Y-d1st1nct1ve-0123456789abcdef"

const settings = (apiUrl: string, more: Partial<HttpReporter.Settings> = {}): HttpReporter.Settings => ({
  apiUrl,
  apiKey: Option.some(Redacted.make(key)),
  compress: true,
  delivery: "at-least-once",
  disabled: false,
  requestTimeout: Duration.seconds(3),
  ...more
})

type Service = typeof Reporter.Reporter.Service

const makeOver = (client: HttpClient.HttpClient, more?: Partial<HttpReporter.Settings>) =>
  Effect.provideService(
    HttpReporter.make(settings("https://api.datadoghq.example", more)),
    HttpClient.HttpClient,
    client
  )

/** A reporter over a client that answers as told, and the requests that client saw. */
const scripted = Effect.fnUntraced(function*(
  answer: (request: HttpClientRequest.HttpClientRequest, index: number) => Effect.Effect<Response, unknown>,
  more?: Partial<HttpReporter.Settings>
) {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => answer(request, requests.push(request) - 1)).pipe(
      Effect.map((response) => HttpClientResponse.fromWeb(request, response)),
      Effect.mapError((cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause }))
    )
  )
  return { reporter: yield* makeOver(client, more), requests }
})

/** Whatever a client may find as its cause. */
const broken = (cause: unknown): Effect.Effect<never, unknown> => Effect.fail(cause)

const answering = (status: number, body: string | null = `{"status":"ok"}`, headers?: Record<string, string>) => () =>
  Effect.sync(() => new Response(body, { status, ...(headers === undefined ? {} : { headers }) }))

const bytesOf = (request: HttpClientRequest.HttpClientRequest | undefined): Uint8Array => {
  assert.strictEqual(request?.body._tag, "Uint8Array")
  return (request?.body as HttpBody.Uint8Array).body
}

const bodyOf = (request: HttpClientRequest.HttpClientRequest | undefined): unknown => {
  const bytes = bytesOf(request)
  return JSON.parse(
    Buffer.from(request?.headers["content-encoding"] === "deflate" ? inflateSync(bytes) : bytes).toString()
  )
}

/** A reporter over each of what there is to send with, the library's own first. */
const transports: ReadonlyArray<
  readonly [
    string,
    (settings: HttpReporter.Settings) => ReturnType<typeof HttpReporter.make | typeof HttpReporter.makeNode>,
    Layer.Layer<HttpClient.HttpClient>
  ]
> = [
  ["node:http", HttpReporter.makeNode, HttpReporter.layerHttpClient],
  ["its own client", HttpReporter.make, HttpReporter.layerHttpClient],
  ["NodeHttpClient", HttpReporter.make, NodeHttpClient.layer],
  ["NodeHttpClient over undici", HttpReporter.make, NodeHttpClient.layerUndici],
  ["FetchHttpClient", HttpReporter.make, FetchHttpClient.layer]
]

/** Every way in which somebody may come to print it. */
const renderings = (value: unknown): ReadonlyArray<string> => [
  String(value),
  inspect(value, { depth: Infinity, showHidden: true, getters: true }),
  JSON.stringify(value) ?? "",
  ...(Cause.isCause(value) ? [Cause.pretty(value, { renderErrorCause: true }), inspect(Cause.squash(value))] : []),
  ...(value instanceof Error ? [value.stack ?? "", value.message, ...renderings(value.cause)] : [])
]

const assertNoKey = (value: unknown) => {
  for (const rendering of renderings(value)) assert.notInclude(rendering, key)
}

describe("requests", () => {
  describe.each(transports)("over %s", (_, make, layerClient) => {
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
    const normal = (body: unknown): unknown =>
      JSON.parse(JSON.stringify(body), (name, value: unknown) => {
        if (name === "tags") return Array.isArray(value) && value.length > 0 ? [...value].sort() : undefined
        return value === null ? undefined : value
      })

    it.scoped.each(["plain", "compressed"] as const)("are the reference's: %s", (kind) =>
      Effect.gen(function*() {
        const expected = wire[kind]
        const apiKey = Redacted.make(expected[0]!.headers["dd-api-key"])
        yield* Effect.gen(function*() {
          const intake = yield* LocalIntake.LocalIntake
          const reporter = yield* make(
            settings(intake.url, { apiKey: Option.some(apiKey), compress: kind === "compressed" })
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
            assert.deepStrictEqual(normal(actual.body), normal(request.body))
            assert.strictEqual(actual.headers["content-type"], request.headers["content-type"])
            const encoding: string | undefined = "content-encoding" in request.headers
              ? request.headers["content-encoding"]
              : undefined
            assert.strictEqual(actual.headers["content-encoding"], encoding)
            assert.strictEqual(actual.headers["user-agent"], `effect-threadstats/${packageJson.version}`)
          })
        }).pipe(Effect.provide([layerClient, layerIntake({ apiKey })]))
      }))

    it.scoped("carry no trace headers, and make no spans, inside a traced program", () =>
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

    it.scoped("fail as Transport where nobody listens", () =>
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

    it.scoped("fail as Transport where the connection breaks before the answer", () =>
      Effect.gen(function*() {
        const url = yield* rawServer((socket) => socket.resetAndDestroy())
        const reporter = yield* make(settings(url))
        const error = yield* Effect.flip(reporter.flushEvents(events))
        assert.strictEqual(error.reason, "Transport")
        assert.deepStrictEqual(error.undelivered, events)
        assertNoKey(Cause.fail(error))
      }).pipe(Effect.provide(layerClient)))

    it.scoped("are delivered, or not, by the status, also where the body breaks off", () =>
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

    it.scoped("fail as Timeout where the server takes them and never answers", () =>
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
        // the client is of use afterwards
        assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
      }).pipe(Effect.provide([layerClient, layerIntake()])))

    it.scoped("carry the key where the intake looks for it", () =>
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
      }).pipe(Effect.provide([layerClient, layerIntake({ apiKey: Redacted.make(key) })])))
  })

  it.effect("have the key in one header and nowhere else", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202))
      yield* reporter.flushMetrics(metrics)
      const [request] = requests
      assert.strictEqual(request!.headers["dd-api-key"], key)
      assert.strictEqual(request!.url, "https://api.datadoghq.example/api/v1/series")
      assert.deepStrictEqual(request!.urlParams, [])
      assert.notInclude(JSON.stringify(bodyOf(request)), key)
    }))

  it.scoped.each(transports.filter(([name]) => name !== "FetchHttpClient"))(
    "follow no redirect: %s",
    ([, make, layerClient]) =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([
          HttpServerResponse.redirect(`${intake.url}/elsewhere`, { status: 301 }),
          HttpServerResponse.redirect(`${intake.url}/elsewhere`, { status: 307 })
        ])
        const reporter = yield* make(settings(intake.url))
        for (const status of [301, 307]) {
          const error = yield* Effect.flip(reporter.flushMetrics(metrics))
          assert.strictEqual(error.reason, "Rejected")
          assert.strictEqual(error.status, status)
          for (const name of ["DD_SITE", "DATADOG_HOST"]) assert.include(error.message, name)
        }
        assert.deepStrictEqual((yield* intake.requests).map(({ path }) => path), ["/api/v1/series", "/api/v1/series"])
      }).pipe(Effect.provide([layerClient, layerIntake()]))
  )

  it.effect("keep the path of the address they go to", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202), { apiUrl: "http://localhost:8428/datadog" })
      yield* reporter.flushMetrics(metrics)
      assert.strictEqual(requests[0]!.url, "http://localhost:8428/datadog/api/v1/series")
    }))

  it.effect("are made with the key's header among the redacted ones", () =>
    Effect.gen(function*() {
      const seen: Array<string | RegExp> = []
      const client = HttpClient.make((request) =>
        Effect.map(FiberRef.get(Headers.currentRedactedNames), (names) => {
          seen.push(...names)
          return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
        })
      )
      const reporter = yield* makeOver(client)
      yield* reporter.flushMetrics(metrics)
      assert.includeMembers(seen, ["dd-api-key", "authorization"])
      assert.notInclude(yield* FiberRef.get(Headers.currentRedactedNames), "dd-api-key")
    }))
})

describe("bodies", () => {
  it.effect("are in zlib's format, whether small or large, and a receipt counts their bytes", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202))
      const large = Array.from({ length: 3000 }, (_, index): Series => ({
        metric: `shop.metric.${index}`,
        points: [[1_700_000_000, index]],
        type: "gauge",
        tags: [`shard:${index}`],
        interval: 10
      }))
      for (const batch of [metrics, large]) {
        const receipt = yield* reporter.flushMetrics(batch)
        const request = requests.at(-1)
        const bytes = bytesOf(request)
        assert.strictEqual(bytes[0], 0x78)
        assert.throws(() => inflateRawSync(bytes))
        assert.strictEqual(request?.headers["content-encoding"], "deflate")
        assert.deepStrictEqual(bodyOf(request), JSON.parse(JSON.stringify({ series: batch })))
        assert.deepStrictEqual(receipt, { items: batch.length, payloads: 1, bytes: bytes.byteLength, retries: 0 })
        assert.strictEqual(request?.headers["content-length"], String(bytes.byteLength))
      }
      assert.isAbove(JSON.stringify(large).length, 256 * 1024)
    }))

  it.effect("have the values of a distribution in order where they are many, and leave the batch as it was", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202), { compress: false })
      const batch = [49, 50].map((n): DistributionSeries => ({
        metric: `of.${n}`,
        points: [[1_700_000_000, Array.from({ length: n }, (_, i) => (i * 37) % 101 - 0.5)]],
        type: "distribution",
        tags: [],
        interval: 10
      }))
      const before = structuredClone(batch)
      yield* reporter.flushDistributions(batch)
      assert.deepStrictEqual(batch, before)
      const [few, many] = batch.map((item) => item.points[0]![1])
      const sent = (bodyOf(requests[0]) as { readonly series: ReadonlyArray<DistributionSeries> }).series
      assert.deepStrictEqual(sent.map((item) => item.points[0]![1]), [few!, many!.toSorted((a, b) => a - b)])
    }))

  it.effect("are plain JSON where compression is off", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202), { compress: false })
      yield* reporter.flushDistributions(distributions)
      assert.strictEqual(requests[0]!.headers["content-encoding"], undefined)
      assert.strictEqual(
        Buffer.from(bytesOf(requests[0])).toString(),
        JSON.stringify({ series: distributions })
      )
    }))

  it.effect("of events are never compressed", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202))
      const receipt = yield* reporter.flushEvents(events)
      assert.deepStrictEqual(requests.map(bodyOf), [...events])
      for (const request of requests) assert.strictEqual(request.headers["content-encoding"], undefined)
      assert.deepStrictEqual(receipt, {
        items: events.length,
        payloads: events.length,
        bytes: events.reduce((total, event) => total + Buffer.byteLength(JSON.stringify(event)), 0),
        retries: 0
      })
    }))

  it.effect("leave out what JSON cannot hold, which is refused as Encoding", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202))
      const circular: { readonly tags: Array<unknown> } = { tags: [] }
      circular.tags.push(circular)
      for (const broken of [{ ...metrics[0]!, interval: 1n as unknown as number }, circular as unknown as Series]) {
        const batch = [...metrics, broken]
        const error = yield* Effect.flip(reporter.flushMetrics(batch))
        assert.strictEqual(error.reason, "Encoding")
        assert.deepStrictEqual(error.refused, [broken])
        assert.deepStrictEqual(error.undelivered, [])
        assert.strictEqual(error.receipt.items, metrics.length)
        assert.strictEqual(error.endpoint, "https://api.datadoghq.example/api/v1/series")
        assert.deepStrictEqual(bodyOf(requests.at(-1)), { series: metrics })
      }
      assert.strictEqual(requests.length, 2)
    }))
})

describe("answers", () => {
  it.effect("are read to the end, but no further than a megabyte", () =>
    Effect.gen(function*() {
      const chunk = new Uint8Array(64 * 1024)
      let pulled = 0
      const endless = (total: number) =>
        new ReadableStream<Uint8Array>({
          pull(controller) {
            pulled += chunk.length
            controller.enqueue(chunk)
            if (pulled >= total) controller.close()
          }
        })
      for (const [total, read] of [[256 * 1024, 256 * 1024], [64 * 1024 * 1024, 2 * 1024 * 1024]] as const) {
        pulled = 0
        const { reporter } = yield* scripted(() => Effect.sync(() => new Response(endless(total), { status: 202 })))
        assert.strictEqual((yield* reporter.flushMetrics(metrics)).payloads, 1)
        assert.isAtLeast(pulled, Math.min(total, 1024 * 1024))
        assert.isAtMost(pulled, read)
      }
    }))

  const cases: ReadonlyArray<readonly [number, Reporter.Reason, "undelivered" | "refused"]> = [
    [301, "Rejected", "refused"],
    [400, "Rejected", "refused"],
    [401, "Unauthorized", "undelivered"],
    [402, "Rejected", "refused"],
    [403, "Unauthorized", "undelivered"],
    [404, "Rejected", "refused"],
    [408, "ServerError", "undelivered"],
    [413, "PayloadTooLarge", "refused"],
    [422, "Rejected", "refused"],
    [429, "RateLimited", "undelivered"],
    [500, "ServerError", "undelivered"],
    [502, "ServerError", "undelivered"],
    [503, "ServerError", "undelivered"],
    [504, "ServerError", "undelivered"],
    [599, "ServerError", "undelivered"]
  ]

  it.effect.each(cases)("status %d is %s, and the items are %s", ([status, reason, where]) =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(answering(status, `{"errors":["told why"]}`))
      const flushes: ReadonlyArray<readonly [Effect.Effect<unknown, Reporter.ReporterError>, ReadonlyArray<unknown>]> =
        [
          [reporter.flushMetrics(metrics), metrics],
          [reporter.flushDistributions(distributions), distributions],
          [reporter.flushEvents(events), events]
        ]
      for (const [flush, batch] of flushes) {
        const error = yield* Effect.flip(flush)
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.status, status)
        assert.include(error.message, "told why")
        assert.deepStrictEqual(error[where], batch)
        assert.strictEqual(error[where][0], batch[0])
        assert.deepStrictEqual(error[where === "refused" ? "undelivered" : "refused"], [])
        assert.deepStrictEqual(error.receipt, Reporter.emptyReceipt)
      }
    }))

  it.effect.each([200, 201, 202, 204, 299])(
    "status %d is a delivery, with whatever body",
    (status) =>
      Effect.gen(function*() {
        const { reporter } = yield* scripted(answering(status, status === 204 ? null : "not json"))
        assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
      })
  )

  it.effect("are read to the end, whatever they say", () =>
    Effect.gen(function*() {
      for (const status of [202, 400, 403, 413, 429, 503]) {
        const responses: Array<Response> = []
        const { reporter } = yield* scripted(() =>
          Effect.sync(() => {
            const response = new Response(`{"errors":["x"]}`, { status })
            responses.push(response)
            return response
          })
        )
        yield* Effect.exit(reporter.flushMetrics(metrics.slice(0, 1)))
        yield* Effect.exit(reporter.flushEvents(events))
        yield* reporter.warm
        assert.strictEqual(responses.length, 2 + events.length)
        for (const response of responses) assert.isTrue(response.bodyUsed)
      }
    }))

  it.effect("are quoted shortly, on one line", () =>
    Effect.gen(function*() {
      const describe = Effect.fnUntraced(function*(body: string, headers?: Record<string, string>) {
        const { reporter } = yield* scripted(answering(400, body, headers))
        return (yield* Effect.flip(reporter.flushMetrics(metrics.slice(0, 1)))).description
      })
      assert.strictEqual(yield* describe(`{"errors":["first","second"]}`), "first, second")
      assert.strictEqual(
        yield* describe(`{"errors":["Event too far in the past"]}`, { "content-type": "text/plain" }),
        "Event too far in the past"
      )
      assert.strictEqual(yield* describe("unsupported\n  path"), "unsupported path")
      assert.strictEqual(yield* describe(`{"errors":[{"detail":"x"}]}`), `{"detail":"x"}`)
      assert.strictEqual(yield* describe(""), "no description")
      assert.strictEqual((yield* describe("<p>".repeat(10_000))).length, 200)
    }))

  it.effect("in the error of a client that fails on statuses by itself count as well", () =>
    Effect.gen(function*() {
      const { reporter } = yield* Effect.gen(function*() {
        const client = HttpClient.filterStatusOk(HttpClient.make((request) =>
          Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("busy", { status: 429 })))
        ))
        return { reporter: yield* makeOver(client) }
      })
      const error = yield* Effect.flip(reporter.flushMetrics(metrics))
      assert.strictEqual(error.reason, "RateLimited")
      assert.strictEqual(error.description, "busy")
      assertNoKey(Cause.fail(error))
    }))

  it.effect("whose body never ends count by their status", () =>
    Effect.gen(function*() {
      for (const status of [202, 500]) {
        const read = yield* Deferred.make<void>()
        const { reporter } = yield* scripted(() =>
          Effect.sync(() =>
            new Response(
              new ReadableStream({
                pull: (controller) => {
                  controller.enqueue(new Uint8Array([123]))
                  Deferred.unsafeDone(read, Exit.void)
                  return new Promise(() => {})
                }
              }),
              { status }
            )
          )
        )
        const fiber = yield* Effect.fork(Effect.exit(reporter.flushMetrics(metrics)))
        yield* Deferred.await(read)
        yield* TestClock.adjust("3 seconds")
        const exit = yield* Fiber.join(fiber)
        assert.strictEqual(Exit.isSuccess(exit), status === 202)
        if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "ServerError")
      }
    }))
})

describe("the time limit", () => {
  const expectTimeout = Effect.fnUntraced(function*(
    answer: Effect.Effect<Response>,
    run: (flush: Effect.Effect<unknown, Reporter.ReporterError>) => Effect.Effect<unknown, Reporter.ReporterError>
  ) {
    const { reporter, requests } = yield* scripted(() => answer, { requestTimeout: Duration.millis(250) })
    const fiber = yield* Effect.fork(Effect.flip(run(reporter.flushMetrics(metrics))))
    yield* TestClock.adjust("249 millis")
    assert.strictEqual(requests.length, 1)
    assert.isNull(fiber.unsafePoll())
    yield* TestClock.adjust("1 millis")
    const error = yield* Fiber.join(fiber)
    assert.strictEqual(error.reason, "Timeout")
    assert.deepStrictEqual(error.undelivered, metrics)
  })

  it.effect("holds for a client that never answers", () => expectTimeout(Effect.never, (flush) => flush))

  it.effect("holds for a client that cannot be interrupted", () =>
    expectTimeout(Effect.uninterruptible(Effect.never), (flush) => flush))

  it.effect("holds inside an uninterruptible region", () => expectTimeout(Effect.never, Effect.uninterruptible))

  it.effect("lets a fiber that was interrupted deliver from its finalizer", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(answering(202))
      const receipt = yield* Deferred.make<Reporter.Receipt, Reporter.ReporterError>()
      const fiber = yield* Effect.fork(
        Effect.ensuring(Effect.never, Effect.intoDeferred(reporter.flushMetrics(metrics), receipt))
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* Deferred.await(receipt)).items, metrics.length)
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("is not waited for by an interruption, which stops the request", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const { reporter } = yield* scripted(() =>
        Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
        )
      )
      const fiber = yield* Effect.fork(reporter.flushMetrics(metrics))
      yield* Deferred.await(started)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* Deferred.await(stopped)
    }))
})

describe("events", () => {
  const many = Array.from({ length: 9 }, (_, index): Event => ({ title: `event ${index}`, text: "", tags: [] }))

  it.effect("are sent in order, at most four at a time", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let most = 0
      let current = 0
      const full = yield* Deferred.make<void>()
      const { reporter, requests } = yield* scripted(() =>
        Effect.gen(function*() {
          current++
          most = Math.max(most, current)
          if (current === 4) yield* Deferred.succeed(full, undefined)
          yield* Deferred.await(gate)
          current--
          return new Response("{}", { status: 202 })
        })
      )
      const fiber = yield* Effect.fork(reporter.flushEvents(many))
      yield* Deferred.await(full)
      yield* Effect.yieldNow()
      assert.strictEqual(requests.length, 4)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).items, many.length)
      assert.strictEqual(most, 4)
      assert.deepStrictEqual(requests.map(bodyOf), [...many])
    }))

  it.effect("fail one by one, and the error tells them apart", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted((request) => {
        const { title } = bodyOf(request) as Event
        return title === "event 2"
          ? answering(400, `{"errors":["bad"]}`)()
          : title === "event 5"
          ? answering(503)()
          : title === "event 7"
          ? broken(new Error("socket hang up"))
          : answering(202)()
      })
      const error = yield* Effect.flip(reporter.flushEvents(many))
      assert.strictEqual(requests.length, many.length)
      assert.strictEqual(error.reason, "Rejected")
      assert.strictEqual(error.status, 400)
      assert.strictEqual(error.description, "bad (and 2 more)")
      assert.deepStrictEqual(error.refused, many.slice(2, 3))
      assert.deepStrictEqual(error.undelivered, [...many.slice(5, 6), ...many.slice(7, 8)])
      assert.strictEqual(error.receipt.items, 6)
      assert.strictEqual(error.receipt.payloads, 6)
    }))
})

describe("warm", () => {
  it.effect("asks whether the key is valid, and does not mind the answer", () =>
    Effect.gen(function*() {
      for (
        const answer of [
          answering(200, `{"valid":true}`),
          answering(403),
          answering(500),
          () => broken(new Error("no route")),
          () => Effect.die(new Error("defect"))
        ]
      ) {
        const { reporter, requests } = yield* scripted(answer)
        assert.deepStrictEqual(yield* Effect.exit(reporter.warm), Exit.void)
        assert.strictEqual(requests.length, 1)
        assert.strictEqual(requests[0]!.method, "GET")
        assert.strictEqual(requests[0]!.url, "https://api.datadoghq.example/api/v1/validate")
        assert.strictEqual(requests[0]!.headers["dd-api-key"], key)
      }
    }))

  it.effect("ends by the time limit", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(() => Effect.never)
      const fiber = yield* Effect.fork(reporter.warm)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.void)
    }))
})

describe("the key", () => {
  const leaks: ReadonlyArray<
    readonly [string, (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Response, unknown>]
  > = [
    ["an error body that repeats it", answering(403, `{"errors":["key ${key} is not known"]}`)],
    ["a text that repeats it", answering(400, `bad key ${key}${key}`)],
    ["a text that repeats it where it is cut", answering(400, "x".repeat(190) + key)],
    ["a cause with it in the message", () => broken(new TypeError(`Headers.append: "${key}" is invalid`))],
    [
      "a nested cause with the request",
      (request) => broken(new Error("outer", { cause: Object.assign(new Error("inner"), { request, key }) }))
    ],
    ["a cause that is text", () => broken(`failed with ${key}`)],
    ["a cause that is the request", (request) => broken(request)],
    ["several causes", () => broken(new AggregateError([new Error(`no way for ${key}`)], key))],
    ["a cause that is its own cause", () => {
      const error = new Error(key)
      error.cause = error
      return broken(error)
    }],
    [
      "a cause with it in its name and code",
      () => broken(Object.assign(new Error("x"), { name: key, code: key }))
    ],
    ["a defect", () => Effect.die(new Error(`invalid header ${key}`))],
    ["a thrown defect", () => {
      throw new Error(`invalid header ${key}`)
    }]
  ]

  it.effect.each(leaks)("does not come out through %s", ([, answer]) =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(answer)
      const printed: Array<string> = []
      const logger = Logger.make((options) => {
        printed.push(...renderings(options.message), ...renderings(options.cause), Logger.logfmtLogger.log(options))
      })
      const { spans, tracer } = yield* recordingTracer
      const exit = yield* reporter.flushMetrics(metrics).pipe(
        Effect.tapErrorCause((cause) => Effect.logError("flush failed", cause)),
        Effect.zipLeft(reporter.warm),
        Effect.withSpan("flush"),
        Effect.withTracer(tracer),
        Effect.exit,
        Logger.withMinimumLogLevel(LogLevel.All),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        assert.isTrue(Cause.isFailType(exit.cause))
        assertNoKey(exit.cause)
        for (const error of Cause.failures(exit.cause)) assertNoKey(error)
      }
      assert.isAbove(printed.length, 0)
      for (const line of printed) assert.notInclude(line, key)
      for (const span of spans) {
        assert.notInclude(inspect([span.name, span.attributes, span.status], { depth: Infinity }), key)
      }
    }))

  it.effect("is not in what can be printed of the reporter or its layer", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(answering(202))
      assertNoKey(reporter)
      assertNoKey(HttpReporter.layer({ apiKey: Redacted.make(key) }))
    }))

  it.effect("missing fails the layer, and names both variables", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.provide(Reporter.Reporter, HttpReporter.layerDefault))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        const error = Option.getOrThrow(Cause.failureOption(exit.cause))
        assert.strictEqual(error._op, "MissingData")
        assert.include(String(error), "DATADOG_API_KEY")
        assert.include(String(error), "DD_API_KEY")
      }
    }).pipe(
      Effect.provide(FetchHttpClient.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    ))
})

describe("layers", () => {
  const sentBy = Effect.fnUntraced(function*<E>(layer: Layer.Layer<Reporter.Reporter, E, HttpClient.HttpClient>) {
    const requests: Array<HttpClientRequest.HttpClientRequest> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        requests.push(request)
        return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
      })
    )
    const flush = Effect.flatMap(
      Reporter.Reporter,
      (reporter: Service) => Effect.zipRight(reporter.warm, reporter.flushMetrics(metrics))
    )
    const receipt = yield* Effect.provide(flush, Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, client)))
    assert.strictEqual(receipt.items, metrics.length)
    return requests.map(({ headers, url }) => ({ url, key: headers["dd-api-key"] }))
  })

  const environment = Effect.withConfigProvider(ConfigProvider.fromMap(
    new Map([["DD_API_KEY", "from-environment"], ["DD_SITE", "datadoghq.eu"]])
  ))

  it.effect("take the settings from the environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sentBy(HttpReporter.layerDefault), [
        { url: "https://api.datadoghq.eu/api/v1/validate", key: "from-environment" },
        { url: "https://api.datadoghq.eu/api/v1/series", key: "from-environment" }
      ])
    }).pipe(environment))

  it.effect("prefer the options", () =>
    Effect.gen(function*() {
      const layer = HttpReporter.layer({ apiKey: Redacted.make("from-options"), apiUrl: "http://127.0.0.1:1/" })
      assert.deepStrictEqual(yield* sentBy(layer), [
        { url: "http://127.0.0.1:1/api/v1/validate", key: "from-options" },
        { url: "http://127.0.0.1:1/api/v1/series", key: "from-options" }
      ])
    }).pipe(environment))

  it.effect("take settings that are resolved already", () =>
    Effect.gen(function*() {
      const config = yield* ThreadStatsConfig.make()
      assert.strictEqual((yield* sentBy(HttpReporter.layerFromConfig(config)))[1]!.key, "from-environment")
    }).pipe(environment))

  it.effect("need no key and send nothing where the client is disabled", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sentBy(HttpReporter.layer({ disabled: true })), [])
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))))
})

/** An address of this machine at which nobody listens. */
const deadAddress = Effect.async<string>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(`http://127.0.0.1:${port}`)))
  })
})

/** A server that takes a request's first bytes and does something to the socket. */
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

describe("over node:http", () => {
  /** An intake that counts connections: how many there were, and how many there are. */
  const counting = Effect.gen(function*() {
    const count = { opened: 0, open: 0 }
    const server = createHttpServer((request, response) => {
      request.resume().on("end", () => response.writeHead(202).end("{}"))
    }).on("connection", (socket) => {
      count.opened++
      count.open++
      socket.on("close", () => count.open--)
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () => Effect.sync(() => server.close())
    )
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
    return { count, url }
  })

  const closed = (count: { readonly open: number }) =>
    TestServices.provideLive(Effect.repeat(Effect.sleep("5 millis"), { until: () => count.open === 0, times: 200 }))

  it.scoped("one flush after another, and what warmed up for it, use one connection, until the scope closes", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      yield* Effect.scoped(Effect.gen(function*() {
        const reporter = yield* HttpReporter.makeNode(settings(url))
        yield* reporter.warm
        for (let i = 0; i < 3; i++) yield* reporter.flushMetrics(metrics)
        assert.deepStrictEqual(count, { opened: 1, open: 1 })
      }))
      yield* closed(count)
      assert.deepStrictEqual(count, { opened: 1, open: 0 })
    }))

  it.scoped("what is flushed at once opens the connection itself, and nothing warms up beside it", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      const reporter = yield* HttpReporter.makeNode(settings(url))
      const warming = yield* Effect.fork(reporter.warm)
      yield* Effect.yieldNow()
      yield* reporter.flushMetrics(metrics)
      yield* Fiber.join(warming)
      assert.deepStrictEqual(count, { opened: 1, open: 1 })
    }))

  it.scoped("a connection that has lain idle, as in a frozen environment, is not used again", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      const reporter = yield* HttpReporter.makeNode(settings(url))
      for (const [pause, opened] of [["0 seconds", 1], ["30 seconds", 1], ["31 seconds", 2]] as const) {
        yield* TestClock.adjust(pause)
        yield* reporter.flushMetrics(metrics)
        assert.strictEqual(count.opened, opened)
      }
    }))

  it.scoped("what is wrong with the address is a failure of the flush", () =>
    Effect.gen(function*() {
      for (const url of ["http://[", "gopher://intake"]) {
        const reporter = yield* HttpReporter.makeNode(settings(url))
        yield* reporter.warm
        const error = yield* Effect.flip(reporter.flushMetrics(metrics))
        assert.strictEqual(error.reason, "Transport")
        assertNoKey(Cause.fail(error))
      }
    }))
})
