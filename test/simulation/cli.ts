/**
 * `npm run simulate -- --seeds A..B [--jobs N]`: runs a range of seeds, and names those that went wrong.
 */
import { Effect } from "effect"
import { fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { type Outcome, run } from "./simulation.js"

interface Part {
  readonly points: number
  readonly exact: number
  readonly lost: number
  readonly duplicated: number
  readonly failed: ReadonlyArray<Outcome>
}

const every = async (first: number, last: number, step: number): Promise<Part> => {
  let [points, exact, lost, duplicated] = [0, 0, 0, 0]
  const failed: Array<Outcome> = []
  for (let seed = first; seed <= last; seed += step) {
    const outcome = await Effect.runPromise(run(seed))
    points += outcome.points
    exact += outcome.exact
    lost += outcome.lost
    duplicated += outcome.duplicated
    if (outcome.faults.length > 0) failed.push(outcome)
  }
  return { points, exact, lost, duplicated, failed }
}

const argument = (name: string): string | undefined => {
  const at = process.argv.indexOf(name)
  return at < 0 ? undefined : process.argv[at + 1]
}

const usage = (): never => {
  console.error("usage: npm run simulate -- --seeds A..B [--jobs N]")
  process.exit(2)
}

/** Runs a part of the range in a process of its own. */
const elsewhere = (first: number, last: number, step: number) =>
  new Promise<Part>((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ["--part", `${first}..${last}..${step}`])
    child.once("message", (part) => resolve(part as Part))
    child.once("exit", (code) => reject(new Error(`a part of the seeds ended with ${code}`)))
  })

const part = argument("--part")
if (part !== undefined) {
  const [first, last, step] = part.split("..").map(Number) as [number, number, number]
  process.send!(await every(first, last, step), () => process.disconnect())
} else {
  const range = /^(\d+)\.\.(\d+)$/.exec(argument("--seeds") ?? "") ?? usage()
  const [first, last] = [Number(range[1]), Number(range[2])]
  const wanted = Number(argument("--jobs") ?? availableParallelism())
  if (first > last || !Number.isInteger(wanted) || wanted < 1) usage()
  const jobs = Math.min(wanted, last - first + 1)
  const parts = jobs === 1
    ? [await every(first, last, 1)]
    : await Promise.all(Array.from({ length: jobs }, (_, job) => elsewhere(first + job, last, jobs)))
  const failed = parts.flatMap((one) => one.failed).sort((a, b) => a.seed - b.seed)
  for (const { duplicated, faults, lost, mode, seed } of failed) {
    console.error(`seed ${seed} (${mode}): lost ${lost}, duplicated ${duplicated}; ${faults.join("; ")}`)
    console.error(`replay: npm run simulate -- --seeds ${seed}..${seed}`)
  }
  const sum = (of: (one: Part) => number) => parts.reduce((total, one) => total + of(one), 0)
  if (failed.length > 0) console.error(`${failed.length} seeds went wrong`)
  console.log(
    `${last - first + 1} seeds, ${sum((one) => one.points)} points, lost ${sum((one) => one.lost)}, duplicated ${
      sum((one) => one.duplicated)
    }`
  )
  process.exitCode = failed.length > 0 ? 1 : 0
}
