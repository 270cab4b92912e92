/**
 * An embedded Datadog intake for development, demos and tests: an HTTP server that answers the routes of a client like
 * Datadog, refuses the payloads that Datadog refuses, and keeps the accepted ones.
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
 * `series`, `distributions` and `events` are the accepted payloads. `stored` is the data that Datadog would show: the last value
 * of each series and second. `findings` lists the data that Datadog would drop, rewrite or overwrite without an error, with the
 * reason. A browser that opens its address shows a live page (`docs/local-intake.md`). The command `npx effect-threadstats intake`
 * runs an intake without a program.
 *
 * Two defaults differ from Datadog. The intake keeps points of any age, and Datadog answers 202 and drops points outside its time
 * window (the option `strict` refuses them). The intake keeps data until {@link LocalIntake} is cleared (the option `limits`
 * bounds it).
 *
 * @since 0.1.0
 */
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import type * as ConfigError from "effect/ConfigError"
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
import { IntakeApi } from "./intake/api.js"
import type { ScriptedAnswer } from "./intake/datadogRoute.js"
import { storedMetrics } from "./intake/datadogView.js"
import { DatagramIngest } from "./intake/dogstatsd/ingestDatagram.js"
import * as Faults from "./intake/faults.js"
import type { Hello } from "./intake/feedProtocol.js"
import * as FeedServer from "./intake/feedServer.js"
import * as Ingest from "./intake/ingest.js"
import {
  type AcceptedDistribution,
  type AcceptedEvent,
  type AcceptedSeries,
  defaultLimits,
  type Finding,
  type IntakeLimits,
  type IntakeRequest,
  type IntakeSummary,
  type IntakeView,
  type ServiceCheck,
  type StoredMetrics
} from "./intake/model.js"
import { checkDatagramOptions, checkIntakeOptions } from "./intake/options.js"
import * as Server from "./intake/server.js"
import { Store } from "./intake/store.js"
import { addPayloads, totalOf } from "./intake/totals.js"
import { bindUdp } from "./intake/udpServer.js"
import { version } from "./internal/model/version.js"

export type {
  /**
   * Answer to a request in a test: `"usual"` answers like Datadog; an effect answers with its response, and the intake accepts
   * nothing. The effect may be slow, or never complete.
   *
   * @since 0.1.0
   * @category models
   */
  ScriptedAnswer
} from "./intake/datadogRoute.js"

export type {
  /**
   * A fault that the intake injects into requests. {@link parseFault} creates it.
   *
   * @since 0.1.0
   * @category models
   */
  InjectedFault
} from "./intake/faults.js"

export type {
  /**
   * One element of an accepted `distribution_points` payload.
   *
   * @since 0.1.0
   * @category models
   */
  AcceptedDistribution,
  /**
   * One accepted event.
   *
   * @since 0.1.0
   * @category models
   */
  AcceptedEvent,
  /**
   * One element of an accepted `series` payload. An element of version 2 is converted to the form of version 1 with its unit;
   * the body of its {@link IntakeRequest} stays as received.
   *
   * @since 0.1.0
   * @category models
   */
  AcceptedSeries,
  /**
   * A {@link Verdict} other than `accepted`, with the number of times it was reached for its metric. The message is that of the
   * first time.
   *
   * @since 0.1.0
   * @category models
   */
  Finding,
  /**
   * Limits of the intake's memory. The oldest data is evicted first, and counted.
   *
   * @since 0.1.0
   * @category models
   */
  IntakeLimits,
  /**
   * One request and its answer. Requests for the JSON view, the page and the feed are not recorded.
   *
   * @since 0.1.0
   * @category models
   */
  IntakeRequest,
  /**
   * Counts of everything that the intake received since it started or was cleared, including evicted data.
   *
   * @since 0.1.0
   * @category models
   */
  IntakeSummary,
  /**
   * Content of the JSON view at `GET /`: all accepted payloads and all requests, in the order of arrival.
   *
   * @since 0.1.0
   * @category models
   */
  IntakeView,
  /**
   * A service check.
   *
   * @since 0.1.0
   * @category models
   */
  ServiceCheck,
  /**
   * A distribution as Datadog stores it: all values that arrived.
   *
   * @since 0.1.0
   * @category models
   */
  StoredDistribution,
  /**
   * Metrics as Datadog stores them. Datadog identifies a series by name, host, device and tags. Two senders of one series
   * overwrite each other; distributions add up. Sources: Datadog's documentation of custom metrics from Lambda, and datadogpy
   * issue 350.
   *
   * @since 0.1.0
   * @category models
   */
  StoredMetrics,
  /**
   * A series as Datadog stores it: one value per second, the last one that arrived.
   *
   * @since 0.1.0
   * @category models
   */
  StoredSeries
} from "./intake/model.js"

