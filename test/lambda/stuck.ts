/**
 * An invocation that records a point and waits for a promise without an end. The second argument is the time until its deadline, in
 * milliseconds. Without one the context has no deadline.
 */
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

const handler = Lambda.makeHandler({
  handler: () =>
    Effect.zipRight(
      Lambda.lambdaMetric("stuck", 1),
      Effect.promise(() => {
        console.log("waiting")
        return new Promise(() => {})
      })
    ),
  layer
})

const time = process.argv[2]
const deadline = Date.now() + Number(time)

void handler({}, {
  functionName: "stuck",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:stuck",
  memoryLimitInMB: "128",
  awsRequestId: "request",
  getRemainingTimeInMillis: () => time === undefined ? Number.NaN : deadline - Date.now()
})
