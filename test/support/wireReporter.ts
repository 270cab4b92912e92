/**
 * Reporters in wire form: batches are the series, distributions and events that a receiver gets. `fromWire` makes a reporter of
 * such methods, and `toWire` returns such methods of a reporter, with errors that name the items of the batch.
 */
import { Data, Effect } from "effect"
import type { Event, MetricsAggregator } from "effect-threadstats"
import { Reporter, Series } from "effect-threadstats"

export type WireSeries = Series.Series | Series.DistributionSeries | Series.SampleSeries

export type WireItem = WireSeries | Event.Event

/** A `ReporterError` that names items in wire form. */
export class WireError extends Data.TaggedError("ReporterError")<{
  readonly reason: Reporter.Reason
  readonly endpoint: string
  readonly description: string
  readonly status?: number | undefined
  readonly undelivered: ReadonlyArray<WireItem>
  readonly refused: ReadonlyArray<WireItem>
  readonly ambiguous: ReadonlyArray<WireItem>
  readonly receipt: Reporter.Receipt
  readonly cause?: unknown
}> {
  override get message(): string {
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return `${this.reason} at ${this.endpoint}${status}: ${this.description}`
  }
}

type Flush<A> = (batch: ReadonlyArray<A>) => Effect.Effect<Reporter.Receipt, WireError>

export interface WireReporter {
  readonly temporality: Reporter.Temporality
  readonly flushMetrics: Flush<Series.Series>
  readonly flushSamples?: Flush<Series.SampleSeries> | undefined
  readonly flushDistributions: Flush<Series.DistributionSeries>
  readonly flushEvents: Flush<Event.Event>
  readonly warm: Effect.Effect<void>
}

/** Makes a reporter of methods that take batches in wire form. */
export const fromWire = (wire: WireReporter): Reporter.Reporter["Type"] => {
  const { flushDistributions, flushEvents, flushMetrics, flushSamples, temporality, warm } = wire
  /** Flushes a batch. An error names each series of which a part was not delivered. */
  const report = <A extends WireSeries>(
    batch: Reporter.SeriesBatch,
    convert: (series: MetricsAggregator.AggregatedSeries, enrichment: Reporter.Enrichment) => ReadonlyArray<A>,
    flush: Flush<A>
  ) =>
    Effect.flatMap(Reporter.pullAll(batch), (pulled) => {
      const parts = pulled.map((series) => [series, convert(series, batch.enrichment)] as const)
      const sourcesOf = (items: ReadonlyArray<WireItem>) =>
        parts.flatMap(([series, own]) => own.some((part) => items.includes(part)) ? [series] : [])
      return Effect.mapError(flush(parts.flatMap(([, own]) => own)), (error) =>
        new Reporter.ReporterError({
          ...error,
          undelivered: sourcesOf(error.undelivered),
          refused: sourcesOf(error.refused),
          ambiguous: sourcesOf(error.ambiguous)
        }))
    })
  return {
    temporality,
    samples: flushSamples !== undefined,
    reportSeries: (batch) =>
      flushSamples === undefined
        ? report(batch, Series.fromAggregated, flushMetrics)
        : report(batch, (series, enrichment) => [Series.samplesFromAggregated(series, enrichment)], flushSamples),
    reportDistributions: (batch) =>
      report(
        batch,
        (series, enrichment) => [Series.distributionFromAggregated(series, enrichment)],
        flushDistributions
      ),
    reportEvents: (events) =>
      Effect.mapError(flushEvents(events), (error) =>
        new Reporter.ReporterError({
          ...error,
          undelivered: error.undelivered as ReadonlyArray<Event.Event>,
          refused: error.refused as ReadonlyArray<Event.Event>,
          ambiguous: error.ambiguous as ReadonlyArray<Event.Event>
        })),
    warm
  }
}

const sharedFields = ({ host, metric, tags }: WireSeries, timestamp: number) => ({
  name: metric,
  host: host ?? null,
  tags,
  timestamp,
  recorded: 1,
  points: [],
  values: [],
  samples: undefined
})

/** Returns the aggregated series that a wire series comes from, one per point. */
export const aggregatedOf = (item: WireSeries): ReadonlyArray<MetricsAggregator.AggregatedSeries> =>
  "weight" in item
    ? item.points.map(([timestamp, values]) => ({
      ...sharedFields(item, timestamp),
      kind: item.type,
      samples: { values, weight: item.weight }
    }))
    : item.type === "distribution"
    ? item.points.map(([timestamp, values]) => ({ ...sharedFields(item, timestamp), kind: "distribution", values }))
    : item.points.map(([timestamp, value]) => ({
      ...sharedFields(item, timestamp),
      kind: item.type === "gauge" ? "gauge" : "counter",
      points: [{ suffix: "", type: item.type, value }]
    }))

/** Returns a batch of wire series, and a function that finds the wire series of an aggregated one. */
export const batchOfWire = (items: ReadonlyArray<WireSeries>) => {
  const [first] = items
  const sources = new Map(items.flatMap((item) => aggregatedOf(item).map((series) => [series, item] as const)))
  return {
    batch: Reporter.batchOf({
      prefix: "",
      tags: [],
      hostname: undefined,
      attachHost: false,
      device: first?.device ?? undefined,
      interval: first?.interval ?? 10
    }, Array.from(sources.keys())),
    wireOf: (all: ReadonlyArray<Reporter.Item>): ReadonlyArray<WireItem> =>
      Array.from(new Set(all.map((item) => "title" in item ? item : sources.get(item)!)))
  }
}

/** Returns methods that report batches in wire form to a reporter. */
export const toWire = (reporter: Reporter.Reporter["Type"]): WireReporter => {
  const toWireError = (
    error: Reporter.ReporterError,
    wireOf: (all: ReadonlyArray<Reporter.Item>) => ReadonlyArray<WireItem>
  ) =>
    new WireError({
      ...error,
      undelivered: wireOf(error.undelivered),
      refused: wireOf(error.refused),
      ambiguous: wireOf(error.ambiguous)
    })
  const flushTo = (report: Reporter.Reporter["Type"]["reportSeries"]) => (items: ReadonlyArray<WireSeries>) =>
    Effect.suspend(() => {
      const { batch, wireOf } = batchOfWire(items)
      return Effect.mapError(report(batch), (error) => toWireError(error, wireOf))
    })
  const { reportDistributions, reportEvents, reportSeries, samples, temporality = "total", warm = Effect.void } =
    reporter
  return {
    temporality,
    flushMetrics: flushTo(reportSeries),
    flushSamples: samples === true ? flushTo(reportSeries) : undefined,
    flushDistributions: flushTo(reportDistributions),
    flushEvents: (events) =>
      Effect.mapError(reportEvents(events), (error) => toWireError(error, (all) => all as ReadonlyArray<Event.Event>)),
    warm
  }
}

/** The provided reporter, with methods that take batches in wire form. */
export const WireReporter: Effect.Effect<WireReporter, never, Reporter.Reporter> = Effect.map(Reporter.Reporter, toWire)
