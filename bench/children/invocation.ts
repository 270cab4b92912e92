/** The cost of an invocation that delivers to a receiver of another process: time on the processor, and garbage. */
import { subscribe } from "node:diagnostics_channel"
import type { ClientRequest } from "node:http"
import { performance, PerformanceObserver } from "node:perf_hooks"
import { memory, report, sleep, Wrong } from "./child.js"
import { contextOf, type Handler } from "./warm.js"

export interface Args {
  /** Name of the measure. Rows with different yardsticks have different measures. */
  readonly measure: string
  /** Invocations before the first measurement, for the compiler. */
  readonly before: number
  /** Invocations of one pass. The fastest of five passes counts. */
  readonly invocations: number
}

export interface Invocations {
  readonly handler: Handler
  /** Number of metrics that one invocation delivers. */
  readonly metrics: number
  /** Measures the difference to this handler, divided by a number of series. */
  readonly over?: { readonly handler: Handler; readonly metrics: number; readonly series: number } | undefined
}

const processorTime = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

const passes = 5

const makeInvoke = (handler: Handler) => {
  const context = contextOf(Date.now() + 600_000) as never
  return async (invocations: number) => {
    for (let i = 0; i < invocations; i++) {
      const answer = await handler({ orderId: "1" }, context)
      if (answer !== "done") throw new Wrong(`the answer was ${String(answer)}`)
    }
  }
}

/** Returns the wall time and processor time of an invocation, in microseconds: those of the fastest pass. */
const time = async (handler: Handler, { before, invocations }: Args) => {
  const invoke = makeInvoke(handler)
  await invoke(before)
  let [wall, cpu] = [Infinity, Infinity]
  for (let pass = 0; pass < passes; pass++) {
    const cpuBefore = processorTime()
    const start = performance.now()
    await invoke(invocations)
    wall = Math.min(wall, (performance.now() - start) * 1e3 / invocations)
    cpu = Math.min(cpu, (processorTime() - cpuBefore) / invocations)
  }
  return { wall, cpu }
}

const countOf = ({ before, invocations }: Args) => before + passes * invocations

export const run = (make: () => Promise<Invocations>): Promise<never> =>
  report<Args>(async (args) => {
    const { handler, metrics, over } = await make()
    const { cpu, wall } = await time(handler, args)
    const posted = countOf(args) * metrics
    if (over === undefined) return { [args.measure]: wall, [`${args.measure}Cpu`]: cpu, posted }
    const base = await time(over.handler, args)
    return {
      [args.measure]: (wall - base.wall) / over.series,
      [`${args.measure}Cpu`]: (cpu - base.cpu) / over.series,
      posted: posted + countOf(args) * over.metrics
    }
  })

/** Returns a function that waits for the extension's next request for an event. It makes that request when the work has ended. */
const awaitRelease = () => {
  let requests = 0
  let resume = () => {}
  subscribe("http.client.request.start", (message) => {
    if (!(message as { readonly request: ClientRequest }).request.path.endsWith("/event/next")) return
    requests++
    resume()
  })
  let released = 0
  return async () => {
    if (requests === released) await new Promise<void>((resolve) => resume = resolve)
    released++
  }
}

/** Measures an invocation before and after its response, in microseconds: processor time and wall time of the fastest pass. */
export const runAfterResponse = (make: () => Promise<Invocations>): Promise<never> =>
  report<Args>(async ({ before, invocations, measure }) => {
    // The extension's request does not hold the process. On AWS Lambda the runtime client does.
    setInterval(() => {}, 60_000)
    const release = awaitRelease()
    const { handler, metrics } = await make()
    const context = contextOf(Date.now() + 600_000)
    await release()
    let invoked = 0
    const fastest = { [measure]: Infinity, [`${measure}Cpu`]: Infinity, rest: Infinity, restCpu: Infinity }
    const invoke = async (count: number) => {
      const sum = { [measure]: 0, [`${measure}Cpu`]: 0, rest: 0, restCpu: 0 }
      for (let i = 0; i < count; i++) {
        invoked++
        const times = [performance.now() * 1e3]
        const processor = [processorTime()]
        await handler({ orderId: "1" }, { ...context, awsRequestId: `bench-${invoked}` } as never)
        times.push(performance.now() * 1e3)
        processor.push(processorTime())
        await release()
        sum[measure]! += times[1]! - times[0]!
        sum[`${measure}Cpu`]! += processor[1]! - processor[0]!
        sum.rest += performance.now() * 1e3 - times[1]!
        sum.restCpu += processorTime() - processor[1]!
      }
      return sum
    }
    await invoke(before)
    for (let pass = 0; pass < passes; pass++) {
      const sum = await invoke(invocations)
      for (const [name, time] of Object.entries(sum)) fastest[name] = Math.min(fastest[name]!, time / invocations)
    }
    return { ...fastest, posted: invoked * metrics }
  })

/** Measures the garbage of an invocation, in kB. Needs a young generation that holds all of it. */
export const runAllocation = (make: () => Promise<Invocations>): Promise<never> =>
  report<Args>(async ({ before, invocations, measure }) => {
    const { handler, metrics } = await make()
    const invoke = makeInvoke(handler)
    await invoke(before)
    let collections = 0
    const observer = new PerformanceObserver((list) => {
      collections += list.getEntries().length
    })
    observer.observe({ entryTypes: ["gc"] })
    let invoked = before
    for (let tries = 0; tries < 5; tries++) {
      memory()
      await sleep(50)
      collections = 0
      const heapBefore = process.memoryUsage().heapUsed
      await invoke(invocations)
      const heapAfter = process.memoryUsage().heapUsed
      invoked += invocations
      await sleep(20)
      if (collections === 0) {
        return { [measure]: (heapAfter - heapBefore) / 1e3 / invocations, posted: invoked * metrics }
      }
    }
    throw new Wrong("garbage was collected meanwhile")
  })
