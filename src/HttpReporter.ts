/**
 * Delivers to Datadog's HTTP API, or to anything that speaks it: over `node:http`, or over an `HttpClient` of
 * `@effect/platform`.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Arr from "effect/Array"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ApiKey from "./internal/apiKey.js"
import * as Delivery from "./internal/delivery.js"
import {
  type Chunk,
  countOf,
  encode,
  type Encoded,
  encodingOf,
  hasZstd,
  itemsOf,
  makeWriter
} from "./internal/encoder.js"
import type { Endpoint, EnvelopedEndpoint } from "./internal/endpoints.js"
import { distributionPoints, events, series, seriesV2 } from "./internal/endpoints.js"
import * as HttpClientTransport from "./internal/httpClientTransport.js"
import { lazily } from "./internal/lazyError.js"
import { pointWindow } from "./internal/limits.js"
import * as NodeTransport from "./internal/nodeTransport.js"
import * as noop from "./internal/noop.js"
import { type Dress, lineWriter, sorted, type Syntax, syntax } from "./internal/series.js"
import { fromV2, syntaxV2, toV2 } from "./internal/seriesV2.js"
import { type Stream, withStream } from "./internal/streamed.js"
import type * as Transport from "./internal/transport.js"
import type { RolledUp } from "./MetricsAggregator.js"
import type { Item, Receipt } from "./Reporter.js"
import { addReceipts, Deadline, emptyReceipt, Reporter, ReporterError } from "./Reporter.js"
import type { Series } from "./Series.js"
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

/** One reporter, whatever it sends over. */
const over = <R>(makeTransport: (settings: Settings) => Effect.Effect<Transport.Transport, never, R>): (
  settings: Settings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, R> =>
  Effect.fnUntraced(function*(settings: Settings) {
    if (settings.disabled) return noop.make()
    const source = yield* Effect.serviceOption(ApiKey.ApiKey)
    const keys = Option.isSome(source)
      ? source.value
      : ApiKey.constant(yield* Effect.catchAll(settings.apiKey, () => ApiKey.missing))
    if (keys.check !== undefined) yield* keys.check
    const transport = yield* makeTransport(settings)
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

    const send = <A extends Item | RolledUp>(
      endpoint: Endpoint,
      encoded: Effect.Effect<Encoded<A>>
    ): Effect.Effect<Receipt, Failure<A>> =>
      Effect.gen(function*() {
        const address = `${settings.apiUrl}${endpoint.path}`
        const options = {
          deadline: yield* Deadline,
          repeat: settings.delivery === "at-least-once",
          maxAge: settings.timestamps === "any" ? Infinity : pointWindow.past,
          zstdRefused: withoutZstd(`${address} refused it`)
        }
        const { outcomes, retries } = yield* Delivery.deliver(
          transport,
          keys,
          yield* encoded,
          concurrentRequests,
          options
        )
        const receipt = outcomes.map(receiptOf).reduce(addReceipts, { ...emptyReceipt, retries })
        const lost = outcomes.flatMap(lostOf)
        return Arr.isNonEmptyArray(lost) ? yield* Effect.fail({ address, lost, receipt }) : receipt
      })

    const deliver =
      <A extends Item>(endpoint: Endpoint, form?: (item: A) => unknown) =>
      (batch: ReadonlyArray<A>): Effect.Effect<Receipt, ReporterError> =>
        Effect.mapError(
          send(endpoint, Effect.suspend(() => encode(endpoint, batch, { compress, form }))),
          (failure) => errorOf(failure, partsOf(failure.lost, ({ items }) => items))
        )

    /** The same, item by item while they are taken out. */
    const stream =
      (endpoint: EnvelopedEndpoint, syntax: Syntax, isDistribution: boolean, read: (json: string) => Item) =>
      (dress: Dress): Stream => {
        const writer = makeWriter<RolledUp>(endpoint, encodingOf(endpoint, compress))
        const write = lineWriter(dress, syntax, writer)
        return {
          write: (item) => write(item, isDistribution),
          settle: writer.settle,
          close: writer.close,
          end: (batch) => {
            let chunks: ReadonlyArray<Chunk<RolledUp>> = []
            const encoded = Effect.tap(writer.end, (all) => {
              chunks = all.chunks
            })
            return {
              batch,
              items: () => chunks.flatMap(({ entries }) => entries.map(({ json }) => read(json))),
              report: Effect.mapError(send(endpoint, encoded), (failure) => {
                const items = () => partsOf(failure.lost, ({ texts }) => texts().map(read))
                return {
                  ...partsOf(failure.lost, ({ items }) => items),
                  error: lazily(errorOf(failure, noParts), {
                    undelivered: () => items().undelivered,
                    refused: () => items().refused,
                    ambiguous: () => items().ambiguous
                  })
                }
              })
            }
          }
        }
      }

    const flushMetrics = v2
      ? withStream(
        deliver(seriesV2, toV2(settings.units)),
        stream(seriesV2, syntaxV2(settings.units), false, (json) => fromV2(JSON.parse(json)) as Series)
      )
      : withStream(deliver(series), stream(series, syntax, false, JSON.parse))

    return Reporter.of({
      temporality: "total",
      flushMetrics,
      flushDistributions: withStream(
        deliver(distributionPoints, sorted),
        stream(distributionPoints, syntax, true, JSON.parse)
      ),
      flushEvents: deliver(events),
      // a source is not asked before there is something to deliver: what it signs for that may expire unused
      warm: transport.warm(Option.isSome(source) ? Option.none() : settings.apiKey)
    })
  })

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
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, HttpClient.HttpClient> = /*#__PURE__*/ over(
  (settings) => Effect.map(HttpClient.HttpClient, (client) => HttpClientTransport.make(client, settings))
)

/**
 * {@link make} over `node:http` and `node:https`, with a pool of connections that is closed with the scope.
 *
 * It loads and evaluates far less than `fetch`, which is what a cold start is about. It follows no redirect, and knows no
 * proxy: for one, give {@link make} an `HttpClient` that does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeNode: (
  settings: Settings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, Scope.Scope> = /*#__PURE__*/ over(
  NodeTransport.make
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
export const layerDefault: Layer.Layer<Reporter, ConfigError.ConfigError, HttpClient.HttpClient> = /*#__PURE__*/ Layer
  .suspend(
    layer
  )

/**
 * {@link makeNode} as a layer, with settings resolved from the options and the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNodeWith = (
  options?: ThreadStatsConfig.Options
): Layer.Layer<Reporter, ConfigError.ConfigError> =>
  Layer.scoped(Reporter, Effect.flatMap(ThreadStatsConfig.make(options), makeNode))

/**
 * {@link layerNodeWith} with all settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNode: Layer.Layer<Reporter, ConfigError.ConfigError> = /*#__PURE__*/ Layer.suspend(layerNodeWith)

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

const annotations = { package: "effect-threadstats", module: "HttpReporter" }

/** How many requests of one batch are under way at a time; they start in order. */
const concurrentRequests = 4

const receiptOf = <A>(outcome: Delivery.Outcome<A>): Receipt =>
  outcome._tag === "Delivered"
    ? { ...emptyReceipt, items: countOf(outcome.chunk), payloads: 1, bytes: outcome.chunk.body.byteLength }
    : emptyReceipt

/** A chunk, or an item that is in none, that was not delivered, and why. */
interface Lost<A> {
  readonly why: Pick<ReporterError, "reason" | "description" | "status" | "cause">
  /** Whether trying again can help, and whether it may have arrived all the same. */
  readonly transient: boolean
  readonly ambiguous: boolean
  readonly items: ReadonlyArray<A>
  readonly texts: () => ReadonlyArray<string>
}

interface Failure<A> {
  readonly address: string
  readonly lost: Arr.NonEmptyReadonlyArray<Lost<A>>
  readonly receipt: Receipt
}

const lostOf = <A>(outcome: Delivery.Outcome<A>): ReadonlyArray<Lost<A>> => {
  switch (outcome._tag) {
    case "Delivered":
      return []
    case "Unencodable": {
      const { cause, description, item, json, reason } = outcome.error
      return [{
        why: { reason, description, cause },
        transient: false,
        ambiguous: false,
        items: [item],
        texts: () => json === undefined ? [] : [json]
      }]
    }
    case "Failed": {
      const { ambiguous, chunk, failure } = outcome
      const { cause, description, reason, status, transient } = failure
      return [{
        why: { reason, description, status, cause },
        transient,
        ambiguous,
        items: itemsOf(chunk),
        texts: () => chunk.entries.map(({ json }) => json)
      }]
    }
  }
}

type Parts<B> = { readonly [P in "undelivered" | "refused" | "ambiguous"]: ReadonlyArray<B> }

const noParts: Parts<never> = { undelivered: [], refused: [], ambiguous: [] }

const partsOf = <A, B>(lost: ReadonlyArray<Lost<A>>, of: (lost: Lost<A>) => ReadonlyArray<B>): Parts<B> => ({
  undelivered: lost.filter(({ transient }) => transient).flatMap(of),
  refused: lost.filter(({ transient }) => !transient).flatMap(of),
  ambiguous: lost.filter(({ ambiguous, transient }) => transient && ambiguous).flatMap(of)
})

/** One error for all: what the first one says, with the items of all. */
const errorOf = <A>({ address, lost: [first, ...more], receipt }: Failure<A>, parts: Parts<Item>): ReporterError =>
  new ReporterError({
    ...first.why,
    endpoint: address,
    description: more.length === 0 ? first.why.description : `${first.why.description} (and ${more.length} more)`,
    ...parts,
    receipt
  })
