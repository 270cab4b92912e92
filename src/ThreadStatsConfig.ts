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
import * as Config from "effect/Config"
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
  CounterTransport,
  DeliverySemantics,
  SeriesVersion,
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
   * Form in which counters, histograms and timings are sent.
   *
   * @since 0.1.0
   * @category models
   */
  CounterTransport,
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
  /** Environment: `DD_THREADSTATS_NAMESPACE`. See {@link ThreadStatsSettings.namespace}. */
  readonly namespace?: string | undefined
  /** Environment: `DD_HOSTNAME`. See {@link ThreadStatsSettings.host}. */
  readonly host?: string | undefined
  /** Environment: `DD_THREADSTATS_ATTACH_HOST`. See {@link ThreadStatsSettings.attachHost}. */
  readonly attachHost?: boolean | undefined
  /** Environment: `DD_THREADSTATS_DEVICE`. See {@link ThreadStatsSettings.device}. */
  readonly device?: string | undefined
  /** Tags of every metric and event. `DATADOG_TAGS`, `DD_TAGS` and the three tags below follow them. */
  readonly constantTags?: Tags | undefined
  /** Value of the `env` tag. Environment: `DD_ENV`. */
  readonly env?: string | undefined
  /** Value of the `service` tag. Environment: `DD_SERVICE`. */
  readonly service?: string | undefined
  /** Value of the `version` tag. Environment: `DD_VERSION`. */
  readonly version?: string | undefined
  /** Environment: `DD_THREADSTATS_ROLL_UP_INTERVAL`. See {@link ThreadStatsSettings.rollUpInterval}. */
  readonly rollUpInterval?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_FLUSH_INTERVAL`. See {@link ThreadStatsSettings.flushInterval}. */
  readonly flushInterval?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_PERIODIC_FLUSH`. See {@link ThreadStatsSettings.periodicFlush}. */
  readonly periodicFlush?: boolean | undefined
  /** Environment: `DD_THREADSTATS_FLUSH_TIMEOUT`. See {@link ThreadStatsSettings.flushTimeout}. */
  readonly flushTimeout?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_REQUEST_TIMEOUT`. See {@link ThreadStatsSettings.requestTimeout}. */
  readonly requestTimeout?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_DISABLED`. See {@link ThreadStatsSettings.disabled}. */
  readonly disabled?: boolean | undefined
  /** Environment: `DD_THREADSTATS_COMPRESS`. See {@link ThreadStatsSettings.compress}. */
  readonly compress?: boolean | undefined
  /** Environment: `DD_THREADSTATS_SERIES`. See {@link ThreadStatsSettings.series}. */
  readonly series?: SeriesVersion | undefined
  /**
   * Environment: `DD_THREADSTATS_UNITS`, a comma list of names and units, each pair joined by a colon. See
   * {@link ThreadStatsSettings.units}.
   */
  readonly units?: Readonly<Record<string, string>> | undefined
  /** Environment: `DD_THREADSTATS_PERCENTILES`, a comma list. See {@link ThreadStatsSettings.percentiles}. */
  readonly percentiles?: ReadonlyArray<number> | undefined
  /** Environment: `DD_THREADSTATS_AGGREGATES`, a comma list. See {@link ThreadStatsSettings.aggregates}. */
  readonly aggregates?: ReadonlyArray<Aggregate> | undefined
  /** Environment: `DD_THREADSTATS_COUNTERS`. See {@link ThreadStatsSettings.counters}. */
  readonly counters?: CounterTransport | undefined
  /** Environment: `DD_THREADSTATS_SAMPLE_SIZE`. See {@link ThreadStatsSettings.sampleSize}. */
  readonly sampleSize?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_SERIES`. See {@link ThreadStatsSettings.maxSeries}. */
  readonly maxSeries?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_VALUES`. See {@link ThreadStatsSettings.maxValues}. */
  readonly maxValues?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_EVENTS`. See {@link ThreadStatsSettings.maxEvents}. */
  readonly maxEvents?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_BYTES`. See {@link ThreadStatsSettings.maxBytes}. */
  readonly maxBytes?: number | undefined
  /** Environment: `DD_THREADSTATS_DELIVERY`. See {@link ThreadStatsSettings.delivery}. */
  readonly delivery?: DeliverySemantics | undefined
  /** Environment: `DD_THREADSTATS_SELF_METRICS`. See {@link ThreadStatsSettings.selfMetrics}. */
  readonly selfMetrics?: boolean | undefined
  /** Environment: `DD_THREADSTATS_TIMER_UNIT`. See {@link ThreadStatsSettings.timerUnit}. */
  readonly timerUnit?: TimerUnit | undefined
  /** Environment: `DD_THREADSTATS_TIMESTAMPS`. See {@link ThreadStatsSettings.timestamps}. */
  readonly timestamps?: "window" | "any" | undefined
  /** Datadog site, for instance `datadoghq.eu`. Environment: `DD_SITE`. Default: `datadoghq.com`. */
  readonly site?: string | undefined
  /** Base URL of the API, scheme included. It has precedence over the site. Environment: `DATADOG_HOST`. */
  readonly apiUrl?: string | undefined
  /** API key. Environment: `DATADOG_API_KEY`, else `DD_API_KEY`. */
  readonly apiKey?: Redacted.Redacted | undefined
}

/**
 * Defaults of the settings that have one. Inside AWS Lambda, `counters` and `periodicFlush` differ.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults: Omit<ThreadStatsSettings, "tags" | "apiKey" | "host" | "device"> = Settings.defaults

/**
 * Environment variables of the client, with their meaning.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = clientVariables

/**
 * Resolves all settings: the option, else the environment, else the default. Fails with a `ConfigError` that names the option or the
 * variable whose value is invalid.
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
 * Provides the settings with options that are read from a `Config`.
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
  Layer.effect(ThreadStatsConfig, Effect.flatMap(Config.unwrap(options), make))
