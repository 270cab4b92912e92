/** Settings of a client: their variables, decoders and defaults. */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { ThreadStatsSettings } from "../model/settings.js"
import * as Decoders from "./decoders.js"
import { functionName } from "./environment.js"
import * as Setting from "./setting.js"

export const defaults: Omit<ThreadStatsSettings, "tags" | "apiKey" | "hostname" | "device"> = {
  namespace: "",
  attachHost: false,
  rollUpInterval: Duration.seconds(10),
  flushInterval: Duration.seconds(10),
  periodicFlush: true,
  flushTimeout: Duration.seconds(5),
  requestTimeout: Duration.seconds(3),
  disabled: false,
  compress: true,
  seriesVersion: "v1",
  units: {},
  percentiles: [0.75, 0.85, 0.95, 0.99],
  aggregates: ["min", "max", "count", "avg"],
  submitAs: "series",
  sampleSize: 1000,
  maxSeries: 100_000,
  maxValues: 1_000_000,
  maxEvents: 1000,
  maxBytes: 64 * 1024 * 1024,
  delivery: "at-least-once",
  selfMetrics: false,
  timerUnit: "seconds",
  acceptedTimestamps: "window",
  apiUrl: "https://api.datadoghq.com"
}

const boolean = (variable: string) => Setting.make(variable, Decoders.parseBoolean, Decoders.decodeBoolean)

const text = <A>(variable: string, decode: Decoders.Decoder<unknown, A>) =>
  Setting.make(variable, Decoders.parseText, decode)

const word = <const A extends string>(variable: string, ...words: ReadonlyArray<A>) =>
  Setting.make(variable, Decoders.parseWord, Decoders.decodeWord(...words))

const wholeNumber = (variable: string, most: number) =>
  Setting.make(variable, Decoders.parseNumber, Decoders.decodeWholeNumber(1, most))

const duration = (variable: string, decode: Decoders.Decoder<unknown, Duration.Duration>) =>
  Setting.make(variable, Decoders.parseDuration, decode)

/** Settings by the name of their option, in the order in which they are resolved. */
const makeSettings = () => ({
  disabled: boolean("DD_THREADSTATS_DISABLED"),
  env: text("DD_ENV", Decoders.decodeTag("env")),
  service: text("DD_SERVICE", Decoders.decodeTag("service")),
  version: text("DD_VERSION", Decoders.decodeTag("version")),
  constantTags: Setting.make([], Decoders.parseList, Decoders.decodeTags),
  site: text("DD_SITE", Decoders.decodeSite),
  apiUrl: text("DATADOG_HOST", Decoders.decodeUrl),
  apiKey: Setting.make(["DATADOG_API_KEY", "DD_API_KEY"], Decoders.parseApiKey, Decoders.decodeApiKey),
  namespace: text("DD_THREADSTATS_NAMESPACE", Decoders.decodeNamespace),
  hostname: text("DD_HOSTNAME", Decoders.decodeHost),
  attachHost: boolean("DD_THREADSTATS_ATTACH_HOST"),
  device: text("DD_THREADSTATS_DEVICE", Decoders.decodeHost),
  rollUpInterval: duration("DD_THREADSTATS_ROLL_UP_INTERVAL", Decoders.decodeRollUpInterval),
  flushInterval: duration("DD_THREADSTATS_FLUSH_INTERVAL", Decoders.decodeFlushInterval),
  periodicFlush: boolean("DD_THREADSTATS_PERIODIC_FLUSH"),
  flushTimeout: duration("DD_THREADSTATS_FLUSH_TIMEOUT", Decoders.decodeFiniteDuration),
  requestTimeout: duration("DD_THREADSTATS_REQUEST_TIMEOUT", Decoders.decodeFiniteDuration),
  compress: Setting.make("DD_THREADSTATS_COMPRESS", Decoders.parseBoolean, Decoders.decodeBoolean),
  seriesVersion: word("DD_THREADSTATS_SERIES_VERSION", "v1", "v2"),
  units: Setting.make("DD_THREADSTATS_UNITS", Decoders.parseUnits, Decoders.decodeUnits),
  percentiles: Setting.make("DD_THREADSTATS_PERCENTILES", Decoders.parseNumbers, Decoders.decodePercentiles),
  aggregates: Setting.make("DD_THREADSTATS_AGGREGATES", Decoders.parseList, Decoders.decodeAggregates),
  submitAs: word("DD_THREADSTATS_SUBMIT_AS", "series", "distributions"),
  sampleSize: wholeNumber("DD_THREADSTATS_SAMPLE_SIZE", 1_000_000),
  maxSeries: wholeNumber("DD_THREADSTATS_MAX_SERIES", 10_000_000),
  maxValues: wholeNumber("DD_THREADSTATS_MAX_VALUES", 100_000_000),
  maxEvents: wholeNumber("DD_THREADSTATS_MAX_EVENTS", 1_000_000),
  maxBytes: wholeNumber("DD_THREADSTATS_MAX_BYTES", 2 ** 40),
  delivery: word("DD_THREADSTATS_DELIVERY", "at-least-once", "at-most-once"),
  selfMetrics: boolean("DD_THREADSTATS_SELF_METRICS"),
  timerUnit: word("DD_THREADSTATS_TIMER_UNIT", "seconds", "milliseconds"),
  acceptedTimestamps: word("DD_THREADSTATS_ACCEPTED_TIMESTAMPS", "window", "any")
})

