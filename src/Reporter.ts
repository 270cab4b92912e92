/**
 * The way out: a `Reporter` takes a batch that is ready for the wire and delivers it.
 *
 * This module holds the seam and the reporters that need no network: noop, memory and console.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { Event } from "./Event.js"
import type { Temporality } from "./internal/model/AggregatedSeries.js"
import { addReceipts, emptyReceipt } from "./internal/model/receipt.js"
import * as Branches from "./internal/pipeline/fanOut.js"
import * as auto from "./internal/reporters/autoSelect.js"
import * as noop from "./internal/reporters/noop.js"
import type { DistributionSeries, SampleSeries, Series } from "./Series.js"
import type { Options } from "./ThreadStatsConfig.js"

export type {
  /**
   * Tells what a receiver does with two values of one series and timestamp. It decides what the client sends when more
   * points arrive for a bucket that was already reported.
   *
   * - `"total"`: the receiver keeps the last value (Datadog's HTTP series), and the client sends the bucket's total again.
   * - `"delta"`: the receiver adds values up (an Agent, a log forwarder), and the client sends only new points.
   *
   * Distributions add up everywhere. The client always sends only their new values.
   *
   * @since 0.1.0
   * @category models
   */
  Temporality
} from "./internal/model/AggregatedSeries.js"

/**
 * One element of a batch.
 *
 * @since 0.1.0
 * @category models
 */
export type Item = Series | DistributionSeries | SampleSeries | Event

/**
 * What a delivery took: accepted items, accepted payloads and their bytes on the wire, and how often a payload was sent
 * again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receipt {
  readonly items: number
  readonly payloads: number
  readonly bytes: number
  readonly retries: number
}

/**
 * Why a delivery failed.
 *
 * - `Unauthorized`: the key was refused (401, 403)
 * - `Rejected`: the payload was refused as malformed (400, and other 4xx)
 * - `PayloadTooLarge`: over the receiver's size limit (413)
 * - `RateLimited`: 429
 * - `ServerError`: 5xx, 408
 * - `Timeout`: no answer in time
 * - `Transport`: no connection, or it broke
 * - `Encoding`: the batch could not be turned into a payload
 * - `Defect`: the reporter itself broke
 *
 * @since 0.1.0
 * @category errors
 */
export type Reason =
  | "Unauthorized"
  | "Rejected"
  | "PayloadTooLarge"
  | "RateLimited"
  | "ServerError"
  | "Timeout"
  | "Transport"
  | "Encoding"
  | "Defect"

/**
 * A batch, or a part of it, was not delivered.
 *
 * `undelivered` are the items for which trying again can help, `refused` those for which it cannot; both hold the very
 * objects of the batch. Items in neither were delivered, as `receipt` counts. `ambiguous` are those among `undelivered`
 * that may have arrived all the same, because an answer was lost. Nothing in this error holds a key.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReporterError extends /*#__PURE__*/ Data.TaggedError("ReporterError")<{
  readonly reason: Reason
  readonly endpoint: string
  readonly description: string
  readonly status?: number | undefined
  readonly undelivered: ReadonlyArray<Item>
  readonly refused: ReadonlyArray<Item>
  readonly ambiguous: ReadonlyArray<Item>
  readonly receipt: Receipt
  readonly cause?: unknown
}> {
  override get message(): string {
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return `${this.reason} at ${this.endpoint}${status}: ${this.description}`
  }
}

/**
 * When the flush that a batch belongs to has to be over, in milliseconds since the epoch. Until then a reporter may try
 * again what failed and may be better the next time; a reporter that is called without one tries once.
 *
 * @since 0.1.0
 * @category context
 */
export class Deadline extends /*#__PURE__*/ Context.Reference<Deadline>()("effect-threadstats/Reporter/Deadline", {
  defaultValue: () => Infinity
}) {}

/**
 * Delivers batches. A batch is never empty, and never changed after it was handed over.
 *
 * A reporter whose receiver rolls up by itself has `flushSamples`: it is handed counters, gauges, sets, histograms and
 * timings as they were recorded, and `flushMetrics` is not called by the client.
 *
 * `warm` opens what the first delivery would have to open (a TLS connection, say); it never fails, and nobody waits
 * for it.
 *
 * @since 0.1.0
 * @category tags
 */
export class Reporter extends /*#__PURE__*/ Context.Tag("effect-threadstats/Reporter")<Reporter, Service>() {}

