/** The same function with the client disabled: what building and running it costs without the network. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export const handler = Lambda.makeHandler({
  handler: () => Effect.as(ThreadStats.increment("orders.received", 1, { tags: ["shop:eu"] }), "done"),
  layer: Layer.provide(
    ThreadStats.layerHttpClientWith({ disabled: true }),
    Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.never))
  )
})
