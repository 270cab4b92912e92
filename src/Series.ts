/**
 * The wire form of metrics: what Datadog's `series` endpoints, v1 and v2, and v1 `distribution_points` accept, as types
 * and codecs.
 *
 * The conversions turn aggregated series into these types, for reporters of your own. The schemas decode payloads, in an
 * intake or a test.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

export type { SeriesType } from "./internal/model/AggregatedSeries.js"
export type { DistributionSeries, SampleSeries, Series } from "./internal/model/wireSeries.js"

/**
 * A {@link Series} in the form that `POST /api/v2/series` takes. The HTTP reporter writes it with
 * `seriesVersion: "v2"`.
 *
 * `type` is 0 for unspecified, 1 for count, 2 for rate, 3 for gauge. Timestamps are whole seconds since the epoch;
 * `interval` is in seconds. Host and device are among the `resources`, under these names. Source: Datadog API reference.
 *
 * @since 0.1.0
 * @category models
 */
export interface SeriesV2 {
  /** Name, with namespace and suffix. */
  readonly metric: string
  /** 0 for unspecified, 1 for count, 2 for rate, 3 for gauge. */
  readonly type: 0 | 1 | 2 | 3
  /** Points, with whole seconds since the epoch. */
  readonly points: ReadonlyArray<{ readonly timestamp: number; readonly value: number }>
  /** Host and device, each as `{ type, name }`. Default: none. */
  readonly resources?: ReadonlyArray<{ readonly type: string; readonly name: string }> | undefined
  /** Tags, with those of the client. */
  readonly tags: ReadonlyArray<string>
  /** Length of the roll-up interval, in seconds. */
  readonly interval: number
  /** Unit, in Datadog's words. Default: none. */
  readonly unit?: string | undefined
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

export { distributionFromAggregated, fromAggregated, samplesFromAggregated } from "./internal/model/wireForm.js"
