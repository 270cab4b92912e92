/**
 * The wire form of metrics: what Datadog's v1 `series` and `distribution_points` endpoints accept, as types and codecs.
 *
 * The types are what every {@link Reporter} is handed; the schemas are for those who read payloads (an intake, a test).
 * Importing only the types costs a bundle nothing.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

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
 * How Datadog reads the values of a {@link Series}: a `rate` is per second, a `count` is a total over the interval.
 *
 * @since 0.1.0
 * @category models
 */
export type SeriesType = "gauge" | "rate" | "count"

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
