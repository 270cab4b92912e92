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
 * series and second wins; `findings` are what Datadog would drop, rewrite or lose of it without a word, and why. In a browser its
 * address shows a page that lives (`docs/intake.md`); `npx effect-threadstats intake` is all of this as a command.
 *
 * Two things it does not do unless it is told: it keeps points of any age, where Datadog answers 202 and drops those
 * outside its window (`strict` refuses them), and it forgets nothing until {@link LocalIntake} is told to `clear` (`limits`).
 *
 * @since 0.1.0
 */
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { randomUUID } from "node:crypto"
import type { EventPayload } from "./Event.js"
import { IntakeApi } from "./intake/api.js"
import { storedOf } from "./intake/datadogView.js"
import * as Faults from "./intake/faultInjection.js"
import type * as Feed from "./intake/feedProtocol.js"
import * as FeedServer from "./intake/feedServer.js"
import * as Desk from "./intake/ingest.js"
import * as Server from "./intake/server.js"
import * as Memory from "./intake/store.js"
import { bind } from "./intake/udpServer.js"
import { version } from "./internal/runtime/version.js"
import type { DistributionPayload, SeriesPayload, SeriesType } from "./Series.js"

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
  /** The length of the body unpacked; that on the wire where it could not be. */
  readonly unpackedBytes: number
  /** The `content-encoding`, or `identity`. */
  readonly encoding: string
  /** The body, unpacked and parsed; `undefined` if there is none, or if that failed. */
  readonly body: unknown
  /** `undefined` while there is no answer. */
  readonly status: number | undefined
  /** How long the answer took, in milliseconds. */
  readonly duration: number | undefined
  /** The fault that was played, as it was given. */
  readonly fault: string | undefined
  /** Why it was refused. */
  readonly reason: string | undefined
  /** What Datadog would do with it; of very many the first. */
  readonly verdicts: ReadonlyArray<Verdict>
}

/**
 * What Datadog would do with a payload or a part of it, and why: `outcome`, a word for it (`code`), a sentence (`message`), and
 * the name of the metric if it is about one.
 *
 * `dropped` is what Datadog answers 202 to and does not keep.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = Feed.Verdict

/**
 * A {@link Verdict} other than that all is well, and how often it was given for this metric. The sentence is that of the first time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding extends Verdict {
  readonly count: number
}

/**
 * A service check, as it came over DogStatsD.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceCheck {
  readonly name: string
  /** 0 for OK, 1 for a warning, 2 for critical, 3 for unknown. */
  readonly status: 0 | 1 | 2 | 3
  /** Seconds since the epoch. */
  readonly timestamp: number
  /** Empty for none. */
  readonly host: string
  readonly tags: ReadonlyArray<string>
  readonly message: string
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
export class LocalIntake extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake")<LocalIntake, {
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
  /** How many datagrams came over DogStatsD. */
  readonly datagrams: Effect.Effect<number>
  /** What came over DogStatsD besides; its metrics and events are among the others, as an Agent sends them on. */
  readonly serviceChecks: Effect.Effect<ReadonlyArray<ServiceCheck>>
  /** What Datadog would refuse, drop, rewrite or lose of what arrived, and what it warns of. */
  readonly findings: Effect.Effect<ReadonlyArray<Finding>>
  /** Forgets what was received; what is scripted stays. */
  readonly clear: Effect.Effect<void>
  /** Gives the answers for the next requests, one each; with a path, for the next requests to that path. */
  readonly script: (answers: ReadonlyArray<Answer>, path?: string) => Effect.Effect<void>
}>() {}

/**
 * Where DogStatsD datagrams come from. An intake that is built where there is one takes them.
 *
 * @since 0.1.0
 * @category tags
 */
export class Datagrams extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake/Datagrams")<Datagrams, {
  /** What `DD_DOGSTATSD_URL` is set to. */
  readonly url: string
  readonly packets: Stream.Stream<Uint8Array>
}>() {}

