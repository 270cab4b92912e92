/**
 * Every setting of the client, once: what it means, where it may come from, and its default.
 *
 * A setting given in code beats the environment, the environment beats the default. A wrong value is a `ConfigError`
 * that names the variable (or the option), when the layer is built. The environment is whatever `ConfigProvider` is in
 * force; nothing here reads `process.env` itself.
 *
 * @since 0.1.0
 */
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isUsable } from "./internal/apiKey/sources.js"
import * as Flag from "./internal/config/decoders.js"
import * as Environment from "./internal/config/environment.js"
import { hostLength, nameLength } from "./internal/model/limits.js"
import type { Aggregate, CounterTransport } from "./internal/model/metricKinds.js"
import { percentileSuffix } from "./internal/model/percentile.js"
import { decodeTags, type Tags } from "./internal/model/tags.js"

/**
 * The unit in which `timer` and `timed` record. The reference records seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type TimerUnit = "seconds" | "milliseconds"

/**
 * How often what is recorded may arrive, where an answer was lost so that it may have arrived already.
 *
 * @since 0.1.0
 * @category models
 */
export type DeliverySemantics = "at-least-once" | "at-most-once"

export type {
  /**
   * Value that a histogram or timing reports besides its percentiles. `count` is a rate per second, the others are gauges.
   *
   * @since 0.1.0
   * @category models
   */
  Aggregate,
  /**
   * Form in which the client sends counters, histograms and timings.
   *
   * - `"series"`: aggregated, like the reference. Datadog keeps one value for a series and second, so that two senders with
   *   the same tags and host overwrite each other.
   * - `"distributions"`: as distributions, whose values add up over all senders. A counter is one value for each flush, and
   *   `sum` is its count. The client sends every value of histograms and timings, and Datadog computes the percentiles.
   *
   * @since 0.1.0
   * @category models
   */
  CounterTransport
} from "./internal/model/metricKinds.js"

/**
 * Which of Datadog's endpoints for series is used. `"v2"` differs in the form of a series and in its limits, and takes units
 * and zstd; what there is to see of it is the same.
 *
 * @since 0.1.0
 * @category models
 */
export type SeriesVersion = "v1" | "v2"

/**
 * All settings, resolved.
 *
 * @since 0.1.0
 * @category models
 */
