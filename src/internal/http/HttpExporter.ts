import * as Arr from "effect/Array"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ApiKey from "../apiKey/sources.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { pointWindow } from "../model/datadogLimits.js"
import {
  addReceipts,
  emptyReceipt,
  type Item,
  monotonicDeadline,
  type Receipt,
  ReporterError,
  type SeriesBatch
} from "../model/Delivery.js"
import type { Reporter } from "../model/Reporter.js"
import { type BodyWriter, makeBodyWriter } from "./bodyWriter.js"
import { encode, type Encoded } from "./chunker.js"
import { encodingOf } from "./compression.js"
import { deliver, type Outcome } from "./deliver.js"
import type { Endpoint, EnvelopedEndpoint } from "./endpoints.js"
import { distributionPoints, events, series, seriesV2 } from "./endpoints.js"
import { lineWriter, type Syntax, syntax } from "./seriesV1.js"
import { syntaxV2 } from "./seriesV2.js"
import type { HttpReporterSettings } from "./settings.js"
import type * as Transport from "./transport.js"

/** Pulls a batch and writes each series into bodies. Does not pull while compression is behind. */
const writeBatch = (
  batch: SeriesBatch,
  write: (series: AggregatedSeries) => void,
  writer: BodyWriter<AggregatedSeries>
): Effect.Effect<void, ReporterError> => {
  const writeRest: Effect.Effect<void, ReporterError> = Effect.flatMap(batch.pull, (pulled) => {
    if (pulled.length === 0) return Effect.void
    for (const each of pulled) write(each)
    return Effect.zipRight(writer.settle, writeRest)
  })
  return Effect.onError(writeRest, () => Effect.sync(writer.close))
}

/** Makes the reporter to Datadog's HTTP API, over any transport. */
export const make = Effect.fnUntraced(
  function*<R>(
    settings: HttpReporterSettings,
    makeTransport: (settings: HttpReporterSettings) => Effect.Effect<Transport.Transport, ConfigError.ConfigError, R>
  ) {
    const source = yield* Effect.serviceOption(ApiKey.ApiKey)
    const keys = Option.isSome(source)
      ? source.value
      : ApiKey.constant(yield* Effect.catchAll(settings.apiKey, () => ApiKey.missing))
    if (keys.check !== undefined) yield* keys.check
    const transport = yield* makeTransport(settings)
    const { apiUrl, compress } = settings

    const resendAmbiguous = settings.delivery === "at-least-once"
    const maxAge = settings.acceptedTimestamps === "any" ? Infinity : pointWindow.past

    const send = <A extends Item>(
      endpoint: Endpoint,
      encoded: Effect.Effect<Encoded<A>>
    ): Effect.Effect<Receipt, ReporterError> =>
      Effect.flatMap(encoded, (chunks) =>
        Effect.flatMap(monotonicDeadline, (deadline) =>
          Effect.flatMap(
            deliver(transport, keys, chunks, { deadline, resendAmbiguous, maxAge }),
            ({ outcomes, retries }) => {
              const receipt = outcomes.map(receiptOf).reduce(addReceipts, { ...emptyReceipt, retries })
              const failures = outcomes.flatMap(failuresOf)
              return Arr.isNonEmptyArray(failures)
                ? Effect.fail(errorOf(`${apiUrl}${endpoint.path}`, failures, receipt))
                : Effect.succeed(receipt)
            }
          )))

    const reportTo =
      (endpoint: EnvelopedEndpoint, syntax: Syntax, isDistribution: boolean) =>
      (batch: SeriesBatch): Effect.Effect<Receipt, ReporterError> => {
        const writer = makeBodyWriter<AggregatedSeries>(endpoint, encodingOf(endpoint, compress))
        const write = lineWriter(batch.enrichment, syntax, writer)
        return Effect.zipRight(
          writeBatch(batch, (series) => write(series, isDistribution), writer),
          send(endpoint, writer.end)
        )
      }

    return {
      temporality: "total",
      reportSeries: settings.seriesVersion === "v2"
        ? reportTo(seriesV2, syntaxV2(settings.units), false)
        : reportTo(series, syntax, false),
      reportDistributions: reportTo(distributionPoints, syntax, true),
      reportEvents: (batch) => send(events, Effect.suspend(() => encode(events, batch, compress))),
      // Does not ask a source for the key: a signed request for it may expire before the first delivery.
      warm: transport.warm(Option.isSome(source) ? Option.none() : settings.apiKey)
    } satisfies Reporter["Type"]
  }
)

const receiptOf = <A>(outcome: Outcome<A>): Receipt =>
  outcome._tag === "Delivered"
    ? { ...emptyReceipt, items: outcome.chunk.count, payloads: 1, bytes: outcome.chunk.body.byteLength }
    : emptyReceipt

/** Failure of one chunk, or of an item that fits into none. */
interface ChunkFailure {
  readonly why: Pick<ReporterError, "reason" | "description" | "status" | "cause">
  /** True if trying again may help. */
  readonly isTransient: boolean
  /** True if the chunk may have arrived. */
  readonly isAmbiguous: boolean
  readonly items: ReadonlyArray<Item>
}

const failuresOf = <A extends Item>(outcome: Outcome<A>): ReadonlyArray<ChunkFailure> => {
  switch (outcome._tag) {
    case "Delivered":
      return []
    case "Unencodable": {
      const { cause, description, item, reason } = outcome.error
      return [{ why: { reason, description, cause }, isTransient: false, isAmbiguous: false, items: [item] }]
    }
    case "Failed": {
      const { ambiguous, failure, items } = outcome
      const { cause, description, reason, status, transient } = failure
      return [{
        why: { reason, description, status, cause },
        isTransient: transient,
        isAmbiguous: ambiguous,
        items
      }]
    }
  }
}

/** Makes one error of all failures: reason and description of the first, items of all. */
const errorOf = (
  endpoint: string,
  failures: Arr.NonEmptyReadonlyArray<ChunkFailure>,
  receipt: Receipt
): ReporterError => {
  const [{ why }, ...more] = failures
  // The lines of a histogram may be in several chunks.
  const itemsWhere = (predicate: (failure: ChunkFailure) => boolean) =>
    new Set(failures.filter(predicate).flatMap(({ items }) => items))
  const undelivered = itemsWhere(({ isTransient }) => isTransient)
  const refused = itemsWhere(({ isTransient }) => !isTransient)
  return new ReporterError({
    ...why,
    endpoint,
    description: more.length === 0 ? why.description : `${why.description} (and ${more.length} more)`,
    undelivered: Array.from(undelivered),
    refused: Array.from(refused).filter((item) => !undelivered.has(item)),
    ambiguous: Array.from(itemsWhere(({ isAmbiguous, isTransient }) => isTransient && isAmbiguous)),
    receipt
  })
}
