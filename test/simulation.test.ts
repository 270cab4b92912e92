import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./simulation/simulation.js"

const seeds = 100
const parts = 4

describe("a whole client against an intake that misbehaves", () => {
  for (let part = 0; part < parts; part++) {
    const first = 1 + part * (seeds / parts)
    const last = first + seeds / parts - 1
    it.live(`loses nothing and doubles nothing it knows of: seeds ${first} to ${last}`, () =>
      Effect.gen(function*() {
        for (let seed = first; seed <= last; seed++) {
          const { duplicated, faults, lost, points } = yield* run(seed)
          assert.deepStrictEqual({ seed, lost, duplicated, faults }, { seed, lost: 0, duplicated: 0, faults: [] })
          assert.isAbove(points, 20)
        }
      }), 60_000)
  }
})
