/** The function of the soak test and of the worker threads. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

export const handler = Lambda.makeHandler({
  flush: process.env["FLUSH"] === "after-response" ? LambdaExtension.afterResponse : "before-response",
  handler: (event: { readonly count: number }) =>
    Effect.as(ThreadStats.increment("soak.count", event.count), { counted: event.count }),
  layer: ThreadStats.layer
})