export interface ThreadStatsConfig {
  /** Goes before every metric name, with a dot. Not before event titles. Default: none. */
  readonly namespace: string
  /** The client's host name: carried by events, and by points recorded with `host: ""`. Default: none. */
  readonly host: string | undefined
  /** Whether points recorded without a host carry {@link host} too. Default: `false`, as the reference. */
  readonly attachHost: boolean
  /** The device of every metric. Default: none. */
  readonly device: string | undefined
  /** Tags of every metric and event, in order: `constantTags`, `DATADOG_TAGS`, `DD_TAGS`, env, service, version. */
  readonly tags: ReadonlyArray<string>
  /** How long one roll-up bucket is: whole seconds, from 1 to 1800. Default: 10 seconds. */
  readonly rollUpInterval: Duration.Duration
  /**
   * How often closed buckets are sent while the layer (or, on Lambda, the invocation) lives. Default: 10 seconds;
   * `Duration.infinity`, or `off` in the environment, for never.
   */
  readonly flushInterval: Duration.Duration
  /** Whether the layer itself flushes on the interval. Default: `true`, but `false` inside AWS Lambda, where a frozen
   * environment must not tick and `lambdaProgram` flushes instead. */
  readonly periodicFlush: boolean
  /** The most time one flush may take, all requests together. Default: 5 seconds. */
  readonly flushTimeout: Duration.Duration
  /** The most time one request may take. Default: 3 seconds. */
  readonly requestTimeout: Duration.Duration
  /** Record and send nothing at all. Default: `false`. */
  readonly disabled: boolean
  /**
   * Whether HTTP bodies of metrics are compressed (zlib format). `"zstd"`: those that go to `/api/v2/series` are in zstd, where
   * Node.js has it (from 22.15 and 23.8 on) and the receiver takes it; else, after one warning, as for `true`. Clients of
   * Datadog's own use it, its reference gives it another name, so it is for those who see it work. Default: `true`.
   */
  readonly compress: boolean | "zstd"
  /** Which of Datadog's endpoints takes series. Default: `"v1"`, as the reference. */
  readonly series: SeriesVersion
  /**
   * Units by the name of a metric, namespace included, such as `{ "shop.latency": "second" }`, in Datadog's own words (its
   * documentation has a list). A histogram's is that of its aggregates and percentiles, too, but not of its count. They are
   * sent where `series` is `"v2"`, with series only. Default: none.
   */
  readonly units: Readonly<Record<string, string>>
  /** Percentiles of histograms and timings, each above 0 and below 1. Default: 0.75, 0.85, 0.95, 0.99. */
  readonly percentiles: ReadonlyArray<number>
  /** Aggregates of histograms and timings. Default: min, max, count, avg. */
  readonly aggregates: ReadonlyArray<Aggregate>
  /** How counters, histograms and timings travel. Default: `"series"`, but `"distributions"` inside AWS Lambda. */
  readonly counters: CounterTransport
  /** How many values of a histogram are kept, per bucket, for its percentiles. Default: 1000, as the reference. */
  readonly sampleSize: number
  /**
   * How many contexts (kind, name, host and tags, in one bucket) may wait to be delivered. Near it an early flush is
   * started; over it the oldest ones are dropped and counted. Default: 100,000, some 40 MB.
   */
  readonly maxContexts: number
  /** How many distribution values may wait to be delivered; near and over it as above. Default: 1,000,000, some 10 MB. */
  readonly maxValues: number
  /** How many events may wait to be delivered; near and over it as above. Default: 1000. */
  readonly maxEvents: number
  /**
   * How many bytes of memory what waits to be delivered may take, by estimate, of metrics and of events each; near and over
   * it as above. Default: 64 MiB.
   */
  readonly maxBytes: number
  /**
   * What happens to distributions and events that may have arrived, and would count twice if they were sent again.
   * `"at-least-once"`: they are sent again. `"at-most-once"`: they are dropped and counted as `Ambiguous`. Series do not
   * count twice at Datadog, and are always sent again. Default: `"at-least-once"`.
   */
  readonly delivery: DeliverySemantics
  /**
   * Whether the client reports its own numbers (the `stats` of `ThreadStats`) as metrics, under `threadstats.client.`,
   * when there is something else to flush: counters `points.received`, `points.delivered`, `points.dropped` (tag `reason`),
   * the same of `events`, `flushes`, `payloads`, `bytes`, `retries`; gauges `points.held`, `events.held`, `contexts`,
   * `breaker.open`. They count themselves too, and each flush reports what came of the one before. Default: `false`.
   */
  readonly selfMetrics: boolean
  /** The unit of `timer` and `timed`. Default: `"seconds"`, as the reference. */
  readonly timerUnit: TimerUnit
  /**
   * Which recorded times are taken. `"window"`: what Datadog takes, metrics from 1 hour ago to 10 minutes ahead, events
   * from 18 hours ago to 2 hours ahead; others are dropped and counted. `"any"`: all, for organisations that ingest
   * historical metrics. Default: `"window"`.
   */
  readonly timestamps: "window" | "any"
  /** Base address of Datadog's API, without a trailing slash. Default: `https://api.` and the site. */
  readonly apiUrl: string
  /** The API key, if the settings hold one. */
  readonly apiKey: Option.Option<Redacted.Redacted>
}

