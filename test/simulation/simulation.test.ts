import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { skipStackTraces } from "../support/stackTraces.js"
import { expectDeterministic, expectSound, regressionSeeds, seedsFrom } from "./expectSound.js"

skipStackTraces()

describe("ThreadStats against a simulated receiver", () => {
  it.effect("keeps counters, limits and time budgets when the receiver fails in random ways (seeds 1 to 50)", () =>
    Effect.gen(function*() {
      const { exact, points } = yield* expectSound(seedsFrom(1, 50))
      assert.isAbove(points, 1000)
      assert.isAbove(exact, 500, "series and values compared with their exact totals")
    }))

  it.effect("keeps counters, limits and time budgets in the runs that failed once", () => expectSound(regressionSeeds))

  it.effect("repeats a run exactly from its seed, alone and beside others", () => expectDeterministic([1, 3, 11, 12]))
})
