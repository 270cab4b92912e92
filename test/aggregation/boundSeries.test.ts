import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, FastCheck as fc, Layer, Random, TestClock } from "effect"
import { EventsAggregator, MetricsAggregator, Reporter, ThreadStats } from "effect-threadstats"
import type { RollUp, ThreadStatsConfig } from "effect-threadstats"
import { lie } from "../support/hostile.js"
import * as scripted from "../support/scripted.js"

type Client = ThreadStats.ThreadStats["Type"]

const start = 1_700_000_000_000

const kinds = ["increment", "decrement", "gauge", "histogram", "distribution", "timing", "set"] as const
type Operation = typeof kinds[number]

interface SeriesOf {
  readonly name: string
  readonly options: ThreadStats.InstrumentOptions | undefined
}

const unbound = (client: Client, operation: Operation, { name, options }: SeriesOf) => (value: unknown) => {
  switch (operation) {
    case "increment":
      return client.increment(name, lie(value), options)
    case "decrement":
      return client.decrement(name, lie(value), options)
    case "gauge":
      return client.gauge(name, lie(value), options)
    case "histogram":
      return client.histogram(name, lie(value), options)
    case "distribution":
      return client.distribution(name, lie(value), options)
    case "timing":
      return client.timing(name, lie(value), options)
    case "set":
      return client.set(name, lie(value), options)
  }
}

/** Every other call is the unsafe one. */
const bound = (client: Client, operation: Operation, { name, options }: SeriesOf) => {
  const both = (safe: (value: never) => Effect.Effect<void>, unsafe: (value: never) => void) => {
    let calls = 0
    return (value: unknown) => calls++ % 2 === 0 ? safe(lie(value)) : Effect.sync(() => unsafe(lie(value)))
  }
  switch (operation) {
    case "increment": {
      const { increment, unsafeIncrement } = client.bindCounter(name, options)
      return both(increment, unsafeIncrement)
    }
    case "decrement": {
      const { decrement, unsafeDecrement } = client.bindCounter(name, options)
      return both(decrement, unsafeDecrement)
    }
    case "gauge": {
      const { set, unsafeSet } = client.bindGauge(name, options)
      return both(set, unsafeSet)
    }
    case "histogram": {
      const { record, unsafeRecord } = client.bindHistogram(name, options)
      return both(record, unsafeRecord)
    }
    case "distribution": {
      const { record, unsafeRecord } = client.bindDistribution(name, options)
      return both(record, unsafeRecord)
    }
    case "timing": {
      const { record, unsafeRecord } = client.bindTiming(name, options)
      return both(record, unsafeRecord)
    }
    case "set": {
      const { add, unsafeAdd } = client.bindSet(name, options)
      return both(add, unsafeAdd)
    }
  }
}

const series: ReadonlyArray<SeriesOf> = [
  { name: "plain", options: undefined },
  { name: "plain", options: { tags: [], host: null } },
  { name: "plain", options: { host: "" } },
  { name: "plain", options: { host: "other" } },
  { name: "tagged", options: { tags: ["a:1", "b:2"] } },
  { name: "tagged", options: { tags: ["b:2", "a:1", ""] } },
  { name: "tagged", options: { tags: { a: 1, b: "2" } } },
  { name: "tagged", options: { tags: ["a:1", "a:1"] } },
  ...Array.from({ length: 8 }, (_, i) => ({ name: "many", options: { tags: [`i:${i}`], host: "h" } })),
  { name: "", options: undefined },
  { name: "1st", options: { tags: lie(1) } },
  { name: lie(7), options: { tags: [] } },
  { name: "n".repeat(300), options: undefined },
  { name: `n${"n".repeat(190)}`, options: undefined },
  { name: "tags", options: { tags: ["t".repeat(201)] } },
  { name: "tags", options: { tags: lie([1]) } },
  { name: "tags", options: { tags: lie("a:1") } },
  { name: "tags", options: lie({ tags: ["a:1"], host: 5 }) },
  { name: "tags", options: { host: "h".repeat(256), tags: lie(1) } },
  { name: "options", options: lie(null) },
  { name: "options", options: lie(5) },
  { name: "", options: lie({ host: 5, tags: [1] }) },
  {
    name: "options",
    options: Object.defineProperty({}, "tags", {
      get: () => {
        throw new Error("boo")
      }
    })
  }
]

