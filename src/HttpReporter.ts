/**
 * Delivers to Datadog's HTTP API, or to anything that speaks it: over `node:http`, or over an `HttpClient` of
 * `@effect/platform`.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as HttpClientTransport from "./internal/http/httpClientTransport.js"
import * as HttpExporter from "./internal/http/HttpExporter.js"
import * as NodeTransport from "./internal/http/nodeTransport.js"
import type { HttpReporterSettings } from "./internal/http/settings.js"
import type * as Transport from "./internal/http/transport.js"
import { withMachineHost } from "./internal/reporters/machineHost.js"
import * as noop from "./internal/reporters/noop.js"
import { Reporter } from "./Reporter.js"
import { ThreadStatsConfig } from "./ThreadStatsConfig.js"

export type {
  /**
   * Settings of the HTTP reporter. Any resolved `ThreadStatsSettings` has them.
   *
   * @since 0.1.0
   * @category models
   */
  HttpReporterSettings
} from "./internal/http/settings.js"

/**
 * Environment variables of {@link makeNode} besides those of `ThreadStatsConfig`, with their meaning, in the order of their precedence.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = [
  { name: "DD_PROXY_HTTPS", description: "Proxy for an API with TLS." },
  { name: "HTTPS_PROXY", description: "The same if DD_PROXY_HTTPS is absent." },
  { name: "https_proxy", description: "The same if both of these are absent." },
  { name: "DD_PROXY_HTTP", description: "Proxy for an API without TLS." },
  { name: "HTTP_PROXY", description: "The same if DD_PROXY_HTTP is absent." },
  { name: "http_proxy", description: "The same if both of these are absent." },
  { name: "DD_PROXY_NO_PROXY", description: "Hosts and domains without a proxy, separated by commas or spaces." },
  { name: "NO_PROXY", description: "More of them." },
  { name: "no_proxy", description: "More of them." }
]

const makeWithTransport = <R>(
  makeTransport: (settings: HttpReporterSettings) => Effect.Effect<Transport.Transport, ConfigError.ConfigError, R>
) =>
(settings: HttpReporterSettings): Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, R> =>
  settings.disabled ? Effect.sync(noop.make) : Effect.flatMap(
    HttpExporter.make(settings, makeTransport),
    (reporter) => withMachineHost(reporter, settings)
  )

/**
 * A reporter that posts series and distributions in as few requests as Datadog's limits allow, and every event in a
 * request of its own.
 *
 * A request takes at most `requestTimeout`. After a failure that may pass, a payload is sent again until the {@link Deadline} of the
 * flush. A payload that is too large or malformed is halved (docs/delivery.md). Requests carry no spans or trace headers, and the
 * key travels in the `DD-API-KEY` header and is nowhere else: in no address, log, span or error.
 *
 * With `seriesVersion: "v2"` series go to `/api/v2/series`; everything else is the same.
 *
 * The key comes from the {@link ApiKey.ApiKey} service if it is provided, else from the settings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  settings: HttpReporterSettings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, HttpClient.HttpClient> =
  /*#__PURE__*/ makeWithTransport(
    (settings) => Effect.map(HttpClient.HttpClient, (client) => HttpClientTransport.make(client, settings))
  )

/**
 * {@link make} over `node:http` and `node:https`, with a pool of connections that is closed with the scope.
 *
 * It loads and evaluates far less than `fetch`, so that a cold start is short. It follows no redirect.
 *
 * It uses the proxy of the first variable that is set: `DD_PROXY_HTTPS`, `HTTPS_PROXY` or `https_proxy` for an API with TLS, else
 * `DD_PROXY_HTTP`, `HTTP_PROXY` or `http_proxy`. Hosts and domains in `DD_PROXY_NO_PROXY`, `NO_PROXY` or `no_proxy`, and loopback
 * addresses, have no proxy. An invalid address of a proxy fails with a `ConfigError`. `NODE_EXTRA_CA_CERTS` holds for the
 * connections through a proxy too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeNode: (
  settings: HttpReporterSettings
) => Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, Scope.Scope> = /*#__PURE__*/ makeWithTransport(
  NodeTransport.make
)

/**
 * {@link makeNode} as a layer, with the settings of the `ThreadStatsConfig` service. Fails without an API key, unless the
 * client is disabled.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> = /*#__PURE__*/ Layer.scoped(
  Reporter,
  /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, (settings) => makeNode(settings))
)

/**
 * {@link make} as a layer, with the settings of the `ThreadStatsConfig` service.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<
  Reporter,
  ConfigError.ConfigError,
  ThreadStatsConfig | HttpClient.HttpClient
> = /*#__PURE__*/ Layer.effect(Reporter, /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, (settings) => make(settings)))
