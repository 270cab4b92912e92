/**
 * Invokes a function many times and prints the memory, handles and listeners of the process after a quarter of the invocations and
 * at the end. Arguments: path of the function, number of invocations, number of concurrent invocations.
 */
import type { Lambda } from "effect-threadstats"
import * as Effect from "effect/Effect"
import { nextTurn } from "../support/wait.js"
import type { Sample } from "./protocol.js"

const [, , path, invocations, together] = process.argv
const { handler } = await import(path!) as {
  readonly handler: Lambda.Handler<{ readonly count: number }, { readonly counted: number }>
}

const sample = async (): Promise<Sample> => {
  // Objects of timers and sockets become unreachable in a later turn of the event loop.
  for (let turn = 0; turn < 100; turn++) {
    await Effect.runPromise(nextTurn)
    if (turn % 25 === 24) gc!()
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