type Step =
  | { readonly _tag: "Record"; readonly operation: number; readonly series: number; readonly value: unknown }
  | { readonly _tag: "Move"; readonly millis: number }
  | { readonly _tag: "Flush"; readonly upTo: number | undefined; readonly fails: number }

const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 })
const value = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 0, max: 9 }) },
  { weight: 4, arbitrary: finite },
  fc.constantFrom<unknown>(Number.NaN, Infinity, 1e308, -1e308, undefined, null, "text", "", 10n, {})
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      _tag: fc.constant("Record" as const),
      operation: fc.nat(11),
      series: fc.nat(11),
      value
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Move" as const),
      millis: fc.constantFrom(1, 500, 9_000, 10_000, 61_000, 3_700_000, -20_000)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Flush" as const),
      upTo: fc.constantFrom(undefined, undefined, -30_000, 0),
      fails: fc.nat(2)
    })
  }
)

/** What a program records with: few of each, so that it comes back to them. */
const world = fc.record({
  operations: fc.shuffledSubarray([...kinds], { minLength: 1, maxLength: 3 }),
  series: fc.shuffledSubarray([...series], { minLength: 1, maxLength: 4 })
})
type World = typeof world extends fc.Arbitrary<infer A> ? A : never

const bounds: fc.Arbitrary<ThreadStatsConfig.Options> = fc.record({
  maxContexts: fc.constantFrom(2, 5, 1000),
  maxValues: fc.constantFrom(3, 20, 100_000),
  maxBytes: fc.constantFrom(2000, 5000, 1_000_000),
  sampleSize: fc.constantFrom(3, 1000),
  counters: fc.constantFrom("series" as const, "distributions" as const),
  disabled: fc.nat(19).map((n) => n === 0)
})

const reporters = fc.constantFrom<ReadonlyArray<Reporter.Temporality>>(["total"], ["delta"], ["total", "delta"])

/** Nothing waits for it. A `TestClock` looks three times whether anything does, and takes milliseconds each time it moves. */
const clockOf = (now: () => number): Clock.Clock => ({
  ...Clock.make(),
  unsafeCurrentTimeMillis: now,
  unsafeCurrentTimeNanos: () => BigInt(now()) * 1_000_000n,
  currentTimeMillis: Effect.sync(now),
  currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
  sleep: () => Effect.never
})

const outcome = (
  world: World,
  steps: ReadonlyArray<Step>,
  temporalities: ReadonlyArray<Reporter.Temporality>,
  options: ThreadStatsConfig.Options,
  isBound: (step: number) => boolean
) =>
  Effect.gen(function*() {
    let now = start
    const logs: Array<scripted.Line> = []
    const scripts = temporalities.map((temporality) => scripted.make(temporality))
    const [first, ...rest] = scripts.map(({ layer }) => layer)
    const seen: Array<unknown> = []
    yield* Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const instruments = new Map<string, (value: unknown) => Effect.Effect<void>>()
      const instrument = (operation: Operation, of: SeriesOf) => {
        const key = `${operation} ${series.indexOf(of)}`
        const made = instruments.get(key) ?? bound(client, operation, of)
        instruments.set(key, made)
        return made
      }
      for (const [i, step] of steps.entries()) {
        switch (step._tag) {
          case "Record": {
            const operation = world.operations[step.operation % world.operations.length]!
            const of = world.series[step.series % world.series.length]!
            const record = isBound(i) ? instrument(operation, of) : unbound(client, operation, of)
            yield* record(step.value)
            break
          }
          case "Move":
            now += step.millis
            break
          case "Flush":
            scripts.forEach((script, of) => {
              script.answer = ({ batch }) =>
                step.fails > of ? scripted.fail("Transport", { undelivered: batch }) : scripted.accept(batch)
            })
            yield* client.flush({ upTo: step.upTo === undefined ? undefined : now + step.upTo })
        }
        const { branches, lastError, ...stats } = yield* client.stats
        seen.push(stats, branches?.map(({ metrics }) => metrics))
      }
      scripts.forEach((script) => {
        script.answer = ({ batch }) => scripted.accept(batch)
      })
    }).pipe(
      Effect.provide(
        ThreadStats.layer({ periodicFlush: false, ...options }).pipe(
          Layer.provide(Layer.mergeAll(
            Reporter.combine(first!, ...rest),
            Layer.fresh(MetricsAggregator.layer(options)),
            Layer.fresh(EventsAggregator.layerWith(options))
          )),
          Layer.orDie
        )
      ),
      Effect.scoped,
      Effect.provide(scripted.logsTo(logs)),
      Effect.withClock(clockOf(() => now)),
      Effect.withRandom(Random.make("instruments"))
    )
    return { seen, logs, sent: scripts.map(({ calls }) => calls) }
  })

