import type { SeriesType } from "./AggregatedSeries.js"

/**
 * One gauge, rate or count, with one value for one roll-up interval.
 *
 * `points` holds `[seconds since the epoch, value]`; `interval` is the roll-up interval in seconds, which Datadog needs
 * to turn rates into counts and back. Source: Datadog API reference, `POST /api/v1/series`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Series {
  readonly metric: string
  readonly points: ReadonlyArray<readonly [timestamp: number, value: number]>
  readonly type: SeriesType
  readonly host?: string | null | undefined
  readonly device?: string | null | undefined
  readonly tags: ReadonlyArray<string>
  readonly interval: number
}

/**
 * The values of a distribution. Datadog computes percentiles over the values of all senders.
 *
 * `points` holds `[seconds since the epoch, values]`. Source: Datadog API reference, `POST /api/v1/distribution_points`.
 *
 * @since 0.1.0
 * @category models
 */
export interface DistributionSeries {
  readonly metric: string
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number>]>
  readonly type: "distribution"
  readonly host?: string | null | undefined
  readonly device?: string | null | undefined
  readonly tags: ReadonlyArray<string>
  readonly interval: number
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
export interface SampleSeries {
  readonly metric: string
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number | string>]>
  readonly weight: number
  readonly type: "counter" | "gauge" | "set" | "histogram" | "timing"
  readonly host?: string | null | undefined
  readonly device?: string | null | undefined
  readonly tags: ReadonlyArray<string>
  readonly interval: number
}
