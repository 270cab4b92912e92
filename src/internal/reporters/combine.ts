import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import {
  addReceipts,
  batchOf,
  emptyReceipt,
  type Item,
  pullAll,
  type Receipt,
  ReporterError,
  type SeriesBatch
} from "../model/Delivery.js"
import type { Reporter } from "../model/Reporter.js"

type Service = Reporter["Type"]

/** Merges the outcomes of one batch: an item that any reporter did not accept is undelivered. */
const mergeOutcomes = (
  items: ReadonlyArray<Item>,
  outcomes: ReadonlyArray<Either.Either<Receipt, ReporterError>>
): Effect.Effect<Receipt, ReporterError> => {
  const errors = outcomes.flatMap((outcome) => Either.isLeft(outcome) ? [outcome.left] : [])
  const undelivered = new Set(errors.flatMap((error) => error.undelivered))
  const refused = new Set(errors.flatMap((error) => error.refused).filter((item) => !undelivered.has(item)))
  const receipt = {
    ...outcomes
      .map(Either.match({ onLeft: (error) => error.receipt, onRight: (receipt) => receipt }))
      .reduce(addReceipts, emptyReceipt),
    items: items.length - undelivered.size - refused.size
  }
  const [first] = errors
  return first === undefined ? Effect.succeed(receipt) : Effect.fail(
    new ReporterError({
      reason: first.reason,
      endpoint: first.endpoint,
      description: first.description,
      status: first.status,
      undelivered: Array.from(undelivered),
      refused: Array.from(refused),
      // Another reporter may have accepted it.
      ambiguous: Array.from(undelivered),
      receipt,
      cause: first.cause
    })
  )
}

/** Makes one reporter of several. A client reports to each of `reporters`; a direct call reports to all of them. */
export const combineReporters = (all: ReadonlyArray<Service>): Service => {
  const reporters = Array.from(new Set(all.flatMap((reporter) => reporter.reporters ?? [reporter])))
  if (reporters.length === 1) return reporters[0]!
  const reportToAll = <A extends Item>(
    items: ReadonlyArray<A>,
    report: (reporter: Service) => Effect.Effect<Receipt, ReporterError>
  ) =>
    Effect.flatMap(
      Effect.forEach(reporters, (reporter) => Effect.either(report(reporter)), { concurrency: "unbounded" }),
      (outcomes) => mergeOutcomes(items, outcomes)
    )
  const reportBatchToAll = (batch: SeriesBatch, method: "reportSeries" | "reportDistributions") =>
    Effect.flatMap(
      pullAll(batch),
      (series) => reportToAll(series, (reporter) => reporter[method](batchOf(batch.enrichment, series)))
    )
  return {
    temporality: reporters.some(({ temporality }) => temporality === "delta") ? "delta" : "total",
    reportSeries: (batch) => reportBatchToAll(batch, "reportSeries"),
    reportDistributions: (batch) => reportBatchToAll(batch, "reportDistributions"),
    reportEvents: (events) => reportToAll(events, (reporter) => reporter.reportEvents(events)),
    warm: Effect.forEach(reporters, ({ warm }) => warm ?? Effect.void, { concurrency: "unbounded", discard: true }),
    reporters
  }
}
