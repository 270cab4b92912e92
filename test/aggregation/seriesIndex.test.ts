import { assert, describe, it } from "@effect/vitest"
import { MetricsAggregator } from "effect-threadstats"
import * as Effect from "effect/Effect"
import { type Context, make } from "../../src/internal/contexts.js"

type Named = Context<unknown>

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length === 0 ?
    [[]] :
    items.flatMap((item, i) => permutations(items.filter((_, other) => other !== i)).map((rest) => [item, ...rest]))

/** Contexts of one name, which tags alone tell apart. */
const makeOne = (maxSize: number) => {
  const contexts = make<unknown>(maxSize, 1)
  return {
    ...contexts,
    one(...tags: ReadonlyArray<string>): Named {
      const context = contexts.intern("counter", "shop.orders", tags, null)
      assert.isObject(context)
      return context as Named
    },
    found: (...tags: ReadonlyArray<string>) => contexts.find("counter", "shop.orders", tags, null)
  }
}

describe("contexts", () => {
  // two keys, always in this order; and tags whose keys are not the same, which are told apart by sorting them
  const shapes = [["shop:eu", "kind:new"], ["red", "large"], ["tag:a", "tag:b"]] as const

  describe.each(shapes)("with the tags %s and %s", (first, second) => {
    it("are one in every order of tags, and another one in every order once that is forgotten", () => {
      const { found, one, retain, size } = makeOne(100)
      const old = one(first, second)
      assert.strictEqual(one(second, first), old)
      assert.strictEqual(found(second, first), old)
      assert.strictEqual(size(), 2)

      retain(() => false)
      assert.strictEqual(size(), 0)
      assert.isUndefined(old.target)
      for (const tags of [[first, second], [second, first]]) assert.isUndefined(found(...tags))

      // the other way round than before
      const young = one(second, first)
      assert.notStrictEqual(young, old)
      assert.strictEqual(young.target, young)
      assert.deepStrictEqual(young.tags, [second, first])
      assert.strictEqual(one(first, second), young)
      for (const tags of [[first, second], [second, first]]) assert.strictEqual(found(...tags), young)
      assert.isUndefined(old.target)
    })

    it("are the same in every order when they are kept and others are forgotten", () => {
      const { found, one, retain, size } = makeOne(100)
      const kept = one(first, second)
      one(second, first)
      const other = one(`${first}!`, second)
      one(second, `${first}!`)
      assert.strictEqual(size(), 4)

      // what stands for another order comes again when it is asked for
      retain((context) => context === kept)
      assert.strictEqual(size(), 1)
      assert.strictEqual(kept.target, kept)
      assert.strictEqual(found(first, second), kept)
      assert.isUndefined(found(second, first))
      assert.strictEqual(one(second, first), kept)
      assert.strictEqual(found(second, first), kept)
      assert.strictEqual(size(), 2)

      assert.isUndefined(other.target)
      const again = one(second, `${first}!`)
      assert.notStrictEqual(again, other)
      assert.strictEqual(again.target, again)
      assert.strictEqual(one(`${first}!`, second), again)
    })
  })

  it("are the same in every order when all are kept, though their keys are in different orders", () => {
    const { one, retain, size } = makeOne(100)
    const [first, second] = [one("shop:eu", "kind:new"), one("kind:old", "shop:us")]
    retain(() => true)
    assert.strictEqual(size(), 2)
    assert.strictEqual(one("kind:new", "shop:eu"), first)
    assert.strictEqual(one("shop:us", "kind:old"), second)
  })

  it("leave no group behind, nor what a group knew of them", () => {
    const { intern, one, retain } = makeOne(100)
    const gauge = intern("gauge", "shop.orders", ["red", "large"], null) as Named
    const single = one("red")
    const kept = one("large", "red")
    const irregular = one("small", "blue")
    one("blue", "small")
    const groups = (context: Named) => {
      const all = []
      for (let group: Named["group"] | undefined = context.group; group !== undefined; group = group.other) {
        all.push(group)
      }
      return all
    }
    assert.deepStrictEqual(groups(kept), [kept.group, single.group, gauge.group])
    assert.isDefined(kept.group.orders)
    assert.deepStrictEqual(Array.from(kept.group.sorted!.values()), [kept, irregular])

    retain((context) => context === kept)
    assert.deepStrictEqual(groups(kept), [kept.group])
    assert.strictEqual(kept.group.last, kept)
    assert.isUndefined(kept.next)
    assert.isUndefined(kept.group.orders)
    // alone, it is told apart by its keys again
    assert.isUndefined(kept.group.sorted)
    assert.deepStrictEqual(kept.group.shape, ["large", "red"])
  })

  it("have objects for other orders of tags up to the limit, and are one beyond it as well", () => {
    const { found, intern, one, size } = makeOne(5)
    const tags = ["red", "large", "round", "soft"]
    const orders = permutations(tags)
    assert.strictEqual(orders.length, 24)
    const context = one(...tags)
    for (const order of orders) {
      assert.strictEqual(one(...order), context)
      assert.isAtMost(size(), 5)
    }
    assert.strictEqual(size(), 5)
    assert.strictEqual(orders.filter((order) => found(...order) === context).length, 5)
    assert.strictEqual(orders.filter((order) => found(...order) === undefined).length, 19)

    // those of their own are not refused: their number is their owner's affair
    const other = intern("counter", "shop.orders", ["red", "large", "round", "hard"], "shop-1") as Named
    assert.strictEqual(other.target, other)
    assert.strictEqual(size(), 6)
  })

  it("have room again for other orders once there are fewer", () => {
    const { found, one, retain, size } = makeOne(2)
    const kept = one("red", "large")
    const others = [one("blue", "large"), one("green", "large")]
    assert.strictEqual(one("large", "red"), kept)
    assert.isUndefined(found("large", "red"))
    retain((context) => !others.includes(context))
    assert.strictEqual(one("large", "red"), kept)
    assert.strictEqual(found("large", "red"), kept)
    assert.strictEqual(size(), 2)
  })
})

describe("MetricsAggregator", () => {
  it.effect("has one series for what it knew, forgot, and is told again in another order of tags, bound or not", () =>
    Effect.gen(function*() {
      const aggregator = yield* MetricsAggregator.MetricsAggregator
      const now = 1_700_000_005_000
      const flush = aggregator.flush({ temporality: "delta", now })
      const count = (...tags: ReadonlyArray<string>) =>
        aggregator.unsafeAdd("counter", "shop.orders", 10, now, { tags })
      const bound = aggregator.bind("counter", "shop.orders", { tags: ["red", "large"] }, {
        now: () => now,
        relieve: () => {}
      })

      for (let round = 0; round < 3; round++) {
        // the other way round each time
        const orders = round % 2 === 0 ? [["red", "large"], ["large", "red"]] : [["large", "red"], ["red", "large"]]
        for (const order of orders) count(...order)
        bound(10)
        const taken = yield* flush
        assert.deepStrictEqual(
          taken.map(({ name, points, tags }) => [name, [...tags].sort(), points[0]?.value] as const),
          [["shop.orders", ["large", "red"], 3]]
        )
        // more than are remembered without an entry, so that those before them are forgotten
        for (let i = 0; i < 10_100; i++) aggregator.unsafeAdd("counter", "other", 1, now, { tags: [`n:${round}-${i}`] })
        assert.lengthOf(yield* flush, 10_100)
        for (let i = 0; i < 2; i++) aggregator.unsafeAdd("counter", `next.${i}`, 1, now)
        assert.lengthOf(yield* flush, 2)
      }
    }).pipe(Effect.provide(MetricsAggregator.layerDefault)))
})
