/**
 * The seam between a client and its receiver: a `Reporter` pulls aggregated series and events, and delivers them.
 *
 * This module holds the service, and the reporters without a network: noop, memory and console. A reporter of your own needs
 * the service only; `docs/layers.md` has one that writes to a file.
 *
 * @since 0.1.0
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Event } from "./Event.js"
import type { Temporality } from "./internal/model/AggregatedSeries.js"
import type { Receipt } from "./internal/model/Delivery.js"
import { emptyReceipt, pullAll } from "./internal/model/Delivery.js"
import { toPrintable } from "./internal/model/printableText.js"
import { Reporter } from "./internal/model/Reporter.js"
import { distributionFromAggregated, fromAggregated, samplesFromAggregated } from "./internal/model/wireForm.js"
import { combineReporters } from "./internal/reporters/combine.js"
import * as noop from "./internal/reporters/noop.js"
import type { DistributionSeries, SampleSeries, Series } from "./Series.js"

export type { Temporality } from "./internal/model/AggregatedSeries.js"
export type { Item, Reason, Receipt, SeriesBatch } from "./internal/model/Delivery.js"
export { addReceipts, batchOf, Deadline, emptyReceipt, pullAll, ReporterError } from "./internal/model/Delivery.js"
export type { Enrichment } from "./internal/model/Enrichment.js"
export { Reporter } from "./internal/model/Reporter.js"

/**
 * Combines several reporters, to mirror data or to move from one receiver to another.
 *
 * The client has a pipeline to each reporter, with aggregators, circuit breaker and counters of its own, so each receiver
 * gets totals or deltas as it needs them, and a failure of one does not affect the others. A flush ends when the slowest
 * pipeline ends. On the interval each pipeline flushes by itself. `ThreadStats.stats` and the receipt of a flush have the
 * figures of each pipeline.
 *
 * A reporter that is given twice, also within nested combinations, receives everything once. The memory limits apply to each
 * pipeline.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import {
 *   EventsAggregator, HttpReporter, LogReporter, MetricsAggregator, Reporter, ThreadStats, ThreadStatsConfig
 * } from "effect-threadstats"
 *
 * const client = ThreadStats.layerReporter.pipe(
 *   Layer.provide(Reporter.combine(HttpReporter.layer, LogReporter.layer)),
 *   Layer.provide([MetricsAggregator.layer, EventsAggregator.layer]),
 *   Layer.provide(ThreadStatsConfig.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const combine = <
  const Layers extends readonly [Layer.Layer<Reporter, any, any>, ...ReadonlyArray<Layer.Layer<Reporter, any, any>>]
>(
  ...layers: Layers
): Layer.Layer<Reporter, Layer.Layer.Error<Layers[number]>, Layer.Layer.Context<Layers[number]>> =>
  layers
    .map((layer: Layer.Layer<Reporter, any, any>) =>
      Layer.map(layer, (context) => Context.make(Combined, [Context.get(context, Reporter)]))
    )
    .reduce((all, one) =>
      Layer.zipWith(
        all,
        one,
        (before, after) => Context.make(Combined, [...Context.get(before, Combined), ...Context.get(after, Combined)])
      )
    )
    .pipe(Layer.map((context) => Context.make(Reporter, combineReporters(Context.get(context, Combined)))))

/** Reporters that the layers of a combination have built. */
const Combined = /*#__PURE__*/ Context.GenericTag<ReadonlyArray<Reporter["Type"]>>(
  "effect-threadstats/Reporter/Combined"
)

/**
 * Accepts everything and sends nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoop: Layer.Layer<Reporter> = /*#__PURE__*/ Layer.sync(Reporter, () => noop.make())

/**
 * Contents of a {@link layerMemory} reporter, in wire form, to be read by a test.
 *
 * @since 0.1.0
 * @category tags
 */
export class MemoryReporter
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/Reporter/MemoryReporter")<MemoryReporter, {
    readonly metrics: Effect.Effect<ReadonlyArray<Series>>
    /** In place of `metrics`, if the layer was built with `samples`. */
    readonly samples: Effect.Effect<ReadonlyArray<SampleSeries>>
    readonly distributions: Effect.Effect<ReadonlyArray<DistributionSeries>>
    readonly events: Effect.Effect<ReadonlyArray<Event>>
    readonly clear: Effect.Effect<void>
  }>()
{}

/**
 * Keeps all reported series and events in memory; {@link MemoryReporter} reads them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemoryWith = (options: {
  /** Treatment of two values of one timestamp. */
  readonly temporality: Temporality
  /** True to receive recorded values in place of points. Default: `false`. */
  readonly samples?: boolean | undefined
}): Layer.Layer<Reporter | MemoryReporter> =>
  Layer.effectContext(Effect.sync(() => {
    const metrics: Array<Series> = []
    const samples: Array<SampleSeries> = []
    const distributions: Array<DistributionSeries> = []
    const events: Array<Event> = []
    const keep = <A>(all: Array<A>, added: ReadonlyArray<A>): Receipt => {
      for (const item of added) all.push(item)
      return { ...emptyReceipt, items: added.length, payloads: 1 }
    }
    return Context.make(Reporter, {
      temporality: options.temporality,
      samples: options.samples,
      reportSeries: (batch) =>
        Effect.map(pullAll(batch), (series) =>
          options.samples === true
            ? keep(samples, series.map((each) => samplesFromAggregated(each, batch.enrichment)))
            : keep(metrics, series.flatMap((each) => fromAggregated(each, batch.enrichment)))),
      reportDistributions: (batch) =>
        Effect.map(pullAll(batch), (series) =>
          keep(distributions, series.map((each) => distributionFromAggregated(each, batch.enrichment)))),
      reportEvents: (batch) =>
        Effect.sync(() => keep(events, batch))
    }).pipe(Context.add(MemoryReporter, {
      metrics: Effect.sync(() => metrics.slice()),
      samples: Effect.sync(() => samples.slice()),
      distributions: Effect.sync(() => distributions.slice()),
      events: Effect.sync(() => events.slice()),
      clear: Effect.sync(() => {
        for (const all of [metrics, samples, distributions, events]) all.length = 0
      })
    }))
  }))

/**
 * {@link layerMemoryWith} for a receiver that, like Datadog, keeps the last value.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Reporter | MemoryReporter> = /*#__PURE__*/ layerMemoryWith({
  temporality: "total"
})

/**
 * Prints each series in wire form, and each event, as one JSON line with `Console.log`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConsole: Layer.Layer<Reporter> = /*#__PURE__*/ Layer.sync(Reporter, () => {
  const print = (items: ReadonlyArray<Series | DistributionSeries | Event>) =>
    Effect.as(
      Effect.forEach(items, (item) => Console.log(toPrintable(JSON.stringify(item))), { discard: true }),
      { ...emptyReceipt, items: items.length, payloads: items.length }
    )
  return Reporter.of({
    reportSeries: (batch) =>
      Effect.flatMap(
        pullAll(batch),
        (series) => print(series.flatMap((each) => fromAggregated(each, batch.enrichment)))
      ),
    reportDistributions: (batch) =>
      Effect.flatMap(
        pullAll(batch),
        (series) => print(series.map((each) => distributionFromAggregated(each, batch.enrichment)))
      ),
    reportEvents: print
  })
})
