/** What a client over HTTP has: the way to Datadog's intake, whatever the requests are made with. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Event } from "../../Event.js"
import type { Settings } from "../../HttpReporter.js"
import type { Item, Receipt } from "../../Reporter.js"
import { Deadline, ReporterError } from "../../Reporter.js"
import type { Series } from "../../Series.js"
import * as ApiKey from "../apiKey/sources.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { pointWindow } from "../model/limits.js"
import { addReceipts, emptyReceipt } from "../model/receipt.js"
import type { Stream } from "../pipeline/Exporter.js"
import * as Delivery from "./deliver.js"
import {
  type Chunk,
  countOf,
  encode,
  type Encoded,
  encodingOf,
  hasZstd,
  itemsOf,
  makeWriter,
  type Options
} from "./encoder.js"
import type { Endpoint, EnvelopedEndpoint } from "./endpoints.js"
import { distributionPoints, events, series, seriesV2 } from "./endpoints.js"
import { lazily } from "./lazyError.js"
import { type Dress, lineWriter, type Syntax, syntax } from "./seriesV1.js"
import { fromV2, syntaxV2 } from "./seriesV2.js"
import type * as Transport from "./transport.js"

/** Datadog's intake as an outlet, and what takes batches to it. */
export const make = Effect.fnUntraced(
  function*<R>(
    settings: Settings,
    makeTransport: (settings: Settings) => Effect.Effect<Transport.Transport, never, R>
  ) {
    const source = yield* Effect.serviceOption(ApiKey.ApiKey)
    const keys = Option.isSome(source)
      ? source.value
      : ApiKey.constant(yield* Effect.catchAll(settings.apiKey, () => ApiKey.missing))
    if (keys.check !== undefined) yield* keys.check
    const transport = yield* makeTransport(settings)
    const v2 = settings.series === "v2"
    let { compress } = settings
    const withoutZstd = (why: string) =>
      Effect.suspend(() => {
        if (compress !== "zstd") return Effect.void
        compress = true
        return Effect.annotateLogs(Effect.logWarning(`Compressing with deflate, not zstd: ${why}`), annotations)
      })
    if (!v2) yield* withoutZstd("of Datadog's endpoints only series v2 takes it (option series, DD_THREADSTATS_SERIES)")
    else if (!hasZstd()) yield* withoutZstd("this Node.js has none, 22.15 and 23.8 are the first that have")

    const send = <A extends Item | AggregatedSeries>(
      endpoint: Endpoint,
      encoded: Effect.Effect<Encoded<A>>
    ): Effect.Effect<Receipt, Failure<A>> =>
      Effect.gen(function*() {
        const address = `${settings.apiUrl}${endpoint.path}`
        const options = {
          deadline: yield* Deadline,
          repeat: settings.delivery === "at-least-once",
          maxAge: settings.timestamps === "any" ? Infinity : pointWindow.past,
          zstdRefused: withoutZstd(`${address} refused it`)
        }
        const { outcomes, retries } = yield* Delivery.deliver(
          transport,
          keys,
          yield* encoded,
          concurrentRequests,
          options
        )
        const receipt = outcomes.map(receiptOf).reduce(addReceipts, { ...emptyReceipt, retries })
        const lost = outcomes.flatMap(lostOf)
        return Arr.isNonEmptyArray(lost) ? yield* Effect.fail({ address, lost, receipt }) : receipt
      })

    const deliver =
      <A extends Item>(endpoint: Endpoint, options?: Pick<Options<A>, "form" | "group">) =>
      (batch: ReadonlyArray<A>): Effect.Effect<Receipt, ReporterError> =>
        Effect.mapError(
          send(endpoint, Effect.suspend(() => encode(endpoint, batch, { ...options, compress }))),
          (failure) => errorOf(failure, partsOf(failure.lost, ({ items }) => items))
        )

    /** The same, item by item while they are taken out. */
    const stream =
      (endpoint: EnvelopedEndpoint, syntax: Syntax, isDistribution: boolean, read: (json: string) => Item) =>
      (dress: Dress): Stream => {
        const writer = makeWriter<AggregatedSeries>(endpoint, encodingOf(endpoint, compress))
        const write = lineWriter(dress, syntax, writer)
        return {
          write: (item) => write(item, isDistribution),
          addsUp: () => isDistribution,
          settle: writer.settle,
          close: writer.close,
          end: (batch) => {
            let chunks: ReadonlyArray<Chunk<AggregatedSeries>> = []
            const encoded = Effect.tap(writer.end, (all) => {
              chunks = all.chunks
            })
            return {
              batch,
              items: () => chunks.flatMap(({ entries }) => entries.map(({ json }) => read(json))),
              report: Effect.mapError(send(endpoint, encoded), (failure) => {
                const items = () => partsOf(failure.lost, ({ texts }) => texts().map(read))
                return {
                  ...partsOf(failure.lost, ({ items }) => items),
                  error: lazily(errorOf(failure, noParts), {
                    undelivered: () => items().undelivered,
                    refused: () => items().refused,
                    ambiguous: () => items().ambiguous
                  })
                }
              })
            }
          }
        }
      }

    return {
      temporality: "total" as const,
      samples: false,
      series: v2
        ? stream(seriesV2, syntaxV2(settings.units), false, (json) => fromV2(JSON.parse(json)) as Series)
        : stream(series, syntax, false, JSON.parse),
      distributions: stream(distributionPoints, syntax, true, JSON.parse),
      flushEvents: deliver<Event>(events),
      // a source is not asked before there is something to deliver: what it signs for that may expire unused
      warm: transport.warm(Option.isSome(source) ? Option.none() : settings.apiKey),
      deliver
    }
  }
)