describe("bound instruments", () => {
  it.effect.prop(
    "do what the calls that name everything do: series, numbers, warnings",
    [world, fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), reporters, bounds, fc.nat()],
    ([world, steps, temporalities, options, seed]) =>
      Effect.gen(function*() {
        const expected = yield* outcome(world, steps, temporalities, options, () => false)
        assert.deepStrictEqual(yield* outcome(world, steps, temporalities, options, () => true), expected)
        const mixed = (i: number) => ((Math.imul(i + 1, 2654435761) ^ seed) & 64) === 0
        assert.deepStrictEqual(yield* outcome(world, steps, temporalities, options, mixed), expected)
      }),
    { fastCheck: { numRuns: 100 }, timeout: 120_000 }
  )

  it.effect("outlive that their series is forgotten, and meet those that name it", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      const flush = self.flush({ temporality: "delta", now: start })
      const clock = { now: () => start, relieve: () => {} }
      const record = self.bind("counter", "c", { tags: ["a:1", "b:2"] }, clock)
      record()
      assert.deepStrictEqual((yield* flush).map(({ recorded }) => recorded), [1])
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 11_000; i++) self.unsafeAdd("gauge", "other", i, start, { tags: [`i:${round}.${i}`] })
        yield* flush
      }
      self.unsafeAdd("counter", "c", 2, start, { tags: ["b:2", "a:1"] })
      record(4)
      record()
      const taken = yield* flush
      assert.deepStrictEqual(
        taken.map(({ name, points, recorded }) => ({ name, recorded, value: points[0]!.value })),
        [{ name: "c", recorded: 3, value: 0.7 }]
      )
    }).pipe(Effect.provide(MetricsAggregator.layerDefault)))

  it.effect("take tags as they are when they are bound", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const tags = ["a:1"]
      const orders = yield* ThreadStats.bindCounter("orders", { tags })
      tags[0] = "changed"
      yield* orders.increment(2)
      orders.unsafeDecrement()
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memory.metrics).map(({ metric, points, tags }) => [metric, points[0]![1], tags]), [
        ["orders", 0.1, ["a:1"]]
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("are functions of their own, which may be handed on", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const { record } = yield* ThreadStats.bindDistribution("size")
      const { add } = yield* ThreadStats.bindSet("customers")
      const { set } = yield* ThreadStats.bindGauge("waiting")
      const { record: take } = yield* ThreadStats.bindHistogram("rows")
      yield* Effect.forEach([3, 1, 2], record)
      yield* Effect.forEach(["a", "b", "a"], add)
      yield* Effect.forEach([5, 6], set)
      yield* Effect.forEach([1, 9], take)
      yield* ThreadStats.flush()
      assert.deepStrictEqual((yield* memory.distributions)[0]?.points[0]?.[1], [3, 1, 2])
      const values = new Map((yield* memory.metrics).map(({ metric, points }) => [metric, points[0]![1]]))
      assert.strictEqual(values.get("customers"), 2)
      assert.strictEqual(values.get("waiting"), 6)
      assert.strictEqual(values.get("rows.max"), 9)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("time effects, however they end, in the unit asked for", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const seconds = yield* ThreadStats.bindTiming("seconds", { tags: ["a:1"] })
      const millis = yield* ThreadStats.bindTiming("millis", { unit: "milliseconds" })
      const work = TestClock.adjust("250 millis")
      yield* work.pipe(seconds.timer, millis.timer)
      const exit = yield* work.pipe(Effect.zipRight(Effect.fail("no")), seconds.timer, Effect.exit)
      assert.deepStrictEqual(exit, Exit.fail("no"))
      yield* seconds.record(0.5)
      seconds.unsafeRecord(1)
      yield* ThreadStats.flush()
      const values = new Map((yield* memory.metrics).map(({ metric, points }) => [metric, points[0]![1]]))
      assert.strictEqual(values.get("seconds.count"), 0.4)
      assert.strictEqual(values.get("seconds.avg"), 0.5)
      assert.strictEqual(values.get("millis.max"), 250)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("of a disabled client do nothing, and time nothing", () =>
    Effect.gen(function*() {
      const self = yield* ThreadStats.ThreadStats
      const orders = self.bindCounter("orders")
      yield* orders.increment()
      orders.unsafeIncrement()
      assert.strictEqual(yield* self.bindTiming("t").timer(Effect.succeed(1)), 1)
      assert.strictEqual((yield* self.stats).metrics.received, 0)
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ disabled: true }))))
})

