import { readFileSync } from "node:fs"
import { NotAvailable } from "../subjects/subject.js"

/** What a child process has to say, on the last line of its standard output. */
export type Report =
  | { readonly _tag: "Measured"; readonly measures: { readonly [name: string]: number } }
  | { readonly _tag: "NotAvailable"; readonly reason: string }
  | { readonly _tag: "Wrong"; readonly reason: string }

/** Totals are not what was recorded: the figures count for nothing. */
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
 * From now on the clock of this process runs at a twentieth of its speed, beginning with a roll-up interval of ten seconds:
 * what is recorded in the next 200 seconds is in one interval, on any machine. It costs some nanoseconds per reading.
 */
export const slowClock = (): void => {
  const now = Date.now.bind(Date)
  const start = now()
  const first = start - start % 10_000
  Date.now = () => first + (now() - start) / 20
}

/**
 * How long the main thread has been on a processor, in nanoseconds: what others on the machine do is not in it. Where the
 * system does not tell, of all threads of the process.
 */
export const cpuTime = (): number => {
  try {
    return Number(readFileSync("/proc/self/schedstat", "latin1").split(" ", 1)[0])
  } catch {
    const { system, user } = process.cpuUsage()
    return (user + system) * 1e3
  }
}

/** Memory in use, in bytes, without garbage. Needs `--expose-gc`. */
export const memory = (): number => {
  globalThis.gc!()
  globalThis.gc!()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