export type {
  /**
   * Treatment of a payload, or of a part of it, by Datadog.
   *
   * @since 0.1.0
   * @category models
   */
  Verdict
} from "./intake/verdict.js"

/**
 * An intake that listens at `url` while its layer is open.
 *
 * @since 0.1.0
 * @category tags
 */
export class LocalIntake extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake")<LocalIntake, {
  /** Base address without a trailing slash, for the option `apiUrl` or the variable `DATADOG_HOST`. */
  readonly url: string
  readonly series: Effect.Effect<ReadonlyArray<AcceptedSeries>>
  readonly distributions: Effect.Effect<ReadonlyArray<AcceptedDistribution>>
  readonly events: Effect.Effect<ReadonlyArray<AcceptedEvent>>
  /** Requests in the order of arrival. */
  readonly requests: Effect.Effect<ReadonlyArray<IntakeRequest>>
  /** Metrics as Datadog stores them. */
  readonly stored: Effect.Effect<StoredMetrics>
  /**
   * Returns the total of a metric over all hosts, tags and times: counts, rates times their interval, and the sum of all values
   * of a distribution. Gauges are left out.
   */
  readonly total: (metric: string) => Effect.Effect<number>
  readonly summary: Effect.Effect<IntakeSummary>
  /** Number of datagrams that arrived over DogStatsD. */
  readonly datagrams: Effect.Effect<number>
  /**
   * Service checks. Metrics and events from DogStatsD are in `series`, `distributions` and `events`, as an Agent sends them.
   */
  readonly serviceChecks: Effect.Effect<ReadonlyArray<ServiceCheck>>
  /** Verdicts of all payloads and datagrams, except `accepted` ones. */
  readonly findings: Effect.Effect<ReadonlyArray<Finding>>
  /** Clears everything that was received. Scripted answers stay. */
  readonly clear: Effect.Effect<void>
  /**
   * Scripts the answers to the next requests, one each. With a path it scripts the next requests to that path, which come before
   * those to any path.
   */
  readonly script: (answers: ReadonlyArray<ScriptedAnswer>, path?: string) => Effect.Effect<void>
}>() {}

/**
 * Source of DogStatsD datagrams. An intake whose environment contains it ingests them.
 *
 * @since 0.1.0
 * @category tags
 */
export class Datagrams extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake/Datagrams")<Datagrams, {
  /** Address for the variable `DD_DOGSTATSD_URL`. */
  readonly url: string
  readonly packets: Stream.Stream<Uint8Array>
}>() {}

/**
 * Options of an intake.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeOptions {
  /** The only valid key. Default: every key that is not empty is valid. */
  readonly apiKey?: Redacted.Redacted | undefined
  /**
   * Maximum size of a body on the wire, in bytes. Default: the documented limits of series, 512,000 for version 2 and 3,200,000 for
   * version 1. The other endpoints have that of version 1.
   */
  readonly maxBodyBytes?: number | undefined
  /**
   * Maximum size of an uncompressed body, in bytes. Default: the documented limits of series, 5,242,880 for version 2 and
   * 62,914,560 for version 1. The other endpoints have that of version 1.
   */
  readonly maxUnpackedBytes?: number | undefined
  /** Whether to answer 400 to a payload that Datadog would drop in part. Default: `false`. */
  readonly strict?: boolean | undefined
  /**
   * Faults to inject into requests. The first fault for the path of a request whose turn it is, is injected. The service `Random`
   * draws the turns. Default: none.
   */
  readonly faults?: ReadonlyArray<Faults.InjectedFault> | undefined
  /** Limits of the stored data. Default: the defaults of `IntakeLimits`. */
  readonly limits?: Partial<IntakeLimits> | undefined
  /**
   * Host names (header `Host`) under which clients reach the server, besides `localhost` and addresses. Other names are refused,
   * because a web page could make its own name resolve to this machine. Default: none.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
}

/**
 * The routes of an intake as an `HttpApi`. The server implements them, `/openapi.json` documents them, and `HttpApiClient.make`
 * derives a client.
 *
 * @since 0.1.0
 * @category api
 */
