/**
 * Delivers to Datadog's HTTP API, or to anything that speaks it, over the `HttpClient` of `@effect/platform`.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ApiKey from "./internal/apiKey.js"
import * as Delivery from "./internal/delivery.js"
import { encode, hasZstd } from "./internal/encoder.js"
import type { Endpoint } from "./internal/endpoints.js"
import { distributionPoints, events, series, seriesV2 } from "./internal/endpoints.js"
import { pointWindow } from "./internal/limits.js"
import { sorted } from "./internal/series.js"
import { toV2 } from "./internal/seriesV2.js"
import * as Transport from "./internal/transport.js"
import type { Item, Receipt } from "./Reporter.js"
import { addReceipts, Deadline, emptyReceipt, layerNoop, Reporter, ReporterError } from "./Reporter.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

/**
 * The settings this reporter reads; any resolved {@link ThreadStatsConfig.ThreadStatsConfig} has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings extends
  Pick<
    ThreadStatsConfig.ThreadStatsConfig,
    "apiKey" | "apiUrl" | "compress" | "delivery" | "disabled" | "requestTimeout"
  >,
  Partial<Pick<ThreadStatsConfig.ThreadStatsConfig, "series" | "timestamps" | "units">>
{}

/**
 * A reporter that posts series and distributions in as few requests as Datadog's limits allow, and every event in a
 * request of its own.
 *
 * A request takes at most `requestTimeout`. What fails for the moment is sent again until the {@link Deadline} of the
 * flush, what is too large or malformed is halved (docs/delivery.md). Requests carry no spans or trace headers, and the
 * key travels in the `DD-API-KEY` header and is nowhere else: in no address, log, span or error.
 *
 * With `series: "v2"` series go to `/api/v2/series`; everything else is the same. What was to be compressed with zstd is
 * compressed with deflate, after one warning, where Node.js has no zstd or the receiver refuses it.
 *
 * The key comes from the {@link ApiKey.ApiKey} service where there is one, else from the settings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  settings: Settings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(settings: Settings) {
    if (settings.disabled) return yield* noop
    const source = yield* Effect.serviceOption(ApiKey.ApiKey)
    const keys = Option.isSome(source)
      ? source.value
      : ApiKey.constant(yield* Effect.catchAll(settings.apiKey, () => ApiKey.missing))
    if (keys.check !== undefined) yield* keys.check
    const transport = Transport.make(yield* HttpClient.HttpClient, settings)
    const v2 = settings.series === "v2"
    let { compress } = settings
    const withoutZstd = (why: string) =>
      Effect.suspend(() => {
        if (compress !== "zstd") return Effect.void
        compress = true
        return Effect.annotateLogs(Effect.logWarning(`Compressing with deflate, not zstd: ${why}`), annotations)
      })
    if (!v2) yield* withoutZstd("of Datadog's endpoints only series v2 takes it (option series, DD_THREADSTATS_SERIES)")
    else if (!hasZstd()) yield* withoutZstd("this Node.js has none, 22.15 and 23.8 are the first that have")

    const deliver = <A extends Item>(endpoint: Endpoint, form?: (item: A) => unknown) => {
      const address = `${settings.apiUrl}${endpoint.path}`
      return (batch: ReadonlyArray<A>): Effect.Effect<Receipt, ReporterError> =>
        Effect.gen(function*() {
          const options = {
            deadline: yield* Deadline,
            repeat: settings.delivery === "at-least-once",
            maxAge: settings.timestamps === "any" ? Infinity : pointWindow.past,
            zstdRefused: withoutZstd(`${address} refused it`)
          }
          const encoded = yield* encode(endpoint, batch, { compress, form })
          const { outcomes, retries } = yield* Delivery.deliver(transport, keys, encoded, concurrentRequests, options)
          const receipt = outcomes.map(receiptOf).reduce(addReceipts, { ...emptyReceipt, retries })
          const [first, ...more] = outcomes.flatMap((outcome) => errorOf(address, outcome))
          return first === undefined ? receipt : yield* combine(first, more, receipt)
        })
    }

    return Reporter.of({
      temporality: "total",
      flushMetrics: v2 ? deliver(seriesV2, toV2(settings.units)) : deliver(series),
      flushDistributions: deliver(distributionPoints, sorted),
      flushEvents: deliver(events),
      // a source is not asked before there is something to deliver: what it signs for that may expire unused
      warm: transport.warm(Option.isSome(source) ? Option.none() : settings.apiKey)
    })
  }
)

/**
 * {@link make} as a layer. Without an API key it fails, unless the client is disabled.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromConfig = (
  config: ThreadStatsConfig.ThreadStatsConfig
): Layer.Layer<Reporter, ConfigError.ConfigError, HttpClient.HttpClient> => Layer.effect(Reporter, make(config))

/**
 * Resolves the settings from the options and the environment, and then is {@link layerFromConfig}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: ThreadStatsConfig.Options
): Layer.Layer<Reporter, ConfigError.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(Reporter, Effect.flatMap(ThreadStatsConfig.make(options), make))

/**
 * {@link layer} with all settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDefault: Layer.Layer<Reporter, ConfigError.ConfigError, HttpClient.HttpClient> = /*#__PURE__*/ layer()