/** Apart from the tag, because it speaks of itself. */
interface Service {
  readonly temporality: Temporality
  readonly flushMetrics: (batch: ReadonlyArray<Series>) => Effect.Effect<Receipt, ReporterError>
  readonly flushSamples?: ((batch: ReadonlyArray<SampleSeries>) => Effect.Effect<Receipt, ReporterError>) | undefined
  readonly flushDistributions: (batch: ReadonlyArray<DistributionSeries>) => Effect.Effect<Receipt, ReporterError>
  readonly flushEvents: (batch: ReadonlyArray<Event>) => Effect.Effect<Receipt, ReporterError>
  readonly warm: Effect.Effect<void>
  /** Those that this one is made of ({@link combine}). A client sends to each of them by itself. */
  readonly branches?: ReadonlyArray<Service> | undefined
}

export {
  /**
   * The sum of two receipts.
   *
   * @since 0.1.0
   * @category receipts
   */
  addReceipts,
  /**
   * A receipt for nothing.
   *
   * @since 0.1.0
   * @category receipts
   */
  emptyReceipt
} from "./internal/model/receipt.js"

/**
 * Delivers everything to each of several reporters: to mirror it, or to move from one way to another.
 *
 * A client over it keeps what each of them needs: aggregators (with the same settings, and the same limits again), a
 * circuit breaker, and books of its own. Each is sent what its receiver adds up or replaces, and keeps what it could not
 * deliver, whatever becomes of the others. A flush ends when the slowest ends; on the interval each goes by itself.
 * `ThreadStats.stats` and the receipt of a flush tell of each branch.
 *
 * A reporter that is named twice, also by layers within layers, is sent everything once. Who calls the combined reporter
 * by hand has each batch handed to all of them; what any of them did not take is then undelivered.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { EventsAggregator, HttpReporter, LogReporter, MetricsAggregator, Reporter, ThreadStats } from "effect-threadstats"
 *
 * const client = ThreadStats.layer().pipe(
 *   Layer.provide(Reporter.combine(HttpReporter.layerNode, LogReporter.layer)),
 *   Layer.provide([MetricsAggregator.layer(), EventsAggregator.layerWith()])
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
      Layer.map(layer, (context) => Context.make(Built, [Context.get(context, Reporter)]))
    )
    .reduce((all, one) =>
      Layer.zipWith(
        all,
        one,
        (before, after) => Context.make(Built, [...Context.get(before, Built), ...Context.get(after, Built)])
      )
    )
    .pipe(Layer.map((context) => Context.make(Reporter, combined(Context.get(context, Built)))))

/** What layers to be combined have built. */
const Built = /*#__PURE__*/ Context.GenericTag<ReadonlyArray<Service>>("effect-threadstats/Reporter/Branches")

const combined = (reporters: ReadonlyArray<Reporter["Type"]>): Reporter["Type"] => {
  const branches = Array.from(new Set(reporters.flatMap((reporter) => reporter.branches ?? [reporter])))
  const toAll = <I extends Item>(
    flush: (branch: Reporter["Type"]) => (batch: ReadonlyArray<I>) => Effect.Effect<Receipt, ReporterError>
  ) =>
  (batch: ReadonlyArray<I>) =>
    Effect.flatMap(
      Effect.forEach(branches, (branch) => Effect.either(flush(branch)(batch)), { concurrency: "unbounded" }),
      (outcomes) => together(batch, outcomes)
    )
  return branches.length === 1 ? branches[0]! : Branches.combine({
    temporality: branches.every(({ temporality }) => temporality === "total") ? "total" : "delta",
    flushMetrics: toAll((branch) => branch.flushMetrics),
    flushDistributions: toAll((branch) => branch.flushDistributions),
    flushEvents: toAll((branch) => branch.flushEvents),
    warm: Effect.forEach(branches, ({ warm }) => warm, { concurrency: "unbounded", discard: true })
  }, branches)
}

/** What one did not take was not delivered; to send it again may send it twice to another. */
const together = (
  batch: ReadonlyArray<Item>,
  outcomes: ReadonlyArray<Either.Either<Receipt, ReporterError>>
): Effect.Effect<Receipt, ReporterError> => {
  const errors = outcomes.flatMap((outcome) => Either.isLeft(outcome) ? [outcome.left] : [])
  const undelivered = new Set(errors.flatMap((error) => error.undelivered))
  const refused = new Set(errors.flatMap((error) => error.refused).filter((item) => !undelivered.has(item)))
  const receipt = {
    ...outcomes.map(Either.match({ onLeft: (error) => error.receipt, onRight: (receipt) => receipt }))
      .reduce(addReceipts, emptyReceipt),
    items: batch.length - undelivered.size - refused.size
  }
  const [first] = errors
  if (first === undefined) return Effect.succeed(receipt)
  return Effect.fail(
    new ReporterError({
      reason: first.reason,
      endpoint: first.endpoint,
      description: first.description,
      status: first.status,
      undelivered: Array.from(undelivered),
      refused: Array.from(refused),
      ambiguous: Array.from(undelivered),
      receipt,
      cause: first.cause
    })
  )
}