describe("the oldest goes first", () => {
  const add = (self: MetricsAggregator.MetricsAggregator["Type"], kind: RollUp.Kind, i: number, bucket: number) =>
    self.unsafeAdd(kind, "m", i, start + bucket * 10_000, { tags: [`i:${i}`] })

  it.effect("with values, when what was older has gone for another reason", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.make({ maxContexts: 2, maxValues: 2 })
      add(self, "distribution", 1, -3)
      add(self, "counter", 2, -3)
      add(self, "distribution", 3, -2)
      add(self, "distribution", 3, -2)
      add(self, "distribution", 4, -1)
      const { dropped } = yield* self.stats
      assert.deepStrictEqual(dropped, { TooManyContexts: 1, TooManyValues: 2 })
      const taken = yield* self.flush({ temporality: "delta", now: start })
      assert.deepStrictEqual(taken.map(({ kind, tags }) => [kind, tags[0]]), [
        ["counter", "i:2"],
        ["distribution", "i:4"]
      ])
    }))

  it.effect("also in buckets that were begun out of order, with and without values, many times over", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.make({ maxContexts: 300, maxValues: 100 })
      const buckets = [5, 2, 9, 0, 7]
      for (let i = 0; i < 2000; i++) {
        add(self, i % 2 === 0 ? "distribution" : "counter", i, buckets[i % buckets.length]! - 10 + Math.floor(i / 500))
      }
      const { dropped, held, received } = yield* self.stats
      assert.strictEqual(received, 2000)
      assert.strictEqual(held + (dropped.TooManyContexts ?? 0) + (dropped.TooManyValues ?? 0), 2000)
      const taken = yield* self.flush({ temporality: "delta", now: start })
      assert.strictEqual(taken.reduce((sum, { recorded }) => sum + recorded, 0), held)
      assert.isAtMost(taken.length, 300)
      assert.isAtMost(taken.filter(({ kind }) => kind === "distribution").length, 100)
      // within a bucket, what is left is what came last
      for (const bucket of buckets) {
        const left = taken.filter(({ timestamp }) => timestamp === start / 1000 + (bucket - 10 + 3) * 10)
        const values = left.flatMap(({ values }) => values)
        assert.deepStrictEqual(values, values.toSorted((a, b) => a - b))
      }
    }))
})
