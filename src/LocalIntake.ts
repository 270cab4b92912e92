/**
 * An embedded Datadog intake, for development, demos and tests: a real HTTP server that answers the five routes a
 * client uses as Datadog documents them, refuses what Datadog refuses, and remembers what it accepted.
 *
 * It runs on any `HttpServer`:
 *
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { LocalIntake } from "effect-threadstats"
 * import { createServer } from "node:http"
 *
 * const intake = LocalIntake.layer().pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
 * )
 * ```
 *
 * `series`, `distributions` and `events` are what arrived; `stored` is what there would be to see, where the last value of a
 * series and second wins. Two things it does not do: it keeps points of any age, where Datadog answers 202 and drops those
 * outside its window, and it forgets nothing until {@link LocalIntake} is told to `clear`.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { EventPayload } from "./Event.js"
import * as Endpoints from "./internal/endpoints.js"
import { eventWindow } from "./internal/limits.js"
import { fromV2 } from "./internal/seriesV2.js"
import { storedOf } from "./internal/stored.js"
import { canUnpack, unpack } from "./internal/unpack.js"
import { DistributionPayload, SeriesPayload, type SeriesType, SeriesV2Payload } from "./Series.js"

/**
 * One element of a `series` payload, as it was accepted. What came in v2's form is shown in that of v1, with its unit; the
 * requests have it as it came.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedSeries = typeof SeriesPayload.Type["series"][number] & { readonly unit?: string | undefined }

/**
 * One element of a `distribution_points` payload, as it was accepted.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedDistribution = typeof DistributionPayload.Type["series"][number]

/**
 * An event, as it was accepted.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedEvent = typeof EventPayload.Type

/**
 * One request, as it came in and as it was answered. Requests for the JSON view are not among them.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeRequest {
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  readonly method: string
  /** Without a query. */
  readonly path: string
  /** What may be secret is replaced by `<redacted>`. */
  readonly headers: Readonly<Record<string, string>>
  /** The length of the body on the wire. */
  readonly bytes: number
  /** The `content-encoding`, or `identity`. */
  readonly encoding: string
  /** The body, unpacked and parsed; `undefined` if there is none, or if that failed. */
  readonly body: unknown
  /** `undefined` while there is no answer. */
  readonly status: number | undefined
  /** Why it was refused. */
  readonly reason: string | undefined
}

/**
 * What an intake received so far, in numbers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Summary {
  readonly requests: number
  /** Requests with an answer that is not 2xx. */
  readonly refused: number
  /** The bodies of all requests, on the wire. */
  readonly bytes: number
  readonly series: number
  /** Points of all series. */
  readonly points: number
  readonly distributions: number
  /** Values of all distributions. */
  readonly values: number
  readonly events: number
}

/**
 * What the JSON view at `GET /` shows: everything accepted, in order, and every request.
 *
 * @since 0.1.0
 * @category models
 */
export interface View {
  readonly series: ReadonlyArray<AcceptedSeries>
  readonly distributions: ReadonlyArray<AcceptedDistribution>
  readonly events: ReadonlyArray<AcceptedEvent>
  readonly requests: ReadonlyArray<IntakeRequest>
}

/**
 * A series as Datadog keeps it: one value for each second, the last one that arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredSeries {
  readonly metric: string
  /** That of the payload which arrived last. */
  readonly type: SeriesType
  /** Empty for none. */
  readonly host: string
  readonly device: string
  /** Sorted, each once. */
  readonly tags: ReadonlyArray<string>
  /** In seconds; that of the payload which arrived last. */
  readonly interval: number
  /** `[seconds since the epoch, value]`, oldest first. */
  readonly points: ReadonlyArray<readonly [timestamp: number, value: number]>
}

/**
 * A distribution as Datadog keeps it: all values that arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredDistribution {
  readonly metric: string
  readonly host: string
  readonly device: string
  readonly tags: ReadonlyArray<string>
  /** `[seconds since the epoch, values]`, oldest first. */
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number>]>
}

/**
 * What there would be to see at Datadog, which tells series apart by name, host, device and tags. Two senders of the same
 * series overwrite each other; distributions add up. Sources: Datadog's documentation of custom metrics from Lambda, and
 * datadogpy issue 350.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  readonly series: ReadonlyArray<StoredSeries>
  readonly distributions: ReadonlyArray<StoredDistribution>
}

/**
 * How a request is answered: as Datadog would (`"usual"`), or by an effect that yields another response, late or never
 * if it likes. What the latter answers is not remembered as accepted, whatever its status.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = "usual" | Effect.Effect<HttpServerResponse.HttpServerResponse>

/**
 * An intake that listens at `url`, for as long as its layer lives.
 *
 * @since 0.1.0
 * @category tags
 */
