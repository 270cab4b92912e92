/** The function that `emulator.io.test.ts` runs under a runtime client. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Work from "./work.js"

interface Event extends Work.Event {
  /** Name of a distribution that is recorded after the result: at once, or during a flush after the response. */
  readonly afterwards?: string
  /** Code around the handler. Default: none. */
  readonly around?: Around
}

export type Around =
  | "answers by itself"
  | "throws by itself"
  | "passes no context"
  | "passes a context without a request id"
  | "passes another request id"
  | "answers that a durable function is pending"
  | "calls another handler"

/** Returns what the function answers to an event, and may call the handler. */
const around: Record<Around, (event: Event, context: Lambda.LambdaContext) => Promise<unknown>> = {
  "answers by itself": () => Promise.resolve("warm"),
  "throws by itself": () => Promise.reject(new Error("not allowed")),
  "passes no context": (event: Event) => invocation(event, null as never),
  "passes a context without a request id": (event: Event) => invocation(event, {} as never),
  "passes another request id": (event: Event, context: Lambda.LambdaContext) =>
    invocation(event, {
      functionName: context.functionName,
      functionVersion: context.functionVersion,
      invokedFunctionArn: context.invokedFunctionArn,
      memoryLimitInMB: context.memoryLimitInMB,
      awsRequestId: "another",
      getRemainingTimeInMillis: () => context.getRemainingTimeInMillis()
    }),
  // As `withDurableExecution` of `@aws/durable-execution-sdk-js` does for a program that waits.
  "answers that a durable function is pending": (event: Event, lambdaContext: Lambda.LambdaContext) =>
    Promise.race([
      invocation({ ...event, until: "never" }, { lambdaContext } as never),
      new Promise((resolve) => setTimeout(resolve, 10, "pending"))
    ]),
  "calls another handler": (event: Event, context: Lambda.LambdaContext) => other(event, context)
}

let client: ThreadStats.ThreadStats["Type"]

const flush = process.env["FLUSH"] === "after-response" ? LambdaExtension.afterResponse : "before-response"

const invocation = Lambda.makeHandler({
  flush,
  deadlineMargin: Work.deadlineMargin,
  handler: (event: Event) =>
    Effect.gen(function*() {
      client = yield* ThreadStats.ThreadStats
      return yield* Work.work(event)
    }),
  layer: ThreadStats.layer
})

/** A second handler of the file. It shares environment and extension with the first one. */
const other = Lambda.makeHandler({ flush, handler: (event: Event) => Work.work(event), layer: ThreadStats.layer })

export const handler: Lambda.Handler<Event, unknown> = async (event, context) => {
  if (event.around !== undefined) return around[event.around](event, context)
  const result = await invocation(event, context)
  const record = () => event.afterwards !== undefined && client.unsafeDistribution(event.afterwards, 1)
  if (process.env["FLUSH"] === "after-response") setTimeout(record, Work.duringTheFlush)
  else record()
  return result
}
