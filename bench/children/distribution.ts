/** Values in one series of one roll-up interval: the memory that one takes, and whether their time grows as they do. */
import { performance } from "node:perf_hooks"
import type { MakeSubject } from "../subjects/subject.js"
import { cpuTime, memory, report, slowClock, Wrong } from "./child.js"
import type { Workload, WorkloadSeries } from "./workload.js"

export interface Args {
  readonly values: number
}

const series: WorkloadSeries = {
  index: 0,
  kind: "distribution",
  name: "http.request.time",
  tags: ["service:checkout", "route:/v1/items", "customer:c1"],
  labels: ["checkout", "/v1/items", "c1"]
}

const workloadOf = (calls: number): Workload => ({ calls, series: [series] })

const measure = async (make: MakeSubject, values: number) => {
  const subject = await make({ prefix: "" })
  const workload = workloadOf(values)
  subject.prepare?.(workload)
  const before = memory()
  const cpu = cpuTime()
  const start = performance.now()
  await subject.record(workload)
  const time = performance.now() - start
  const used = cpuTime() - cpu
  const bytes = memory() - before
  const { check } = await subject.flush()
  const { distributions } = check().totals
  if (distributions !== values) throw new Wrong(`${distributions} values came out of ${values}`)
  return { bytes: bytes / values, ns: time * 1e6 / values, nsCpu: used / values }
}

export const run = (make: MakeSubject): Promise<never> =>
  report<Args>(async ({ values }) => {
    slowClock()
    await measure(make, Math.floor(values / 10))
    const quarter = await measure(make, values / 4)
    const half = await measure(make, values / 2)
    const whole = await measure(make, values)
    return {
      bytes: whole.bytes,
      bytesQuarter: quarter.bytes,
      bytesHalf: half.bytes,
      ns: whole.ns,
      nsCpu: whole.nsCpu,
      growth: whole.ns / quarter.ns,
      growthCpu: whole.nsCpu / quarter.nsCpu,
      growthHalfCpu: whole.nsCpu / half.nsCpu
    }
  })
