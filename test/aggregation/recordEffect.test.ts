import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, Exit, Fiber, Layer } from "effect"
import { ThreadStats } from "effect-threadstats"

type Client = ThreadStats.ThreadStats["Type"]

const withClient = <A, E>(use: (client: Client) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(ThreadStats.ThreadStats, use), ThreadStats.layerTest)

const received = (client: Client) => Effect.map(client.stats, ({ metrics }) => metrics.received)

/** Of every kind, bound and not. */
const all = (client: Client): ReadonlyArray<Effect.Effect<void>> => {
  const counter = client.bindCounter("bound.counter")
  return [
    client.increment("counter"),
    client.increment("counter", 2, { tags: ["a:1"] }),
    client.decrement("counter"),
    client.gauge("gauge", 1),
    client.histogram("histogram", 1),
    client.distribution("distribution", 1),
    client.timing("timing", 1),
    client.set("set", "one"),
    counter.increment(),
    counter.decrement(2),
    client.bindGauge("bound.gauge").set(1),
    client.bindHistogram("bound.histogram").record(1),
    client.bindDistribution("bound.distribution").record(1),
    client.bindTiming("bound.timing").record(1),
    client.bindSet("bound.set").add("one")
  ]
}

const ways: { readonly [way: string]: (effect: Effect.Effect<void>) => Effect.Effect<unknown> } = {
  "in a generator": (effect) =>
    Effect.gen(function*() {
      yield* effect
    }),
  "by Effect.fn": Effect.fn(function*(effect: Effect.Effect<void>) {
    return yield* effect
  }),
  "in a pipe": (effect) => Effect.andThen(effect, Effect.void),
  "as it is": (effect) => effect,
  "by itself": (effect) => Effect.sync(() => Effect.runSync(effect)),
  "in a fiber of its own": (effect) => Effect.flatMap(Effect.fork(effect), Fiber.join),
  "among others": (effect) => Effect.all([effect, Effect.void], { concurrency: 2 })
}

describe("an effect that records", () => {
  for (const [way, run] of Object.entries(ways)) {
    it.effect(`records each time it runs, and not before: ${way}`, () =>
      withClient((client) =>
        Effect.gen(function*() {
          let expected = 0
          for (let round = 0; round < 20; round++) {
            for (const effect of all(client)) {
              for (let i = 0; i < 3; i++) {
                assert.strictEqual(yield* received(client), expected)
                yield* run(effect)
                expected++
              }
            }
          }
          assert.strictEqual(yield* received(client), 20 * 15 * 3)
        })
      ))
  }

  it.effect("is an effect of nothing, whichever way a generator takes", () =>
    withClient((client) =>
      Effect.gen(function*() {
        for (let i = 0; i < 100; i++) {
          const effect = client.increment("counter")
          assert.isTrue(Effect.isEffect(effect))
          assert.isUndefined(yield* effect)
          assert.deepStrictEqual(yield* Effect.exit(effect), Exit.void)
        }
      })
    ))

  it.effect("lets others have their turn, and can be interrupted, however much a generator records", () =>
    withClient((client) =>
      Effect.gen(function*() {
        const many = 3_000_000
        const fibers = yield* Effect.forEach(Arr.range(1, 2), () =>
          Effect.fork(Effect.gen(function*() {
            for (let i = 0; i < many; i++) yield* client.increment("counter")
          })))
        yield* Effect.yieldNow()
        for (const fiber of fibers) assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        assert.isBelow(yield* received(client), 100_000)
      })
    ))

  it.scoped("takes the same way whatever another client does", () =>
    Effect.gen(function*() {
      const whole = Layer.build(Layer.fresh(ThreadStats.layerTest))
      const [first, second] = (yield* Effect.all([whole, whole])).map(Context.get(ThreadStats.ThreadStats))
      /** Which of the next effects are done on the spot, as a generator that yields them is told. */
      const ways = (client: Client, count: number) =>
        Array.from({ length: count }, () => client.increment("counter")[Symbol.iterator]().next().done === true)
      const expected = ways(first!, 3).concat(ways(first!, 37))
      assert.include(expected, false)
      assert.include(expected, true)
      const seen = ways(second!, 3)
      ways(first!, 5)
      assert.deepStrictEqual(seen.concat(ways(second!, 37)), expected)
    }))
})
