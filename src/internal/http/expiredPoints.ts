/** Points that became too old to be sent while they waited. Datadog accepts such points and drops them without an error. */
import * as Data from "effect/Data"
import type { Item } from "../model/Delivery.js"
import type { Chunk, Entry } from "./chunker.js"
import type { DeliveryFailure } from "./httpFailure.js"

/** A chunk was not sent because some of its points are too old. */
export class ExpiredPoints extends /*#__PURE__*/ Data.TaggedError("ExpiredPoints")<{
  /** Time of the oldest point that Datadog accepts, in milliseconds since the epoch. */
  readonly oldestAccepted: number
  /** Failure of the attempt before. */
  readonly previous: DeliveryFailure | undefined
}> {}

const isExpired = ({ item }: Entry, oldestAccepted: number): boolean =>
  !("title" in item) && item.timestamp * 1000 < oldestAccepted

export const hasExpired = (chunk: Chunk, oldestAccepted: number): boolean =>
  chunk.oldest === undefined
    ? chunk.entries.some((entry) => isExpired(entry, oldestAccepted))
    : chunk.oldest * 1000 < oldestAccepted

/** Splits the entries of a chunk. */
export const partitionExpired = <A extends Item>(
  { entries }: Chunk<A>,
  oldestAccepted: number
): { readonly expired: ReadonlyArray<Entry<A>>; readonly rest: ReadonlyArray<Entry<A>> } => ({
  expired: entries.filter((entry) => isExpired(entry, oldestAccepted)),
  rest: entries.filter((entry) => !isExpired(entry, oldestAccepted))
})