export class LocalIntake extends Context.Tag("effect-threadstats/LocalIntake")<LocalIntake, {
  /** Base address, without a trailing slash: what `apiUrl` or `DATADOG_HOST` is set to. */
  readonly url: string
  readonly series: Effect.Effect<ReadonlyArray<AcceptedSeries>>
  readonly distributions: Effect.Effect<ReadonlyArray<AcceptedDistribution>>
  readonly events: Effect.Effect<ReadonlyArray<AcceptedEvent>>
  /** In order of arrival. */
  readonly requests: Effect.Effect<ReadonlyArray<IntakeRequest>>
  /** What of it there would be to see at Datadog. */
  readonly stored: Effect.Effect<Stored>
  /**
   * How much was counted under this name, over all hosts, tags and times: rates times their interval, counts, and the sum
   * of all values of a distribution. Gauges do not count.
   */
  readonly total: (metric: string) => Effect.Effect<number>
  readonly summary: Effect.Effect<Summary>
  /** Forgets what was received; what is scripted stays. */
  readonly clear: Effect.Effect<void>
  /** Gives the answers for the next requests, one each; with a path, for the next requests to that path. */
  readonly script: (answers: ReadonlyArray<Answer>, path?: string) => Effect.Effect<void>
}>() {}

/**
 * What an intake is particular about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The one key that is good. Default: any key that is not empty is. */
  readonly apiKey?: Redacted.Redacted | undefined
  /**
   * The most a body may have on the wire, in bytes. Default: as Datadog documents for series, 512,000 for v2, and 3,200,000
   * for everything else.
   */
  readonly maxBodyBytes?: number | undefined
  /** The most a body may have unpacked, in bytes. Default: as documented for series, 5,242,880 for v2, else 62,914,560. */
  readonly maxUnpackedBytes?: number | undefined
}

