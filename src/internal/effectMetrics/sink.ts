import type { ThreadStats } from "../../ThreadStats.js"

/** The methods of a client that publishers call. */
export type Sink = Pick<ThreadStats["Type"], "unsafeDistribution" | "unsafeGauge" | "unsafeIncrement">

/** Ignores all points. */
export const noopSink: Sink = { unsafeDistribution: () => {}, unsafeGauge: () => {}, unsafeIncrement: () => {} }
