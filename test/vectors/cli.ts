/**
 * `npm run vectors -- FILE` replays a file of vectors, plain or gzip, and prints the number of mismatches.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { check, points, type Vectors } from "./runner.js"

const file = process.argv[2]
if (file === undefined) {
  console.error("usage: npm run vectors -- FILE")
  process.exit(2)
}

const bytes = readFileSync(file)
const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
const { vectors } = JSON.parse((isGzip ? gunzipSync(bytes) : bytes).toString("utf8")) as Vectors

let mismatches = 0
for (const vector of vectors) {
  const faults = await Effect.runPromise(check(vector))
  for (const fault of faults.slice(0, 5)) console.error(fault)
  if (faults.length > 5) console.error(`… and ${faults.length - 5} more in vector ${vector.id}`)
  mismatches += faults.length
}
const total = vectors.reduce((sum, vector) => sum + points(vector), 0)
console.log(`${vectors.length} vectors, ${total} points, ${mismatches} mismatches`)
process.exitCode = mismatches > 0 ? 1 : 0
