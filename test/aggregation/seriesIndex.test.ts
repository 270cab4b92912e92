import { assert, describe, it } from "@effect/vitest"
import { MetricsAggregator } from "effect-threadstats"
import type { RollUp } from "effect-threadstats"
import * as Effect from "effect/Effect"
import { SeriesIndex } from "../../src/internal/aggregation/seriesIndex.js"
import type { SeriesKey } from "../../src/internal/aggregation/seriesKey.js"
import { metricKinds } from "../../src/internal/model/metricKinds.js"
import * as SeriesIdentity from "../../src/internal/model/seriesIdentity.js"
import { add, drain, itAggregates, now } from "../support/aggregator.js"
import { makeMetricsAggregator } from "../support/layers.js"
import { identitiesDiffer, tagOrderIsIrrelevant } from "./properties.js"

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length === 0 ?
    [[]] :
    items.flatMap((item, i) => permutations(items.filter((_, other) => other !== i)).map((rest) => [item, ...rest]))

describe("seriesIndex identity", () => {
  /** Adds one point for each identity, drains, and returns the number of points of each aggregated series. */
  const countPoints = Effect.fnUntraced(function*(identities: ReadonlyArray<MetricsAggregator.SeriesOptions>) {
    for (const identity of identities) yield* add("counter", "x", 1, identity)
    return (yield* drain("delta")).map(({ host, recorded, tags }) => [host, tags.join(" "), recorded] as const)
  })

  identitiesDiffer(50)
  tagOrderIsIrrelevant(50)

  itAggregates(
    "separates series by name, host and set of tags, and by nothing else",
    () =>
      Effect.gen(function*() {
        yield* add("counter", "x", 1)
        yield* add("counter", "x", 1, { host: "h" })
        yield* add("counter", "x", 1, { host: "" })
        yield* add("counter", "x", 1, { tags: ["a", "b"] })
        yield* add("counter", "x", 1, { tags: ["b", "a", "b"] })
        yield* add("counter", "x", 1, { tags: ["a.b"] })
        yield* add("counter", "x", 1, { tags: ["a-b"] })
        yield* add("counter", "x", 1, { tags: ["ab"] })
        yield* add("counter", "x", 1, { tags: ["a-b", "c"] })
        yield* add("counter", "x", 1, { tags: ["a", "b-c"] })
        yield* add("counter", "x", 1, { tags: { a: "b" } })
        yield* add("counter", "x", 1, { tags: ["a:b"] })
        yield* add("counter", "x", 1, { tags: [] })
        yield* add("counter", "x", 1, { host: null })
        const items = yield* drain()
        assert.deepStrictEqual(
          items.map(({ host, kind, recorded, tags }) => [kind, host, tags.join(" "), recorded]),
          [
            ["counter", null, "", 3],
            ["counter", "h", "", 1],
            ["counter", "", "", 1],
            ["counter", null, "a b", 2],
            ["counter", null, "a.b", 1],
            ["counter", null, "a-b", 1],
            ["counter", null, "ab", 1],
            ["counter", null, "a-b c", 1],
            ["counter", null, "a b-c", 1],
            ["counter", null, "a:b", 2]
          ]
        )
      })
  )

  itAggregates("finds one series for every order of its tags when any order came first", () =>
    Effect.gen(function*() {
      for (
        const tags of [["a:1", "a:2"], ["a:1", "b:1", "c:1", "d:1"], ["a:1", "a:2", "b"], ["a", "a:0", "a:1", "b:1"]]
      ) {
        const orders = permutations(tags)
        for (const first of [0, 1, orders.length - 1]) {
          const rotated = [...orders.slice(first), ...orders.slice(0, first)]
          const [item, ...others] = yield* countPoints(rotated.concat(rotated).map((tags) => ({ tags })))
          assert.deepStrictEqual(others, [])
          assert.strictEqual(item?.[2], 2 * orders.length)
          assert.deepStrictEqual(item?.[1].split(" ").sort(), tags)
        }
      }
    }))

  itAggregates(
    "finds one series for two orders of tags when one key begins like another",
    () =>
      Effect.gen(function*() {
        const orders = [["a:0", "ab:0"], ["ab1:1", "ab2:1"], ["ab2:1", "ab1:1"]]
        assert.deepStrictEqual(yield* countPoints(orders.map((tags) => ({ tags }))), [
          [null, "a:0 ab:0", 1],
          [null, "ab1:1 ab2:1", 2]
        ])
      })
  )

  itAggregates("separates many series that differ in one tag or in the host", () =>
    Effect.gen(function*() {
      const digits = [0, 1, 2, 3, 4, 5]
      const identities = digits.flatMap((i) =>
        digits.flatMap((j) =>
          digits.map((k) => ({ host: k === 0 ? null : `web-${k}`, tags: [`a:${i}`, "same:1", `b:${j}`] }))
        )
      )
      const reversed = identities.map(({ host, tags }) => ({ host, tags: tags.toReversed() }))
      assert.deepStrictEqual(
        yield* countPoints([...identities, ...reversed, ...identities]),
        identities.map(({ host, tags }) => [host, tags.join(" "), 3] as const)
      )
    }))

  itAggregates(
    "copies the caller's array of tags, so that later changes of the array name another series",
    () =>
      Effect.gen(function*() {
        const tags = ["a:1", "b:1"]
        yield* add("counter", "x", 1, { tags })
        tags[1] = "b:2"
        yield* add("counter", "x", 1, { tags })
        tags.reverse()
        yield* add("counter", "x", 1, { tags })
        assert.deepStrictEqual((yield* drain()).map(({ recorded, tags }) => [tags.join(" "), recorded]), [
          ["a:1 b:1", 1],
          ["a:1 b:2", 2]
        ])
      })
  )

  itAggregates(
    "separates series whose texts end alike when points of all of them alternate",
    () =>
      Effect.gen(function*() {
        const series = (["counter", "gauge", "distribution"] as const).flatMap((kind) =>
          [`${kind}.a.same.end`, `${kind}.b.same.end`].flatMap((name) =>
            [null, "h", "i"].flatMap((host) =>
              [["x-same", "u-same"], ["y-same", "u-same"], ["x-same", "v-same"], ["x-same"]].map((tags) => ({
                kind,
                name,
                host,
                tags
              }))
            )
          )
        )
        const record = ({ kind, name, ...point }: typeof series[number]) => add(kind, name, 1, point)
        for (const one of series) yield* record(one)
        for (const one of series) {
          for (const other of series) yield* Effect.zipRight(record(one), record(other))
        }
        assert.deepStrictEqual(
          (yield* drain()).map(({ host, kind, name, recorded, tags }) => ({ kind, name, host, tags, recorded })),
          series.map((one) => ({ ...one, recorded: 2 * series.length + 1 }))
        )
      })
  )

  itAggregates(
    "separates a series without tags from series with one tag when their points alternate",
    () =>
      Effect.gen(function*() {
        const tag = (i: number) => String.fromCharCode(97 + i % 26).repeat(1 + i / 26)
        const all: ReadonlyArray<ReadonlyArray<string>> = [[], ...Array.from({ length: 1000 }, (_, i) => [tag(i)])]
        for (const tags of all) yield* add("counter", "x", 1, { tags })
        for (const tags of all) yield* Effect.zipRight(add("counter", "x", 1), add("counter", "x", 1, { tags }))
        assert.deepStrictEqual(
          (yield* drain()).map(({ recorded }) => recorded),
          all.map((tags) => tags.length === 0 ? all.length + 2 : 2)
        )
      })
  )

  itAggregates(
    "separates series that differ in one tag, in the number of tags, in the name or host",
    () =>
      Effect.gen(function*() {
        const variants: Array<readonly [kind: RollUp.Kind, name: string, series: MetricsAggregator.SeriesOptions]> = []
        const texts = (at: number) => Array.from({ length: 6 }, (_, i) => i === at ? "one:alike" : "two:alike")
        for (let length = 0; length <= 6; length++) {
          for (let at = 0; at < length; at++) {
            variants.push(["counter", "one.alike", {
              tags: texts(at).map((text, i) => `${i}${text}`).slice(0, length)
            }])
          }
          const tags = texts(-1).map((text, i) => `${i}${text}`).slice(0, length)
          for (const host of [null, "one-alike", "two-alike"]) {
            variants.push(["counter", "one.alike", { tags, host }], ["counter", "two.alike", { tags, host }])
            variants.push(["gauge", "six.alike", { tags, host }])
          }
        }
        for (let round = 0; round < 2; round++) {
          for (const [kind, name, series] of variants) yield* add(kind, name, 1, series)
        }
        const items = yield* drain()
        assert.deepStrictEqual(
          items.map(({ host, kind, name, tags }) => [kind, name, host, tags]),
          variants.map(([kind, name, { host = null, tags }]) => [kind, name, host, tags])
        )
        assert.isTrue(items.every(({ recorded }) => recorded === 2))
      })
  )

  for (
    const [position, ending] of [
      ["at their end", ""],
      ["shortly before their end", "-abcdef"],
      ["far before their end", "-".repeat(100)]
    ]
  ) {
    it.effect(`separates thousands of series whose tags differ ${position}`, () =>
      Effect.gen(function*() {
        const self = yield* makeMetricsAggregator({ maxSeries: 1_000_000 })
        const tags = Array.from({ length: 5000 }, (_, i) => `id:${String(i).padStart(6, "0")}${ending}`)
        for (let round = 0; round < 2; round++) {
          for (const tag of tags) self.unsafeAdd("counter", "a", 1, now, { tags: [tag] })
        }
        const items = yield* self.drain({ temporality: "total", now })
        assert.deepStrictEqual(items.map((item) => item.tags), tags.map((tag) => [tag]))
        assert.isTrue(items.every(({ recorded }) => recorded === 2))
      }))
  }
})