type Settings = ReturnType<typeof makeSettings>

const settings: Settings = /*#__PURE__*/ makeSettings()

/** Values of the settings that an option or a variable sets. */
type Resolved = {
  readonly [Name in keyof Settings]?: Settings[Name] extends Setting.Setting<infer A> ? A : never
}

/** Tags that have variables only, separated by commas in the first one. */
const resolveVariableTags: Effect.Effect<ReadonlyArray<string>, ConfigError.ConfigError> = /*#__PURE__*/ Effect.gen(
  function*() {
    const tags: Array<string> = []
    for (const [name, parse] of [["DATADOG_TAGS", Decoders.parseList], ["DD_TAGS", Decoders.parseAgentTags]] as const) {
      const { decodeVariable, variables } = Setting.make(name, parse, Decoders.decodeTags)
      const found = yield* Setting.resolveVariable(variables, decodeVariable)
      if (Option.isSome(found)) tags.push(...found.value)
    }
    return tags
  }
)

/**
 * Resolves all settings. Reads nothing else if the client is disabled, so that no other mistake can fail it. Fails if there is an option of
 * another name, the `otherOptions` excepted. The loop takes half the operations of `Config.all`, which counts in a cold start on Lambda.
 */
export const resolve = (
  options: object | undefined,
  otherOptions: ReadonlyArray<string> = []
): Effect.Effect<ThreadStatsSettings, ConfigError.ConfigError> =>
  Effect.gen(function*() {
    const resolved: { [name: string]: unknown } = {}
    for (const [name, setting] of Object.entries<Setting.Setting<unknown>>(settings)) {
      const value = yield* Setting.resolve(options, name, setting)
      if (Option.isSome(value)) resolved[name] = value.value
      if (resolved.disabled === true) return disabledSettings
    }
    yield* Setting.checkNames(options, [...Object.keys(settings), ...otherOptions])
    const variableTags = yield* resolveVariableTags
    return withDefaults(resolved, variableTags, Option.isSome(yield* functionName))
  })

/**
 * Reads options from a `Config`. Reads `disabled` first, and no other option of a disabled client, unless one `Config` contains them all.
 */
export const unwrapOptions = <A extends { readonly disabled?: boolean | undefined }>(
  options: Config.Config.Wrap<A>
): Effect.Effect<A | { readonly disabled: true }, ConfigError.ConfigError> =>
  Effect.gen(function*() {
    if (!Config.isConfig(options)) {
      const { disabled } = options as { readonly disabled?: Config.Config<boolean | undefined> }
      const option = { disabled: disabled === undefined ? undefined : yield* disabled }
      const isDisabled = yield* Setting.resolve(option, "disabled", settings.disabled)
      if (Option.contains(isDisabled, true)) return { disabled: true }
    }
    return yield* Config.unwrap(options)
  })

const withDefaults = (
  { apiKey, apiUrl, constantTags = [], env = [], service = [], site, version = [], ...given }: Resolved,
  variableTags: ReadonlyArray<string>,
  onLambda: boolean
): ThreadStatsSettings => ({
  // An execution environment of Lambda is not a host.
  hostname: onLambda ? "" : undefined,
  device: undefined,
  ...defaults,
  submitAs: onLambda ? "distributions" : defaults.submitAs,
  periodicFlush: !onLambda,
  ...given,
  tags: Array.from(new Set([...constantTags, ...variableTags, ...env, ...service, ...version])),
  apiUrl: apiUrl ?? site ?? defaults.apiUrl,
  apiKey: Option.fromNullable(apiKey)
})

/** Settings of a disabled client: the defaults. */
export const disabledSettings: ThreadStatsSettings = /*#__PURE__*/ withDefaults({ disabled: true }, [], false)
