/** The function that `emulator.io.test.ts` runs under a runtime client. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Work from "./work.js"

interface Event extends Work.Event {
  /** Name of a distribution that is recorded after the result: at once, or during a flush after the response. */
  readonly afterwards?: string
}

let client: ThreadStats.ThreadStats["Type"]

const invocation = Lambda.makeHandler({
  flush: process.env["FLUSH"] === "after-response" ? LambdaExtension.afterResponse : "before-response",
  deadlineMargin: Work.deadlineMargin,
  handler: (event: Event) =>
    Effect.gen(function*() {
      client = yield* ThreadStats.ThreadStats
      return yield* Work.work(event)
    }),
  layer: ThreadStats.layer
})

export const handler: Lambda.Handler<Event, unknown> = async (event, context) => {
  const result = await invocation(event, context)
  const record = () => event.afterwards !== undefined && client.unsafeDistribution(event.afterwards, 1)
  if (process.env["FLUSH"] === "after-response") setTimeout(record, Work.duringTheFlush)
  else record()
  return result
}
