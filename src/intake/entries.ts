/** Entries of the store, which its parts and the feed share. */
import type { RequestRow, SeriesRow } from "./feedProtocol.js"
import type { LogHistogram } from "./logHistogram.js"
import type { IntakeRequest, Writable } from "./model.js"

/** One series with the data that the page plots. */
export interface SeriesEntry {
  readonly key: string
  /** Row that the feed publishes. A change replaces it. */
  published: SeriesRow
  /** Values of a series by second. */
  readonly points: Map<number, number>
  /** Values of a distribution by second. */
  readonly histograms: Map<number, LogHistogram>
}

/** A request or a datagram. */
export interface Arrival {
  readonly row: Writable<RequestRow>
  /** `undefined` for a datagram. */
  readonly request: Writable<IntakeRequest> | undefined
  /** Estimated memory of the row and of the request without its body, in bytes. */
  readonly memory: number
  /** Estimated memory of the body, in bytes. */
  readonly bodyMemory: number
  /** Becomes `false` when the arrival is evicted. */
  isRetained: boolean
}
