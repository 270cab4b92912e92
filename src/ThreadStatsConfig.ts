/**
 * Every setting of the client, once: what it means, where it may come from, and its default.
 *
 * A setting given in code beats the environment, the environment beats the default. A wrong value is a `ConfigError`
 * that names the variable (or the option), when the layer is built. The environment is whatever `ConfigProvider` is in
 * force; nothing here reads `process.env` itself.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isUsable } from "./internal/apiKey.js"
import * as Flag from "./internal/flag.js"
import { hostLength, nameLength } from "./internal/limits.js"
import { percentileSuffix } from "./internal/percentile.js"
import { fromInput, type Tags } from "./internal/tags.js"

/**
 * What a histogram or timing reports besides its percentiles. `count` is a rate per second, the others are gauges.
 *
 * @since 0.1.0
 * @category models
 */
export type Aggregate = "min" | "max" | "count" | "avg" | "sum" | "median"

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

/**
 * How counters, histograms and timings travel.
 *
 * - `"series"`: as the reference sends them, rolled up. Datadog keeps one value of a series and second, so that two senders
 *   with the same tags and host overwrite each other.
 * - `"distributions"`: as distributions, which add up whoever sends them. A counter is one value for each flush, whose `sum`
 *   is the count; of histograms and timings every value is sent, and Datadog computes the percentiles.
 *
 * @since 0.1.0
 * @category models
 */
export type CounterTransport = "series" | "distributions"

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

type Parsed<A> = Either.Either<A, string>

interface Setting<A> {
  readonly variable: string
  readonly fromText: (text: string) => Parsed<A>
  readonly fromOption: (input: unknown) => Parsed<A>
}

const setting = <A, Input = A>(
  variable: string,
  fromString: (text: string) => Parsed<Input>,
  check: (input: Input) => Parsed<A>
): Setting<A> => ({
  variable,
  fromText: (text) => Either.flatMap(fromString(text), check),
  // of the type it is declared with, or else a check that throws says so
  fromOption: check as (input: unknown) => Parsed<A>
})

const text = (value: string): Parsed<string> => Either.right(value)

const flag = (value: string): Parsed<boolean> => {
  const isOn = Flag.fromText(value)
  return isOn === undefined
    ? Either.left(`expected true or false, got ${JSON.stringify(value)}`)
    : Either.right(isOn)
}

const isFlag = (value: unknown): Parsed<boolean> =>
  typeof value === "boolean" ? Either.right(value) : Either.left("expected true or false")

const compression = (value: string): Parsed<boolean | "zstd"> =>
  value.toLowerCase() === "zstd"
    ? Either.right("zstd")
    : Either.mapLeft(flag(value), () => `expected true, false or zstd, got ${JSON.stringify(value)}`)

const isCompression = (value: unknown): Parsed<boolean | "zstd"> =>
  value === "zstd" ? Either.right(value) : Either.mapLeft(isFlag(value), () => "expected true, false or \"zstd\"")

const duration = (value: string): Parsed<Duration.DurationInput> =>
  /^\d+(\.\d+)?$/.test(value)
    ? Either.right(Duration.seconds(Number(value)))
    : value.toLowerCase() === "off"
    ? Either.right(Duration.infinity)
    : Either.fromOption(
      Duration.decodeUnknown(value),
      () => `expected seconds, or a duration such as "10 seconds", got ${JSON.stringify(value)}`
    )

const isPositive = (input: Duration.DurationInput): Parsed<Duration.Duration> =>
  Option.match(Duration.decodeUnknown(input), {
    onNone: () => Either.left("expected a duration"),
    onSome: (value) => Duration.toMillis(value) > 0 ? Either.right(value) : Either.left("expected more than zero")
  })

const isFinitePositive = (input: Duration.DurationInput): Parsed<Duration.Duration> =>
  Either.filterOrLeft(isPositive(input), Duration.isFinite, () => "expected a finite duration")

/** A point carries the time its bucket begins, which Datadog takes for an hour: time enough to close and be sent. */
const isWholeSeconds = (input: Duration.DurationInput): Parsed<Duration.Duration> =>
  Either.filterOrLeft(
    isFinitePositive(input),
    (value) => Number.isInteger(Duration.toSeconds(value)) && Duration.toSeconds(value) <= 1800,
    () => "expected whole seconds, from 1 to 1800"
  )

