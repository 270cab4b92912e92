import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { MetricsAggregator, RollUp, ThreadStatsConfig } from "effect-threadstats"
import { add, drain, itAggregates, minute, now, restore, stats } from "../support/aggregator.js"
import { lie } from "../support/hostile.js"
import { makeMetricsAggregator } from "../support/layers.js"

const recordedSeries = Effect.map(
  drain(),
  (items) => items.map(({ name, points, recorded, tags }) => [name, tags, recorded, points[0]?.value] as const)
)

describe("series identity", () => {
  const spellings: ReadonlyArray<
    readonly [
      title: string,
      first: readonly [string, ReadonlyArray<string>],
      other: readonly [string, ReadonlyArray<string>]
    ]
  > = [
    ["the case of a tag", ["orders", ["Env:Prod"]], ["orders", ["env:prod"]]],
    ["a replaced character of a name", ["get user", []], ["get_user", []]],
    ["a replaced letter of a name", ["naïve", []], ["naÿve", []]],
    ["a replaced character of a tag", ["orders", ["team:core ops"]], ["orders", ["team:core_ops"]]],
    ["a trailing underscore of a tag", ["orders", ["core_"]], ["orders", ["core"]]],
    ["a trailing colon of a tag", ["orders", ["flag:"]], ["orders", ["flag"]]],
    ["repeated underscores of a tag", ["orders", ["a__b"]], ["orders", ["a_b"]]],
    ["the case and the order of tags", ["orders", ["a:1", "B:2"]], ["orders", ["b:2", "A:1"]]],
    ["the end of a tag beyond 200 characters", ["orders", [`a${"x".repeat(300)}`]], ["orders", [
      `a${"x".repeat(199)}y`
    ]]]
  ]
  for (const [title, [firstName, firstTags], [otherName, otherTags]] of spellings) {
    itAggregates(`adds up two spellings that differ in ${title}, under the first one`, () =>
      Effect.gen(function*() {
        for (let round = 0; round < 3; round++) {
          yield* add("counter", firstName, 70, { tags: firstTags })
          yield* add("counter", otherName, 50, { tags: otherTags })
        }
        const sent = firstTags.map((tag) => tag.slice(0, 200))
        assert.deepStrictEqual(yield* recordedSeries, [[firstName, sent, 6, 36]])
      }))
  }

  itAggregates("adds up spellings of one point, of records and of bound series", () =>
    Effect.gen(function*() {
      const aggregator = yield* makeMetricsAggregator()
      aggregator.unsafeAdd("counter", "x", 1, now, { tags: ["Env:Prod", "env:prod"] })
      aggregator.unsafeAdd("counter", "x", 1, now, { tags: { ENV: "prod" } })
      aggregator.unsafeAdd("counter", "x", 1, now, { tags: { env: "prod" } })
      const items = yield* aggregator.drain({ temporality: "total", now })
      assert.deepStrictEqual(items.map(({ recorded, tags }) => [tags, recorded]), [[["Env:Prod"], 3]])
    }))

  itAggregates(
    "separates hosts and devices that differ in case, in the field and in a tag",
    () =>
      Effect.gen(function*() {
        for (const tag of ["host:Web", "host:web", "device:Sda", "device:sda"]) {
          yield* add("counter", "x", 1, { tags: [tag] })
        }
        for (const host of ["Web", "web"]) yield* add("counter", "x", 1, { host })
        assert.lengthOf(yield* drain(), 6)
      })
  )

  itAggregates(
    "adds up points that have a constant tag and points that get it, whatever its spelling",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "x", 1)
        yield* add("counter", "x", 2, { tags: ["env:prod"] })
        yield* add("counter", "x", 3, { tags: ["ENV:prod", "Env:Prod"] })
        yield* add("counter", "y", 4, { tags: ["ENV:prod", "a"] })
        yield* add("counter", "y", 5, { tags: ["a"] })
        assert.deepStrictEqual(yield* recordedSeries, [["x", [], 3, 0.6], ["y", ["a"], 2, 0.9]])
      }),
    { constantTags: ["Env:prod"] }
  )

  itAggregates(
    "adds up points of the client's own host, which some name and others leave out",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "x", 1)
        yield* add("counter", "x", 2, { host: "" })
        yield* add("counter", "x", 3, { host: "web-1" })
        assert.deepStrictEqual((yield* drain()).map(({ host, recorded }) => [host, recorded]), [[null, 3]])
      }),
    { hostname: "web-1", attachHost: true }
  )

  itAggregates(
    "adds up points with an empty host and points without a host when the client has no host",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "x", 1)
        yield* add("counter", "x", 2, { host: "" })
        yield* add("counter", "y", 3, { host: "" })
        yield* add("counter", "y", 4)
        assert.deepStrictEqual((yield* drain()).map(({ host, name, recorded }) => [name, host, recorded]), [
          ["x", null, 2],
          ["y", "", 2]
        ])
      }),
    { hostname: "" }
  )

  itAggregates(
    "separates an empty host from no host when the reporter may know the name of the machine",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "x", 1)
        yield* add("counter", "x", 2, { host: "" })
        assert.lengthOf(yield* drain(), 2)
      })
  )

  itAggregates(
    "finds a series by a record of tags in the order of its keys, by an array, and by numbers and booleans",
    () =>
      Effect.gen(function*() {
        for (let round = 0; round < 2; round++) {
          yield* add("counter", "x", 1, { tags: { a: "1", b: 2, c: true, d: "long text" } })
          yield* add("counter", "x", 1, { tags: ["a:1", "b:2", "c:true", "d:long text"] })
          yield* add("counter", "x", 1, { tags: { d: "long text", c: "true", none: undefined, b: 2, a: 1 } })
          yield* add("counter", "x", 1, { tags: { a: "1:b:2" } })
          yield* add("counter", "x", 1, { tags: { "a:1": "b:2" } })
          yield* add("counter", "x", 1, { tags: { a: "" } })
        }
        assert.deepStrictEqual((yield* drain()).map(({ recorded, tags }) => [tags.join(), recorded]), [
          ["a:1,b:2,c:true,d:long text", 6],
          ["a:1:b:2", 4],
          ["a:", 2]
        ])
      })
  )

  itAggregates(
    "separates thousands of records of tags that differ in one character at any position",
    () =>
      Effect.gen(function*() {
        const records = Array.from(
          { length: 3000 },
          (_, i) => ({ first: `a${i % 7}-same`, id: `${i}-${"x".repeat(30)}same` })
        )
        for (let round = 0; round < 2; round++) {
          for (const tags of records) yield* add("counter", "x", 1, { tags })
        }
        const items = yield* drain()
        assert.lengthOf(items, records.length)
        assert.isTrue(items.every(({ recorded }) => recorded === 2))
      })
  )

  itAggregates("drops points with more than 1000 tags, in an array and in a record", () =>
    Effect.gen(function*() {
      const tags = Array.from({ length: 1001 }, (_, i) => [`k${i}`, "v"] as const)
      const record = Object.fromEntries(tags)
      for (let i = 0; i < 2; i++) {
        yield* add("counter", "x", 1, { tags: record })
        yield* add("counter", "x", 1, { tags: tags.map((tag) => tag.join(":")) })
      }
      const { k1000: _, ...most } = record
      yield* add("counter", "x", 1, { tags: most })
      yield* add("counter", "x", 1, { tags: most })
      assert.deepStrictEqual((yield* stats).dropped, { InvalidTags: 4 })
      assert.deepStrictEqual((yield* drain()).map(({ recorded, tags }) => [tags.length, recorded]), [[1000, 2]])
    }))

  itAggregates(
    "cuts tags of more than 200 characters, in an array and in a record, and counts them once for each series",
    () =>
      Effect.gen(function*() {
        for (let i = 0; i < 3; i++) {
          yield* add("counter", "x", 1, { tags: [`k:${"v".repeat(199)}`] })
          yield* add("counter", "x", 1, { tags: { k: "v".repeat(500) } })
        }
        assert.deepInclude(yield* stats, { dropped: {}, truncated: { TagTooLong: 1 } })
        assert.deepStrictEqual((yield* drain()).map(({ recorded, tags }) => [tags, recorded]), [[[
          `k:${"v".repeat(198)}`
        ], 6]])
      })
  )

  itAggregates("takes an array in place of options as tags, as other clients do", () =>
    Effect.gen(function*() {
      yield* add("counter", "x", 1, lie(["a:b"]))
      yield* add("counter", "x", 1, { tags: ["a:b"] })
      assert.deepStrictEqual((yield* drain()).map(({ recorded, tags }) => [tags, recorded]), [[["a:b"], 2]])
    }))
})

