import type * as Effect from "effect/Effect"
import type { RolledUp } from "../MetricsAggregator.js"
import type { Reporter } from "../Reporter.js"
import type { Load } from "./flush.js"
import type { Dress } from "./series.js"

/** What is rolled up, on its way into bodies as it is taken out. */
export interface Stream {
  /** Writes an item, and says how many values that were. */
  readonly write: (item: RolledUp) => number
  /** Waits until packing has caught up, where it is behind. */
  readonly settle: Effect.Effect<void>
  /** All that was written, to be delivered. To be called once. */
  readonly end: (batch: ReadonlyArray<RolledUp>) => Load<RolledUp>
  /** Gives up what has not ended. */
  readonly close: () => void
}

type Open = (dress: Dress) => Stream

const open = Symbol.for("effect-threadstats/internal/streamed")

/** A way to take a batch, which can take it item by item as well. Who puts another in its place is handed batches. */
export const withStream = <F extends object>(flush: F, stream: Open): F => Object.assign(flush, { [open]: stream })

const openOf = (flush: object): Open | undefined => (flush as { readonly [open]?: Open })[open]

/** Both ways of a reporter's metrics, if both can. */
export const streamsOf = (reporter: Reporter["Type"]) => {
  const series = openOf(reporter.flushMetrics)
  const distributions = openOf(reporter.flushDistributions)
  return series === undefined || distributions === undefined || reporter.flushSamples !== undefined
    ? undefined
    : (dress: Dress) => ({ series: series(dress), distributions: distributions(dress) })
}
