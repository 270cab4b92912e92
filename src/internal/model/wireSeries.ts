import type { SeriesType } from "./AggregatedSeries.js"
import type { Kind, KindOf } from "./metricKinds.js"

/** Fields of every wire form. */
interface WireFields {
  /** Name, with namespace and suffix. */
  readonly metric: string
  /** Host name. Default: none. */
  readonly host?: string | null | undefined
  /** Device. Default: none. */
  readonly device?: string | null | undefined
  /** Tags, with those of the client. */
  readonly tags: ReadonlyArray<string>
  /** Length of the roll-up interval, in seconds. */
  readonly interval: number
}

/**
 * One gauge, rate or count, with one value for one roll-up interval.
 *
 * `points` holds `[seconds since the epoch, value]`; `interval` is the roll-up interval in seconds, which Datadog needs
 * to turn rates into counts and back. Source: Datadog API reference, `POST /api/v1/series`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Series extends WireFields {
  /** Start of the interval in seconds since the epoch, and the value. */
  readonly points: ReadonlyArray<readonly [timestamp: number, value: number]>
  /** Type in Datadog. */
  readonly type: SeriesType
}

/**
 * The values of a distribution. Datadog computes percentiles over the values of all senders.
 *
 * `points` holds `[seconds since the epoch, values]`. Source: Datadog API reference, `POST /api/v1/distribution_points`.
 *
 * @since 0.1.0
 * @category models
 */
export interface DistributionSeries extends WireFields {
  /** Start of the interval in seconds since the epoch, and the values. */
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number>]>
  /** Type in Datadog. */
  readonly type: "distribution"
}

/**
 * The recorded values of one counter, gauge, set, histogram or timing in one roll-up interval, for a receiver that rolls up
 * itself. No HTTP endpoint takes it. Reporters with `samples: true` get it in place of {@link Series}.
 *
 * `points` holds `[seconds since the epoch, values]`: a counter's sum, a gauge's last value, the members of a set, the
 * values of a histogram or timing. Each value stands for `weight` recorded values. That is 1, or more if the client kept a
 * sample; it may have a fraction.
 *
 * @since 0.1.0
 * @category models
 */
export interface SampleSeries extends WireFields {
  /** Start of the interval in seconds since the epoch, and the values or members. */
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number | string>]>
  /** Number of recorded values that each value stands for. It may have a fraction. */
  readonly weight: number
  /** Kind of the metric. */
  readonly type: Exclude<Kind, KindOf<"values">>
}
