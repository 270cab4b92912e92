import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fixture from "../fixtures/threadstats.json" with { type: "json" }
import { check, compare, points, reopens, run, type Vector, type Vectors } from "./runner.js"

const { vectors } = fixture as unknown as Vectors

describe("test vectors of the reference", () => {
  for (const vector of vectors) {
    it.effect(`flushes the batches that the reference flushed in vector ${vector.id}`, () =>
      Effect.map(check(vector), (faults) => assert.deepStrictEqual(faults, [])))
  }

  it("contains 40 vectors, 38 of which are compared in both temporalities", () => {
    assert.strictEqual(vectors.length, 40)
    assert.strictEqual(vectors.filter(reopens).length, 2)
    assert.isAbove(vectors.reduce((sum, vector) => sum + points(vector), 0), 3000)
  })
})

describe("compare", () => {
  type Copy = { flushes: Array<{ [part in "metrics" | "distributions" | "events"]: Array<Record<string, unknown>> }> }

  const firstOf = ({ flushes }: Copy, part: "metrics" | "distributions" | "events") =>
    flushes.find((flush) => flush[part].length > 0)![part]

  const changes: ReadonlyArray<readonly [string, (copy: Copy) => void]> = [
    ["a series is missing", (copy) => firstOf(copy, "metrics").pop()],
    ["an event is missing", (copy) => firstOf(copy, "events").pop()],
    ["the points differ", (copy) => (firstOf(copy, "metrics")[0]!.points = [[1, 2]])],
    ["the type differs", (copy) => (firstOf(copy, "metrics")[0]!.type = "count")],
    ["the tags differ", (copy) => (firstOf(copy, "metrics")[0]!.tags = ["other"])],
    ["the host differs", (copy) => (firstOf(copy, "metrics")[0]!.host = "other")],
    ["the interval differs", (copy) => (firstOf(copy, "metrics")[0]!.interval = 7)],
    ["a distribution is missing in the client's batch", (copy) =>
      firstOf(copy, "distributions").push({
        metric: "extra",
        points: [[1, [2]]],
        tags: [],
        interval: 10,
        type: "distribution"
      })],
    ["the title of an event differs", (copy) => (firstOf(copy, "events")[0]!.title = "other")]
  ]

  const vector = vectors.find(({ flushes }) =>
    flushes.some((flush) => flush.metrics.length > 0) && flushes.some((flush) => flush.distributions.length > 0) &&
    flushes.some((flush) => flush.events.length > 0)
  )!

  for (const [difference, change] of changes) {
    it.effect(`reports a fault when ${difference}`, () =>
      Effect.gen(function*() {
        const actual = yield* run(vector, "delta")
        assert.deepStrictEqual(compare(vector, actual), [])
        const copy = JSON.parse(JSON.stringify(vector)) as Vector
        change(copy as unknown as Copy)
        assert.isNotEmpty(compare(copy, actual))
      }))
  }

  it.effect("reports a fault when the last flush is missing", () =>
    Effect.gen(function*() {
      const actual = yield* run(vector, "delta")
      assert.isNotEmpty(compare(vector, actual.slice(0, -1)))
    }))
})
