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
 * Meaning of the values of a {@link Series}: a `rate` is per second, a `count` is a total over the interval.
 *
 * @since 0.1.0
 * @category models
 */
export type SeriesType = "gauge" | "rate" | "count"

export type Value = number | string

export interface Point {
  readonly suffix: string
  readonly type: SeriesType
  readonly value: number
}

export interface Samples {
  readonly values: ReadonlyArray<Value>
  readonly weight: number
}

export interface HistogramState {
  readonly min: number
  readonly max: number
  readonly sum: number
  readonly count: number
  readonly sample: ReadonlyArray<number>
}

export type State = number | ReadonlyArray<Value> | HistogramState

/** Identity of an aggregated series. */
interface Identity {
  readonly kind: Kind
  readonly name: string
  readonly host: string | null
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
