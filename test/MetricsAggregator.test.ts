import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, FastCheck as fc, Layer } from "effect"
import { MetricsAggregator } from "effect-threadstats"
import type { Reporter, RollUp } from "effect-threadstats"

const now = 1_700_000_005_000

const drain = (temporality: Reporter.Temporality = "total", upTo?: number, at = now) =>
  Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.flush({ temporality, now: at, upTo }))

const add = (
  kind: RollUp.Kind,
  name: string,
  value: RollUp.Value,
  context?: MetricsAggregator.PointContext,
  time = now
) => Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.add(kind, name, value, time, context))

const stats = Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.stats)

const values = (items: ReadonlyArray<MetricsAggregator.RolledUp>) =>
  items.map(({ name, points, timestamp }) => [name, timestamp, points[0]?.value] as const)

const test = <E>(
  name: string,
  effect: () => Effect.Effect<void, E, MetricsAggregator.MetricsAggregator>
) => it.effect(name, () => Effect.provide(effect(), MetricsAggregator.layerDefault))

/** A lie to the type checker, as a caller without types would tell it. */
const lie = <A>(value: unknown): A => value as A

describe("MetricsAggregator", () => {
  test("rolls up by bucket of time", () =>
    Effect.gen(function*() {
      yield* add("counter", "a", 1, undefined, 1_700_000_000_000)
      yield* add("counter", "a", 2, undefined, 1_700_000_009_999.9)
      yield* add("counter", "a", 3, undefined, 1_700_000_010_000)
      assert.deepStrictEqual(values(yield* drain()), [
        ["a", 1_700_000_000, 0.3],
        ["a", 1_700_000_010, 0.3]
      ])
    }))

  test("hands out only the buckets that end at or before the bucket of `upTo`", () =>
    Effect.gen(function*() {
      yield* add("gauge", "a", 1, undefined, 10_000)
      yield* add("gauge", "a", 2, undefined, 20_000)
      assert.deepStrictEqual(values(yield* drain("total", 19_999, 19_999)), [])
      assert.deepStrictEqual(values(yield* drain("total", 29_999, 29_999)), [["a", 10, 1]])
      assert.deepStrictEqual(values(yield* drain("total", undefined, 29_999)), [["a", 20, 2]])
    }))

  test("takes times before the epoch and the epoch itself", () =>
    Effect.gen(function*() {
      yield* add("gauge", "a", 1, undefined, 0)
      yield* add("gauge", "a", 2, undefined, -1)
      assert.deepStrictEqual(values(yield* drain("total", undefined, 0)), [["a", 0, 1], ["a", -10, 2]])
    }))

  test("tells series apart by kind, name, host and the set of tags, and by nothing else", () =>
    Effect.gen(function*() {
      yield* add("counter", "x", 1)
      yield* add("gauge", "x", 1)
      yield* add("counter", "x", 1, { host: "h" })
      yield* add("counter", "x", 1, { host: "" })
      yield* add("counter", "x", 1, { tags: ["a", "b"] })
      yield* add("counter", "x", 1, { tags: ["b", "a", "b"] })
      yield* add("counter", "x", 1, { tags: ["a.b"] })
      yield* add("counter", "x", 1, { tags: ["a,b"] })
      yield* add("counter", "x", 1, { tags: ["ab"] })
      yield* add("counter", "x", 1, { tags: ["a,b", "c"] })
      yield* add("counter", "x", 1, { tags: ["a", "b,c"] })
      yield* add("counter", "x", 1, { tags: { a: "b" } })
      yield* add("counter", "x", 1, { tags: ["a:b"] })
      yield* add("counter", "x", 1, { tags: [] })
      yield* add("counter", "x", 1, { host: null })
      const items = yield* drain()
      assert.deepStrictEqual(
        items.map(({ host, kind, recorded, tags }) => [kind, host, tags.join(" "), recorded]),
        [
          ["counter", null, "", 3],
          ["gauge", null, "", 1],
          ["counter", "h", "", 1],
          ["counter", "", "", 1],
          ["counter", null, "a b", 2],
          ["counter", null, "a.b", 1],
          ["counter", null, "a,b", 1],
          ["counter", null, "ab", 1],
          ["counter", null, "a,b c", 1],
          ["counter", null, "a b,c", 1],
          ["counter", null, "a:b", 2]
        ]
      )
    }))

  /** Adds one to each context, over and over, and shows how often each was counted. */
  const counted = Effect.fnUntraced(function*(contexts: ReadonlyArray<MetricsAggregator.PointContext>) {
    for (const context of contexts) yield* add("counter", "x", 1, context)
    return (yield* drain("delta")).map(({ host, recorded, tags }) => [host, tags.join(" "), recorded] as const)
  })

  const permutations = (tags: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
    tags.length < 2
      ? [tags]
      : tags.flatMap((tag, i) => permutations(tags.filter((_, j) => j !== i)).map((rest) => [tag, ...rest]))

  test("counts every order of the same tags as one, whichever came first", () =>
    Effect.gen(function*() {
      for (
        const tags of [["a:1", "a:2"], ["a:1", "b:1", "c:1", "d:1"], ["a:1", "a:2", "b"], ["a", "a:", "a:1", "b:1"]]
      ) {
        const orders = permutations(tags)
        for (const first of [0, 1, orders.length - 1]) {
          const rotated = [...orders.slice(first), ...orders.slice(0, first)]
          const contexts = rotated.concat(rotated).map((tags) => ({ tags }))
          const [item, ...others] = yield* counted(contexts)
          assert.deepStrictEqual(others, [])
          assert.strictEqual(item?.[2], 2 * orders.length)
          assert.deepStrictEqual(item?.[1].split(" ").sort(), tags)
        }
      }
    }))

  test("counts two orders as one, where one key begins like another", () =>
    Effect.gen(function*() {
      const orders = [["a:0", "ab:0"], ["ab1:1", "ab2:1"], ["ab2:1", "ab1:1"]]
      assert.deepStrictEqual(yield* counted(orders.map((tags) => ({ tags }))), [
        [null, "a:0 ab:0", 1],
        [null, "ab1:1 ab2:1", 2]
      ])
    }))

  test("takes no point for an interval that it was asked about last, and has forgotten since", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 14_000; i++) yield* add("counter", "x", 1, { tags: [`n:${i}`] })
      assert.lengthOf(yield* drain("total", undefined, now + 60_000), 14_000)
      yield* add("counter", "x", 1, { tags: ["n:13999"] })
      assert.deepInclude(yield* stats, { held: 0, dropped: { Late: 1 } })
    }))

  test("tells apart what differs in any one tag or in the host, among many", () =>
    Effect.gen(function*() {
      const digits = [0, 1, 2, 3, 4, 5]
      const contexts = digits.flatMap((i) =>
        digits.flatMap((j) =>
          digits.map((k) => ({ host: k === 0 ? null : `web-${k}`, tags: [`a:${i}`, "same:1", `b:${j}`] }))
        )
      )
      const expected = contexts.map(({ host, tags }) => [host, tags.join(" "), 3] as const)
      // in another order too, which must not make them others
      const turned = contexts.map(({ host, tags }) => ({ host, tags: tags.toReversed() }))
      assert.deepStrictEqual(yield* counted([...contexts, ...turned, ...contexts]), expected)
    }))

  test("does not keep a caller's array: what is done to it later changes nothing", () =>
    Effect.gen(function*() {
      const tags = ["a:1", "b:1"]
      yield* add("counter", "x", 1, { tags })
      tags[1] = "b:2"
      yield* add("counter", "x", 1, { tags })
      tags.reverse()
      yield* add("counter", "x", 1, { tags })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ recorded, tags }) => [tags.join(" "), recorded]), [["a:1 b:1", 1], [
        "a:1 b:2",
        2
      ]])
    }))

  test("forgets contexts that are used no more, and knows again what comes back from a failed flush", () =>
    Effect.gen(function*() {
      yield* add("distribution", "kept", 1, { tags: ["n:0"] })
      const taken = yield* drain()
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 8000; i++) yield* add("distribution", "x", i, { tags: [`n:${round * 8000 + i}`] })
        assert.lengthOf(yield* drain(), 8000)
      }
      yield* add("distribution", "kept", 2, { tags: ["n:0"] })
      yield* Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.restore(taken))
      yield* add("distribution", "kept", 3, { tags: ["n:0"] })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name, values }) => [name, values]), [["kept", [1, 2, 3]]])
    }))

  test("forgets other orders of the tags, too, with the series that they stand for", () =>
    Effect.gen(function*() {
      const [one, other] = [{ tags: ["a", "z"] }, { tags: ["z", "a"] }]
      for (const order of [one, other, other]) yield* add("distribution", "x", 1, order)
      yield* drain()
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < 8000; i++) yield* add("distribution", "y", i, { tags: [`n:${round * 8000 + i}`] })
        yield* drain()
      }
      yield* add("distribution", "now the others are forgotten", 1)
      for (const order of [other, one]) yield* add("distribution", "x", 1, order)
      assert.deepStrictEqual((yield* drain()).map(({ name, recorded }) => [name, recorded]), [
        ["now the others are forgotten", 1],
        ["x", 2]
      ])
    }))

  test("tells series apart that look alike but for their beginning, kind or host, however they take turns", () =>
    Effect.gen(function*() {
      const series = (["counter", "gauge", "distribution"] as const).flatMap((kind) =>
        ["a-same-end", "b-same-end"].flatMap((name) =>
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
    }))

  test("tells a series from those with more tags, however they take turns", () =>
    Effect.gen(function*() {
      const tag = (i: number) => String.fromCharCode(97 + i % 26).repeat(1 + i / 26)
      const all: ReadonlyArray<ReadonlyArray<string>> = [[], ...Array.from({ length: 1000 }, (_, i) => [tag(i)])]
      for (const tags of all) yield* add("counter", "x", 1, { tags })
      for (const tags of all) yield* Effect.zipRight(add("counter", "x", 1), add("counter", "x", 1, { tags }))
      assert.deepStrictEqual(
        (yield* drain()).map(({ recorded }) => recorded),
        all.map((tags) => tags.length === 0 ? all.length + 2 : 2)
      )
    }))

  test("hands a large distribution out in parts, each of which can come back", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 20_000 }, (_, i) => i / 7)
      for (const value of all) yield* add("distribution", "d", value)
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ recorded, values }) => [recorded, values.length]), [
        [8192, 8192],
        [8192, 8192],
        [3616, 3616]
      ])
      assert.deepStrictEqual(items.flatMap(({ values }) => values), all)
      assert.deepInclude(yield* stats, { held: 0, contexts: 0, bytes: 0 })
      yield* add("distribution", "d", -1)
      yield* Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.restore([items[1]!]))
      assert.deepInclude(yield* stats, { held: 8193, contexts: 1 })
      const again = yield* drain()
      assert.deepStrictEqual(again.flatMap(({ values }) => values), [...all.slice(8192, 16_384), -1])
      assert.strictEqual(again.reduce((sum, { recorded }) => sum + recorded, 0), 8193)
    }))

  it.effect.prop("no two different contexts share a key, whatever their characters", {
    contexts: fc.uniqueArray(
      fc.record({
        name: fc.stringMatching(/^[a-b][ab:0-9\-]{0,3}$/),
        host: fc.option(fc.stringMatching(/^[ab:0-9\-]{0,3}$/), { nil: null }),
        tags: fc.uniqueArray(fc.stringMatching(/^[ab:,0-9\-]{1,3}$/), { maxLength: 2 })
      }),
      {
        minLength: 2,
        maxLength: 12,
        selector: ({ host, name, tags }) => JSON.stringify([name, host, tags.slice().sort()])
      }
    )
  }, ({ contexts }) =>
    Effect.gen(function*() {
      for (const { host, name, tags } of contexts) yield* add("counter", name, 1, { host, tags })
      const items = yield* drain()
      assert.strictEqual(items.length, contexts.length)
      assert.isTrue(items.every(({ recorded }) => recorded === 1))
    }).pipe(Effect.provide(MetricsAggregator.layerDefault)))

  it.effect.prop("a series is one, in whatever order its tags are given, however many they are", {
    contexts: fc.uniqueArray(
      fc.record({
        kind: fc.constantFrom("counter" as const, "gauge" as const),
        host: fc.option(fc.constantFrom("", "a", "b"), { nil: null }),
        tags: fc.uniqueArray(fc.stringMatching(/^[a-c](:[xy]{1,2})?$/), { maxLength: 6 })
      }),
      {
        minLength: 1,
        maxLength: 20,
        selector: ({ host, kind, tags }) => JSON.stringify([kind, host, tags.slice().sort()])
      }
    ),
    orders: fc.array(fc.infiniteStream(fc.nat(1000)), { minLength: 1, maxLength: 4 })
  }, ({ contexts, orders }) =>
    Effect.gen(function*() {
      for (const ranks of orders) {
        for (const { host, kind, tags } of contexts) {
          const ranked = tags.map((tag) => [ranks.next().value as number, tag] as const)
          yield* add(kind, "a", 1, { host, tags: ranked.sort(([a], [b]) => a - b).map(([, tag]) => tag) })
        }
      }
      const items = yield* drain()
      const told = (item: { kind: string; host: string | null; tags: ReadonlyArray<string> }) =>
        JSON.stringify([item.kind, item.host, item.tags.slice().sort()])
      assert.sameMembers(items.map(told), contexts.map(told))
      assert.isTrue(items.every(({ recorded }) => recorded === orders.length))
    }).pipe(Effect.provide(MetricsAggregator.layerDefault)))

  test("tells series apart by any part of them, though they look alike", () =>
    Effect.gen(function*() {
      const variants: Array<readonly [kind: RollUp.Kind, name: string, context: MetricsAggregator.PointContext]> = []
      const texts = (at: number) => Array.from({ length: 6 }, (_, i) => i === at ? "one:alike" : "two:alike")
      for (let length = 0; length <= 6; length++) {
        for (let at = 0; at < length; at++) {
          variants.push(["counter", "one.alike", { tags: texts(at).map((text, i) => `${i}${text}`).slice(0, length) }])
        }
        const tags = texts(-1).map((text, i) => `${i}${text}`).slice(0, length)
        for (const host of [null, "one-alike", "two-alike"]) {
          variants.push(["counter", "one.alike", { tags, host }], ["counter", "two.alike", { tags, host }])
          variants.push(["gauge", "one.alike", { tags, host }])
        }
      }
      for (let round = 0; round < 2; round++) {
        for (const [kind, name, context] of variants) yield* add(kind, name, 1, context)
      }
      const items = yield* drain()
      assert.deepStrictEqual(
        items.map(({ host, kind, name, tags }) => [kind, name, host, tags]),
        variants.map(([kind, name, { host = null, tags }]) => [kind, name, host, tags])
      )
      assert.isTrue(items.every(({ recorded }) => recorded === 2))
    }))

  /** Numbers of the same length, before what is the same in all of them. */
  const alike = (count: number, ending: string) =>
    Array.from({ length: count }, (_, i) => `id:${String(i).padStart(6, "0")}${ending}`)

  const inTwoRounds = (tags: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      for (let round = 0; round < 2; round++) {
        for (const tag of tags) self.unsafeAdd("counter", "a", 1, now, { tags: [tag] })
      }
      return yield* drain()
    }).pipe(Effect.provide(MetricsAggregator.layer({ maxContexts: 1_000_000 })))

  for (
    const [where, ending] of [["at their end", ""], ["before their end", "-abcdef"], ["far from it", "-".repeat(100)]]
  ) {
    it.effect(`tells thousands of series apart that differ ${where}`, () =>
      Effect.gen(function*() {
        const tags = alike(5000, ending!)
        const items = yield* inTwoRounds(tags)
        assert.deepStrictEqual(items.map((item) => item.tags), tags.map((tag) => [tag]))
        assert.isTrue(items.every(({ recorded }) => recorded === 2))
      }))
  }

  it.live("takes no longer for each series because many look alike", () =>
    Effect.gen(function*() {
      const timeOf = (tags: ReadonlyArray<string>) =>
        Effect.map(Effect.timed(inTwoRounds(tags)), ([time]) => Duration.toMillis(time))
      const ending = "-".repeat(100)
      yield* inTwoRounds(alike(1000, ending))
      const [few, many] = [yield* timeOf(alike(2000, ending)), yield* timeOf(alike(32_000, ending))]
      // 16 times as many; compared one by one they would take 256 times as long
      assert.isBelow(many, 80 * few)
    }))

  test("keeps the tags in the order in which they were first seen, and a copy of them", () =>
    Effect.gen(function*() {
      const tags = ["z", "a"]
      yield* add("gauge", "x", 1, { tags })
      tags.push("later")
      yield* add("gauge", "x", 1, { tags: ["a", "z"] })
      assert.deepStrictEqual((yield* drain()).map((item) => item.tags), [["z", "a"]])
    }))

  test("leaves out empty tags and undefined values of a record", () =>
    Effect.gen(function*() {
      yield* add("gauge", "x", 1, { tags: ["", "a"] })
      yield* add("gauge", "x", 1, { tags: { env: undefined, shard: 3, canary: false } })
      assert.deepStrictEqual((yield* drain()).map((item) => item.tags), [["a"], ["shard:3", "canary:false"]])
    }))

  test("sends the total of a bucket that was drained while it was open", () =>
    Effect.gen(function*() {
      const record = Effect.all([
        add("counter", "c", 5),
        add("set", "s", "a"),
        add("histogram", "h", 1),
        add("distribution", "d", 1)
      ])
      yield* record
      yield* drain()
      yield* add("counter", "c", 2)
      yield* add("set", "s", "b")
      yield* add("histogram", "h", 3)
      yield* add("distribution", "d", 2)
      const items = yield* drain()
      assert.deepStrictEqual(values(items).map(([name, , value]) => [name, value]), [
        ["c", 0.7],
        ["s", 2],
        ["h", 1],
        ["d", undefined]
      ])
      assert.deepStrictEqual(items.map(({ recorded }) => recorded), [1, 1, 1, 1])
      assert.deepStrictEqual(items[3]?.values, [2])
      assert.deepStrictEqual(yield* drain(), [])
    }))

  test("sends only what is new where the receiver adds up", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5)
      yield* add("set", "s", "a")
      yield* drain("delta")
      yield* add("counter", "c", 2)
      yield* add("set", "s", "b")
      assert.deepStrictEqual(values(yield* drain("delta")).map(([, , value]) => value), [0.2, 1])
    }))

  test("sends the total again when a point is late for a closed bucket", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5, undefined, now - 60_000)
      yield* drain()
      yield* add("counter", "c", 2, undefined, now - 60_000)
      assert.deepStrictEqual(values(yield* drain()).map(([, , value]) => value), [0.7])
    }))

  test("drops a late point, and says so, once its bucket is no longer known", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 12_000; i++) yield* add("counter", `c${i}`, 1, undefined, now - 60_000)
      yield* add("counter", "open", 1)
      yield* drain()
      yield* add("counter", "c1", 1, undefined, now - 60_000)
      yield* add("distribution", "d", 1, undefined, now - 60_000)
      yield* add("counter", "open", 1)
      assert.deepStrictEqual((yield* stats).dropped, { Late: 1 })
      const items = yield* drain()
      assert.deepStrictEqual(items.map(({ name }) => name), ["open", "d"])
      assert.strictEqual(items[0]?.points[0]?.value, 0.2)
    }))

  for (const temporality of ["total", "delta"] as const) {
    test(`restores what was not delivered under what came later (${temporality})`, () =>
      Effect.gen(function*() {
        yield* add("counter", "c", 5)
        yield* add("gauge", "g", 1)
        yield* add("set", "s", "a")
        yield* add("histogram", "h", 1)
        yield* add("distribution", "d", 1)
        const taken = yield* drain(temporality)
        assert.strictEqual((yield* stats).held, 0)
        yield* add("counter", "c", 2)
        yield* add("gauge", "g", 2)
        yield* add("set", "s", "b")
        yield* add("histogram", "h", 3)
        yield* add("distribution", "d", 2)
        yield* (yield* MetricsAggregator.MetricsAggregator).restore(taken)
        assert.strictEqual((yield* stats).held, 10)
        const items = yield* drain(temporality)
        const byName = Object.fromEntries(items.map((item) => [item.name, item]))
        assert.closeTo(byName.c!.points[0]!.value, 0.7, 1e-9)
        assert.strictEqual(byName.g!.points[0]!.value, 2)
        assert.strictEqual(byName.s!.points[0]!.value, 2)
        assert.deepInclude(byName.h!.points, { suffix: "avg", type: "gauge", value: 2 })
        assert.deepStrictEqual(byName.d!.values, [1, 2])
        assert.deepStrictEqual(items.map(({ recorded }) => recorded), [2, 2, 2, 2, 2])
      }))
  }

  test("restores what was taken even when nothing came later", () =>
    Effect.gen(function*() {
      yield* add("counter", "c", 5)
      const taken = yield* drain("delta")
      yield* (yield* MetricsAggregator.MetricsAggregator).restore(taken)
      assert.deepStrictEqual(values(yield* drain("delta")).map(([, , value]) => value), [0.5])
    }))

  const bounded = (
    name: string,
    options: MetricsAggregator.Options,
    effect: () => Effect.Effect<void, unknown, MetricsAggregator.MetricsAggregator>
  ) => it.effect(name, () => Effect.provide(effect(), MetricsAggregator.layer(options)))

  const minute = 60_000

  bounded(
    "makes room for a new context by dropping what has waited longest",
    { maxContexts: 3 },
    () =>
      Effect.gen(function*() {
        yield* add("counter", "b", 1, undefined, now - minute)
        yield* add("counter", "a", 1, undefined, now - 2 * minute)
        yield* add("counter", "a", 1, undefined, now - 2 * minute)
        yield* add("counter", "c", 1)
        yield* add("counter", "c", 1)
        assert.deepStrictEqual((yield* stats).dropped, {})
        yield* add("counter", "d", 1)
        assert.deepInclude(yield* stats, { held: 4, contexts: 3, dropped: { TooManyContexts: 2 } })
        yield* add("counter", "e", 1)
        yield* add("counter", "f", 1)
        yield* add("counter", "c", 1)
        assert.deepInclude(yield* stats, { received: 9, held: 5, contexts: 3, dropped: { TooManyContexts: 4 } })
        assert.deepStrictEqual((yield* drain()).map(({ name, recorded }) => [name, recorded]), [
          ["c", 3],
          ["d", 1],
          ["e", 1]
        ])
      })
  )

  bounded(
    "counts contexts again that were sent and have something new",
    { maxContexts: 4 },
    () =>
      Effect.gen(function*() {
        for (let i = 0; i < 4; i++) yield* add("counter", `a${i}`, 1)
        yield* drain()
        for (let i = 0; i < 4; i++) yield* add("counter", `b${i}`, 1)
        for (let i = 0; i < 4; i++) yield* add("counter", `a${i}`, 1)
        assert.deepInclude(yield* stats, { contexts: 4, held: 4, dropped: { TooManyContexts: 4 } })
      })
  )

  bounded("takes no more contexts than its limit while a bucket is open, however often it is drained", {
    maxContexts: 10
  }, () =>
    Effect.gen(function*() {
      for (let i = 0; i < 12_000; i++) {
        yield* add("counter", `c${i}`, 1)
        if (i % 10 === 9) yield* drain()
      }
      const { dropped, received } = yield* stats
      assert.strictEqual(received, 12_000)
      assert.strictEqual(dropped.TooManyContexts, 12_000 - 10_010)
    }))

  bounded(
    "keeps no more distribution values than its limit, the oldest going first",
    { maxValues: 4 },
    () =>
      Effect.gen(function*() {
        yield* add("counter", "c", 1, undefined, now - minute)
        yield* add("distribution", "old", 1, undefined, now - minute)
        yield* add("distribution", "old", 2, undefined, now - minute)
        yield* add("distribution", "d", 3)
        yield* add("distribution", "d", 4)
        yield* add("distribution", "d", 5)
        yield* add("distribution", "d", 6)
        yield* add("distribution", "d", 7)
        assert.deepInclude(yield* stats, { held: 5, dropped: { TooManyValues: 3 } })
        const items = yield* drain()
        assert.deepStrictEqual(items.map(({ name, values }) => [name, ...values]), [["c"], ["d", 3, 4, 5, 6]])
        yield* add("distribution", "d", 8)
        const self = yield* MetricsAggregator.MetricsAggregator
        yield* self.restore(items)
        assert.deepInclude(yield* stats, { received: 9, held: 5, dropped: { TooManyValues: 4 } })
        assert.deepStrictEqual((yield* drain()).flatMap(({ values }) => values), [4, 5, 6, 8])
      })
  )

  it.live("takes back a distribution of many parts in linear time", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.make({ maxValues: 2_000_000 })
      for (let i = 0; i < 1_000_000; i++) self.unsafeAdd("distribution", "d", i, now)
      const items = yield* self.flush({ temporality: "total", now })
      const [time] = yield* Effect.timed(self.restore(items))
      // part by part behind what is there already, it would take some 6 seconds
      assert.isBelow(Duration.toMillis(time), 2000)
      const back = yield* self.flush({ temporality: "total", now })
      assert.strictEqual(back.reduce((sum, { recorded }) => sum + recorded, 0), 1_000_000)
    }))

  bounded(
    "finds what waited longest behind what is kept for its total, and when something older comes back",
    { maxContexts: 3 },
    () =>
      Effect.gen(function*() {
        const self = yield* MetricsAggregator.MetricsAggregator
        const names = Effect.map(drain("total"), (items) => items.map(({ name }) => name))
        yield* add("counter", "kept", 1, undefined, now - 9 * minute)
        yield* drain("total")
        yield* add("distribution", "lost", 1, undefined, now - 8 * minute)
        const lost = yield* drain("total")
        yield* add("counter", "old", 1, undefined, now - 2 * minute)
        yield* add("counter", "older", 1, undefined, now - 3 * minute)
        yield* add("counter", "next", 1, undefined, now - 3 * minute)
        yield* add("counter", "a", 1)
        assert.deepStrictEqual((yield* self.takeNews).dropped.map((news) => news.names), [["older"]])
        yield* self.restore(lost)
        assert.deepStrictEqual((yield* self.takeNews).dropped.map((news) => news.names), [["lost"]])
        yield* add("counter", "b", 1)
        assert.deepStrictEqual((yield* self.takeNews).dropped.map((news) => news.names), [["next"]])
        assert.deepStrictEqual(yield* names, ["old", "a", "b"])
      })
  )

  bounded(
    "takes no more memory than its limit, the oldest going first",
    { maxBytes: 100_000 },
    () =>
      Effect.gen(function*() {
        const self = yield* MetricsAggregator.MetricsAggregator
        yield* add("histogram", "old", 1, undefined, now - minute)
        yield* add("counter", "kept", 1)
        assert.isFalse(self.isNearlyFull())
        for (let i = 0; i < 79; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
        assert.isTrue(self.isNearlyFull())
        for (let i = 0; i < 79; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
        assert.deepStrictEqual((yield* stats).dropped, {})
        for (let i = 100; i < 200; i++) yield* add("set", "s", `${i}${"x".repeat(1000)}`)
        for (const kind of ["counter", "distribution", "histogram"] as const) yield* add(kind, "new", 1)
        yield* add("counter", "kept", 1)
        const { bytes, dropped, held, received } = yield* stats
        assert.isAtMost(bytes, 101_100)
        assert.isAtLeast(dropped.TooManyBytes ?? 0, 80)
        assert.strictEqual(received, held + (dropped.TooManyBytes ?? 0))
        const items = yield* drain()
        assert.deepStrictEqual(items.map(({ name, recorded }) => [name, recorded]).filter(([name]) => name !== "s"), [
          ["kept", 2]
        ])
        assert.deepInclude(yield* stats, { bytes: 0 })
        yield* add("gauge", "g", 1)
        assert.strictEqual((yield* stats).held, 1)
      })
  )

  bounded(
    "holds to its limit of memory also when what was taken out comes back",
    { maxBytes: 20_000 },
    () =>
      Effect.gen(function*() {
        const self = yield* MetricsAggregator.MetricsAggregator
        for (let i = 0; i < 2000; i++) yield* add("distribution", "d", i, undefined, now - minute)
        const taken = yield* drain()
        for (let i = 0; i < 2000; i++) yield* add("distribution", "d", i)
        yield* self.restore(taken)
        const { bytes, dropped, held } = yield* stats
        assert.isAtMost(bytes, 20_000)
        assert.deepStrictEqual([held, dropped.TooManyBytes], [2000, 2000])
      })
  )

  bounded("hands counters, histograms and timings out as distributions where it is told to", {
    counters: "distributions"
  }, () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      yield* add("counter", "c", 2)
      yield* add("counter", "c", -5)
      yield* add("histogram", "h", 1)
      yield* add("histogram", "h", 1)
      yield* add("timing", "t", 3)
      yield* add("gauge", "g", 4)
      yield* add("set", "s", "member")
      const items = yield* drain()
      const reported = (all: typeof items) =>
        all.map(({ name, points, values }) => [name, points.map(({ value }) => value), values])
      assert.deepStrictEqual(reported(items), [
        ["c", [], [-3]],
        ["h", [], [1, 1]],
        ["t", [], [3]],
        ["g", [4], []],
        ["s", [1], []]
      ])
      assert.deepStrictEqual(items.map(({ kind, recorded }) => `${kind} ${recorded}`), [
        "counter 2",
        "histogram 2",
        "timing 1",
        "gauge 1",
        "set 1"
      ])
      // what adds up is handed out once, whatever the receiver does with series
      yield* add("counter", "c", 7)
      assert.deepStrictEqual(reported(yield* drain()), [["c", [], [7]]])
      yield* add("counter", "c", 1)
      yield* add("histogram", "h", 9)
      yield* self.restore(items)
      const again = yield* drain()
      assert.sameDeepMembers(reported(again), [
        ["c", [], [-2]],
        ["h", [], [1, 1, 9]],
        ["t", [], [3]],
        ["g", [4], []],
        ["s", [1], []]
      ])
      assert.deepInclude(yield* stats, { held: 0, contexts: 0, bytes: 0 })
    }))

  bounded(
    "takes over what was kept while histograms travelled the other way",
    { counters: "distributions" },
    () =>
      Effect.gen(function*() {
        const series = yield* MetricsAggregator.make({ counters: "series" })
        for (const value of [3, 1, 2]) series.unsafeAdd("histogram", "h", value, now)
        series.unsafeAdd("counter", "c", 5, now)
        const retained = (yield* series.snapshot(new Map())).flatMap(({ contexts }) => contexts ?? [])
        const self = yield* MetricsAggregator.MetricsAggregator
        yield* self.adopt(retained)
        const there = (yield* self.snapshot(new Map())).flatMap(({ contexts }) => contexts ?? [])
        assert.deepStrictEqual((yield* drain()).map(({ values }) => values), [[3, 1, 2], [5]])
        yield* series.flush({ temporality: "delta", now })
        yield* series.adopt(there)
        const [h, c] = yield* series.flush({ temporality: "delta", now })
        assert.deepInclude(h!.points[1], { suffix: "max", value: 3 })
        assert.deepStrictEqual(c!.points, [{ suffix: "", type: "rate", value: 0.5 }])
      })
  )

  it.effect.prop("knows its memory exactly, whatever happens", {
    steps: fc.array(
      fc.record({
        what: fc.constantFrom("add", "flush", "restore", "closed"),
        kind: fc.constantFrom<RollUp.Kind>("counter", "gauge", "set", "histogram", "timing", "distribution"),
        name: fc.constantFrom("a", "b", "c"),
        value: fc.integer({ min: 0, max: 50 }),
        ago: fc.integer({ min: 0, max: 3 })
      }),
      { maxLength: 60 }
    ),
    temporality: fc.constantFrom("total" as const, "delta" as const)
  }, ({ steps, temporality }) =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      let taken: ReadonlyArray<MetricsAggregator.RolledUp> = []
      const give = Effect.suspend(() => {
        const back = taken
        taken = []
        return self.restore(back)
      })
      for (const { ago, kind, name, value, what } of steps) {
        if (what === "add") yield* self.add(kind, name, value, now - ago * minute)
        else if (what === "restore") yield* give
        else {
          yield* give
          taken = yield* self.flush({ temporality, now, upTo: what === "closed" ? now : undefined })
        }
      }
      yield* give
      const { bytes } = yield* self.stats
      const copy = yield* MetricsAggregator.make()
      const snapshots = yield* self.snapshot(new Map())
      yield* copy.adopt(snapshots.flatMap(({ contexts }) => contexts ?? []))
      assert.strictEqual((yield* copy.stats).bytes, bytes)
      yield* self.flush({ temporality, now })
      assert.strictEqual((yield* self.stats).bytes, 0)
    }).pipe(Effect.provide(Layer.fresh(MetricsAggregator.layerDefault))))

  bounded("says when a limit is near", { maxContexts: 10, maxValues: 10 }, () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      for (let i = 0; i < 7; i++) yield* add("gauge", `g${i}`, 1)
      assert.isFalse(self.isNearlyFull())
      yield* add("gauge", "g", 1)
      assert.isTrue(self.isNearlyFull())
      yield* drain()
      assert.isFalse(self.isNearlyFull())
      for (let i = 0; i < 8; i++) yield* add("distribution", "d", 1)
      assert.isTrue(self.isNearlyFull())
      yield* drain()
      assert.isFalse(self.isNearlyFull())
    }))

  test("drops what waited until Datadog would no longer take it", () =>
    Effect.gen(function*() {
      const hour = 3_600_000
      const aligned = Math.floor(now / 10_000) * 10_000
      // what counts is the start of the bucket, which is sent
      yield* add("counter", "old", 1, undefined, aligned - hour - 1)
      yield* add("counter", "old", 1, undefined, aligned - hour - 10_000)
      yield* add("counter", "edge", 1, undefined, aligned - hour)
      const taken = yield* drain("total", undefined, aligned)
      assert.deepStrictEqual(taken.map(({ name }) => name), ["edge"])
      assert.deepInclude(yield* stats, { received: 3, held: 0, dropped: { Expired: 2 } })
      yield* (yield* MetricsAggregator.MetricsAggregator).restore(taken)
      assert.deepStrictEqual(yield* drain("total", undefined, now + minute), [])
      assert.deepInclude(yield* stats, { received: 3, held: 0, dropped: { Expired: 3 } })
    }))

  test("drops what Datadog would refuse, alone, under its reason", () =>
    Effect.gen(function*() {
      yield* add("gauge", "ok", 1)
      yield* add("gauge", "x", Number.NaN)
      yield* add("counter", "x", Infinity)
      yield* add("distribution", "x", lie("3"))
      yield* add("set", "x", Number.NaN)
      yield* add("set", "ok", "any text")
      yield* add("gauge", "", 1)
      yield* add("gauge", "1st", 1)
      yield* add("gauge", lie(undefined), 1)
      yield* add("gauge", lie(Symbol("name")), 1)
      yield* add("gauge", "x", 1, { tags: ["a".repeat(201)] })
      yield* add("gauge", "x", 1, { tags: { a: "b".repeat(200) } })
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
      const { contexts, dropped, held, received } = yield* stats
      assert.deepStrictEqual(dropped, {
        InvalidValue: 4,
        InvalidName: 4,
        TagTooLong: 2,
        InvalidTags: 4,
        InvalidHost: 2,
        InvalidTimestamp: 1
      })
      assert.deepStrictEqual({ contexts, held, received }, { contexts: 2, held: 2, received: 19 })
      assert.deepStrictEqual((yield* drain()).map(({ name }) => name), ["ok", "ok"])
    }))

  test("takes limits as they are: a tag of 200, a host of 255 characters, a null context", () =>
    Effect.gen(function*() {
      yield* add("gauge", "x", 1, { tags: ["a".repeat(200)], host: "h".repeat(255) })
      yield* add("gauge", "x", 1, lie(null))
      assert.strictEqual((yield* drain()).length, 2)
    }))

  test("names what it dropped, and names used with two kinds, once", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      for (const name of ["a", "b", "c", "d", "a"]) yield* add("gauge", name, Number.NaN)
      yield* add("gauge", "x", 1)
      yield* add("counter", "x", 1)
      yield* add("counter", "x", 1)
      assert.deepStrictEqual(yield* self.takeNews, {
        dropped: [{ reason: "InvalidValue", count: 5, names: ["a", "b", "c"] }],
        conflicts: ["x"]
      })
      assert.deepStrictEqual(yield* self.takeNews, { dropped: [], conflicts: [] })
    }))

  test("is idle when there is nothing to take out, to warn of or to forget", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      const flush = (at: number) => self.flush({ temporality: "total", now: at })
      assert.isTrue(self.isIdle())
      yield* add("gauge", "x", Number.NaN)
      assert.isFalse(self.isIdle())
      yield* self.takeNews
      assert.isTrue(self.isIdle())
      yield* add("gauge", "x", 1)
      yield* add("counter", "x", 1)
      yield* flush(now)
      assert.isFalse(self.isIdle())
      yield* self.takeNews
      assert.isTrue(self.isIdle())
      // a set is kept whole, for a total that may come again, and may be forgotten once its interval is closed
      for (let i = 0; i < 20_000; i++) yield* add("set", "visitors", lie(`${i} ${"v".repeat(150)}`))
      yield* flush(now)
      assert.isFalse(self.isIdle())
      yield* flush(now + 60_000)
      assert.isTrue(self.isIdle())
    }))

  it.effect("is another one for each layer", () =>
    Effect.gen(function*() {
      const a = yield* Effect.provide(MetricsAggregator.MetricsAggregator, MetricsAggregator.layerDefault)
      const b = yield* Effect.provide(MetricsAggregator.MetricsAggregator, MetricsAggregator.layerDefault)
      yield* a.add("gauge", "x", 1, now)
      assert.deepStrictEqual(yield* b.flush({ temporality: "total", now }), [])
    }))

  it.effect("takes its settings from the options", () =>
    Effect.gen(function*() {
      yield* add("histogram", "h", 1, undefined, 59_000)
      const [item] = yield* drain("total", undefined, 60_000)
      assert.strictEqual(item?.timestamp, 0)
      assert.deepStrictEqual(item?.points.map(({ suffix }) => suffix), ["sum", "50percentile"])
    }).pipe(
      Effect.provide(
        MetricsAggregator.layer({ rollUpInterval: "1 minute", aggregates: ["sum"], percentiles: [0.5] })
      )
    ))

  it.effect("fails for a roll-up interval that cannot be", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(stats, MetricsAggregator.layer({ rollUpInterval: 1500 })))
      assert.include(String(error), "rollUpInterval")
    }))
})