describe("seriesIndex eviction", () => {
  itAggregates("forgets the other orders of tags together with their series", () =>
    Effect.gen(function*() {
      const [one, other] = [{ tags: ["a", "z"] }, { tags: ["z", "a"] }]
      for (const order of [one, other, other]) yield* add("distribution", "x", 1, order)
      yield* drain()
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < 8000; i++) yield* add("distribution", "y", i, { tags: [`n:${round * 8000 + i}`] })
        yield* drain()
      }
      yield* add("distribution", "causes eviction", 1)
      for (const order of [other, one]) yield* add("distribution", "x", 1, order)
      assert.deepStrictEqual((yield* drain()).map(({ name, recorded }) => [name, recorded]), [
        ["causes eviction", 1],
        ["x", 2]
      ])
    }))

  it.effect("keeps one series for bound and unbound points when the series returns with another order of tags", () =>
    Effect.gen(function*() {
      const aggregator = yield* makeMetricsAggregator()
      const flush = aggregator.drain({ temporality: "delta", now })
      const count = (...tags: ReadonlyArray<string>) =>
        aggregator.unsafeAdd("counter", "shop.orders", 10, now, { tags })
      const bound = aggregator.bind("counter", "shop.orders", { tags: ["red", "large"] }, {
        now: () => now,
        onHighWaterMark: () => {}
      })

      for (let round = 0; round < 3; round++) {
        const orders = round % 2 === 0 ? [["red", "large"], ["large", "red"]] : [["large", "red"], ["red", "large"]]
        for (const order of orders) count(...order)
        bound(10)
        const items = yield* flush
        assert.deepStrictEqual(
          items.map(({ name, points, tags }) => [name, [...tags].sort(), points[0]?.value] as const),
          [["shop.orders", ["large", "red"], 3]]
        )
        // The index remembers 10,000 series without pending points. These evict the series above.
        for (let i = 0; i < 10_100; i++) aggregator.unsafeAdd("counter", "other", 1, now, { tags: [`n:${round}-${i}`] })
        assert.lengthOf(yield* flush, 10_100)
        for (let i = 0; i < 2; i++) aggregator.unsafeAdd("counter", `next.${i}`, 1, now)
        assert.lengthOf(yield* flush, 2)
      }
    }))
})

