/**
 * A reporter that answers as it is told, and remembers what it was handed.
 */
import { Effect, Layer, Logger } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import type { Event, Series, ThreadStatsConfig } from "effect-threadstats"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "./layers.js"
import { fromWire, WireError, type WireItem } from "./wireReporter.js"

export type Endpoint = "series" | "distributions" | "events"

export type Answer = Effect.Effect<Reporter.Receipt, WireError>

export interface Call {
  readonly endpoint: Endpoint
  readonly batch: ReadonlyArray<WireItem>
}

export interface Scripted {
  readonly calls: Array<Call>
  /** What the next calls are answered with; by default everything is accepted. */
  answer: (call: Call) => Answer
  readonly series: () => ReadonlyArray<Series.Series>
  readonly distributions: () => ReadonlyArray<Series.DistributionSeries>
  readonly events: () => ReadonlyArray<Event.Event>
  readonly layer: Layer.Layer<Reporter.Reporter>
}

export const accept = (batch: ReadonlyArray<WireItem>): Answer =>
  Effect.succeed({ items: batch.length, payloads: 1, bytes: 10, retries: 0 })

export const fail = (
  reason: Reporter.Reason,
  parts: { readonly [P in "undelivered" | "refused" | "ambiguous"]?: ReadonlyArray<WireItem> }
): Answer =>
  Effect.fail(
    new WireError({
      reason,
      endpoint: "test",
      description: "as told",
      undelivered: parts.undelivered ?? [],
      refused: parts.refused ?? [],
      ambiguous: parts.ambiguous ?? [],
      receipt: Reporter.emptyReceipt
    })
  )

export const make = (temporality: Reporter.Temporality = "total"): Scripted => {
  const batches = (endpoint: Endpoint) =>
    self.calls.filter((call) => call.endpoint === endpoint).flatMap((c) => c.batch)
  const handle = (endpoint: Endpoint) => (batch: ReadonlyArray<WireItem>) =>
    Effect.suspend(() => {
      const call = { endpoint, batch }
      self.calls.push(call)
      return self.answer(call)
    })
  const self: Scripted = {
    calls: [],
    answer: ({ batch }) => accept(batch),
    series: () => batches("series") as ReadonlyArray<Series.Series>,
    distributions: () => batches("distributions") as ReadonlyArray<Series.DistributionSeries>,
    events: () => batches("events") as ReadonlyArray<Event.Event>,
    layer: Layer.sync(Reporter.Reporter, () =>
      fromWire({
        temporality,
        flushMetrics: handle("series"),
        flushDistributions: handle("distributions"),
        flushEvents: handle("events"),
        warm: Effect.void
      }))
  }
  return self
}

/** A client over this reporter, with aggregators of its own. */
export const client = (
  reporter: Scripted,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
): Layer.Layer<ThreadStats.ThreadStats> =>
  layerReporterWith({ periodicFlush: false, ...options }).pipe(
    Layer.provide(Layer.mergeAll(
      reporter.layer,
      Layer.fresh(layerMetricsAggregatorWith(options)),
      Layer.fresh(layerEventsAggregatorWith(options))
    )),
    Layer.orDie
  )

export interface Line {
  readonly level: string
  readonly message: string
}

/** Puts every log line, rendered, into the array. */
export const logsTo = (lines: Array<Line>): Layer.Layer<never> =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      lines.push({ level: logLevel.label, message: Array.isArray(message) ? message.join(" ") : String(message) })
    })
  )
