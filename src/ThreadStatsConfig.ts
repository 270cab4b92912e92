/**
 * The settings of a client: their meaning, their sources and their defaults.
 *
 * An option in code has precedence over the environment, and the environment over the default. An invalid value fails the layer with
 * a `ConfigError` that names the option or the variable. The environment is the current `ConfigProvider`.
 *
 * The service {@link ThreadStatsConfig} contains the resolved settings. The client, the aggregators and the reporters share it, so that
 * options are given once.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Settings from "./internal/config/settings.js"
import { clientVariables } from "./internal/config/variables.js"
import type {
  Aggregate,
  DeliverySemantics,
  SeriesVersion,
  SubmissionType,
  ThreadStatsSettings,
  TimerUnit
} from "./internal/model/settings.js"
import type { Tags } from "./internal/model/tags.js"

export type {
  /**
   * Series that a histogram or timing reports besides its percentiles.
   *
   * @since 0.1.0
   * @category models
   */
  Aggregate,
  /**
   * How often Datadog may receive data whose delivery is uncertain.
   *
   * @since 0.1.0
   * @category models
   */
  DeliverySemantics,
  /**
   * Version of Datadog's endpoint for series.
   *
   * @since 0.1.0
   * @category models
   */
  SeriesVersion,
  /**
   * Form in which counters, histograms and timings are sent.
   *
   * @since 0.1.0
   * @category models
   */
  SubmissionType,
  /**
   * All settings of a client, resolved.
   *
   * @since 0.1.0
   * @category models
   */
  ThreadStatsSettings,
  /**
   * Unit in which `timer` and `timed` record.
   *
   * @since 0.1.0
   * @category models
   */
  TimerUnit
} from "./internal/model/settings.js"

/**
 * The resolved settings, as a service. Layers of aggregators and reporters that read it have the same settings as the client.
 *
 * @since 0.1.0
 * @category tags
 */
export class ThreadStatsConfig
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/ThreadStatsConfig")<ThreadStatsConfig, ThreadStatsSettings>()
{}

/**
 * Settings given in code. Every field is optional and has precedence over the environment.
 *
 * @since 0.1.0
 * @category models
 */
