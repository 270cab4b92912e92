/**
 * `npm run simulate -- --seeds A..B`: runs a range of seeds, and names those that went wrong.
 */
import { Effect } from "effect"
import { run } from "./simulation.js"

const range = /^(\d+)\.\.(\d+)$/.exec(process.argv[process.argv.indexOf("--seeds") + 1] ?? "")
if (range === null) {
  console.error("usage: npm run simulate -- --seeds A..B")
  process.exit(2)
}

const [first, last] = [Number(range[1]), Number(range[2])]
let points = 0
let lost = 0
let duplicated = 0
let failed = 0
for (let seed = first; seed <= last; seed++) {
  const outcome = await Effect.runPromise(run(seed))
  points += outcome.points
  lost += outcome.lost
  duplicated += outcome.duplicated
  if (outcome.lost > 0 || outcome.duplicated > 0 || outcome.faults.length > 0) {
    failed++
    console.error(`seed ${seed}: lost ${outcome.lost}, duplicated ${outcome.duplicated}; ${outcome.faults.join("; ")}`)
  }
}
console.log(`${last - first + 1} seeds, ${points} points, lost ${lost}, duplicated ${duplicated}`)
process.exitCode = failed > 0 ? 1 : 0
