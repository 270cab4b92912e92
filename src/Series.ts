/**
 * The wire form of metrics: what Datadog's `series` endpoints, v1 and v2, and v1 `distribution_points` accept, as types
 * and codecs.
 *
 * The types are what every {@link Reporter} is handed; the schemas are for those who read payloads (an intake, a test).
 * Importing only the types costs a bundle nothing.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { SeriesType } from "./internal/model/AggregatedSeries.js"

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

export type {
  /**
   * Tells Datadog how to read the values of a {@link Series}. A `rate` is per second, a `count` is a total over the
   * interval.
   *
   * @since 0.1.0
   * @category models
   */
  SeriesType
} from "./internal/model/AggregatedSeries.js"

/**
 * A {@link Series} in the form that `POST /api/v2/series` takes. Reporters are handed the other form; the HTTP reporter
 * writes this one where its settings say so.
 *
 * `type` is 0 for unspecified, 1 for count, 2 for rate, 3 for gauge. Timestamps are whole seconds since the epoch;
 * `interval` is in seconds. Host and device are among the `resources`, under these names. Source: Datadog API reference.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeriesV2 {
  readonly metric: string
  readonly type: 0 | 1 | 2 | 3
  readonly points: ReadonlyArray<{ readonly timestamp: number; readonly value: number }>
  readonly resources?: ReadonlyArray<{ readonly type: string; readonly name: string }> | undefined
  readonly tags: ReadonlyArray<string>
  readonly interval: number
  readonly unit?: string | undefined
}

/**
 * The raw values of a distribution; Datadog computes the percentiles over all of them, from every sender.
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
 * What was recorded of one counter, gauge, set, histogram or timing in one roll-up interval, for a receiver that rolls up
 * by itself. No HTTP endpoint takes it; a {@link Reporter} that has `flushSamples` is handed it in place of {@link Series}.
 *
 * `points` holds `[seconds since the epoch, values]`: a counter's sum, a gauge's last value, the members of a set, the
 * values of a histogram or timing. Each value stands for `weight` recorded ones: 1, or more (and with a fraction) where
 * more were recorded than the client keeps.
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

const Timestamp = Schema.Finite.annotations({ description: "Seconds since the epoch; fractions are allowed." })

const common = {
  metric: Schema.NonEmptyString,
  host: Schema.optional(Schema.NullOr(Schema.String)),
  device: Schema.optional(Schema.NullOr(Schema.String)),
  tags: Schema.optional(Schema.NullOr(Schema.Array(Schema.String))),
  interval: Schema.optional(Schema.NullOr(Schema.Int))
}

/**
 * One element of a `series` payload, as Datadog documents it: only `metric` and `points` are required.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SeriesFromWire = Schema.Struct({
  ...common,
  points: Schema.Array(Schema.Tuple(Timestamp, Schema.Finite)),
  type: Schema.optional(Schema.Literal("", "gauge", "rate", "count"))
})

/**
 * One element of a `distribution_points` payload, as Datadog documents it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const DistributionSeriesFromWire = Schema.Struct({
  ...common,
  points: Schema.Array(Schema.Tuple(Timestamp, Schema.Array(Schema.Finite))),
  type: Schema.optional(Schema.Literal("distribution"))
})

/**
 * One element of a v2 `series` payload, as Datadog documents it: only `metric` and `points` are required.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SeriesV2FromWire = Schema.Struct({
  metric: Schema.NonEmptyString,
  points: Schema.Array(Schema.Struct({ timestamp: Schema.Int, value: Schema.Finite })),
  type: Schema.optional(Schema.Literal(0, 1, 2, 3)),
  resources: Schema.optional(Schema.Array(Schema.Struct({ type: Schema.String, name: Schema.String }))),
  tags: Schema.optional(Schema.Array(Schema.String)),
  interval: Schema.optional(Schema.Int),
  unit: Schema.optional(Schema.String),
  source_type_name: Schema.optional(Schema.String)
})

/**
 * The body of `POST /api/v2/series`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SeriesV2Payload = Schema.Struct({ series: Schema.Array(SeriesV2FromWire) })

/**
 * The body of `POST /api/v1/series`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SeriesPayload = Schema.Struct({ series: Schema.Array(SeriesFromWire) })

/**
 * The body of `POST /api/v1/distribution_points`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const DistributionPayload = Schema.Struct({ series: Schema.Array(DistributionSeriesFromWire) })
