import * as Effect from "effect/Effect"
import { emptyReceipt, type Item, type Reporter } from "../Reporter.js"

/** Takes everything, and sends nothing. */
export const make = (): Reporter["Type"] => {
  const accept = (batch: ReadonlyArray<Item>) => Effect.succeed({ ...emptyReceipt, items: batch.length })
  return {
    temporality: "total",
    flushMetrics: accept,
    flushDistributions: accept,
    flushEvents: accept,
    warm: Effect.void
  }
}