export interface ThreadStatsOptions {
  /**
   * Prefix of every metric name, joined with a dot. Event titles have no prefix. Environment: `DD_THREADSTATS_NAMESPACE`. Default:
   * none.
   */
  readonly namespace?: string | undefined
  /**
   * Host name of the client. Events carry it, and so do points recorded with `host: ""`. Environment: `DD_HOSTNAME`. Default: the name
   * of the machine over HTTP outside of AWS Lambda, like the reference client; otherwise none. An empty string, the default on AWS
   * Lambda, means none.
   */
  readonly hostname?: string | undefined
  /**
   * Whether points recorded without a host carry `hostname` too. Environment: `DD_THREADSTATS_ATTACH_HOST`. Default: `false`, like the
   * reference client.
   */
  readonly attachHost?: boolean | undefined
  /** Device of every metric. Environment: `DD_THREADSTATS_DEVICE`. Default: none. */
  readonly device?: string | undefined
  /** Tags of every metric and event. `DATADOG_TAGS`, `DD_TAGS` and the three tags below follow them. */
  readonly constantTags?: Tags | undefined
  /** Value of the `env` tag. Environment: `DD_ENV`. */
  readonly env?: string | undefined
  /** Value of the `service` tag. Environment: `DD_SERVICE`. */
  readonly service?: string | undefined
  /** Value of the `version` tag. Environment: `DD_VERSION`. */
  readonly version?: string | undefined
  /**
   * Length of a roll-up bucket, in whole seconds from 1 to 1800. Environment: `DD_THREADSTATS_ROLL_UP_INTERVAL`. Default: 10 seconds.
   */
  readonly rollUpInterval?: Duration.DurationInput | undefined
  /**
   * Time between periodic flushes of closed buckets, of at least 1 millisecond: while the layer lives or, on Lambda, while an
   * invocation runs. `Duration.infinity` (`off` in the environment) leaves everything to the last flush. Environment:
   * `DD_THREADSTATS_FLUSH_INTERVAL`. Default: 10 seconds.
   */
  readonly flushInterval?: Duration.DurationInput | undefined
  /**
   * Whether the layer flushes periodically. Environment: `DD_THREADSTATS_PERIODIC_FLUSH`. Default: `true`, but `false` inside AWS
   * Lambda, where `lambdaProgram` flushes because a frozen environment runs no timers.
   */
  readonly periodicFlush?: boolean | undefined
  /**
   * Time limit of one flush, all its requests included, of at least 1 millisecond. Environment: `DD_THREADSTATS_FLUSH_TIMEOUT`.
   * Default: 5 seconds.
   */
  readonly flushTimeout?: Duration.DurationInput | undefined
  /**
   * Time limit of one request, of at least 1 millisecond. Environment: `DD_THREADSTATS_REQUEST_TIMEOUT`. Default: 3 seconds.
   */
  readonly requestTimeout?: Duration.DurationInput | undefined
  /**
   * Whether the client records and sends nothing. A disabled client reads no other setting, so that none can fail it. Environment:
   * `DD_THREADSTATS_DISABLED`. Default: `false`.
   */
  readonly disabled?: boolean | undefined
  /**
   * True to compress HTTP bodies of metrics in zlib format. Environment: `DD_THREADSTATS_COMPRESS`. Default: `true`.
   */
  readonly compress?: boolean | undefined
  /**
   * Version of the endpoint for series. Environment: `DD_THREADSTATS_SERIES_VERSION`. Default: `"v1"`, like the reference client.
   */
  readonly seriesVersion?: SeriesVersion | undefined
  /**
   * Units by metric name, namespace included, such as `{ "shop.latency": "second" }`. Datadog's documentation lists the units. The
   * aggregates and percentiles of a histogram have its unit, its count has none. Units need `seriesVersion: "v2"`, and apply to series
   * only. Environment: `DD_THREADSTATS_UNITS`, a comma list of names and units, each pair joined by a colon. Default: none.
   */
  readonly units?: Readonly<Record<string, string>> | undefined
  /**
   * Percentiles of histograms and timings, each above 0 and below 1. Environment: `DD_THREADSTATS_PERCENTILES`, a comma list. Default:
   * 0.75, 0.85, 0.95, 0.99.
   */
  readonly percentiles?: ReadonlyArray<number> | undefined
  /**
   * Aggregates of histograms and timings. Environment: `DD_THREADSTATS_AGGREGATES`, a comma list. Default: min, max, count, avg.
   */
  readonly aggregates?: ReadonlyArray<Aggregate> | undefined
  /**
   * Form in which counters, histograms and timings are sent. Environment: `DD_THREADSTATS_SUBMIT_AS`. Default: `"series"`, but
   * `"distributions"` inside AWS Lambda, where many environments have the same tags.
   */
  readonly submitAs?: SubmissionType | undefined
  /**
   * Number of values that a histogram samples per bucket for its percentiles. Environment: `DD_THREADSTATS_SAMPLE_SIZE`. Default:
   * 1000, like the reference client.
   */
  readonly sampleSize?: number | undefined
  /**
   * Limit of pending series, each counted once per bucket. A flush starts early at 80 % of the limit. Beyond the limit the client
   * drops the oldest series and counts their points. Environment: `DD_THREADSTATS_MAX_SERIES`. Default: 100,000, which take about 40
   * MB.
   */
  readonly maxSeries?: number | undefined
  /**
   * Limit of pending distribution values. Works like `maxSeries`. Environment: `DD_THREADSTATS_MAX_VALUES`. Default: 1,000,000,
   * which take about 10 MB.
   */
  readonly maxValues?: number | undefined
  /** Limit of pending events. Works like `maxSeries`. Environment: `DD_THREADSTATS_MAX_EVENTS`. Default: 1000. */
  readonly maxEvents?: number | undefined
  /**
   * Limit of the memory that pending data takes, in bytes and by estimate. Metrics and events have this limit each. Works like
   * `maxSeries`. Environment: `DD_THREADSTATS_MAX_BYTES`. Default: 64 MiB.
   */
  readonly maxBytes?: number | undefined
  /**
   * Treatment of distributions and events that may have arrived and would count twice if they were sent again. `"at-least-once"` sends
   * them again. `"at-most-once"` drops them and counts them as `Ambiguous`. Series are always sent again, because Datadog overwrites
   * the first value. Environment: `DD_THREADSTATS_DELIVERY`. Default: `"at-least-once"`.
   */
  readonly delivery?: DeliverySemantics | undefined
  /**
   * Whether the client reports its own `stats` as metrics named `threadstats.client.*`, with every flush that sends something else.
   * Counters: `points.received`, `points.delivered`, `points.dropped` (tag `reason`), the same of `events`, and `flushes`, `payloads`,
   * `bytes`, `retries`. Gauges: `points.pending`, `events.pending`, `series`, `breaker.open`. They count themselves too, and each
   * flush reports the outcome of the one before. Environment: `DD_THREADSTATS_SELF_METRICS`. Default: `false`.
   */
  readonly selfMetrics?: boolean | undefined
  /**
   * Unit of `timer` and `timed`. Environment: `DD_THREADSTATS_TIMER_UNIT`. Default: `"seconds"`, like the reference client.
   */
  readonly timerUnit?: TimerUnit | undefined
  /**
   * Times that the client accepts. `"window"` accepts the times that Datadog accepts: for metrics from 1 hour ago to 10 minutes ahead,
   * for events from 18 hours ago to 2 hours ahead. Points outside are dropped and counted. `"any"` accepts all times, for
   * organizations that ingest historical metrics. Environment: `DD_THREADSTATS_ACCEPTED_TIMESTAMPS`. Default: `"window"`.
   */
  readonly acceptedTimestamps?: "window" | "any" | undefined
  /** Datadog site, for instance `datadoghq.eu`. Environment: `DD_SITE`. Default: `datadoghq.com`. */
  readonly site?: string | undefined
  /** Base URL of the API, scheme included. It has precedence over the site. Environment: `DATADOG_HOST`. */
  readonly apiUrl?: string | undefined
  /** API key. Environment: `DATADOG_API_KEY`, else `DD_API_KEY`. */
  readonly apiKey?: Redacted.Redacted | undefined
}