/**
 * Something that is played on requests in place of the usual answer; see {@link fault}.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = Faults.Fault

/**
 * The most an intake keeps. What is oldest goes first, and is counted. Where no default is named, all is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** Series and distributions that the page shows. Default: 5,000. */
  readonly series: number
  /** Points of each that the page shows. Default: 720. */
  readonly pointsPerSeries: number
  /** Elements of payloads, of `series` and `distributions` each. */
  readonly accepted: number
  readonly events: number
  /** Requests and datagrams. */
  readonly requests: number
  /** What the bodies of requests have unpacked, in bytes. A request whose body went stays. */
  readonly bodyBytes: number
}

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
  /** Whether a payload of which Datadog would drop a part in silence is refused with 400. Default: `false`. */
  readonly strict?: boolean | undefined
  /** Played on the requests of clients: the first that fits and whose turn it is. Chance comes from `Random`. Default: none. */
  readonly faults?: ReadonlyArray<Fault> | undefined
  readonly limits?: Partial<Limits> | undefined
  /**
   * Names under which the server may be found (the `Host` of requests), besides `localhost` and addresses. A page that makes its
   * own name point to this machine is kept out by this. Default: none.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
}

/**
 * The routes of an intake, as `@effect/platform` has them: what the server answers, what `/openapi.json` documents, and what
 * `HttpApiClient.make` makes a client of.
 *
 * @since 0.1.0
 * @category api
 */
export const Api: typeof IntakeApi = IntakeApi

