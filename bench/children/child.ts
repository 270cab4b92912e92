import { readFileSync } from "node:fs"
import { NotAvailable } from "../subjects/subject.js"

/** Report of a child process, on the last line of its standard output. */
export type Report =
  | { readonly _tag: "Measured"; readonly measures: { readonly [name: string]: number } }
  | { readonly _tag: "NotAvailable"; readonly reason: string }
  | { readonly _tag: "Wrong"; readonly reason: string }

/** The totals differ from the recorded points, so the figures are invalid. */
export class Wrong extends Error {}

/** Runs with the arguments of the command line, reports, and ends the process. */
export const report = async <A>(measure: (args: A) => Promise<{ readonly [name: string]: number }>): Promise<never> => {
  const say = (report: Report) =>
    new Promise<void>((resolve) => process.stdout.write(`\n${JSON.stringify(report)}\n`, () => resolve()))
  try {
    await say({ _tag: "Measured", measures: await measure(JSON.parse(process.argv[2]!) as A) })
    process.exit(0)
  } catch (error) {
    if (error instanceof NotAvailable) await say({ _tag: "NotAvailable", reason: error.reason })
    else if (error instanceof Wrong) await say({ _tag: "Wrong", reason: error.message })
    else throw error
    process.exit(0)
  }
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/**
 * Slows the clock of this process down to a twentieth, from the start of an interval of ten seconds. The points of the next 200 seconds
 * are in one interval, on any machine. A reading takes some nanoseconds more.
 */
export const slowClock = (): void => {
  const now = Date.now.bind(Date)
  const start = now()
  const first = start - start % 10_000
  Date.now = () => first + (now() - start) / 20
}

/**
 * Returns the CPU time of the main thread, in nanoseconds, or of all threads of the process on systems other than Linux. Other processes
 * have no part in it.
 */
export const cpuTime = (): number => {
  try {
    return Number(readFileSync("/proc/self/schedstat", "latin1").split(" ", 1)[0])
  } catch {
    const { system, user } = process.cpuUsage()
    return (user + system) * 1e3
  }
}

/** Returns the memory in use, in bytes, without garbage. Needs `--expose-gc`. */
export const memory = (): number => {
  globalThis.gc!()
  globalThis.gc!()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