export const Api: typeof IntakeApi = IntakeApi

/**
 * Parses a fault: `status=503`, `delay=2s`, `hang`, `reset` (of the connection) or `rate-limit` (429 with Datadog's headers).
 * `rate=0.2` sets the probability (default 1) and `path=/api/v1/series` the path (default: all). A delay may stand alone or be
 * combined with another action. An error is the reason.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parseFault: (words: string) => Either.Either<Faults.InjectedFault, string> = Faults.parseFault

/**
 * Creates an intake that listens until the scope closes. Fails with a `ConfigError` that names an invalid option, or an option that does
 * not exist.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: IntakeOptions
) => Effect.Effect<
  typeof LocalIntake.Service,
  ConfigError.ConfigError,
  HttpServer.HttpServer | Scope.Scope
> = Effect.fnUntraced(
  function*(options: IntakeOptions = {}) {
    yield* checkIntakeOptions(options)
    const server = yield* HttpServer.HttpServer
    const datagrams = yield* Effect.serviceOption(Datagrams)
    const url = clientUrl(server.address)
    const limits = { ...defaultLimits, ...options.limits }
    const script = makeScript()
    const store = new Store(limits)
    const datagramIngest = new DatagramIngest(store)
    const accepted = () => acceptedOf(store, datagramIngest)
    const requests = () => requestsOf(store)
    const view = (): IntakeView => ({ ...accepted(), requests: requests() })
    const closing = yield* Deferred.make<HttpServerResponse.HttpServerResponse>()
    const feed = yield* FeedServer.make(store, makeHello(url, datagrams, limits, options))
    const clear = Effect.zipRight(
      Effect.sync(() => {
        store.clear()
        datagramIngest.clear()
      }),
      feed.announceClear
    )
    const app = yield* Server.make({
      store,
      ingest: Ingest.make(store, { url, isStrict: options.strict ?? false }),
      feed,
      view,
      clear,
      apiKey: options.apiKey,
      limitsOf: ({ bytes, unpackedBytes }) => ({
        bytes: options.maxBodyBytes ?? bytes,
        unpackedBytes: options.maxUnpackedBytes ?? unpackedBytes
      }),
      faults: options.faults ?? [],
      takeScripted: script.take,
      hosts: (options.hosts ?? []).map((name) => name.toLowerCase()),
      closing
    })
    yield* HttpServer.serveEffect(app).pipe(HttpMiddleware.withTracerDisabledWhenEffect(() => true))
    // A server closes only after its requests are answered and its kept connections are closed.
    yield* Effect.addFinalizer(() =>
      Deferred.succeed(closing, HttpServerResponse.empty({ status: 503, headers: { connection: "close" } }))
    )
    if (Option.isSome(datagrams)) {
      yield* datagrams.value.packets.pipe(
        Stream.runForEach((packet) => Effect.map(Clock.currentTimeMillis, (now) => datagramIngest.ingest(packet, now))),
        Effect.interruptible,
        Effect.forkScoped
      )
    }

    const stored = (): StoredMetrics => {
      const { distributions, series } = accepted()
      return storedMetrics(series, distributions)
    }
    return LocalIntake.of({
      url,
      series: Effect.sync(() => accepted().series),
      distributions: Effect.sync(() => accepted().distributions),
      events: Effect.sync(() => accepted().events),
      requests: Effect.sync(requests),
      stored: Effect.sync(stored),
      total: (metric) => Effect.sync(() => totalOf(stored(), metric)),
      summary: Effect.sync(() => addPayloads(store.summary, datagramIngest.openPayloads())),
      datagrams: Effect.sync(() => store.health.datagrams),
      serviceChecks: Effect.sync(() => store.serviceChecks),
      findings: Effect.sync(() => store.findings.all()),
      clear,
      script: (answers, path) => Effect.sync(() => script.add(answers, path))
    })
  }
)

/**
 * {@link make} as a layer. The `HttpServer` chooses the port.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: IntakeOptions
): Layer.Layer<LocalIntake, ConfigError.ConfigError, HttpServer.HttpServer> => Layer.scoped(LocalIntake, make(options))

/**
 * A UDP socket for {@link layer}, with which the intake ingests DogStatsD like an Agent.
 *
 * `port`: default 8125, the port of an Agent; `0` chooses a free port. `host`: address to listen on, default `127.0.0.1`. Fails with a
 * `ConfigError` that names an invalid option, or an option that does not exist.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDatagrams = (
  options: {
    /** UDP port. 0 chooses a free port. Default: 8125. */
    readonly port?: number | undefined
    /** Address or name to listen on. Default: 127.0.0.1. */
    readonly host?: string | undefined
  } = {}
): Layer.Layer<Datagrams, DatagramsError | ConfigError.ConfigError> =>
  Layer.scoped(
    Datagrams,
    Effect.gen(function*() {
      yield* checkDatagramOptions(options)
      const { host = "127.0.0.1", port = 8125 } = options
      return yield* Effect.mapError(bindUdp(host, port), (cause) =>
        new DatagramsError({
          reason: "code" in cause && cause.code === "EADDRINUSE" ? "PortTaken" : "CannotListen",
          host,
          port,
          cause
        }))
    })
  )

