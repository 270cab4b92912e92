import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { skipStackTraces } from "../support/stackTraces.js"
import { expectDeterministic, expectSound, seedsFrom } from "./expectSound.js"
import { run } from "./simulation.js"

skipStackTraces()

/** Seeds of one test. The unit suite runs the first part. */
const partSize = 50
const parts = Array.from({ length: 9 }, (_, part) => [51 + part * partSize, 100 + part * partSize] as const)

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url))

describe("ThreadStats against a simulated receiver", () => {
  it.effect.each(parts)(
    "keeps counters, limits and time budgets when the receiver fails in random ways (seeds %i to %i)",
    ([first, last]) =>
      Effect.gen(function*() {
        const { exact, points } = yield* expectSound(seedsFrom(first, last))
        assert.isAbove(points, 1000)
        assert.isAbove(exact, 500, "series and values compared with their exact totals")
      })
  )

  it.effect("repeats sixteen runs exactly from their seeds, alone and beside others", () =>
    expectDeterministic(Array.from({ length: 16 }, (_, i) => 1 + i * 31)))
})

describe("npm run simulate", () => {
  const simulate = (...args: ReadonlyArray<string>) =>
    Effect.promise(() =>
      promisify(execFile)(process.execPath, ["--import", "tsx", pathOf("./cli.ts"), ...args], { cwd: pathOf("../..") })
        .then(({ stdout }) => stdout, (error: { readonly code: number }) => error.code)
    )

  it.effect("runs a range of seeds in several processes and prints their sums", () =>
    Effect.gen(function*() {
      const outcomes = yield* Effect.forEach([7, 8, 9], run)
      const points = outcomes.reduce((sum, one) => sum + one.points, 0)
      assert.strictEqual(
        yield* simulate("--seeds", "7..9", "--jobs", "2"),
        `3 seeds, ${points} points, lost 0, duplicated 0\n`
      )
    }))

  it.effect("exits with code 2 when the range of seeds is invalid", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* simulate("--seeds", "9..7"), 2)
    }))
})
