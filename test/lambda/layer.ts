import * as ThreadStats from "effect-threadstats/ThreadStats"

/** A client over the transport that the environment names. */
export const layer = process.env["TRANSPORT"] === "fetch" ? ThreadStats.layerFetch : ThreadStats.layerNode