/**
 * Settings given in code. Every field is optional and beats the environment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Environment: `DD_THREADSTATS_NAMESPACE`. See {@link ThreadStatsConfig.namespace}. */
  readonly namespace?: string | undefined
  /** Environment: `DD_HOSTNAME`. See {@link ThreadStatsConfig.host}. */
  readonly host?: string | undefined
  /** Environment: `DD_THREADSTATS_ATTACH_HOST`. See {@link ThreadStatsConfig.attachHost}. */
  readonly attachHost?: boolean | undefined
  /** Environment: `DD_THREADSTATS_DEVICE`. See {@link ThreadStatsConfig.device}. */
  readonly device?: string | undefined
  /** Tags of every metric and event. `DATADOG_TAGS`, `DD_TAGS` and the three below come after them. */
  readonly constantTags?: Tags | undefined
  /** The `env` tag. Environment: `DD_ENV`. */
  readonly env?: string | undefined
  /** The `service` tag. Environment: `DD_SERVICE`. */
  readonly service?: string | undefined
  /** The `version` tag. Environment: `DD_VERSION`. */
  readonly version?: string | undefined
  /** Environment: `DD_THREADSTATS_ROLL_UP_INTERVAL`. See {@link ThreadStatsConfig.rollUpInterval}. */
  readonly rollUpInterval?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_FLUSH_INTERVAL`. See {@link ThreadStatsConfig.flushInterval}. */
  readonly flushInterval?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_PERIODIC_FLUSH`. See {@link ThreadStatsConfig.periodicFlush}. */
  readonly periodicFlush?: boolean | undefined
  /** Environment: `DD_THREADSTATS_FLUSH_TIMEOUT`. See {@link ThreadStatsConfig.flushTimeout}. */
  readonly flushTimeout?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_REQUEST_TIMEOUT`. See {@link ThreadStatsConfig.requestTimeout}. */
  readonly requestTimeout?: Duration.DurationInput | undefined
  /** Environment: `DD_THREADSTATS_DISABLED`. See {@link ThreadStatsConfig.disabled}. */
  readonly disabled?: boolean | undefined
  /** Environment: `DD_THREADSTATS_COMPRESS`. See {@link ThreadStatsConfig.compress}. */
  readonly compress?: boolean | "zstd" | undefined
  /** Environment: `DD_THREADSTATS_SERIES`. See {@link ThreadStatsConfig.series}. */
  readonly series?: SeriesVersion | undefined
  /**
   * Environment: `DD_THREADSTATS_UNITS`, a comma list of names and units with a colon between them. See
   * {@link ThreadStatsConfig.units}.
   */
  readonly units?: Readonly<Record<string, string>> | undefined
  /** Environment: `DD_THREADSTATS_PERCENTILES`, a comma list. See {@link ThreadStatsConfig.percentiles}. */
  readonly percentiles?: ReadonlyArray<number> | undefined
  /** Environment: `DD_THREADSTATS_AGGREGATES`, a comma list. See {@link ThreadStatsConfig.aggregates}. */
  readonly aggregates?: ReadonlyArray<Aggregate> | undefined
  /** Environment: `DD_THREADSTATS_COUNTERS`. See {@link ThreadStatsConfig.counters}. */
  readonly counters?: CounterTransport | undefined
  /** Environment: `DD_THREADSTATS_SAMPLE_SIZE`. See {@link ThreadStatsConfig.sampleSize}. */
  readonly sampleSize?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_CONTEXTS`. See {@link ThreadStatsConfig.maxContexts}. */
  readonly maxContexts?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_VALUES`. See {@link ThreadStatsConfig.maxValues}. */
  readonly maxValues?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_EVENTS`. See {@link ThreadStatsConfig.maxEvents}. */
  readonly maxEvents?: number | undefined
  /** Environment: `DD_THREADSTATS_MAX_BYTES`. See {@link ThreadStatsConfig.maxBytes}. */
  readonly maxBytes?: number | undefined
  /** Environment: `DD_THREADSTATS_DELIVERY`. See {@link ThreadStatsConfig.delivery}. */
  readonly delivery?: DeliverySemantics | undefined
  /** Environment: `DD_THREADSTATS_SELF_METRICS`. See {@link ThreadStatsConfig.selfMetrics}. */
  readonly selfMetrics?: boolean | undefined
  /** Environment: `DD_THREADSTATS_TIMER_UNIT`. See {@link ThreadStatsConfig.timerUnit}. */
  readonly timerUnit?: TimerUnit | undefined
  /** Environment: `DD_THREADSTATS_TIMESTAMPS`. See {@link ThreadStatsConfig.timestamps}. */
  readonly timestamps?: "window" | "any" | undefined
  /** The Datadog site, for instance `datadoghq.eu`. Environment: `DD_SITE`. Default: `datadoghq.com`. */
  readonly site?: string | undefined
  /** A whole base address, scheme included; beats the site. Environment: `DATADOG_HOST`. */
  readonly apiUrl?: string | undefined
  /** The API key. Environment: `DATADOG_API_KEY`, else `DD_API_KEY`. */
  readonly apiKey?: Redacted.Redacted | undefined
}

