import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { run } from "./simulation.js"

// thousands of errors are made on purpose, and nobody looks at where
Error.stackTraceLimit = 0

const seeds = 500
const parts = 10

const fileOf = (path: string) => fileURLToPath(new URL(path, import.meta.url))

describe("a whole client against an intake that misbehaves", () => {
  for (let part = 0; part < parts; part++) {
    const first = 1 + part * (seeds / parts)
    const last = first + seeds / parts - 1
    it.live(`keeps its books, bounds and budgets: seeds ${first} to ${last}`, () =>
      Effect.gen(function*() {
        let exact = 0
        let points = 0
        for (let seed = first; seed <= last; seed++) {
          const outcome = yield* run(seed)
          const { duplicated, faults, lost } = outcome
          assert.deepStrictEqual({ seed, lost, duplicated, faults }, { seed, lost: 0, duplicated: 0, faults: [] })
          exact += outcome.exact
          points += outcome.points
        }
        assert.isAbove(points, 1000)
        assert.isAbove(exact, 500, "series and values held against exactly what they should be")
      }), 120_000)
  }

  it.live("keeps them where it once did not", () =>
    Effect.gen(function*() {
      // points taken out for the store and not booked; requests that went on after their flush was called off
      for (const seed of [2319, 2693, 2881, 2974, 3268, 4813, 4965, 2427, 4826]) {
        const { duplicated, faults, lost } = yield* run(seed)
        assert.deepStrictEqual({ seed, lost, duplicated, faults }, { seed, lost: 0, duplicated: 0, faults: [] })
      }
    }), 60_000)

  it.live("a seed is all there is to a run: alone, again, or beside others", () =>
    Effect.gen(function*() {
      const some = Array.from({ length: 16 }, (_, i) => 1 + i * 31)
      const first = yield* Effect.forEach(some, run)
      const again = yield* Effect.forEach(some, run, { concurrency: "unbounded" })
      assert.deepStrictEqual(again, first)
      assert.strictEqual(new Set(first.map(({ digest }) => digest)).size, some.length)
      assert.sameMembers(Array.from(new Set(first.map(({ mode }) => mode))), ["http", "total", "delta"])
    }), 60_000)

  it.live(
    "npm run simulate -- --seeds A..B runs a range on several processes and sums it up",
    () =>
      Effect.gen(function*() {
        const cli = (...args: ReadonlyArray<string>) =>
          Effect.promise(() =>
            promisify(execFile)(process.execPath, ["--import", "tsx", fileOf("./cli.ts"), ...args], {
              cwd: fileOf("../..")
            }).then(({ stdout }) => stdout, (error: { readonly code: number }) => error.code)
          )
        const outcomes = yield* Effect.forEach([7, 8, 9], run)
        const points = outcomes.reduce((sum, one) => sum + one.points, 0)
        assert.strictEqual(
          yield* cli("--seeds", "7..9", "--jobs", "2"),
          `3 seeds, ${points} points, lost 0, duplicated 0\n`
        )
        assert.strictEqual(yield* cli("--seeds", "9..7"), 2)
      }),
    60_000
  )
})