const list = (value: string): ReadonlyArray<string> =>
  value.split(",").map((part) => part.trim()).filter((part) => part.length > 0)

const isOneOf = <A extends string>(...allowed: ReadonlyArray<A>) => (value: string): Parsed<A> =>
  Either.filterOrLeft(
    Either.right(value as A),
    (candidate) => allowed.includes(candidate),
    () => `expected ${allowed.join(" or ")}, got ${JSON.stringify(value)}`
  )

/** A copy of no more than a hundred elements, holes and all. */
const copied = <A>(values: ReadonlyArray<A>, isValid: (value: A) => boolean): Either.Either<ReadonlyArray<A>, void> => {
  const copy = Array.isArray(values) && values.length <= 100 ? [...values as ReadonlyArray<A>] : undefined
  return copy !== undefined && copy.every(isValid) ? Either.right(copy) : Either.left(undefined)
}

const arePercentiles = (values: ReadonlyArray<number>): Parsed<ReadonlyArray<number>> =>
  copied(values, (value) => typeof value === "number" && value > 0 && value < 1).pipe(
    Either.map((copy) => Array.from(new Map(copy.map((p) => [percentileSuffix(p), p])).values())),
    Either.mapLeft(() => "expected numbers above 0 and below 1, such as 0.95")
  )

const aggregateNames: ReadonlyArray<Aggregate> = ["min", "max", "count", "avg", "sum", "median"]

const areAggregates = (values: ReadonlyArray<string>): Parsed<ReadonlyArray<Aggregate>> =>
  copied(values as ReadonlyArray<Aggregate>, (value) => aggregateNames.includes(value)).pipe(
    Either.map(Arr.dedupe),
    Either.mapLeft(() => `expected some of ${aggregateNames.join(", ")}`)
  )

const unitList = (value: string): Parsed<Readonly<Record<string, string>>> =>
  Either.right(Object.fromEntries(
    list(value).map((part) => {
      const [metric = "", ...unit] = part.split(":")
      return [metric.trim(), unit.join(":").trim()]
    })
  ))

/** A copy of no more than a thousand. */
const areUnits = (units: Readonly<Record<string, string>>): Parsed<Readonly<Record<string, string>>> => {
  const entries = Symbol.iterator in units ? undefined : Object.entries(units)
  return entries !== undefined && entries.length <= 1000 &&
      entries.every(([metric, unit]) => isWord(metric, nameLength) && isWord(unit, 100))
    ? Either.right(Object.fromEntries(entries))
    : Either.left("expected units by metric name, such as shop.size:byte")
}

const isWord = (value: unknown, most: number): boolean =>
  typeof value === "string" && value.length > 0 && value.length <= most

const isWithin = (most: number) => (value: number): Parsed<number> =>
  Number.isInteger(value) && value >= 1 && value <= most
    ? Either.right(value)
    : Either.left(`expected a whole number from 1 to ${most}`)

const number = (value: string): Parsed<number> => Either.right(Number(value))

/** As `/x+$/` would, which takes quadratic time where much of it is not at the end. */
const withoutTrailing = (value: string, character: string): string => {
  let end = value.length
  while (value[end - 1] === character) end--
  return value.slice(0, end)
}

const isHost = (value: string): Parsed<string> =>
  typeof value === "string" && value.trim().length <= hostLength
    ? Either.right(value.trim())
    : Either.left(`expected at most ${hostLength} characters`)

const isDevice = isHost

/** A namespace has to leave room for a name: Datadog's limit for both together is 200 characters. */
const isNamespace = (value: string): Parsed<string> => {
  if (typeof value !== "string") return Either.left("expected text")
  const namespace = withoutTrailing(value, ".")
  return namespace === "" || (/^[A-Za-z]/.test(namespace) && namespace.length <= 150)
    ? Either.right(namespace)
    : Either.left("expected a letter first and at most 150 characters")
}

