import * as Effect from "effect/Effect"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { pullAll, type Receipt, ReporterError, type SeriesBatch } from "../model/Delivery.js"
import type { Enrichment } from "../model/Enrichment.js"

/** Outcome of a batch in wire form: the error names wire items. */
export interface WireFailure<A> extends Pick<ReporterError, "reason" | "endpoint" | "description" | "receipt"> {
  readonly cause?: unknown
  readonly undelivered: ReadonlyArray<A>
  readonly refused: ReadonlyArray<A>
  readonly ambiguous: ReadonlyArray<A>
}

/** Reports a batch through a function that delivers wire items. The error names the series of the batch. */
export const reportInWireForm = <A>(
  batch: SeriesBatch,
  toWire: (series: AggregatedSeries, enrichment: Enrichment) => A,
  deliver: (items: ReadonlyArray<A>) => Effect.Effect<Receipt, WireFailure<A>>
): Effect.Effect<Receipt, ReporterError> =>
  Effect.flatMap(pullAll(batch), (series) => {
    const sources = new Map(series.map((each) => [toWire(each, batch.enrichment), each] as const))
    const sourcesOf = (items: ReadonlyArray<A>) => items.map((item) => sources.get(item)!)
    return Effect.mapError(deliver(Array.from(sources.keys())), (failure) =>
      new ReporterError({
        ...failure,
        undelivered: sourcesOf(failure.undelivered),
        refused: sourcesOf(failure.refused),
        ambiguous: sourcesOf(failure.ambiguous)
      }))
  })
