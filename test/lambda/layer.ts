import * as ThreadStats from "effect-threadstats/ThreadStats"

/** What a program sends over is told by its environment. */
export const layer = process.env["SENDS_OVER"] === "fetch" ? ThreadStats.layerFetch : ThreadStats.layerNode