/**
 * A fault out of words: `status=503`, `delay=2s`, `hang`, `reset` (of the connection) or `rate-limit` (429 with Datadog's headers),
 * with `rate=0.2` (how probable; default 1) and `path=/api/v1/series` (default: any). A delay goes with any of the others, or alone.
 * Left is what is wrong with them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fault: (words: string) => Either.Either<Fault, string> = Faults.parse

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
    const datagrams = yield* Effect.serviceOption(Datagrams)
    const url = addressOf(server.address)
    const limits = { ...defaultLimits, ...options.limits }
    const faults = options.faults ?? []
    const isStrict = options.strict ?? false
    const scripted = new Map<string | undefined, Array<Answer>>()
    const memory = Memory.make(limits)
    const desk = Desk.make(memory, { url, isStrict, maxChecks: limits.events })
    const closing = yield* Deferred.make<HttpServerResponse.HttpServerResponse>()
    const feed = yield* FeedServer.make(memory, {
      instance: randomUUID(),
      version,
      url,
      dogstatsd: Option.match(datagrams, { onNone: () => null, onSome: ({ url }) => url }),
      strict: isStrict,
      faults: faults.map(({ text }) => text),
      limits: {
        series: finite(limits.series),
        pointsPerSeries: finite(limits.pointsPerSeries),
        events: finite(limits.events),
        requests: finite(limits.requests)
      }
    })
    const clear = Effect.zipRight(Effect.sync(desk.clear), feed.cleared)
    const requests = (): ReadonlyArray<IntakeRequest> =>
      memory.arrivals.flatMap(({ request }) => request === undefined ? [] : [{ ...request }])
    const stored = (): Stored => {
      const { distributions, series } = desk.accepted()
      return storedOf(series, distributions)
    }

    const app = yield* Server.make({
      memory,
      desk,
      feed,
      clear,
      view: () => ({ ...desk.accepted(), requests: requests() }),
      apiKey: options.apiKey,
      limitsOf: ({ bytes, unpackedBytes }) => ({
        bytes: options.maxBodyBytes ?? bytes,
        unpackedBytes: options.maxUnpackedBytes ?? unpackedBytes
      }),
      faults,
      scripted: (path) => scripted.get(path)?.shift() ?? scripted.get(undefined)?.shift(),
      names: (options.hosts ?? []).map((name) => name.toLowerCase()),
      closing
    })
    yield* HttpServer.serveEffect(app).pipe(HttpMiddleware.withTracerDisabledWhenEffect(() => true))
    // a server does not close while a request is unanswered, or a connection kept
    yield* Effect.addFinalizer(() =>
      Deferred.succeed(closing, HttpServerResponse.empty({ status: 503, headers: { connection: "close" } }))
    )
    if (Option.isSome(datagrams)) {
      yield* datagrams.value.packets.pipe(
        Stream.runForEach((packet) => Effect.map(Clock.currentTimeMillis, (now) => desk.datagram(packet, now))),
        Effect.interruptible,
        Effect.forkScoped
      )
    }

    return LocalIntake.of({
      url,
      series: Effect.sync(() => desk.accepted().series),
      distributions: Effect.sync(() => desk.accepted().distributions),
      events: Effect.sync(() => desk.accepted().events),
      requests: Effect.sync(requests),
      stored: Effect.sync(stored),
      total: (metric) => Effect.sync(() => totalOf(stored(), metric)),
      summary: Effect.sync(() => {
        const { distributions, events, series } = desk.accepted()
        const all = requests()
        return {
          requests: all.length,
          refused: all.filter(({ status }) => status !== undefined && (status < 200 || status > 299)).length,
          bytes: sum(all, ({ bytes }) => bytes),
          series: series.length,
          points: sum(series, ({ points }) => points.length),
          distributions: distributions.length,
          values: sum(distributions, ({ points }) => sum(points, ([, values]) => values.length)),
          events: events.length
        }
      }),
      datagrams: Effect.sync(() => memory.health().datagrams),
      serviceChecks: Effect.sync(desk.checks),
      findings: Effect.sync(memory.findings),
      clear,
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

/**
 * A UDP socket for an intake: provided to {@link layer}, it makes the intake take DogStatsD as an Agent does.
 *
 * `port`: default 8125, where clients look for an Agent; `0` is a free one. `host`: the address to listen on, default `127.0.0.1`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDatagrams = (
  options: { readonly port?: number | undefined; readonly host?: string | undefined } = {}
): Layer.Layer<Datagrams, DatagramsError> =>
  Layer.scoped(
    Datagrams,
    Effect.suspend(() => {
      const { host = "127.0.0.1", port = 8125 } = options
      return Effect.mapError(bind(host, port), (cause) =>
        new DatagramsError({
          reason: "code" in cause && cause.code === "EADDRINUSE" ? "PortTaken" : "CannotListen",
          host,
          port,
          cause
        }))
    })
  )

/**
 * Why there is no UDP socket: another process has the port, or the system does not let this one have it.
 *
 * @since 0.1.0
 * @category errors
 */
export class DatagramsError extends /*#__PURE__*/ Data.TaggedError("DatagramsError")<{
  readonly reason: "PortTaken" | "CannotListen"
  readonly host: string
  readonly port: number
  readonly cause: Error
}> {
  override get message(): string {
    return this.reason === "PortTaken"
      ? `UDP port ${this.port} of ${this.host} is taken by another process`
      : `cannot listen on UDP port ${this.port} of ${this.host}: ${this.cause.message}`
  }
}

const defaultLimits: Limits = {
  series: 5000,
  pointsPerSeries: 720,
  accepted: Number.POSITIVE_INFINITY,
  events: Number.POSITIVE_INFINITY,
  requests: Number.POSITIVE_INFINITY,
  bodyBytes: Number.POSITIVE_INFINITY
}

/** JSON knows no infinity. */
const finite = (limit: number): number => Math.min(limit, Number.MAX_SAFE_INTEGER)

const totalOf = ({ distributions, series }: Stored, metric: string): number =>
  sum(
    series.filter((item) => item.metric === metric && item.type !== "gauge"),
    ({ interval, points, type }) => sum(points, ([, value]) => type === "rate" ? value * interval : value)
  ) +
  sum(
    distributions.filter((item) => item.metric === metric),
    ({ points }) => sum(points, ([, values]) => sum(values, (value) => value))
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
