import type { AggregatedSeries } from "./AggregatedSeries.js"
import { enrichHost, type Enrichment, enrichName } from "./Enrichment.js"
import type { Event } from "./Event.js"
import { appendConstantTags } from "./tags.js"
import type { DistributionSeries, SampleSeries, Series } from "./wireSeries.js"

/** A series or an event for a receiver that rolls up itself. */
export type WireItem = SampleSeries | DistributionSeries | Event

const sharedFields = (series: AggregatedSeries, enrichment: Enrichment) => {
  const host = enrichHost(enrichment, series.host)
  return {
    ...(host === null ? undefined : { host }),
    ...(enrichment.device === undefined ? undefined : { device: enrichment.device }),
    tags: appendConstantTags(series.tags, enrichment.tags),
    interval: enrichment.interval
  }
}

/**
 * Returns the wire form of an aggregated series: one series per point, so several for a histogram or a timing.
 *
 * Empty for a series that a reporter receives in `reportDistributions`, or with `samples`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromAggregated = (series: AggregatedSeries, enrichment: Enrichment): ReadonlyArray<Series> => {
  const shared = sharedFields(series, enrichment)
  const name = enrichName(enrichment, series.name)
  return series.points.map(({ suffix, type, value }) => ({
    metric: suffix === "" ? name : `${name}.${suffix}`,
    points: [[series.timestamp, value]],
    type,
    ...shared
  }))
}

/**
 * Returns the wire form of an aggregated distribution.
 *
 * @since 0.1.0
 * @category conversions
 */
export const distributionFromAggregated = (series: AggregatedSeries, enrichment: Enrichment): DistributionSeries => ({
  metric: enrichName(enrichment, series.name),
  points: [[series.timestamp, series.values]],
  type: "distribution",
  ...sharedFields(series, enrichment)
})

/**
 * Returns an aggregated series as recorded values, for a receiver that rolls up itself. Only for a reporter with
 * `samples: true`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const samplesFromAggregated = (series: AggregatedSeries, enrichment: Enrichment): SampleSeries => ({
  metric: enrichName(enrichment, series.name),
  points: [[series.timestamp, series.samples!.values]],
  weight: series.samples!.weight,
  type: series.kind as SampleSeries["type"],
  ...sharedFields(series, enrichment)
})
