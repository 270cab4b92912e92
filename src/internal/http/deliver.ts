import * as Effect from "effect/Effect"
import type { ApiKey } from "../../ApiKey.js"
import type { Item } from "../model/Delivery.js"
import * as Chunker from "./chunker.js"
import { type ExpiredPoints, partitionExpired } from "./expiredPoints.js"
import { type DeliveryFailure, unsent } from "./httpFailure.js"
import { makeBatchKey } from "./keyRefresh.js"
import { type RetryContext, type RetryOptions, sendWithRetry } from "./retryPolicy.js"
import { makeSplitPolicy } from "./splitPolicy.js"
import type { Transport } from "./transport.js"

/** Outcome of one chunk, or of an item that fits into none. */
export type Outcome<A = Item> =
  | { readonly _tag: "Delivered"; readonly chunk: Chunker.Chunk<A> }
  | {
    readonly _tag: "Failed"
    readonly items: ReadonlyArray<A>
    readonly failure: DeliveryFailure
    /** True if one of the attempts may have arrived. */
    readonly ambiguous: boolean
  }
  | { readonly _tag: "Unencodable"; readonly error: Chunker.Unencodable<A> }

/** Outcomes of a batch, and number of payloads that were sent again. */
export interface Delivered<A = Item> {
  readonly outcomes: ReadonlyArray<Outcome<A>>
  readonly retries: number
}

/** Number of requests of one batch that run at the same time. They start in order. */
const concurrentRequests = 4

/**
 * Delivers one batch. Each chunk succeeds or fails on its own: it is sent again by the retry policy, and split in two by the split
 * policy. Never fails.
 */
export const deliver = <A extends Item>(
  transport: Transport,
  keys: ApiKey["Type"],
  encoded: Chunker.Encoded<A>,
  options: RetryOptions
): Effect.Effect<Delivered<A>> => {
  let retries = 0
  const countRetry = () => {
    retries++
  }
  return Effect.matchEffect(makeBatchKey(keys, options.deadline), {
    onSuccess: (key) =>
      Effect.map(
        deliverAll(
          { ...options, transport, key, countRetry, mustSplit: makeSplitPolicy() },
          encoded,
          concurrentRequests,
          false
        ),
        (outcomes) => ({ outcomes, retries })
      ),
    onFailure: (failure) =>
      Effect.succeed({
        outcomes: [
          ...encoded.unencodable.map(toOutcome),
          ...encoded.chunks.map(({ items }): Outcome<A> => ({ _tag: "Failed", items, failure, ambiguous: false }))
        ],
        retries
      })
  })
}

interface DeliveryContext extends RetryContext {
  readonly mustSplit: ReturnType<typeof makeSplitPolicy>
}

const toOutcome = <A>(error: Chunker.Unencodable<A>): Outcome<A> => ({ _tag: "Unencodable", error })

const deliverAll = <A extends Item>(
  context: DeliveryContext,
  { chunks, unencodable }: Chunker.Encoded<A>,
  concurrency: number,
  isAmbiguous: boolean
): Effect.Effect<ReadonlyArray<Outcome<A>>> => {
  // A single chunk needs no fiber.
  if (chunks.length === 1 && unencodable.length === 0) return deliverChunk(context, chunks[0]!, isAmbiguous)
  return Effect.map(
    Effect.forEach(chunks, (chunk) => deliverChunk(context, chunk, isAmbiguous), { concurrency }),
    (outcomes) => [...unencodable.map(toOutcome), ...outcomes.flat()]
  )
}

/** Delivers one chunk. `isAmbiguous` is true if an earlier attempt with its items may have arrived. */
const deliverChunk = <A extends Item>(
  context: DeliveryContext,
  chunk: Chunker.Chunk<A>,
  isAmbiguous: boolean
): Effect.Effect<ReadonlyArray<Outcome<A>>> => {
  let ambiguous = isAmbiguous
  const markAmbiguous = () => {
    ambiguous = true
  }
  return Effect.matchEffect(sendWithRetry(context, chunk, markAmbiguous), {
    onSuccess: () => Effect.succeed([{ _tag: "Delivered", chunk }]),
    onFailure: (failure) => {
      if (failure._tag === "ExpiredPoints") return deliverUnexpired(context, chunk, failure, ambiguous)
      return context.mustSplit(failure, chunk)
        ? Effect.flatMap(Chunker.split(chunk), (halves) => deliverAll(context, halves, 1, ambiguous))
        : Effect.succeed([{ _tag: "Failed", items: chunk.items, failure, ambiguous }])
    }
  })
}

/** Returns the expired points of a chunk, which the pipeline drops for their age, and delivers the others. */
const deliverUnexpired = <A extends Item>(
  context: DeliveryContext,
  chunk: Chunker.Chunk<A>,
  { oldestAccepted, previous }: ExpiredPoints,
  ambiguous: boolean
): Effect.Effect<ReadonlyArray<Outcome<A>>> => {
  const { expired, rest } = partitionExpired(chunk, oldestAccepted)
  const failed: Outcome<A> = {
    _tag: "Failed",
    items: expired.map(({ item }) => item),
    failure: previous ?? unsent("too old before it could be sent"),
    ambiguous
  }
  return Effect.map(
    Effect.flatMap(
      Chunker.chunk(chunk.endpoint, rest, chunk.encoding),
      (encoded) => deliverAll(context, encoded, 1, ambiguous)
    ),
    (outcomes) => [failed, ...outcomes]
  )
}