const isSite = (value: string): Parsed<string> => {
  if (typeof value !== "string") return Either.left("expected text")
  const site = value.trim().toLowerCase().replace(/^https?:\/\//, "").split("/", 1)[0]!.replace(/^(app|api)\./, "")
  const address = `https://api.${site}`
  return /^[a-z0-9.-]+(:\d+)?$/.test(site) && URL.canParse(address)
    ? Either.right(address)
    : Either.left("expected a site such as datadoghq.eu")
}

const isAddress = (value: string): Parsed<string> => {
  if (typeof value !== "string") return Either.left("expected text")
  const message = "expected an address with its scheme, such as https://api.datadoghq.eu"
  return /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i.test(value.trim())
    ? Either.mapLeft(
      Either.try(() => withoutTrailing(new URL(value.trim()).href, "/")),
      () => message
    )
    : Either.left(message)
}

/** The message must not show the key. */
const isApiKey = (value: Redacted.Redacted): Parsed<Redacted.Redacted> =>
  isUsable(value) ? Either.right(value) : Either.left("expected a key of printable characters without spaces")

const areTags = (tags: Tags): Parsed<ReadonlyArray<string>> => {
  const result = fromInput(tags)
  return typeof result === "string"
    ? Either.left(result === "TagTooLong" ? "a tag is longer than 200 characters" : "expected tags")
    : Either.right(result)
}

const commaTags = (value: string): Parsed<Tags> => Either.right(list(value))

/** The Agent takes `DD_TAGS` with spaces, the Lambda clients take it with commas. */
const spaceOrCommaTags = (value: string): Parsed<Tags> =>
  Either.right(value.includes(",") ? list(value) : value.split(/\s+/).filter((tag) => tag.length > 0))

const asTag = (key: string) => (value: string): Parsed<ReadonlyArray<string>> =>
  typeof value !== "string"
    ? Either.left("expected text")
    : value.length === 0
    ? Either.right([])
    : areTags([`${key}:${value}`])

/** In the order in which they are looked at. */
const settings = {
  env: setting("DD_ENV", text, asTag("env")),
  service: setting("DD_SERVICE", text, asTag("service")),
  version: setting("DD_VERSION", text, asTag("version")),
  DATADOG_TAGS: setting("DATADOG_TAGS", commaTags, areTags),
  DD_TAGS: setting("DD_TAGS", spaceOrCommaTags, areTags),
  constantTags: setting<ReadonlyArray<string>, Tags>("", commaTags, areTags),
  site: setting("DD_SITE", text, isSite),
  apiUrl: setting("DATADOG_HOST", text, isAddress),
  apiKey: setting("DATADOG_API_KEY", (value) => Either.right(Redacted.make(value)), isApiKey),
  DD_API_KEY: setting("DD_API_KEY", (value) => Either.right(Redacted.make(value)), isApiKey),
  namespace: setting("DD_THREADSTATS_NAMESPACE", text, isNamespace),
  host: setting("DD_HOSTNAME", text, isHost),
  attachHost: setting("DD_THREADSTATS_ATTACH_HOST", flag, isFlag),
  device: setting("DD_THREADSTATS_DEVICE", text, isDevice),
  rollUpInterval: setting("DD_THREADSTATS_ROLL_UP_INTERVAL", duration, isWholeSeconds),
  flushInterval: setting("DD_THREADSTATS_FLUSH_INTERVAL", duration, isPositive),
  periodicFlush: setting("DD_THREADSTATS_PERIODIC_FLUSH", flag, isFlag),
  flushTimeout: setting("DD_THREADSTATS_FLUSH_TIMEOUT", duration, isFinitePositive),
  requestTimeout: setting("DD_THREADSTATS_REQUEST_TIMEOUT", duration, isFinitePositive),
  disabled: setting("DD_THREADSTATS_DISABLED", flag, isFlag),
  compress: setting("DD_THREADSTATS_COMPRESS", compression, isCompression),
  series: setting("DD_THREADSTATS_SERIES", text, isOneOf<SeriesVersion>("v1", "v2")),
  units: setting("DD_THREADSTATS_UNITS", unitList, areUnits),
  percentiles: setting<ReadonlyArray<number>>(
    "DD_THREADSTATS_PERCENTILES",
    (value) => Either.right(list(value).map(Number)),
    arePercentiles
  ),
  aggregates: setting("DD_THREADSTATS_AGGREGATES", (value) => Either.right(list(value)), areAggregates),
  counters: setting("DD_THREADSTATS_COUNTERS", text, isOneOf<CounterTransport>("series", "distributions")),
  sampleSize: setting("DD_THREADSTATS_SAMPLE_SIZE", number, isWithin(1_000_000)),
  maxContexts: setting("DD_THREADSTATS_MAX_CONTEXTS", number, isWithin(10_000_000)),
  maxValues: setting("DD_THREADSTATS_MAX_VALUES", number, isWithin(100_000_000)),
  maxEvents: setting("DD_THREADSTATS_MAX_EVENTS", number, isWithin(1_000_000)),
  maxBytes: setting("DD_THREADSTATS_MAX_BYTES", number, isWithin(2 ** 40)),
  delivery: setting("DD_THREADSTATS_DELIVERY", text, isOneOf<DeliverySemantics>("at-least-once", "at-most-once")),
  selfMetrics: setting("DD_THREADSTATS_SELF_METRICS", flag, isFlag),
  timerUnit: setting("DD_THREADSTATS_TIMER_UNIT", text, isOneOf<TimerUnit>("seconds", "milliseconds")),
  timestamps: setting("DD_THREADSTATS_TIMESTAMPS", text, isOneOf("window", "any"))
}

type Settings = typeof settings

/** Those that something was said of, checked. */
type Resolved = {
  readonly [Name in keyof Settings]?: Settings[Name] extends Setting<infer A> ? A : never
}

/** A check may rely on the type it declares: a caller without types, whose value makes it throw, gets the same error. */
const parse = <A>(path: string, read: () => Parsed<A>): Either.Either<A, ConfigError.ConfigError> =>
  Either.try({ try: read, catch: () => "a value of the wrong type" }).pipe(
    Either.flatMap((parsed) => parsed),
    Either.mapLeft((message) => ConfigError.InvalidData([path], message))
  )

/** Which have no option of their own. */
const onlyVariables: ReadonlyArray<string> = ["DATADOG_TAGS", "DD_TAGS", "DD_API_KEY"]

/** Every option, read once: what a getter throws is a wrong option. */
const taken = (
  input: Options | undefined
): Either.Either<{ readonly [name: string]: unknown }, ConfigError.ConfigError> => {
  const out: { [name: string]: unknown } = {}
  for (const name of Object.keys(settings)) {
    if (onlyVariables.includes(name)) continue
    try {
      out[name] = input?.[name as keyof Options]
    } catch {
      return Either.left(ConfigError.InvalidData([name], "it cannot be read"))
    }
  }
  return Either.right(out)
}

/** What the environment says; an empty variable says nothing. */
const load = (variable: string, provider: ConfigProvider.ConfigProvider) =>
  provider.load(Config.string(variable)).pipe(
    Effect.map((value) => value.trim()),
    Effect.catchIf(ConfigError.isMissingDataOnly, () => Effect.succeed(""))
  )

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
  Effect.flatMap(Effect.suspend(() => taken(input)), (options) =>
    Effect.configProviderWith((provider) => {
      const resolved: { [name: string]: unknown } = {}
      // A plain loop over what the provider says: in a cold start each combinator of `Config` costs.
      return Effect.forEach(
        Object.entries<Setting<unknown>>(settings),
        ([name, { fromOption, fromText, variable }]) => {
          const keep = Either.map((value: unknown) => {
            resolved[name] = value
          })
          // a wrong variable does not matter where an option rules
          if (options[name] !== undefined) return keep(parse(name, () => fromOption(options[name])))
          if (variable === "" || (name === "DD_API_KEY" && options["apiKey"] !== undefined)) return Effect.void
          return Effect.flatMap(
            load(variable, provider),
            (text) => text === "" ? Effect.void : keep(parse(variable, () => fromText(text)))
          )
        },
        { discard: true }
      ).pipe(
        Effect.zipRight(load("AWS_LAMBDA_FUNCTION_NAME", provider)),
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