/**
 * An intake that is served until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<typeof LocalIntake.Service, never, HttpServer.HttpServer | Scope.Scope> = Effect.fnUntraced(
  function*(options: Options = {}) {
    const server = yield* HttpServer.HttpServer
    const url = addressOf(server.address)
    const limitsOf = (limits: Endpoints.Limits): Endpoints.Limits => ({
      bytes: options.maxBodyBytes ?? limits.bytes,
      unpackedBytes: options.maxUnpackedBytes ?? limits.unpackedBytes
    })
    const scripted = new Map<string | undefined, Array<Answer>>()
    let series: Array<AcceptedSeries> = []
    let distributions: Array<AcceptedDistribution> = []
    let events: Array<AcceptedEvent> = []
    let requests: Array<Writable<IntakeRequest>> = []
    let nextEventId = firstEventId

    const checkKey = (headers: Headers.Headers): Either.Either<void, Refusal> => {
      const key = headers[Endpoints.keyHeader]
      if (key === undefined || key === "") return refuse(403, "API key required")
      return options.apiKey === undefined || key === Redacted.value(options.apiKey)
        ? Either.void
        : refuse(403, "Forbidden")
    }

    const parseBody = (endpoint: Endpoints.Endpoint, encoding: string, body: Body): Effect.Effect<unknown, Refusal> => {
      const limits = limitsOf(endpoint.limits)
      const name = encoding === "zstd1" ? "zstd" : encoding
      const known = endpoint.encodings.find((candidate) => candidate === name)
      if (known === undefined || !canUnpack(known)) {
        return refuse(400, `Content-Encoding ${encoding} is not supported here`)
      }
      if (body.bytes === undefined) return refuse(413, `Payload too large: over ${limits.bytes} bytes`)
      return unpack(body.bytes, known, limits.unpackedBytes).pipe(
        Effect.mapError((error) =>
          error.reason === "TooLarge"
            ? new Refusal({ status: 413, reason: `Payload too large: over ${limits.unpackedBytes} bytes unpacked` })
            : new Refusal({ status: 400, reason: `Payload is not valid ${known} data` })
        ),
        Effect.flatMap((bytes) =>
          Effect.try({
            try: (): unknown => JSON.parse(utf8.decode(bytes)),
            catch: () => new Refusal({ status: 400, reason: "Payload is not valid JSON" })
          })
        )
      )
    }

    const ok = HttpServerResponse.unsafeJson({ status: "ok" }, { status: 202 })

    const acceptSeries = (body: unknown) =>
      Either.map(decodeSeries(body), (payload) => {
        for (const item of payload.series) series.push(item)
        return ok
      })

    const acceptSeriesV2 = (body: unknown) =>
      Either.map(decodeSeriesV2(body), (payload) => {
        for (const item of payload.series) series.push(fromV2(item))
        return HttpServerResponse.unsafeJson({ errors: [] }, { status: 202 })
      })

    const acceptDistributions = (body: unknown) =>
      Either.map(decodeDistributions(body), (payload) => {
        for (const item of payload.series) distributions.push(item)
        return ok
      })

    const acceptEvent = (body: unknown, now: number) =>
      Either.map(decodeEvent(body, now), (event) => {
        events.push(event)
        return eventAccepted(event, nextEventId++, url, now)
      })

    const route = (spec: {
      /** Without one, a body is not looked at. */
      readonly endpoint?: Endpoints.Endpoint
      readonly needsKey: boolean
      readonly judge: (body: unknown, now: number) => Either.Either<HttpServerResponse.HttpServerResponse, Refusal>
    }): Handler =>
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const received = yield* readBody(request, limitsOf(spec.endpoint?.limits ?? Endpoints.limits).bytes)
        const now = yield* Clock.currentTimeMillis
        const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase()
        const body = yield* spec.endpoint === undefined
          ? Effect.succeed(Either.right<unknown>(undefined))
          : Effect.either(parseBody(spec.endpoint, encoding, received))
        const path = request.url.split("?", 1)[0]!
        const entry: Writable<IntakeRequest> = {
          receivedAt: now,
          method: request.method,
          path,
          headers: visible(request.headers),
          bytes: received.length,
          encoding,
          body: Either.getOrUndefined(body),
          status: undefined,
          reason: undefined
        }
        requests.push(entry)
        const answer = scripted.get(path)?.shift() ?? scripted.get(undefined)?.shift() ?? "usual"
        const response = yield* answer === "usual"
          ? (spec.needsKey ? checkKey(request.headers) : Either.void).pipe(
            Either.flatMap(() => body),
            Either.flatMap((content) => spec.judge(content, now)),
            Either.getOrElse((refusal) => {
              entry.reason = refusal.reason
              return refusal.response
            }),
            Effect.succeed
          )
          : Effect.raceFirst(answer, Deferred.await(closing))
        entry.status = response.status
        return response
      })

    const view = Effect.sync(() =>
      HttpServerResponse.unsafeJson({ series, distributions, events, requests } satisfies View)
    )

    const post = (endpoint: Endpoints.Endpoint, judge: Parameters<typeof route>[0]["judge"]) =>
      HttpRouter.post(endpoint.path, route({ endpoint, needsKey: true, judge }))

    const router = HttpRouter.empty.pipe(
      HttpRouter.get("/", view),
      post(Endpoints.series, acceptSeries),
      post(Endpoints.seriesV2, acceptSeriesV2),
      post(Endpoints.distributionPoints, acceptDistributions),
      post(Endpoints.events, acceptEvent),
      HttpRouter.get(
        Endpoints.validatePath,
        route({ needsKey: true, judge: () => Either.right(HttpServerResponse.unsafeJson({ valid: true })) })
      ),
      HttpRouter.all("*", route({ needsKey: false, judge: () => refuse(404, "Not found") }))
    )

    const closing = yield* Deferred.make<HttpServerResponse.HttpServerResponse>()
    yield* HttpServer.serveEffect(router).pipe(HttpMiddleware.withTracerDisabledWhenEffect(() => true))
    // a server does not close while a request is unanswered, or a connection kept
    yield* Effect.addFinalizer(() =>
      Deferred.succeed(closing, HttpServerResponse.empty({ status: 503, headers: { connection: "close" } }))
    )

    return LocalIntake.of({
      url,
      series: Effect.sync(() => series.slice()),
      distributions: Effect.sync(() => distributions.slice()),
      events: Effect.sync(() => events.slice()),
      requests: Effect.sync(() => requests.map((request) => ({ ...request }))),
      stored: Effect.sync(() => storedOf(series, distributions)),
      total: (metric) => Effect.sync(() => totalOf(storedOf(series, distributions), metric)),
      summary: Effect.sync(() => ({
        requests: requests.length,
        refused: requests.filter(({ status }) => status !== undefined && (status < 200 || status > 299)).length,
        bytes: sum(requests, ({ bytes }) => bytes),
        series: series.length,
        points: sum(series, ({ points }) => points.length),
        distributions: distributions.length,
        values: sum(distributions, ({ points }) => sum(points, ([, values]) => values.length)),
        events: events.length
      })),
      clear: Effect.sync(() => {
        series = []
        distributions = []
        events = []
        requests = []
      }),
      script: (answers, path) =>
        Effect.sync(() => {
          scripted.set(path, [...scripted.get(path) ?? [], ...answers])
        })
    })
  }
)

