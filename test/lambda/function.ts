/** The function under test; `process.io.test.ts` bundles it. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

type Event = { readonly record: string } | { readonly fail: string } | { readonly outside: string }

class FunctionError extends Error {
  override readonly name = "FunctionError"
}

let client: ThreadStats.ThreadStats["Type"] | undefined

const invocation = Lambda.makeHandler({
  handler: (event: Event) =>
    Effect.gen(function*() {
      client = yield* ThreadStats.ThreadStats
      if ("record" in event) {
        yield* Lambda.lambdaMetric(event.record, 1)
        return { recorded: event.record }
      }
      yield* ThreadStats.increment("failures")
      return yield* Effect.fail(new FunctionError("fail" in event ? event.fail : "unexpected"))
    }),
  layer
})

/** Records a point outside an invocation if the event has the property `outside`. */
export const handler: Lambda.Handler<Event, unknown> = (event, context) => {
  if (!("outside" in event)) return invocation(event, context)
  client?.unsafeDistribution(event.outside, 1)
  return Promise.resolve(client === undefined ? "no client" : "recorded")
}
