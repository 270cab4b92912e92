/** Measures the garbage of a call, in bytes. Needs a young generation that holds all of it. */
import { PerformanceObserver } from "node:perf_hooks"
import type { MakeSubject } from "../subjects/subject.js"
import { memory, report, sleep, Wrong } from "./child.js"
import { difference, make as makeWorkload, totalsOf } from "./workload.js"

export interface Args {
  readonly calls: number
}

export const run = (make: MakeSubject): Promise<never> =>
  report<Args>(async ({ calls }) => {
    const workload = makeWorkload(100, calls)
    const subject = await make({ prefix: "" })
    subject.prepare?.(workload)
    let recorded = 0
    const record = async () => {
      await subject.record(workload)
      recorded++
    }
    for (let i = 0; i < 10; i++) await record()

    let collections = 0
    const observer = new PerformanceObserver((list) => {
      collections += list.getEntries().length
    })
    observer.observe({ entryTypes: ["gc"] })
    let bytes = Number.NaN
    for (let tries = 0; tries < 5 && Number.isNaN(bytes); tries++) {
      memory()
      await sleep(50)
      collections = 0
      const before = process.memoryUsage().heapUsed
      await record()
      const after = process.memoryUsage().heapUsed
      await sleep(20)
      if (collections === 0) bytes = (after - before) / calls
    }
    observer.disconnect()
    if (Number.isNaN(bytes)) throw new Wrong("garbage was collected meanwhile")

    const { totals } = (await subject.flush()).check()
    const all = totalsOf(workload)
    const wrong = difference({ ...all, counts: all.counts * recorded }, { counts: totals.counts })
    if (wrong !== undefined) throw new Wrong(wrong)
    return { bytes }
  })
