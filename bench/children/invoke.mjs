// Loads a function, invokes it once, and says how long that took since the process began.
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"

const { handler } = await import(pathToFileURL(process.argv[2]).href)
const deadline = Date.now() + 30_000
const answer = await handler({ orderId: "1" }, {
  functionName: "bench",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:bench",
  memoryLimitInMB: "128",
  awsRequestId: "7c1a7b54-0d52-4a53-8f5e-c1a3a4b1c1f0",
  getRemainingTimeInMillis: () => deadline - Date.now()
})
const ms = performance.now()
const { system, user } = process.cpuUsage()
const modules = process.moduleLoadList.filter((name) => name.startsWith("NativeModule ")).length
process.stdout.write(
  `\n${
    JSON.stringify({
      _tag: answer === "done" ? "Measured" : "Wrong",
      measures: { ms, msCpu: (user + system) / 1e3, modules },
      reason: `the answer was ${answer}`
    })
  }\n`,
  () => process.exit(0)
)
