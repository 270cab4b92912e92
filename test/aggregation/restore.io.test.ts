import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { now } from "../support/aggregator.js"
import { makeMetricsAggregator } from "../support/layers.js"

describe("MetricsAggregator restore", () => {
  it.effect("takes processor time in proportion to the values of a distribution of many parts", () =>
    Effect.gen(function*() {
      const restored = Effect.fnUntraced(function*(count: number) {
        const self = yield* makeMetricsAggregator({ maxValues: 2_000_000 })
        for (let i = 0; i < count; i++) self.unsafeAdd("distribution", "d", i, now)
        const items = yield* self.drain({ temporality: "total", now })
        const before = process.cpuUsage()
        yield* self.restore(items)
        const { system, user } = process.cpuUsage(before)
        const again = yield* self.drain({ temporality: "total", now })
        assert.strictEqual(again.reduce((sum, { recorded }) => sum + recorded, 0), count)
        return (user + system) / 1000
      })
      yield* restored(100_000)
      const [some, many] = [yield* restored(100_000), yield* restored(1_600_000)]
      // 16 times the values. With a copy of all values per part it would take 256 times as long; 20 ms allow for noise.
      assert.isBelow(many, 80 * (some + 20))
    }))
})
