/** Totals over accepted payloads. */
import type { AcceptedDistribution, AcceptedSeries, IntakeSummary, StoredMetrics } from "./model.js"

/** Sums the sizes of the items. */
export const sumOf = <A>(items: ReadonlyArray<A>, size: (item: A) => number): number =>
  items.reduce((total, item) => total + size(item), 0)

/** Returns the total of a metric over all series and times: counts, rates times their interval, and values of distributions. */
export const totalOf = ({ distributions, series }: StoredMetrics, metric: string): number =>
  sumOf(
    series.filter((item) => item.metric === metric && item.type !== "gauge"),
    ({ interval, points, type }) => sumOf(points, ([, value]) => type === "rate" ? value * interval : value)
  ) +
  sumOf(
    distributions.filter((item) => item.metric === metric),
    ({ points }) => sumOf(points, ([, values]) => sumOf(values, (value) => value))
  )

/** Returns the number of values of a distribution. */
export const countValues = ({ points }: AcceptedDistribution): number => sumOf(points, ([, values]) => values.length)

/** Summary of an intake that has received nothing. */
export const emptySummary: IntakeSummary = {
  requests: 0,
  accepted: 0,
  refused: 0,
  faulted: 0,
  bytes: 0,
  series: 0,
  points: 0,
  distributions: 0,
  values: 0,
  events: 0
}

/** Adds payloads to a summary. */
export const addPayloads = (
  summary: IntakeSummary,
  { distributions, series }: {
    readonly series: ReadonlyArray<AcceptedSeries>
    readonly distributions: ReadonlyArray<AcceptedDistribution>
  }
): IntakeSummary => ({
  ...summary,
  series: summary.series + series.length,
  points: summary.points + sumOf(series, ({ points }) => points.length),
  distributions: summary.distributions + distributions.length,
  values: summary.values + sumOf(distributions, countValues)
})
