/**
 * Any reporter as an outlet. It is apart from what goes one way only: that is all that a client has in its bundle which
 * brings its own.
 */
import * as Effect from "effect/Effect"
import type { Item, Receipt, Reporter, ReporterError, Temporality } from "../../Reporter.js"
import type { DistributionSeries, SampleSeries, Series } from "../../Series.js"
import * as wire from "../http/seriesV1.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { loadOf } from "./exportBatch.js"
import { type Open, openOf, type Outlet } from "./Exporter.js"
import * as Branch from "./Pipeline.js"
import type { Shared } from "./Pipeline.js"

type Make = (shared: Shared, reporter: Reporter["Type"]) => Effect.Effect<Branch.Pipeline>

const way = Symbol.for("effect-threadstats/internal/outlet")

/** A reporter that a client goes another way to than through one outlet. */
export const withWay = (reporter: Reporter["Type"], make: Make): Reporter["Type"] =>
  Object.assign(reporter, { [way]: make })

/** The way to any reporter. */
export const wayTo = (shared: Shared, reporter: Reporter["Type"]): Effect.Effect<Branch.Pipeline> => {
  const make = (reporter as { readonly [way]?: Make })[way]
  return make === undefined ? Branch.make({ ...shared, outlet: outletOf(reporter) }) : make(shared, reporter)
}

type Part = Series | SampleSeries | DistributionSeries

/** Collects what an item becomes, in one piece or several, and hands all of it over as a batch. */
const batched = <I extends Part>(
  flush: (batch: ReadonlyArray<I>) => Effect.Effect<Receipt, ReporterError>,
  dressed: (dress: wire.Dress, item: AggregatedSeries) => ReadonlyArray<I>,
  temporality: Temporality
): Open =>
(dress) => {
  const parts = new Map<AggregatedSeries, ReadonlyArray<I>>()
  const partsOf = (item: AggregatedSeries) => parts.get(item) ?? []
  const addsUp = ({ type }: Part) => type === "distribution" || (temporality === "delta" && type !== "gauge")
  return {
    write(item) {
      const own = dressed(dress, item)
      parts.set(item, own)
      return own.length
    },
    addsUp: (item) => partsOf(item).some(addsUp),
    settle: Effect.void,
    close() {},
    end(batch) {
      const { items, report } = loadOf(Array.from(parts.values()).flat(), flush)
      const ownersOf = (some: ReadonlyArray<Item>) => {
        const these = new Set(some)
        return batch.filter((item) => partsOf(item).some((part) => these.has(part)))
      }
      return {
        batch,
        items,
        report: Effect.mapError(report, ({ ambiguous, error, refused, undelivered }) => ({
          error,
          undelivered: ownersOf(undelivered),
          refused: ownersOf(refused),
          ambiguous: ownersOf(ambiguous.filter((part) => "type" in part && addsUp(part)))
        }))
      }
    }
  }
}

export const outletOf = ({
  flushDistributions,
  flushEvents,
  flushMetrics,
  flushSamples,
  temporality,
  warm
}: Reporter["Type"]): Outlet => {
  const series = openOf(flushMetrics)
  const distributions = openOf(flushDistributions)
  const samples = flushSamples !== undefined
  const outlet = { temporality, flushEvents, warm, samples }
  return series !== undefined && distributions !== undefined && !samples ? { ...outlet, series, distributions } : {
    ...outlet,
    series: samples
      ? batched(flushSamples, (dress, item) => [wire.toSamples(dress, item)], temporality)
      : batched(flushMetrics, wire.toSeries, temporality),
    distributions: batched(flushDistributions, (dress, item) => [wire.toDistribution(dress, item)], temporality)
  }
}
