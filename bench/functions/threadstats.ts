import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

export const handler = Lambda.makeHandler({
  handler: () => Effect.as(ThreadStats.increment("orders.received", 1, { tags: ["shop:eu"] }), "done"),
  layer: ThreadStats.layer
})
