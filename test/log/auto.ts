/** A Lambda function that leaves the choice of the reporter to the environment. It is invoked once. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"

const handler = Lambda.makeHandler({
  handler: (orders: number) => ThreadStats.increment("orders", orders, { tags: { shop: "eu" } }),
  layer: ThreadStats.layerAuto
})

await handler(3, {
  functionName: "shop",
  functionVersion: "1",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:shop",
  memoryLimitInMB: "128",
  awsRequestId: "1",
  getRemainingTimeInMillis: () => 3000
})
