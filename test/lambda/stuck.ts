/** An invocation with a minute left, which waits for nothing that could ever happen. */
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

const handler = Lambda.makeHandler({
  handler: () =>
    Effect.promise(() => {
      console.log("waiting")
      return new Promise(() => {})
    }),
  layer
})

const deadline = Date.now() + 60_000

void handler({}, {
  functionName: "stuck",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:stuck",
  memoryLimitInMB: "128",
  awsRequestId: "request",
  getRemainingTimeInMillis: () => deadline - Date.now()
})