/**
 * The values that apply where neither code nor environment says otherwise.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults: Omit<ThreadStatsConfig, "tags" | "apiKey" | "host" | "device"> = {
  namespace: "",
  attachHost: false,
  rollUpInterval: Duration.seconds(10),
  flushInterval: Duration.seconds(10),
  periodicFlush: true,
  flushTimeout: Duration.seconds(5),
  requestTimeout: Duration.seconds(3),
  disabled: false,
  compress: true,
  series: "v1",
  units: {},
  percentiles: [0.75, 0.85, 0.95, 0.99],
  aggregates: ["min", "max", "count", "avg"],
  counters: "series",
  sampleSize: 1000,
  maxContexts: 100_000,
  maxValues: 1_000_000,
  maxEvents: 1000,
  maxBytes: 64 * 1024 * 1024,
  delivery: "at-least-once",
  selfMetrics: false,
  timerUnit: "seconds",
  timestamps: "window",
  apiUrl: "https://api.datadoghq.com"
}

/** What is wrong with a setting. */
class Fault {
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

const fail = (message: string): never => {
  throw new Fault(message)
}

/** Both throw a {@link Fault}. */
interface Setting<A> {
  /** Default: {@link variableOf} its name. Empty for none. */
  readonly variable: string | undefined
  readonly fromText: (text: string) => A
  readonly fromOption: (input: unknown) => A
}

const setting = <A, Input = A>(
  fromString: (text: string) => Input,
  check: (input: Input) => A,
  variable?: string
): Setting<A> => ({
  variable,
  fromText: (text) => check(fromString(text)),
  // of the type it is declared with, or else a check that throws says so
  fromOption: check as (input: unknown) => A
})

const text = (value: string): string => value

const flag = (value: string): boolean =>
  Flag.fromText(value) ?? fail(`expected true or false, got ${JSON.stringify(value)}`)

const isFlag = (value: unknown): boolean => typeof value === "boolean" ? value : fail("expected true or false")

const compression = (value: string): boolean | "zstd" =>
  value.toLowerCase() === "zstd"
    ? "zstd"
    : Flag.fromText(value) ?? fail(`expected true, false or zstd, got ${JSON.stringify(value)}`)

const isCompression = (value: unknown): boolean | "zstd" =>
  value === "zstd" || typeof value === "boolean" ? value : fail("expected true, false or \"zstd\"")

const duration = (value: string): Duration.DurationInput =>
  /^\d+(\.\d+)?$/.test(value)
    ? Duration.seconds(Number(value))
    : value.toLowerCase() === "off"
    ? Duration.infinity
    : Option.getOrElse(
      Duration.decodeUnknown(value),
      () => fail(`expected seconds, or a duration such as "10 seconds", got ${JSON.stringify(value)}`)
    )

const isPositive = (input: Duration.DurationInput): Duration.Duration => {
  const value = Option.getOrElse(Duration.decodeUnknown(input), () => fail("expected a duration"))
  return Duration.toMillis(value) > 0 ? value : fail("expected more than zero")
}

const isFinitePositive = (input: Duration.DurationInput): Duration.Duration => {
  const value = isPositive(input)
  return Duration.isFinite(value) ? value : fail("expected a finite duration")
}

/** A point carries the time its bucket begins, which Datadog takes for an hour: time enough to close and be sent. */
const isWholeSeconds = (input: Duration.DurationInput): Duration.Duration => {
  const value = isFinitePositive(input)
  const seconds = Duration.toSeconds(value)
  return Number.isInteger(seconds) && seconds <= 1800 ? value : fail("expected whole seconds, from 1 to 1800")
}

const list = (value: string): ReadonlyArray<string> =>
  value.split(",").map((part) => part.trim()).filter((part) => part.length > 0)

const isOneOf = <A extends string>(...allowed: ReadonlyArray<A>) => (value: string): A =>
  allowed.includes(value as A)
    ? value as A
    : fail(`expected ${allowed.join(" or ")}, got ${JSON.stringify(value)}`)

/** A copy of no more than a hundred elements, holes and all. */
const copied = <A>(values: ReadonlyArray<A>, isValid: (value: A) => boolean, expected: string): ReadonlyArray<A> => {
  const copy = Array.isArray(values) && values.length <= 100 ? [...values as ReadonlyArray<A>] : undefined
  return copy?.every(isValid) === true ? copy : fail(expected)
}

const arePercentiles = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const copy = copied(
    values,
    (value) => typeof value === "number" && value > 0 && value < 1,
    "expected numbers above 0 and below 1, such as 0.95"
  )
  return Array.from(new Map(copy.map((p) => [percentileSuffix(p), p])).values())
}

