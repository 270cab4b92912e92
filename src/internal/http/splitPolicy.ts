import type { Chunk } from "./chunker.js"
import type { DeliveryFailure } from "./httpFailure.js"

/**
 * Number of additional requests that a batch may cost to single out the items that the receiver refuses: enough for ten among ten
 * thousand.
 */
const maxRequests = 256

/** True if the payload is too large for the receiver, or malformed in one place: its halves may be accepted. */
const isSplittable = ({ reason, status }: DeliveryFailure): boolean =>
  reason === "PayloadTooLarge" || (reason === "Rejected" && status === 400)

/** Returns a function that decides whether a refused chunk is split in two, for one batch. */
export const makeSplitPolicy = () => {
  let requestsLeft = maxRequests
  return (failure: DeliveryFailure, chunk: Pick<Chunk, "count">): boolean => {
    if (!isSplittable(failure) || chunk.count === 1 || requestsLeft < 2) return false
    requestsLeft -= 2
    return true
  }
}