/**
 * The `HttpClient` over `fetch` that suits this reporter: it follows no redirect. `FetchHttpClient.layer` on its own
 * would follow one with a GET, take the other page for Datadog's answer, and hand the key to another host.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient> = /*#__PURE__*/ Layer.provide(
  FetchHttpClient.layer,
  /*#__PURE__*/ Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" })
)

const noop: Effect.Effect<typeof Reporter.Service> = /*#__PURE__*/ Effect.provide(Reporter, layerNoop)

const annotations = { package: "effect-threadstats", module: "HttpReporter" }

/** How many requests of one batch are under way at a time; they start in order. */
const concurrentRequests = 4

const receiptOf = (outcome: Delivery.Outcome): Receipt =>
  outcome._tag === "Delivered"
    ? { ...emptyReceipt, items: outcome.chunk.entries.length, payloads: 1, bytes: outcome.chunk.body.byteLength }
    : emptyReceipt

const errorOf = (endpoint: string, outcome: Delivery.Outcome): ReadonlyArray<ReporterError> => {
  switch (outcome._tag) {
    case "Delivered":
      return []
    case "Unencodable": {
      const { cause, description, item, reason } = outcome.error
      return [
        new ReporterError({
          reason,
          endpoint,
          description,
          undelivered: [],
          refused: [item],
          ambiguous: [],
          receipt: emptyReceipt,
          cause
        })
      ]
    }
    case "Failed": {
      const { ambiguous, chunk, failure } = outcome
      const { cause, description, reason, status, transient } = failure
      const items = chunk.entries.map(({ item }) => item)
      return [
        new ReporterError({
          reason,
          endpoint,
          description,
          status,
          undelivered: transient ? items : [],
          refused: transient ? [] : items,
          ambiguous: transient && ambiguous ? items : [],
          receipt: emptyReceipt,
          cause
        })
      ]
    }
  }
}

/** One error for several: what the first one says, with the items of all. */
const combine = (first: ReporterError, more: ReadonlyArray<ReporterError>, receipt: Receipt): ReporterError =>
  new ReporterError({
    reason: first.reason,
    endpoint: first.endpoint,
    description: more.length === 0 ? first.description : `${first.description} (and ${more.length} more)`,
    status: first.status,
    undelivered: [first, ...more].flatMap((error) => error.undelivered),
    refused: [first, ...more].flatMap((error) => error.refused),
    ambiguous: [first, ...more].flatMap((error) => error.ambiguous),
    receipt,
    cause: first.cause
  })
