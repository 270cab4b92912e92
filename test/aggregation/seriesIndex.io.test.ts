import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { now } from "../support/aggregator.js"
import { makeMetricsAggregator } from "../support/layers.js"

describe("seriesIndex", () => {
  it.effect("takes processor time in proportion to the number of series whose tags differ far from their end", () =>
    Effect.gen(function*() {
      const recorded = Effect.fnUntraced(function*(count: number) {
        const self = yield* makeMetricsAggregator({ maxSeries: 1_000_000 })
        const tags = Array.from({ length: count }, (_, i) => [`id:${String(i).padStart(6, "0")}${"-".repeat(100)}`])
        const before = process.cpuUsage()
        for (let round = 0; round < 2; round++) {
          for (const one of tags) self.unsafeAdd("counter", "a", 1, now, { tags: one })
        }
        const { system, user } = process.cpuUsage(before)
        assert.lengthOf(yield* self.drain({ temporality: "total", now }), count)
        return (user + system) / 1000
      })
      yield* recorded(1000)
      const [some, many] = [yield* recorded(2000), yield* recorded(32_000)]
      // 16 times the series. Compared one by one they would take 256 times as long; 2 ms allow for noise.
      assert.isBelow(many, 80 * (some + 2))
    }))
})