const aggregateNames: ReadonlyArray<Aggregate> = ["min", "max", "count", "avg", "sum", "median"]

const areAggregates = (values: ReadonlyArray<string>): ReadonlyArray<Aggregate> =>
  Array.from(
    new Set(copied(
      values as ReadonlyArray<Aggregate>,
      (value) => aggregateNames.includes(value),
      `expected some of ${aggregateNames.join(", ")}`
    ))
  )

const unitList = (value: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    list(value).map((part) => {
      const [metric = "", ...unit] = part.split(":")
      return [metric.trim(), unit.join(":").trim()]
    })
  )

/** A copy of no more than a thousand. */
const areUnits = (units: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
  const entries = Symbol.iterator in units ? undefined : Object.entries(units)
  return entries !== undefined && entries.length <= 1000 &&
      entries.every(([metric, unit]) => isWord(metric, nameLength) && isWord(unit, 100))
    ? Object.fromEntries(entries)
    : fail("expected units by metric name, such as shop.size:byte")
}

const isWord = (value: unknown, most: number): boolean =>
  typeof value === "string" && value.length > 0 && value.length <= most

const isWithin = (most: number) => (value: number): number =>
  Number.isInteger(value) && value >= 1 && value <= most ? value : fail(`expected a whole number from 1 to ${most}`)

/** As `/x+$/` would, which takes quadratic time where much of it is not at the end. */
const withoutTrailing = (value: string, character: string): string => {
  let end = value.length
  while (value[end - 1] === character) end--
  return value.slice(0, end)
}

const isText = (value: unknown): string => typeof value === "string" ? value : fail("expected text")

const isHost = (value: string): string =>
  typeof value === "string" && value.trim().length <= hostLength
    ? value.trim()
    : fail(`expected at most ${hostLength} characters`)

/** A namespace has to leave room for a name: Datadog's limit for both together is 200 characters. */
const isNamespace = (value: string): string => {
  const namespace = withoutTrailing(isText(value), ".")
  return namespace === "" || (/^[A-Za-z]/.test(namespace) && namespace.length <= 150)
    ? namespace
    : fail("expected a letter first and at most 150 characters")
}

