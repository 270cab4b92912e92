import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import { layerInProcess } from "../support/intake.js"
import { postDistributions, postSeries } from "../support/intakeClient.js"

const point = (type: string, value: unknown, more: object = {}) => ({
  metric: "m",
  points: [[1_700_000_000, value]],
  type,
  tags: ["b", "a"],
  interval: 10,
  ...more
})

describe("LocalIntake.stored", () => {
  it.effect("keeps the last value of each series and second, whatever the order of its tags", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* postSeries(
        point("rate", 1),
        point("rate", 2, { points: [[1_700_000_000.9, 2], [1_699_999_990, 9]] })
      )
      yield* postSeries(point("rate", 3, { tags: ["a", "b", "a"], host: null }))
      assert.deepStrictEqual((yield* intake.stored).series, [{
        metric: "m",
        type: "rate",
        host: "",
        device: "",
        tags: ["a", "b"],
        interval: 10,
        points: [[1_699_999_990, 9], [1_700_000_000, 3]]
      }])
      assert.strictEqual(yield* intake.total("m"), 120)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("distinguishes series by name, host, device and tags, and not by type", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const others = [{}, { metric: "n" }, { host: "h" }, { device: "d" }, { tags: ["a"] }, { tags: ["a", "b", "c"] }]
      for (const other of others) yield* postSeries(point("count", 1, other))
      yield* postSeries(point("gauge", 7))
      const { series } = yield* intake.stored
      assert.deepStrictEqual(series.map(({ points, type }) => `${type} ${points[0]?.[1]}`), [
        "gauge 7",
        ...others.slice(1).map(() => "count 1")
      ])
      assert.strictEqual(yield* intake.total("m"), 4)
      assert.strictEqual(yield* intake.total("n"), 1)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("appends the values of a distribution that arrive for the same second", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* postDistributions(point("distribution", [1, 2]))
      yield* postDistributions(point("distribution", [2]), point("distribution", [5], { host: "h" }))
      const { distributions } = yield* intake.stored
      assert.deepStrictEqual(distributions.map(({ points }) => points), [
        [[1_700_000_000, [1, 2, 2]]],
        [[1_700_000_000, [5]]]
      ])
      assert.strictEqual(yield* intake.total("m"), 10)
      yield* intake.clear
      assert.deepStrictEqual(yield* intake.stored, { series: [], distributions: [] })
    }).pipe(Effect.provide(layerInProcess())))
})