describe("series of two kinds", () => {
  itAggregates("makes one histogram of a timing and a histogram", () =>
    Effect.gen(function*() {
      for (const value of [1, 2]) {
        yield* add("timing", "x", value)
        yield* add("histogram", "x", value + 2)
      }
      const [item, ...others] = yield* drain()
      assert.lengthOf(others, 0)
      assert.deepInclude(item, { kind: "timing", recorded: 4 })
      assert.deepInclude(item!.points, { suffix: "max", type: "gauge", value: 4 })
      assert.deepStrictEqual((yield* stats).dropped, {})
    }), { submitAs: "series" })

  const kinds: ReadonlyArray<RollUp.Kind> = ["counter", "gauge", "set", "histogram", "distribution"]
  for (const first of kinds) {
    for (const second of kinds) {
      if (first === second) continue
      itAggregates(
        `drops points of a ${second} whose series is a ${first}, until the series is forgotten`,
        () =>
          Effect.gen(function*() {
            for (let round = 0; round < 2; round++) {
              yield* add(first, "x", 1, { tags: ["a", "b"] })
              yield* add(second, "x", 2, { tags: ["B", "a"] })
            }
            yield* add(second, "x", 3, { tags: ["a"] })
            assert.deepStrictEqual((yield* drain()).map(({ kind, recorded }) => [kind, recorded]), [[first, 2], [
              second,
              1
            ]])
            assert.deepInclude(yield* stats, { received: 5, dropped: { KindConflict: 2 } })
          })
      )
    }
  }

  it.effect("sends the kind that comes first again when the series was forgotten, also through a bound series", () =>
    Effect.gen(function*() {
      const aggregator = yield* makeMetricsAggregator()
      const flush = aggregator.drain({ temporality: "delta", now })
      aggregator.unsafeAdd("counter", "x", 1, now)
      const set = aggregator.bind("gauge", "x", undefined, { now: () => now, onHighWaterMark: () => {} })
      for (let i = 0; i < 2; i++) set(7)
      assert.deepStrictEqual((yield* flush).map(({ kind }) => kind), ["counter"])
      for (let i = 0; i < 10_100; i++) aggregator.unsafeAdd("counter", "other", 1, now, { tags: [`n:${i}`] })
      yield* flush
      for (let i = 0; i < 2; i++) aggregator.unsafeAdd("counter", `next.${i}`, 1, now)
      yield* flush
      set(7)
      aggregator.unsafeAdd("counter", "x", 1, now)
      assert.deepStrictEqual((yield* flush).map(({ kind, name }) => [kind, name]), [["gauge", "x"]])
      assert.deepStrictEqual((yield* aggregator.stats).dropped, { KindConflict: 3 })
    }))

  const conflictsOf = (
    points: ReadonlyArray<readonly [kind: RollUp.Kind, name: string]>,
    options?: ThreadStatsConfig.ThreadStatsOptions
  ) =>
    Effect.gen(function*() {
      const aggregator = yield* makeMetricsAggregator(options)
      for (let round = 0; round < 2; round++) {
        for (const [kind, name] of points) aggregator.unsafeAdd(kind, name, 1, now)
      }
      assert.deepInclude(yield* aggregator.stats, { pending: 2 * points.length, dropped: {} })
      return (yield* aggregator.drainWarnings).conflicts
    })

  it.effect("names metrics that a histogram or timing of another name sends with a suffix", () =>
    Effect.gen(function*() {
      const withSuffix = (suffix: string) => [`x.${suffix} (which the histogram x sends, too)`]
      assert.deepStrictEqual(yield* conflictsOf([["histogram", "x"], ["counter", "x.count"]]), withSuffix("count"))
      assert.deepStrictEqual(yield* conflictsOf([["gauge", "x.avg"], ["timing", "x"]]), withSuffix("avg"))
      assert.deepStrictEqual(
        yield* conflictsOf([["timing", "x"], ["gauge", "x.95percentile"]]),
        withSuffix("95percentile")
      )
      assert.deepStrictEqual(yield* conflictsOf([["histogram", "x"], ["histogram", "x.max"]]), [])
    }))

  it.effect("names no metric with a suffix that no histogram sends", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* conflictsOf([["histogram", "x"], ["counter", "x.sum"]]), [])
      assert.deepStrictEqual(yield* conflictsOf([["counter", "x"], ["counter", "x.count"]]), [])
      assert.deepStrictEqual(yield* conflictsOf([["distribution", "x"], ["counter", "x.count"]]), [])
      const options = { submitAs: "distributions" } as const
      assert.deepStrictEqual(yield* conflictsOf([["histogram", "x"], ["gauge", "x.count"]], options), [])
    }))

  it.effect("drops loaded and restored points whose series has another kind by now, and counts them", () =>
    Effect.gen(function*() {
      const earlier = yield* makeMetricsAggregator()
      for (let i = 0; i < 3; i++) earlier.unsafeAdd("counter", "x", 1, now)
      const snapshots = yield* earlier.snapshot(new Map())
      const aggregator = yield* makeMetricsAggregator()
      aggregator.unsafeAdd("gauge", "x", 1, now)
      yield* aggregator.load(snapshots.flatMap(({ series = [] }) => series))
      assert.deepInclude(yield* aggregator.stats, { received: 4, pending: 1, dropped: { KindConflict: 3 } })
    }))
})

describe("MetricsAggregator drain", () => {
  itAggregates(
    "drops points more than ten minutes ahead when they are drained, because the clock was set back",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "fine", 1, undefined, now)
        yield* add("counter", "ahead", 1, undefined, now + minute)
        assert.deepStrictEqual((yield* drain("total", undefined, now - 10 * minute)).map(({ name }) => name), ["fine"])
        assert.deepStrictEqual((yield* stats).dropped, { TooNew: 1 })
      })
  )

  itAggregates("drains points of any time ahead when all timestamps are valid", () =>
    Effect.gen(function*() {
      yield* add("counter", "ahead", 1, undefined, now + 100 * minute)
      const items: ReadonlyArray<MetricsAggregator.AggregatedSeries> = yield* drain()
      assert.lengthOf(items, 1)
      yield* restore(items)
      assert.lengthOf(yield* drain(), 1)
    }), { acceptedTimestamps: "any" })
})