/**
 * {@link make} as a layer. The port is the server's business; `0` is a free one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LocalIntake, never, HttpServer.HttpServer> =>
  Layer.scoped(LocalIntake, make(options))

type Writable<A> = { -readonly [K in keyof A]: A[K] }

type Handler = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  never,
  HttpServerRequest.HttpServerRequest
>

class Refusal extends Data.TaggedError("Refusal")<{
  readonly status: number
  readonly reason: string
  readonly contentType?: string
}> {
  get response(): HttpServerResponse.HttpServerResponse {
    return HttpServerResponse.text(JSON.stringify({ errors: [this.reason] }), {
      status: this.status,
      contentType: this.contentType ?? "application/json"
    })
  }
}

const refuse = (status: number, reason: string, contentType?: string): Either.Either<never, Refusal> =>
  Either.left(new Refusal({ status, reason, ...(contentType === undefined ? {} : { contentType }) }))

interface Body {
  readonly length: number
  /** `undefined` if there are more than the limit. */
  readonly bytes: Uint8Array | undefined
}

/** Reads to the end, since a client that is still writing would not see the answer, but keeps no more than the limit. */
const readBody = (request: HttpServerRequest.HttpServerRequest, limit: number): Effect.Effect<Body> =>
  Effect.suspend(() => {
    let length = 0
    let chunks: Array<Uint8Array> = []
    return Stream.runForEach(request.stream, (chunk) =>
      Effect.sync(() => {
        length += chunk.byteLength
        if (length <= limit) chunks.push(chunk)
        else chunks = []
      })).pipe(
        Effect.ignore,
        Effect.map(() => ({ length, bytes: length <= limit ? Buffer.concat(chunks) : undefined }))
      )
  })

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8", { fatal: true })

const exactly = { onExcessProperty: "preserve" } as const

const decodeWith = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema, exactly)
  return (body: unknown): Either.Either<A, Refusal> =>
    Either.mapLeft(decode(body), (error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      return new Refusal({
        status: 400,
        reason: `Payload is not in the expected format: ${issue!.path.join(".") || "body"}: ${issue!.message}`
      })
    })
}

const decodeSeries = /*#__PURE__*/ decodeWith(SeriesPayload)
const decodeSeriesV2 = /*#__PURE__*/ decodeWith(SeriesV2Payload)
const decodeDistributions = /*#__PURE__*/ decodeWith(DistributionPayload)
const decodeEventPayload = /*#__PURE__*/ decodeWith(EventPayload)

/** Source: a recorded answer of Datadog's, content type included. */
const decodeEvent = (body: unknown, now: number): Either.Either<AcceptedEvent, Refusal> =>
  Either.flatMap(
    decodeEventPayload(body),
    (event) =>
      event.date_happened !== undefined && event.date_happened * 1000 < now - eventWindow.past
        ? refuse(400, "Event too far in the past", "text/plain")
        : Either.right(event)
  )

/** Datadog's event ids do not fit a JavaScript number either, which is why `id_str` exists. */
const firstEventId = 7_000_000_000_000_000_001n

const eventAccepted = (
  event: AcceptedEvent,
  id: bigint,
  url: string,
  now: number
): HttpServerResponse.HttpServerResponse => {
  const rest = JSON.stringify({
    id_str: String(id),
    title: event.title,
    text: event.text,
    date_happened: event.date_happened ?? Math.floor(now / 1000),
    priority: event.priority ?? null,
    handle: null,
    related_event_id: event.related_event_id ?? null,
    tags: event.tags ?? null,
    url: `${url}/event/event?id=${id}`
  })
  return HttpServerResponse.text(`{"status":"ok","event":{"id":${id},${rest.slice(1)}}`, {
    status: 202,
    contentType: "application/json"
  })
}

const totalOf = ({ distributions, series }: Stored, metric: string): number =>
  sum(
    series.filter((item) => item.metric === metric && item.type !== "gauge"),
    ({ interval, points, type }) => sum(points, ([, value]) => type === "rate" ? value * interval : value)
  ) +
  sum(
    distributions.filter((item) => item.metric === metric),
    ({ points }) => sum(points, ([, values]) => sum(values, (value) => value))
  )

const secretHeaders = [Endpoints.keyHeader, "dd-application-key", "authorization", "proxy-authorization", "cookie"]

const visible = (headers: Headers.Headers): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretHeaders.includes(name) ? "<redacted>" : value])
  )

/** Where a client on this machine finds the server. */
const addressOf = (address: HttpServer.Address): string => {
  if (address._tag === "UnixAddress") return HttpServer.formatAddress(address)
  const host = address.hostname === "0.0.0.0"
    ? "127.0.0.1"
    : address.hostname.includes(":")
    ? `[${address.hostname}]`
    : address.hostname
  return `http://${host}:${address.port}`
}

const sum = <A>(items: ReadonlyArray<A>, size: (item: A) => number): number =>
  items.reduce((total, item) => total + size(item), 0)
