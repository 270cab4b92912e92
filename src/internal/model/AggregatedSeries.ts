import type { Kind } from "./metricKinds.js"
import type { Tags } from "./tags.js"

/**
 * Says what a receiver does with two values of one series and timestamp. It decides what a reporter is given when more
 * points arrive in a roll-up interval that was reported before.
 *
 * - `"total"`: the receiver keeps the last value (Datadog's HTTP series). The interval's total is sent again.
 * - `"delta"`: the receiver adds the values up (an Agent, a log forwarder). Only the new part is sent.
 *
 * Distributions add up everywhere, so only their new values are sent.
 *
 * @since 0.1.0
 * @category models
 */
export type Temporality = "total" | "delta"

/**
 * Type of a {@link Series} in Datadog, and so the meaning of its values: a `rate` is per second, a `count` is a total over the interval.
 *
 * @since 0.1.0
 * @category models
 */
export type SeriesType = "gauge" | "rate" | "count"

export type Value = number | string

export interface Point {
  /** Suffix of the metric's name, such as `95percentile`. Empty for none. */
  readonly suffix: string
  /** Type in Datadog. */
  readonly type: SeriesType
  /** Value of the interval. */
  readonly value: number
}

export interface Samples {
  /** Values, or the members of a set. */
  readonly values: ReadonlyArray<Value>
  /** Number of recorded values that each value stands for. It may have a fraction. */
  readonly weight: number
}

export interface HistogramState {
  /** Minimum of all recorded values. */
  readonly min: number
  /** Maximum of all recorded values. */
  readonly max: number
  /** Sum of all recorded values. */
  readonly sum: number
  /** Number of recorded values. */
  readonly count: number
  /** Sampled values, at most `sampleSize`. */
  readonly sample: ReadonlyArray<number>
}

export type State = number | ReadonlyArray<Value> | HistogramState

/** Identity of an aggregated series. */
interface Identity {
  /** Kind of the metric. */
  readonly kind: Kind
  /** Name, without namespace and suffix. */
  readonly name: string
  /** Host of the points. Null for none. */
  readonly host: string | null
  /** Tags of the points, without those of the client. */
  readonly tags: ReadonlyArray<string>
}

export interface SeriesOptions {
  /** Tags of the point. Default: none. */
  readonly tags?: Tags | undefined
  /** Host of the point. `null` and `undefined` mean no host. The empty string means the client's own host. */
  readonly host?: string | null | undefined
}

export interface AggregatedSeries extends Identity {
  /** Start of the bucket, in seconds since the epoch. */
  readonly timestamp: number
  /** Values to report. Empty for distributions, and for series drained as {@link samples}. */
  readonly points: ReadonlyArray<Point>
  /** Values of a distribution in the order of recording. Empty for other kinds. */
  readonly values: ReadonlyArray<number>
  /** Recorded values, if the drain requested samples; otherwise `undefined`. */
  readonly samples: Samples | undefined
  /** Number of recorded points that no earlier drain returned. */
  readonly recorded: number
}

export interface SerializedSeries extends Identity {
  /** Start of the bucket, in milliseconds since the epoch. */
  readonly start: number
  /** Number of recorded points that this series contains. */
  readonly recorded: number
  /** Content of the roll-up. */
  readonly state: State
}

export interface BucketSnapshot {
  /** Start of the bucket, in milliseconds since the epoch. */
  readonly start: number
  /** Number that changes when the pending series of the bucket change. */
  readonly version: number
  /** Pending series. `undefined` if the caller already has this version. */
  readonly series: ReadonlyArray<SerializedSeries> | undefined
}
