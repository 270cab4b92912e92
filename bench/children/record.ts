/** One client: records a workload, and flushes it once. */
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import type { MakeSubject } from "../subjects/subject.js"
import { cpuTime, memory, report, sleep, slowClock, Wrong } from "./child.js"
import { difference, make as makeWorkload, totalsOf } from "./workload.js"

export interface Args {
  readonly series: number
  readonly calls: number
  /** Whether everything has to be in one roll-up interval. */
  readonly slow?: boolean | undefined
  /** Whether all clients of a process share one registry. */
  readonly shared?: boolean | undefined
}

/** Runs thousands of calls, so that V8 compiles the code. */
const warmUp = async (make: MakeSubject, shared: boolean) => {
  const prefix = shared ? "warm." : ""
  const workload = makeWorkload(100, 100_000, prefix)
  const subject = await make({ prefix })
  subject.prepare?.(workload)
  await subject.record(workload)
  await subject.flush()
}

export const run = (make: MakeSubject): Promise<never> =>
  report<Args>(async ({ calls, series, shared = false, slow = false }) => {
    await warmUp(make, shared)
    const workload = makeWorkload(series, calls)
    const subject = await make({ prefix: "" })
    const before = memory()
    subject.prepare?.(workload)
    if (slow) slowClock()

    const cpu = cpuTime()
    const start = performance.now()
    await subject.record(workload)
    const recorded = performance.now() - start
    const recordedCpu = cpuTime() - cpu
    const heap = memory() - before

    const pauses = await watchPauses()
    const flushCpu = cpuTime()
    const begin = performance.now()
    const { bytes, check } = await subject.flush()
    const flushed = performance.now() - begin
    const flushedCpu = cpuTime() - flushCpu
    const longest = await pauses.stop()

    const { jsonBytes, totals } = check()
    const wrong = difference(totalsOf(workload), totals)
    if (wrong !== undefined) throw new Wrong(wrong)
    return {
      ns: recorded * 1e6 / calls,
      nsCpu: recordedCpu / calls,
      heap: heap / 1e6,
      flush: flushed,
      flushCpu: flushedCpu / 1e6,
      ...longest,
      ...(bytes === undefined ? undefined : { bytes }),
      ...(bytes === undefined || jsonBytes === undefined ? undefined : { json: jsonBytes, wire: bytes / jsonBytes })
    }
  })

/** Watches the event loop for the longest time, and the longest time on a processor, that it does not come round. */
const watchPauses = async () => {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  let last = cpuTime()
  let longest = 0
  const look = () => {
    const now = cpuTime()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  await sleep(20)
  longest = 0
  return {
    stop: async () => {
      await sleep(20)
      clearInterval(timer)
      delays.disable()
      return { pause: Math.max(0, delays.max / 1e6 - 1), pauseCpu: longest / 1e6 }
    }
  }
}
