import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { add, drain, itAggregates, stats } from "../support/aggregator.js"
import { lie } from "../support/hostile.js"

describe("MetricsAggregator add", () => {
  itAggregates(
    "drops each point that Datadog would refuse and counts it under its reason",
    () =>
      Effect.gen(function*() {
        yield* add("gauge", "ok", 1)
        yield* add("gauge", "x", Number.NaN)
        yield* add("counter", "x", Infinity)
        yield* add("distribution", "x", lie("3"))
        yield* add("set", "x", Number.NaN)
        yield* add("set", "fine", "any text")
        yield* add("gauge", "", 1)
        yield* add("gauge", "1st", 1)
        yield* add("gauge", lie(undefined), 1)
        yield* add("gauge", lie(Symbol("name")), 1)
        yield* add("gauge", "x", 1, { tags: lie([1]) })
        yield* add("gauge", "x", 1, { tags: lie("a:b") })
        yield* add("gauge", "x", 1, { tags: lie({ a: {} }) })
        yield* add(
          "gauge",
          "x",
          1,
          lie({
            get tags() {
              throw new Error("a getter")
            }
          })
        )
        yield* add("gauge", "x", 1, { host: "h".repeat(256) })
        yield* add("gauge", "x", 1, { host: lie(7) })
        yield* add("gauge", "x", 1, undefined, Number.NaN)
        const { dropped, pending: held, received, series } = yield* stats
        assert.deepStrictEqual(dropped, {
          InvalidValue: 4,
          InvalidName: 4,
          InvalidTags: 4,
          InvalidHost: 2,
          InvalidTimestamp: 1
        })
        assert.deepStrictEqual({ held, received, series }, { held: 2, received: 17, series: 2 })
        assert.deepStrictEqual((yield* drain()).map(({ name }) => name), ["ok", "fine"])
      })
  )

  itAggregates(
    "accepts a tag of 200 characters, a host of 255 characters and null in place of tags and host",
    () =>
      Effect.gen(function*() {
        yield* add("gauge", "x", 1, { tags: ["a".repeat(200)], host: "h".repeat(255) })
        yield* add("gauge", "x", 1, lie(null))
        assert.strictEqual((yield* drain()).length, 2)
        assert.deepStrictEqual((yield* stats).dropped, {})
      })
  )

  itAggregates("copies the tags of the first point of a series in their order", () =>
    Effect.gen(function*() {
      const tags = ["z", "a"]
      yield* add("gauge", "x", 1, { tags })
      tags.push("later")
      yield* add("gauge", "x", 1, { tags: ["a", "z"] })
      assert.deepStrictEqual((yield* drain()).map((item) => item.tags), [["z", "a"]])
    }))

  itAggregates("leaves out empty tags and undefined values of a record of tags", () =>
    Effect.gen(function*() {
      yield* add("gauge", "x", 1, { tags: ["", "a"] })
      yield* add("gauge", "x", 1, { tags: { env: undefined, shard: 3, canary: false } })
      assert.deepStrictEqual((yield* drain()).map((item) => item.tags), [["a"], ["shard:3", "canary:false"]])
    }))
})
