import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Deadline } from "../model/Delivery.js"
import { oneTurn } from "../runtime/eventLoop.js"
import { allWithin } from "../runtime/timeLimit.js"
import type { FlushBatch } from "./FlushBatch.js"

/**
 * Share of the time limit that the reporter gets as its `Deadline`. A reporter that ends by itself knows best which items
 * arrived; the rest of the limit is for one that does not.
 */
const reporterShare = 0.95

/**
 * Reports batches at the same time, for at most `limit` milliseconds. Never fails. An interruption takes effect at once, also if
 * the reporter cannot be interrupted. Interrupted reports get a turn of the event loop, in which they end their requests before the next flush
 * begins.
 */
export const reportBatches = (batches: ReadonlyArray<FlushBatch>, limit: number): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    allWithin(
      batches.map(({ report }) => report),
      limit,
      () =>
        Effect.sync(() => {
          for (const batch of batches) batch.timeOut(limit)
        }),
      Context.make(Deadline, clock.unsafeCurrentTimeMillis() + limit * reporterShare)
    )
  ).pipe(Effect.onInterrupt(() => oneTurn))