/**
 * What the environment asks for.
 *
 * On AWS Lambda:
 *
 * 1. Datadog's Lambda extension, where it is installed (`/opt/extensions/datadog-agent`): `DogStatsDReporter`, profile `"extension"`
 * 2. log lines for Datadog's forwarder, with `DD_FLUSH_TO_LOG`: `LogReporter`
 * 3. Datadog's HTTP API: `HttpReporter`. Not in FIPS mode (`DD_LAMBDA_FIPS_MODE`; by default where `AWS_REGION` begins with `us-gov-`),
 *    in which Datadog's own libraries drop metrics at this point: building the layer fails with a `ConfigError` instead.
 *
 * Elsewhere: log lines with `DD_FLUSH_TO_LOG`; an Agent, with `DD_DOGSTATSD_URL` or `DD_AGENT_HOST`; else HTTP.
 *
 * The choice is made when the layer is built, and logged then, at debug level. Over HTTP it uses the `HttpClient` that is
 * provided, or else `node:http`, and the key as `HttpReporter` finds it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAutoWith = (options?: Options): Layer.Layer<Reporter, ConfigError> =>
  Layer.scoped(
    Reporter,
    Effect.suspend(() => auto.fromOptions(options))
  )

/**
 * {@link layerAutoWith} with all settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAuto: Layer.Layer<Reporter, ConfigError> = /*#__PURE__*/ layerAutoWith()

/**
 * Accepts everything and does nothing with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoop: Layer.Layer<Reporter> = /*#__PURE__*/ Layer.sync(Reporter, () => noop.make())

/**
 * What a {@link layerMemory} reporter was handed, for a look from a test: one array element per call.
 *
 * @since 0.1.0
 * @category tags
 */
export class MemoryReporter
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/Reporter/MemoryReporter")<MemoryReporter, {
    readonly metrics: Effect.Effect<ReadonlyArray<Series>>
    /** In place of `metrics`, where the layer was asked for them. */
    readonly samples: Effect.Effect<ReadonlyArray<SampleSeries>>
    readonly distributions: Effect.Effect<ReadonlyArray<DistributionSeries>>
    readonly events: Effect.Effect<ReadonlyArray<Event>>
    readonly clear: Effect.Effect<void>
  }>()
{}

/**
 * Keeps everything it is handed; {@link MemoryReporter} shows it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemoryWith = (options: {
  readonly temporality: Temporality
  /** To be handed what was recorded, in place of series. Default: `false`. */
  readonly samples?: boolean | undefined
}): Layer.Layer<Reporter | MemoryReporter> =>
  Layer.effectContext(Effect.sync(() => {
    let metrics: Array<Series> = []
    let samples: Array<SampleSeries> = []
    let distributions: Array<DistributionSeries> = []
    let events: Array<Event> = []
    const keep = <A extends Item>(store: () => Array<A>) => (batch: ReadonlyArray<A>) =>
      Effect.sync((): Receipt => {
        for (const item of batch) store().push(item)
        return { ...emptyReceipt, items: batch.length, payloads: 1 }
      })
    return Context.make(Reporter, {
      temporality: options.temporality,
      flushMetrics: keep(() => metrics),
      flushSamples: options.samples === true ? keep(() => samples) : undefined,
      flushDistributions: keep(() => distributions),
      flushEvents: keep(() => events),
      warm: Effect.void
    }).pipe(Context.add(MemoryReporter, {
      metrics: Effect.sync(() => metrics.slice()),
      samples: Effect.sync(() => samples.slice()),
      distributions: Effect.sync(() => distributions.slice()),
      events: Effect.sync(() => events.slice()),
      clear: Effect.sync(() => {
        metrics = []
        samples = []
        distributions = []
        events = []
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
 * Prints one JSON line per item with `Console.log`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConsole: Layer.Layer<Reporter> = /*#__PURE__*/ Layer.sync(Reporter, () => {
  const print = (batch: ReadonlyArray<Item>) =>
    Effect.as(
      Effect.forEach(batch, (item) => Console.log(JSON.stringify(item)), { discard: true }),
      { ...emptyReceipt, items: batch.length, payloads: batch.length }
    )
  return Reporter.of({
    temporality: "total",
    flushMetrics: print,
    flushDistributions: print,
    flushEvents: print,
    warm: Effect.void
  })
})
