import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Cause, Clock, Context, Effect, Exit, Fiber, Layer } from "effect"
import { ThreadStats } from "effect-threadstats"

type Client = ThreadStats.ThreadStats["Type"]

const withClient = <A, E>(use: (client: Client) => Effect.Effect<A, E>) =>
  Effect.provide(Effect.flatMap(ThreadStats.ThreadStats, use), ThreadStats.layerTest)

/** A client of its own for each run. */
const client = Effect.map(Layer.build(Layer.fresh(ThreadStats.layerTest)), Context.get(ThreadStats.ThreadStats))

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

describe("recorders", () => {
  for (const [way, run] of Object.entries(runners)) {
    it.effect(`record once for each run, and nothing before the first run, when run ${way}`, () =>
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

  it.effect("return effects that succeed with void", () =>
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

  it.effect("yield to other fibers and can be interrupted when a generator records millions of points", () =>
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

  it.scoped("read the client's clock for every point", () =>
    Effect.gen(function*() {
      let reads = 0
      const testClock = yield* Effect.clock
      const clock: Clock.Clock = {
        ...testClock,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => {
          reads++
          return 0
        },
        unsafeCurrentTimeNanos: () => 0n
      }
      const layer = Layer.build(Layer.fresh(ThreadStats.layerTest))
      const client = Context.get(yield* Effect.withClock(layer, clock), ThreadStats.ThreadStats)
      const orders = client.bindCounter("orders")
      const before = reads
      for (let i = 0; i < 100; i++) {
        orders.unsafeIncrement()
        client.unsafeGauge("waiting", i)
      }
      assert.strictEqual(reads - before, 200)
    }))
})

/** One effect for each module function. */
const moduleEffects: ReadonlyArray<Effect.Effect<void, never, ThreadStats.ThreadStats>> = [
  ThreadStats.increment("counter"),
  ThreadStats.increment("counter", 2, { tags: ["a:1"] }),
  ThreadStats.decrement("counter"),
  ThreadStats.gauge("gauge", 1),
  ThreadStats.histogram("histogram", 1),
  ThreadStats.distribution("distribution", 1),
  ThreadStats.timing("timing", 1),
  ThreadStats.set("set", "one"),
  ThreadStats.event("title", "text")
]

describe("module functions", () => {
  it.effect("record once for each run with the client of the context", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Effect.all([client, client])
      for (const effect of moduleEffects) {
        yield* Effect.provideService(effect, ThreadStats.ThreadStats, first)
        yield* Effect.provideService(effect, ThreadStats.ThreadStats, first)
        yield* Effect.provideService(effect, ThreadStats.ThreadStats, second)
      }
      const received = ({ stats }: Client) =>
        Effect.map(stats, ({ events, metrics }) => [metrics.received, events.received])
      assert.deepStrictEqual(yield* received(first), [16, 2])
      assert.deepStrictEqual(yield* received(second), [8, 1])
    }).pipe(Effect.scoped))

  it.effect("die with Effect's error for a missing service when the context has no client", () =>
    Effect.gen(function*() {
      for (const effect of moduleEffects) {
        const exit = yield* Effect.exit(effect as Effect.Effect<void>)
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.isTrue(Cause.isDie(cause))
        assert.include(Cause.pretty(cause), "Service not found: effect-threadstats/ThreadStats")
      }
    }))
})