const annotations = { package: "effect-threadstats", module: "HttpReporter" }

/** How many requests of one batch are under way at a time; they start in order. */
const concurrentRequests = 4

const receiptOf = <A>(outcome: Delivery.Outcome<A>): Receipt =>
  outcome._tag === "Delivered"
    ? { ...emptyReceipt, items: countOf(outcome.chunk), payloads: 1, bytes: outcome.chunk.body.byteLength }
    : emptyReceipt

/** A chunk, or an item that is in none, that was not delivered, and why. */
interface Lost<A> {
  readonly why: Pick<ReporterError, "reason" | "description" | "status" | "cause">
  /** Whether trying again can help, and whether it may have arrived all the same. */
  readonly transient: boolean
  readonly ambiguous: boolean
  readonly items: ReadonlyArray<A>
  readonly texts: () => ReadonlyArray<string>
}

interface Failure<A> {
  readonly address: string
  readonly lost: Arr.NonEmptyReadonlyArray<Lost<A>>
  readonly receipt: Receipt
}

const lostOf = <A>(outcome: Delivery.Outcome<A>): ReadonlyArray<Lost<A>> => {
  switch (outcome._tag) {
    case "Delivered":
      return []
    case "Unencodable": {
      const { cause, description, item, json, reason } = outcome.error
      return [{
        why: { reason, description, cause },
        transient: false,
        ambiguous: false,
        items: [item],
        texts: () => json === undefined ? [] : [json]
      }]
    }
    case "Failed": {
      const { ambiguous, chunk, failure } = outcome
      const { cause, description, reason, status, transient } = failure
      return [{
        why: { reason, description, status, cause },
        transient,
        ambiguous,
        items: itemsOf(chunk),
        texts: () => chunk.entries.map(({ json }) => json)
      }]
    }
  }
}

type Parts<B> = { readonly [P in "undelivered" | "refused" | "ambiguous"]: ReadonlyArray<B> }

const noParts: Parts<never> = { undelivered: [], refused: [], ambiguous: [] }

const partsOf = <A, B>(lost: ReadonlyArray<Lost<A>>, of: (lost: Lost<A>) => ReadonlyArray<B>): Parts<B> => ({
  undelivered: lost.filter(({ transient }) => transient).flatMap(of),
  refused: lost.filter(({ transient }) => !transient).flatMap(of),
  ambiguous: lost.filter(({ ambiguous, transient }) => transient && ambiguous).flatMap(of)
})

/** One error for all: what the first one says, with the items of all. */
const errorOf = <A>({ address, lost: [first, ...more], receipt }: Failure<A>, parts: Parts<Item>): ReporterError =>
  new ReporterError({
    ...first.why,
    endpoint: address,
    description: more.length === 0 ? first.why.description : `${first.why.description} (and ${more.length} more)`,
    ...parts,
    receipt
  })
