/**
 * Delivers to Datadog's HTTP API, or to anything that speaks it, over the `HttpClient` of `@effect/platform`.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Arr from "effect/Array"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Event } from "./Event.js"
import type { EncodingError, Payload } from "./internal/encoder.js"
import { encode } from "./internal/encoder.js"
import type { Endpoint } from "./internal/endpoints.js"
import { distributionPoints, events, series } from "./internal/endpoints.js"
import type { DeliveryFailure } from "./internal/transport.js"
import * as Transport from "./internal/transport.js"
import type { Item, Receipt } from "./Reporter.js"
import { addReceipts, emptyReceipt, layerNoop, Reporter, ReporterError } from "./Reporter.js"
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
    "apiKey" | "apiUrl" | "compress" | "disabled" | "requestTimeout"
  >
{}

/**
 * A reporter that posts series and distributions in one request per batch, and every event in a request of its own.
 *
 * Each request is sent once, within `requestTimeout`, without spans or trace headers. The key travels in the
 * `DD-API-KEY` header and is nowhere else: in no address, log, span or error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  settings: Settings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(settings: Settings) {
    if (settings.disabled) return yield* noop
    const apiKey = yield* Option.match(settings.apiKey, {
      onNone: () => Effect.fail(missingKey),
      onSome: Effect.succeed
    })
    const transport = Transport.make(yield* HttpClient.HttpClient, { ...settings, apiKey })

    const send = (
      endpoint: Endpoint,
      content: unknown,
      items: ReadonlyArray<Item>
    ): Effect.Effect<Receipt, ReporterError> =>
      encode(endpoint, content, settings).pipe(
        Effect.tap(transport.send),
        Effect.mapBoth({
          onSuccess: receiptOf(items.length),
          onFailure: errorOf(`${settings.apiUrl}${endpoint.path}`, items)
        })
      )

    return Reporter.of({
      temporality: "total",
      flushMetrics: (batch) => send(series, { series: batch }, batch),
      flushDistributions: (batch) => send(distributionPoints, { series: batch }, batch),
      flushEvents: (batch) =>
        Effect.flatMap(
          Effect.forEach(batch, (event: Event) => Effect.either(send(events, event, [event])), {
            concurrency: concurrentEvents
          }),
          (results) => {
            const [[first, ...more], receipts] = Arr.separate(results)
            const receipt = receipts.reduce(addReceipts, emptyReceipt)
            return first === undefined ? Effect.succeed(receipt) : Effect.fail(combine(first, more, receipt))
          }
        ),
      warm: transport.warm
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

const missingKey: ConfigError.ConfigError = /*#__PURE__*/ ConfigError.MissingData(
  ["DATADOG_API_KEY"],
  "there is no API key; set DATADOG_API_KEY or DD_API_KEY, or the option apiKey, or disable the client"
)

/** How many events are under way at a time. */
const concurrentEvents = 4

const receiptOf = (items: number) => (payload: Payload): Receipt => ({
  items,
  payloads: 1,
  bytes: payload.body.byteLength
})

const errorOf = (endpoint: string, items: ReadonlyArray<Item>) => (failure: EncodingError | DeliveryFailure) =>
  failure._tag === "EncodingError"
    ? new ReporterError({
      reason: "Encoding",
      endpoint,
      description: failure.cause instanceof Error ? failure.cause.message : "the batch is not JSON",
      undelivered: [],
      refused: items,
      receipt: emptyReceipt,
      cause: failure.cause
    })
    : new ReporterError({
      reason: failure.reason,
      endpoint,
      description: failure.description,
      status: failure.status,
      undelivered: failure.transient ? items : [],
      refused: failure.transient ? [] : items,
      receipt: emptyReceipt,
      cause: failure.cause
    })

/** One error for several: what the first one says, with the items of all. */
const combine = (first: ReporterError, more: ReadonlyArray<ReporterError>, receipt: Receipt): ReporterError =>
  new ReporterError({
    reason: first.reason,
    endpoint: first.endpoint,
    description: more.length === 0 ? first.description : `${first.description} (and ${more.length} more)`,
    status: first.status,
    undelivered: [first, ...more].flatMap((error) => error.undelivered),
    refused: [first, ...more].flatMap((error) => error.refused),
    receipt,
    cause: first.cause
  })