const isSite = (value: string): string => {
  const site = isText(value).trim().toLowerCase().replace(/^https?:\/\//, "").split("/", 1)[0]!
    .replace(/^(app|api)\./, "")
  const address = `https://api.${site}`
  return /^[a-z0-9.-]+(:\d+)?$/.test(site) && URL.canParse(address)
    ? address
    : fail("expected a site such as datadoghq.eu")
}

const isAddress = (value: string): string => {
  const address = isText(value).trim()
  return /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i.test(address) && URL.canParse(address)
    ? withoutTrailing(new URL(address).href, "/")
    : fail("expected an address with its scheme, such as https://api.datadoghq.eu")
}

/** The message must not show the key. */
const isApiKey = (value: Redacted.Redacted): Redacted.Redacted =>
  isUsable(value) ? value : fail("expected a key of printable characters without spaces")

const areTags = (tags: Tags): ReadonlyArray<string> => {
  const result = decodeTags(tags)
  return typeof result !== "string"
    ? result
    : fail(result === "TagTooLong" ? "a tag is longer than 200 characters" : "expected tags")
}

/** The Agent takes `DD_TAGS` with spaces, the Lambda clients take it with commas. */
const spaceOrCommaTags = (value: string): Tags =>
  value.includes(",") ? list(value) : value.split(/\s+/).filter((tag) => tag.length > 0)

const asTag = (key: string) => (value: string): ReadonlyArray<string> =>
  isText(value) === "" ? [] : areTags([`${key}:${value}`])

/** In the order in which they are looked at. */
const settings = {
  env: setting(text, asTag("env"), "DD_ENV"),
  service: setting(text, asTag("service"), "DD_SERVICE"),
  version: setting(text, asTag("version"), "DD_VERSION"),
  DATADOG_TAGS: setting<ReadonlyArray<string>, Tags>(list, areTags, "DATADOG_TAGS"),
  DD_TAGS: setting(spaceOrCommaTags, areTags, "DD_TAGS"),
  constantTags: setting<ReadonlyArray<string>, Tags>(list, areTags, ""),
  site: setting(text, isSite, "DD_SITE"),
  apiUrl: setting(text, isAddress, "DATADOG_HOST"),
  apiKey: setting(Redacted.make, isApiKey, "DATADOG_API_KEY"),
  DD_API_KEY: setting(Redacted.make, isApiKey, "DD_API_KEY"),
  namespace: setting(text, isNamespace),
  host: setting(text, isHost, "DD_HOSTNAME"),
  attachHost: setting(flag, isFlag),
  device: setting(text, isHost),
  rollUpInterval: setting(duration, isWholeSeconds),
  flushInterval: setting(duration, isPositive),
  periodicFlush: setting(flag, isFlag),
  flushTimeout: setting(duration, isFinitePositive),
  requestTimeout: setting(duration, isFinitePositive),
  disabled: setting(flag, isFlag),
  compress: setting(compression, isCompression),
  series: setting(text, isOneOf<SeriesVersion>("v1", "v2")),
  units: setting(unitList, areUnits),
  percentiles: setting<ReadonlyArray<number>>((value) => list(value).map(Number), arePercentiles),
  aggregates: setting(list, areAggregates),
  counters: setting(text, isOneOf<CounterTransport>("series", "distributions")),
  sampleSize: setting(Number, isWithin(1_000_000)),
  maxContexts: setting(Number, isWithin(10_000_000)),
  maxValues: setting(Number, isWithin(100_000_000)),
  maxEvents: setting(Number, isWithin(1_000_000)),
  maxBytes: setting(Number, isWithin(2 ** 40)),
  delivery: setting(text, isOneOf<DeliverySemantics>("at-least-once", "at-most-once")),
  selfMetrics: setting(flag, isFlag),
  timerUnit: setting(text, isOneOf<TimerUnit>("seconds", "milliseconds")),
  timestamps: setting(text, isOneOf("window", "any"))
}

/** Of a setting that says nothing else: `DD_THREADSTATS_MAX_BYTES` of `maxBytes`. */
const variableOf = (name: string): string => `DD_THREADSTATS_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`

type Settings = typeof settings

/** Those that something was said of, checked. */
type Resolved = {
  readonly [Name in keyof Settings]?: Settings[Name] extends Setting<infer A> ? A : never
}

/** A check may rely on the type it declares: a caller without types, whose value makes it throw, gets the same error. */
const parse = <A>(path: string, read: () => A): Effect.Effect<A, ConfigError.ConfigError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(read())
    } catch (error) {
      return Effect.fail(
        ConfigError.InvalidData([path], error instanceof Fault ? error.message : "a value of the wrong type")
      )
    }
  })

/** Which have no option of their own. */
const onlyVariables: ReadonlyArray<string> = ["DATADOG_TAGS", "DD_TAGS", "DD_API_KEY"]

/** Every option, read once: what a getter throws is a wrong option. */
const taken = (
  input: Options | undefined
): Effect.Effect<{ readonly [name: string]: unknown }, ConfigError.ConfigError> =>
  Effect.suspend(() => {
    const out: { [name: string]: unknown } = {}
    for (const name of Object.keys(settings)) {
      if (onlyVariables.includes(name)) continue
      try {
        out[name] = input?.[name as keyof Options]
      } catch {
        return Effect.fail(ConfigError.InvalidData([name], "it cannot be read"))
      }
    }
    return Effect.succeed(out)
  })

