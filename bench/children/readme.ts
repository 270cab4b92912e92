/** Lines of the README, in a loop: the cost of one recorded point as users write it. */
import { performance } from "node:perf_hooks"
import { cpuTime, report, Wrong } from "./child.js"

export interface Args {
  readonly calls: number
}

export interface Lines {
  readonly record: (calls: number) => void | Promise<void>
  /** Returns the number of points that arrived. */
  readonly total: () => Promise<number>
}

export const run = (make: () => Promise<Lines>): Promise<never> =>
  report<Args>(async ({ calls }) => {
    const { record, total } = await make()
    const before = 100_000
    await record(before)
    const cpu = cpuTime()
    const start = performance.now()
    await record(calls)
    const time = performance.now() - start
    const used = cpuTime() - cpu
    const arrived = await total()
    if (Math.abs(arrived - before - calls) > 0.5) throw new Wrong(`${arrived} points of ${before + calls} arrived`)
    return { ns: time * 1e6 / calls, nsCpu: used / calls }
  })
