import { Effect } from "effect"
import { assert } from "vitest"
import { run } from "./simulation.js"

/** Returns the whole numbers from `first` to `last`. */
export const seedsFrom = (first: number, last: number): ReadonlyArray<number> =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** Seeds that failed once: drained points without an owner, requests that outlived their interrupted flush, a store without time left. */
export const regressionSeeds: ReadonlyArray<number> = [
  584,
  2319,
  2427,
  2693,
  2881,
  2974,
  3268,
  3542,
  4813,
  4826,
  4944,
  4965,
  4987,
  7676,
  11550,
  11813,
  15118,
  15254
]

/** Runs the seeds, and fails at the first one in which a promise is broken. */
export const expectSound = Effect.fnUntraced(function*(seeds: ReadonlyArray<number>) {
  let exact = 0
  let points = 0
  for (const seed of seeds) {
    const outcome = yield* run(seed)
    const { duplicated, faults, lost } = outcome
    assert.deepStrictEqual({ seed, lost, duplicated, faults }, { seed, lost: 0, duplicated: 0, faults: [] })
    exact += outcome.exact
    points += outcome.points
  }
  return { exact, points }
})

/** Runs each seed alone and then all of them at once, and fails if an outcome differs. */
export const expectDeterministic = Effect.fnUntraced(function*(seeds: ReadonlyArray<number>) {
  const alone = yield* Effect.forEach(seeds, run)
  const together = yield* Effect.forEach(seeds, run, { concurrency: "unbounded" })
  assert.deepStrictEqual(together, alone)
  assert.strictEqual(new Set(alone.map(({ digest }) => digest)).size, seeds.length)
  assert.sameMembers(Array.from(new Set(alone.map(({ mode }) => mode))), ["http", "total", "delta"])
})