/**
 * Failure to bind a UDP socket: another process uses the port, or the system does not allow it.
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
    const reason = this.reason === "PortTaken" ? "another process uses it" : this.cause.message
    return `Cannot listen on UDP port ${this.port} of ${this.host}: ${reason}`
  }
}

/** Scripted answers by path; `undefined` is the script of all paths. */
const makeScript = () => {
  const answers = new Map<string | undefined, Array<ScriptedAnswer>>()
  return {
    add: (added: ReadonlyArray<ScriptedAnswer>, path: string | undefined): void => {
      answers.set(path, [...answers.get(path) ?? [], ...added])
    },
    take: (path: string): ScriptedAnswer | undefined => answers.get(path)?.shift() ?? answers.get(undefined)?.shift()
  }
}

/** Returns a copy of all accepted payloads. Payloads of open DogStatsD buckets are included. */
const acceptedOf = (store: Store, datagramIngest: DatagramIngest): Omit<IntakeView, "requests"> => {
  const open = datagramIngest.openPayloads()
  return {
    series: [...store.series, ...open.series],
    distributions: [...store.distributions, ...open.distributions],
    events: store.events
  }
}

/** Returns a copy of all requests. */
const requestsOf = (store: Store): ReadonlyArray<IntakeRequest> =>
  store.requests.all().flatMap(({ request }) => request === undefined ? [] : [{ ...request }])

const makeHello = (
  url: string,
  datagrams: Option.Option<typeof Datagrams.Service>,
  limits: IntakeLimits,
  { apiKey, faults = [], strict = false }: IntakeOptions
): Omit<Hello, "now"> => {
  // JSON has no infinity.
  const toJson = (limit: number): number => Math.min(limit, Number.MAX_SAFE_INTEGER)
  return {
    instance: randomUUID(),
    version,
    url,
    dogstatsd: Option.match(datagrams, { onNone: () => null, onSome: ({ url }) => url }),
    isAnyKeyValid: apiKey === undefined,
    strict,
    faults: faults.map(({ text }) => text),
    limits: {
      series: toJson(limits.series),
      pointsPerSeries: toJson(limits.pointsPerSeries),
      events: toJson(limits.events),
      requests: toJson(limits.requests)
    }
  }
}

/** Returns the URL under which clients on this machine reach the server. */
const clientUrl = (address: HttpServer.Address): string => {
  if (address._tag === "UnixAddress") return HttpServer.formatAddress(address)
  const host = address.hostname === "0.0.0.0"
    ? "127.0.0.1"
    : address.hostname.includes(":")
    ? `[${address.hostname}]`
    : address.hostname
  return `http://${host}:${address.port}`
}
