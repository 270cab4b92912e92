/**
 * Invokes the function that its first argument names as often as its second one says, some at a time, and prints what the
 * process holds after a quarter of it and at the end.
 */
import type { Lambda } from "effect-threadstats"
import type { Sample } from "./protocol.js"

const [, , path, invocations, together] = process.argv
const { handler } = await import(path!) as {
  readonly handler: Lambda.Handler<{ readonly count: number }, { readonly counted: number }>
}

const sample = async (): Promise<Sample> => {
  // What is let go of with a timer or a socket is let go of in a later turn.
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resume) => setTimeout(resume, 20))
    gc!()
  }
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1
  return {
    heap: process.memoryUsage().heapUsed,
    resources,
    listeners: Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)]))
  }
}

let begun = 0
let failed = 0

const invoke = async (until: number): Promise<void> => {
  while (begun < until) {
    const number = ++begun
    const { counted } = await handler({ count: number % 3 + 1 }, {
      functionName: "soak",
      functionVersion: "$LATEST",
      invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:soak",
      memoryLimitInMB: "128",
      awsRequestId: String(number),
      getRemainingTimeInMillis: () => 60_000
    })
    if (counted !== number % 3 + 1) failed++
  }
}

const samples: Array<Sample> = []
for (const until of [Number(invocations) / 4, Number(invocations)]) {
  await Promise.all(Array.from({ length: Number(together) }, () => invoke(until)))
  samples.push(await sample())
}
console.log(JSON.stringify({ samples, failed, begun }))