const descriptions: { readonly [variable: string]: string } = {
  DD_THREADSTATS_NAMESPACE: "Goes before every metric name, with a dot.",
  DD_HOSTNAME: "The client's host name.",
  DD_THREADSTATS_ATTACH_HOST: "Whether points recorded without a host carry the client's.",
  DD_THREADSTATS_DEVICE: "The device of every metric.",
  DD_THREADSTATS_ROLL_UP_INTERVAL: "How long one roll-up bucket is, in seconds.",
  DD_THREADSTATS_FLUSH_INTERVAL: "How often closed buckets are sent, in seconds; off for never.",
  DD_THREADSTATS_PERIODIC_FLUSH: "Whether the layer itself flushes on the interval.",
  DD_THREADSTATS_FLUSH_TIMEOUT: "The most time one flush may take, in seconds.",
  DD_THREADSTATS_REQUEST_TIMEOUT: "The most time one request may take, in seconds.",
  DD_THREADSTATS_DISABLED: "Record and send nothing.",
  DD_THREADSTATS_COMPRESS: "Whether HTTP bodies are compressed, or zstd.",
  DD_THREADSTATS_SERIES: "Which of Datadog's endpoints takes series.",
  DD_THREADSTATS_UNITS: "Units by metric name, for series v2.",
  DD_THREADSTATS_PERCENTILES: "Percentiles of histograms and timings.",
  DD_THREADSTATS_AGGREGATES: "Aggregates of histograms and timings.",
  DD_THREADSTATS_COUNTERS: "How counters, histograms and timings travel.",
  DD_THREADSTATS_SAMPLE_SIZE: "How many values of a histogram are kept for its percentiles.",
  DD_THREADSTATS_MAX_CONTEXTS: "How many contexts may wait to be delivered.",
  DD_THREADSTATS_MAX_VALUES: "How many distribution values may wait to be delivered.",
  DD_THREADSTATS_MAX_EVENTS: "How many events may wait to be delivered.",
  DD_THREADSTATS_MAX_BYTES: "How many bytes of memory may wait to be delivered.",
  DD_THREADSTATS_DELIVERY: "Whether distributions and events that may have arrived are sent again.",
  DD_THREADSTATS_SELF_METRICS: "Whether the client reports its own numbers as metrics.",
  DD_THREADSTATS_TIMER_UNIT: "The unit of timers.",
  DD_THREADSTATS_TIMESTAMPS: "Which recorded times are taken.",
  DD_SITE: "The Datadog site.",
  DATADOG_HOST: "Base address of Datadog's API.",
  DATADOG_API_KEY: "The API key.",
  DD_ENV: "The env tag.",
  DD_SERVICE: "The service tag.",
  DD_VERSION: "The version tag.",
  DD_API_KEY: "The API key, where DATADOG_API_KEY is not set.",
  DATADOG_TAGS: "Tags of every metric and event, separated by commas.",
  DD_TAGS: "Tags of every metric and event, separated by commas, or by spaces where there is no comma."
}

/**
 * Every environment variable that is read, with what it sets.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = /*#__PURE__*/ Object
  .entries(descriptions).map(([name, description]) => ({ name, description }))

/**
 * Resolves all settings: the option, else the environment, else the default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (input?: Options): Effect.Effect<ThreadStatsConfig, ConfigError.ConfigError> =>
  Effect.flatMap(taken(input), (options) =>
    Effect.configProviderWith((provider) => {
      const resolved: { [name: string]: unknown } = {}
      // A plain loop over what the provider says: in a cold start each combinator of `Config` costs.
      return Effect.forEach(
        Object.entries<Setting<unknown>>(settings),
        ([name, { fromOption, fromText, variable = variableOf(name) }]) => {
          const keep = Effect.map((value: unknown) => {
            resolved[name] = value
          })
          // a wrong variable does not matter where an option rules
          if (options[name] !== undefined) return keep(parse(name, () => fromOption(options[name])))
          if (variable === "" || (name === "DD_API_KEY" && options["apiKey"] !== undefined)) return Effect.void
          return Effect.flatMap(
            Environment.read(variable, provider),
            (text) => text === "" ? Effect.void : keep(parse(variable, () => fromText(text)))
          )
        },
        { discard: true }
      ).pipe(
        Effect.zipRight(Environment.read("AWS_LAMBDA_FUNCTION_NAME", provider)),
        Effect.map((functionName) => fromResolved(resolved, functionName !== ""))
      )
    }))

const fromResolved = (
  { DATADOG_TAGS, DD_API_KEY, DD_TAGS, apiKey, apiUrl, constantTags, env, service, site, version, ...given }: Resolved,
  onLambda: boolean
): ThreadStatsConfig => ({
  host: undefined,
  device: undefined,
  ...defaults,
  counters: onLambda ? "distributions" : defaults.counters,
  periodicFlush: !onLambda,
  ...given,
  tags: Array.from(new Set([constantTags, DATADOG_TAGS, DD_TAGS, env, service, version].flatMap((tags) => tags ?? []))),
  apiUrl: apiUrl ?? site ?? defaults.apiUrl,
  apiKey: Option.fromNullable(apiKey ?? DD_API_KEY)
})
