/** An invocation with two hours left that waits for a promise without an end. */
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

const deadline = Date.now() + 7_200_000

void handler({}, {
  functionName: "stuck",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:stuck",
  memoryLimitInMB: "128",
  awsRequestId: "request",
  getRemainingTimeInMillis: () => deadline - Date.now()
})