/**
 * Defaults of the settings that have one. Inside AWS Lambda, `submitAs` and `periodicFlush` differ.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults: Omit<ThreadStatsSettings, "tags" | "apiKey" | "hostname" | "device"> = Settings.defaults

/**
 * Environment variables of the settings, with their meaning. Reporters and key sources have variables of their own, such as the proxy:
 * `HttpReporter`, `DogStatsDReporter` and `ApiKey` describe theirs in the same way.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = clientVariables

/**
 * Resolves all settings: the option, else the environment, else the default. Fails with a `ConfigError` that names the option or the
 * variable whose value is invalid, or an option that does not exist.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: ThreadStatsOptions
): Effect.Effect<ThreadStatsConfig["Type"], ConfigError.ConfigError> => Settings.resolve(options)

/**
 * Provides the settings with options, each of which has precedence over its variable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options?: ThreadStatsOptions): Layer.Layer<ThreadStatsConfig, ConfigError.ConfigError> =>
  Layer.effect(ThreadStatsConfig, make(options))

/**
 * Provides the settings of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ThreadStatsConfig, ConfigError.ConfigError> = /*#__PURE__*/ layerWith()

/**
 * Provides the settings with options and the defaults, regardless of the environment, for tests. An invalid option is a defect.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTestWith = (options?: ThreadStatsOptions): Layer.Layer<ThreadStatsConfig> =>
  Layer.effect(
    ThreadStatsConfig,
    Effect.withConfigProvider(Effect.orDie(make(options)), ConfigProvider.fromMap(new Map()))
  )

/**
 * {@link layerTestWith} without options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest: Layer.Layer<ThreadStatsConfig> = /*#__PURE__*/ layerTestWith()

/**
 * Provides the settings with options that are read from a `Config`. Reads `disabled` first, and no other option of a disabled client.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { ThreadStatsConfig } from "effect-threadstats"
 *
 * const settings = ThreadStatsConfig.layerConfig({
 *   namespace: Config.string("SHOP_NAMESPACE"),
 *   apiKey: Config.redacted("SHOP_DATADOG_KEY")
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<ThreadStatsOptions>
): Layer.Layer<ThreadStatsConfig, ConfigError.ConfigError> =>
  Layer.effect(ThreadStatsConfig, Effect.flatMap(Settings.unwrapOptions(options), make))
