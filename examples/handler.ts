import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

export const handler = Lambda.makeHandler({
  handler: (event: { readonly orderId: string; readonly total: number }) =>
    ThreadStats.distribution("orders.value", event.total, { tags: { shop: "eu" } }).pipe(
      Effect.as({ accepted: event.orderId })
    ),
  layer: ThreadStats.layer
})
