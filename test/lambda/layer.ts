import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Layer from "effect/Layer"

/** A client over the transport that the environment names. */
export const layer = process.env["TRANSPORT"] === "fetch"
  ? Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer)
  : ThreadStats.layer