describe("SeriesIndex", () => {
  type Key = SeriesKey<unknown>

  /** An index whose series differ in their tags alone. */
  const makeIndex = (maxSize: number) => {
    const index = new SeriesIndex<unknown>({
      maxSize,
      seed: 1,
      accumulationOf: (kind) => metricKinds[kind],
      identity: SeriesIdentity.make({ tags: [], hostname: undefined, attachHost: false })
    })
    const internAs: typeof index.intern = (...args) => index.intern(...args)
    return {
      internAs,
      intern: (...tags: ReadonlyArray<string>): Key => {
        const key = index.intern("counter", "shop.orders", tags, null)
        assert.isObject(key)
        return key as Key
      },
      find: (...tags: ReadonlyArray<string>) => index.find("counter", "shop.orders", tags, null),
      retain: (isWanted: (key: Key) => boolean) => index.retain(isWanted),
      size: () => index.size
    }
  }

  describe.each(
    [
      ["distinct keys in one order", "shop:eu", "kind:new"],
      ["no key", "red", "large"],
      ["one key twice", "tag:a", "tag:b"]
    ] as const
  )("for tags with %s", (_, first, second) => {
    it("returns one key for every order of tags, and a new key for every order after eviction", () => {
      const { find, intern, retain, size } = makeIndex(100)
      const evicted = intern(first, second)
      assert.strictEqual(intern(second, first), evicted)
      assert.strictEqual(find(second, first), evicted)
      assert.strictEqual(size(), 2)

      retain(() => false)
      assert.strictEqual(size(), 0)
      assert.isUndefined(evicted.canonical)
      for (const tags of [[first, second], [second, first]]) assert.isUndefined(find(...tags))

      const replacement = intern(second, first)
      assert.notStrictEqual(replacement, evicted)
      assert.strictEqual(replacement.canonical, replacement)
      assert.deepStrictEqual(replacement.tags, [second, first])
      assert.strictEqual(intern(first, second), replacement)
      for (const tags of [[first, second], [second, first]]) assert.strictEqual(find(...tags), replacement)
      assert.isUndefined(evicted.canonical)
    })

    it("keeps the key of a retained series for every order of tags when other series are evicted", () => {
      const { find, intern, retain, size } = makeIndex(100)
      const retained = intern(first, second)
      intern(second, first)
      const evicted = intern(`${first}2`, second)
      intern(second, `${first}2`)
      assert.strictEqual(size(), 4)

      // Eviction removes the entries of other orders. A later lookup creates them again.
      retain((key) => key === retained)
      assert.strictEqual(size(), 1)
      assert.strictEqual(retained.canonical, retained)
      assert.strictEqual(find(first, second), retained)
      assert.isUndefined(find(second, first))
      assert.strictEqual(intern(second, first), retained)
      assert.strictEqual(find(second, first), retained)
      assert.strictEqual(size(), 2)

      assert.isUndefined(evicted.canonical)
      const replacement = intern(second, `${first}2`)
      assert.notStrictEqual(replacement, evicted)
      assert.strictEqual(replacement.canonical, replacement)
      assert.strictEqual(intern(`${first}2`, second), replacement)
    })
  })

  it("keeps the keys of all retained series when their tags have keys in different orders", () => {
    const { intern, retain, size } = makeIndex(100)
    const [first, second] = [intern("shop:eu", "kind:new"), intern("kind:old", "shop:us")]
    retain(() => true)
    assert.strictEqual(size(), 2)
    assert.strictEqual(intern("kind:new", "shop:eu"), first)
    assert.strictEqual(intern("shop:us", "kind:old"), second)
  })

  it("removes the families and the tag orders of evicted series", () => {
    const { intern, internAs, retain } = makeIndex(100)
    const gauge = internAs("gauge", "shop.orders", ["round", "large"], null) as Key
    const single = intern("red")
    const retained = intern("large", "red")
    const irregular = intern("small", "blue")
    intern("blue", "small")
    const { family } = retained.group
    const roles = () => {
      const all = []
      for (let group = family.newestGroup; group !== undefined; group = group.nextGroup) {
        all.push([group.kind, group.isSpelling])
      }
      return all
    }
    assert.strictEqual(family.nextFamily, undefined)
    assert.strictEqual(single.group.family.nextFamily, family)
    assert.deepStrictEqual(roles(), [["counter", true], ["counter", false], ["gauge", false]])
    assert.deepStrictEqual(Array.from(family.bySortedTags!.values()), [gauge, retained, irregular])

    retain((key) => key === retained)
    assert.strictEqual(family.newestGroup, retained.group)
    assert.strictEqual(family.newestKey, retained)
    assert.isUndefined(retained.next)
    assert.isUndefined(family.nextFamily)
    assert.deepStrictEqual(Array.from(family.bySortedTags!.values()), [retained])
  })

  it("remembers other orders of tags up to its limit and finds the series for all orders beyond it", () => {
    const { find, intern, internAs, size } = makeIndex(5)
    const tags = ["red", "large", "round", "soft"]
    const orders = permutations(tags)
    assert.strictEqual(orders.length, 24)
    const key = intern(...tags)
    for (const order of orders) {
      assert.strictEqual(intern(...order), key)
      assert.isAtMost(size(), 5)
    }
    assert.strictEqual(size(), 5)
    assert.strictEqual(orders.filter((order) => find(...order) === key).length, 5)
    assert.strictEqual(orders.filter((order) => find(...order) === undefined).length, 19)

    // The limit does not refuse new series: the aggregator bounds their number.
    const other = internAs("counter", "shop.orders", ["red", "large", "round", "hard"], "shop-1") as Key
    assert.strictEqual(other.canonical, other)
    assert.strictEqual(size(), 6)
  })

  it("remembers other orders of tags again when eviction has made room", () => {
    const { find, intern, retain, size } = makeIndex(2)
    const retained = intern("red", "large")
    const others = [intern("blue", "large"), intern("green", "large")]
    assert.strictEqual(intern("large", "red"), retained)
    assert.isUndefined(find("large", "red"))
    retain((key) => !others.includes(key))
    assert.strictEqual(intern("large", "red"), retained)
    assert.strictEqual(find("large", "red"), retained)
    assert.strictEqual(size(), 2)
  })
})
