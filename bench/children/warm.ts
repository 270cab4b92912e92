/** Measures an invocation of a warm environment. */
import { performance } from "node:perf_hooks"
import { cpuTime, report, Wrong } from "./child.js"

export interface Args {
  /** Invocations before the measurement, for the compiler. */
  readonly before: number
  /** Duration of the measurement, in milliseconds of CPU time. */
  readonly millis: number
}

export type Handler = (event: unknown, context: never) => Promise<unknown>

/** Returns the context of an invocation, as AWS passes it. */
export const contextOf = (deadline: number) => ({
  functionName: "bench",
  functionVersion: "$LATEST",
  invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:bench",
  memoryLimitInMB: "128",
  awsRequestId: "7c1a7b54-0d52-4a53-8f5e-c1a3a4b1c1f0",
  logGroupName: "/aws/lambda/bench",
  logStreamName: "2025/01/01/[$LATEST]0",
  callbackWaitsForEmptyEventLoop: false,
  getRemainingTimeInMillis: () => deadline - Date.now()
})

export const run = (make: () => Promise<Handler>): Promise<never> =>
  report<Args>(async ({ before, millis }) => {
    const handler = await make()
    const context = contextOf(Date.now() + 600_000) as never
    const invoke = async (least: number, limit: number): Promise<number> => {
      const end = cpuTime() + limit * 1e6
      let invocations = 0
      do {
        for (let i = 0; i < 100; i++) {
          const answer = await handler({ orderId: "1" }, context)
          if (answer !== "done") throw new Wrong(`the answer was ${String(answer)}`)
        }
        invocations += 100
      } while (invocations < least || cpuTime() < end)
      return invocations
    }
    await invoke(before, 0)
    const cpu = cpuTime()
    const start = performance.now()
    const invocations = await invoke(0, millis)
    const time = performance.now() - start
    return { us: time * 1e3 / invocations, usCpu: (cpuTime() - cpu) / 1e3 / invocations }
  })
