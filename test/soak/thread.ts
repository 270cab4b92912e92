/** A worker thread with an environment of its own: invokes the function, and has nothing to do then. */
import { parentPort, threadId } from "node:worker_threads"
import { handler } from "./function.js"

for (let count = 0; count < 25; count++) {
  await handler({ count: 1 }, {
    functionName: "soak",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:soak",
    memoryLimitInMB: "128",
    awsRequestId: `${threadId}.${count}`,
    getRemainingTimeInMillis: () => 10_000
  })
}
parentPort!.postMessage("invoked")
