import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, Exit, Fiber, Layer } from "effect"
import { ThreadStats } from "effect-threadstats"

type Client = ThreadStats.ThreadStats["Type"]

const withClient = <A, E>(use: (client: Client) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(ThreadStats.ThreadStats, use), ThreadStats.layerTest)

const received = (client: Client) => Effect.map(client.stats, ({ metrics }) => metrics.received)

/** One effect for each operation, bound and unbound. */
const recordEffects = (client: Client): ReadonlyArray<Effect.Effect<void>> => {
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

const runners: { readonly [way: string]: (effect: Effect.Effect<void>) => Effect.Effect<unknown> } = {
  "in a generator": (effect) =>
    Effect.gen(function*() {
      yield* effect
    }),
  "in Effect.fn": Effect.fn(function*(effect: Effect.Effect<void>) {
    return yield* effect
  }),
  "in a pipe": (effect) => Effect.andThen(effect, Effect.void),
  "by the fiber of the test": (effect) => effect,
  "by Effect.runSync": (effect) => Effect.sync(() => Effect.runSync(effect)),
  "in a forked fiber": (effect) => Effect.flatMap(Effect.fork(effect), Fiber.join),
  "concurrently with another effect": (effect) => Effect.all([effect, Effect.void], { concurrency: 2 })
}

describe("recordEffect", () => {
  for (const [way, run] of Object.entries(runners)) {
    it.effect(`records once for each run and nothing before the first, when run ${way}`, () =>
      withClient((client) =>
        Effect.gen(function*() {
          let expected = 0
          for (let round = 0; round < 8; round++) {
            for (const effect of recordEffects(client)) {
              for (let i = 0; i < 3; i++) {
                assert.strictEqual(yield* received(client), expected)
                yield* run(effect)
                expected++
              }
            }
          }
          assert.strictEqual(yield* received(client), 8 * 15 * 3)
        })
      ))
  }

  it.effect("is an Effect that succeeds with void on both paths of a generator", () =>
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

  it.effect("yields to other fibers and can be interrupted when a generator records millions of points", () =>
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

  it.scoped("records synchronously as often when another client records in between", () =>
    Effect.gen(function*() {
      const build = Layer.build(Layer.fresh(ThreadStats.layerTest))
      const [first, second] = (yield* Effect.all([build, build])).map(Context.get(ThreadStats.ThreadStats))
      /** Yields `count` effects, and returns for each whether it ran at once, without the fiber. */
      const ranAtOnce = (client: Client, count: number) =>
        Array.from({ length: count }, () => client.increment("counter")[Symbol.iterator]().next().done === true)
      const expected = ranAtOnce(first!, 3).concat(ranAtOnce(first!, 37))
      assert.include(expected, false)
      assert.include(expected, true)
      const before = ranAtOnce(second!, 3)
      ranAtOnce(first!, 5)
      assert.deepStrictEqual(before.concat(ranAtOnce(second!, 37)), expected)
    }))
})
