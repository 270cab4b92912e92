/** The settings of a client, resolved, and the choices that some of them have. */
import type { Duration } from "effect/Duration"
import type { Option } from "effect/Option"
import type { Redacted } from "effect/Redacted"
import type { Aggregate, SubmissionType } from "./metricKinds.js"

export type { Aggregate, SubmissionType } from "./metricKinds.js"

/** Unit in which `timer` and `timed` record. The reference client records seconds. */
export type TimerUnit = "seconds" | "milliseconds"

/** How often Datadog may receive data whose delivery is uncertain because its response was lost. */
export type DeliverySemantics = "at-least-once" | "at-most-once"

/**
 * Version of Datadog's endpoint for series. Both versions store the same data. `"v2"` has its own wire form and limits, and supports
 * units.
 */
export type SeriesVersion = "v1" | "v2"

/** All settings of a client, resolved: the option, else the environment variable, else the default. */
export interface ThreadStatsSettings {
  /** Prefix of every metric name, joined with a dot. Event titles have no prefix. Default: none. */
  readonly namespace: string
  /**
   * Host name of the client. Events carry it, and so do points recorded with `host: ""`. Default: the name of the machine over HTTP
   * outside of AWS Lambda, like the reference client; otherwise none. An empty string, the default on AWS Lambda, means none.
   */
  readonly hostname: string | undefined
  /** Whether points recorded without a host carry {@link hostname} too. Default: `false`, like the reference client. */
  readonly attachHost: boolean
  /** Device of every metric. Default: none. */
  readonly device: string | undefined
  /** Tags of every metric and event, in this order: `constantTags`, `DATADOG_TAGS`, `DD_TAGS`, env, service, version. */
  readonly tags: ReadonlyArray<string>
  /** Length of a roll-up bucket, in whole seconds from 1 to 1800. Default: 10 seconds. */
  readonly rollUpInterval: Duration
  /**
   * Time between periodic flushes of closed buckets, of at least 1 millisecond: while the layer lives or, on Lambda, while an
   * invocation runs. `Duration.infinity` (`off` in the environment) leaves everything to the last flush. Default: 10 seconds.
   */
  readonly flushInterval: Duration
  /**
   * Whether the layer flushes periodically. Default: `true`, but `false` inside AWS Lambda, where `lambdaProgram` flushes because a
   * frozen environment runs no timers.
   */
  readonly periodicFlush: boolean
  /** Time limit of one flush, all its requests included, of at least 1 millisecond. Default: 5 seconds. */
  readonly flushTimeout: Duration
  /** Time limit of one request, of at least 1 millisecond. Default: 3 seconds. */
  readonly requestTimeout: Duration
  /**
   * Whether the client records and sends nothing. A disabled client reads no other setting, so that none can fail it. Default:
   * `false`.
   */
  readonly disabled: boolean
  /** True to compress HTTP bodies of metrics in zlib format. Default: `true`. */
  readonly compress: boolean
  /** Version of the endpoint for series. Default: `"v1"`, like the reference client. */
  readonly seriesVersion: SeriesVersion
  /**
   * Units by metric name, namespace included, such as `{ "shop.latency": "second" }`. Datadog's documentation lists the units. The
   * aggregates and percentiles of a histogram have its unit, its count has none. Units need `seriesVersion: "v2"`, and apply to series
   * only. Default: none.
   */
  readonly units: Readonly<Record<string, string>>
  /** Percentiles of histograms and timings, each above 0 and below 1. Default: 0.75, 0.85, 0.95, 0.99. */
  readonly percentiles: ReadonlyArray<number>
  /** Aggregates of histograms and timings. Default: min, max, count, avg. */
  readonly aggregates: ReadonlyArray<Aggregate>
  /**
   * Form in which counters, histograms and timings are sent. Default: `"series"`, but `"distributions"` inside AWS Lambda, where
   * many environments have the same tags.
   */
  readonly submitAs: SubmissionType
  /** Number of values that a histogram samples per bucket for its percentiles. Default: 1000, like the reference client. */
  readonly sampleSize: number
  /**
   * Limit of pending series, each counted once per bucket. A flush starts early at 80 % of the limit. Beyond the limit the client
   * drops the oldest series and counts their points. Default: 100,000, which take about 40 MB.
   */
  readonly maxSeries: number
  /** Limit of pending distribution values. Works like {@link maxSeries}. Default: 1,000,000, which take about 10 MB. */
  readonly maxValues: number
  /** Limit of pending events. Works like {@link maxSeries}. Default: 1000. */
  readonly maxEvents: number
  /**
   * Limit of the memory that pending data takes, in bytes and by estimate. Metrics and events have this limit each. Works like
   * {@link maxSeries}. Default: 64 MiB.
   */
  readonly maxBytes: number
  /**
   * Treatment of distributions and events that may have arrived and would count twice if they were sent again. `"at-least-once"`
   * sends them again. `"at-most-once"` drops them and counts them as `Ambiguous`. Series are always sent again, because Datadog
   * overwrites the first value. Default: `"at-least-once"`.
   */
  readonly delivery: DeliverySemantics
  /**
   * Whether the client reports its own `stats` as metrics named `threadstats.client.*`, with every flush that sends something else.
   * Counters: `points.received`, `points.delivered`, `points.dropped` (tag `reason`), the same of `events`, and `flushes`,
   * `payloads`, `bytes`, `retries`. Gauges: `points.pending`, `events.pending`, `series`, `breaker.open`. They count themselves too, and
   * each flush reports the outcome of the one before. Default: `false`.
   */
  readonly selfMetrics: boolean
  /** Unit of `timer` and `timed`. Default: `"seconds"`, like the reference client. */
  readonly timerUnit: TimerUnit
  /**
   * Times that the client accepts. `"window"` accepts the times that Datadog accepts: for metrics from 1 hour ago to 10 minutes ahead,
   * for events from 18 hours ago to 2 hours ahead. Points outside are dropped and counted. `"any"` accepts all times, for
   * organizations that ingest historical metrics. Default: `"window"`.
   */
  readonly acceptedTimestamps: "window" | "any"
  /** Base URL of Datadog's API, without a trailing slash. Default: `https://api.` and the site. */
  readonly apiUrl: string
  /** API key, if an option or a variable contains one. */
  readonly apiKey: Option<Redacted>
}
