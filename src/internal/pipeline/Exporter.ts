import type * as Effect from "effect/Effect"
import type { Reporter } from "../../Reporter.js"
import type { Dress } from "../http/seriesV1.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import type { Load } from "./exportBatch.js"

/** What is rolled up, on its way out as it is taken out. */
export interface Stream {
  /** Writes an item, and says how many values that were. */
  readonly write: (item: AggregatedSeries) => number
  /** Whether the receiver would count an item twice that it gets twice. */
  readonly addsUp: (item: AggregatedSeries) => boolean
  /** Waits until packing has caught up, where it is behind. */
  readonly settle: Effect.Effect<void>
  /** All that was written, to be delivered. To be called once. */
  readonly end: (batch: ReadonlyArray<AggregatedSeries>) => Load<AggregatedSeries>
  /** Gives up what has not ended. */
  readonly close: () => void
}

export type Open = (dress: Dress) => Stream

/** What a reporter is to a client: where points leave item by item, and events at once. */
export interface Outlet extends Pick<Reporter["Type"], "temporality" | "flushEvents" | "warm"> {
  /** Whether it wants what was recorded, in place of points. */
  readonly samples: boolean
  readonly series: Open
  readonly distributions: Open
}

const open = Symbol.for("effect-threadstats/internal/streamed")

/** A way to take a batch, which can take it item by item as well. Who puts another in its place is handed batches. */
export const withStream = <F extends object>(flush: F, stream: Open): F => Object.assign(flush, { [open]: stream })

export const openOf = (flush: object): Open | undefined => (flush as { readonly [open]?: Open })[open]
