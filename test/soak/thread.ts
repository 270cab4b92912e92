/** A worker thread that builds its own layer, invokes the function 25 times, and then ends by itself. */
import { parentPort, threadId } from "node:worker_threads"
import { handler } from "./function.js"

for (let count = 0; count < 25; count++) {
  await handler({ count: 1 }, {
    functionName: "soak",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:soak",
    memoryLimitInMB: "128",
    awsRequestId: `${threadId}.${count}`,
    getRemainingTimeInMillis: () => 60_000
  })
}
parentPort!.postMessage("invoked")
