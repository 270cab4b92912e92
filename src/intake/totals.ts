/** Totals over accepted payloads. */
import type { IntakeSummary, IntakeView, StoredMetrics } from "./model.js"

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

/** Counts requests, refusals, bytes, series, points, values and events. */
export const summarize = ({ distributions, events, requests, series }: IntakeView): IntakeSummary => ({
  requests: requests.length,
  refused: requests.filter(({ status }) => status !== undefined && (status < 200 || status > 299)).length,
  bytes: sumOf(requests, ({ bytes }) => bytes),
  series: series.length,
  points: sumOf(series, ({ points }) => points.length),
  distributions: distributions.length,
  values: sumOf(distributions, ({ points }) => sumOf(points, ([, values]) => values.length)),
  events: events.length
})
