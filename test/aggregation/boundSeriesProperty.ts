/**
 * The property of bound series: a program that records through them has the same outcome as one that names the series in every
 * call. The unit suite checks a few runs, the io suite many.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, FastCheck as fc, Layer, Random } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { lie } from "../support/hostile.js"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"
import { nextTurn } from "../support/wait.js"

type Client = ThreadStats.ThreadStats["Type"]

const start = 1_700_000_000_000

const kinds = ["increment", "decrement", "gauge", "histogram", "distribution", "timing", "set"] as const
type Operation = typeof kinds[number]

interface SeriesInput {
  readonly name: string
  readonly options: ThreadStats.InstrumentOptions | undefined
}

const unbound = (client: Client, operation: Operation, { name, options }: SeriesInput) => (value: unknown) => {
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

/** Records through a bound series, in turns by its effect and by its unsafe function. */
const bound = (client: Client, operation: Operation, { name, options }: SeriesInput) => {
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

const series: ReadonlyArray<SeriesInput> = [
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

/** The operations and series of a program: few of each, so that it repeats them. */
const world = fc.record({
  operations: fc.shuffledSubarray([...kinds], { minLength: 1, maxLength: 3 }),
  series: fc.shuffledSubarray([...series], { minLength: 1, maxLength: 4 })
})
type World = typeof world extends fc.Arbitrary<infer A> ? A : never

const bounds: fc.Arbitrary<ThreadStatsConfig.ThreadStatsOptions> = fc.record({
  maxSeries: fc.constantFrom(2, 5, 1000),
  maxValues: fc.constantFrom(3, 20, 100_000),
  maxBytes: fc.constantFrom(2000, 5000, 1_000_000),
  sampleSize: fc.constantFrom(3, 1000),
  submitAs: fc.constantFrom("series" as const, "distributions" as const),
  disabled: fc.nat(19).map((n) => n === 0)
})

const reporters = fc.constantFrom<ReadonlyArray<Reporter.Temporality>>(["total"], ["delta"], ["total", "delta"])

/** A clock without sleeping fibers. A `TestClock` takes milliseconds to move, because it waits for those. */
const makeClock = (now: () => number): Clock.Clock => ({
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
  options: ThreadStatsConfig.ThreadStatsOptions,
  isBound: (step: number) => boolean
) =>
  Effect.gen(function*() {
    let now = start
    const logs: Array<scripted.Line> = []
    const scripts = temporalities.map((temporality) => scripted.make(temporality))
    const [first, ...rest] = scripts.map(({ layer }) => layer)
    const snapshots: Array<unknown> = []
    yield* Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const instruments = new Map<string, (value: unknown) => Effect.Effect<void>>()
      const instrument = (operation: Operation, input: SeriesInput) => {
        const key = `${operation} ${series.indexOf(input)}`
        const record = instruments.get(key) ?? bound(client, operation, input)
        instruments.set(key, record)
        return record
      }
      for (const [i, step] of steps.entries()) {
        switch (step._tag) {
          case "Record": {
            const operation = world.operations[step.operation % world.operations.length]!
            const input = world.series[step.series % world.series.length]!
            const record = isBound(i) ? instrument(operation, input) : unbound(client, operation, input)
            yield* record(step.value)
            break
          }
          case "Move":
            now += step.millis
            break
          case "Flush":
            scripts.forEach((script, index) => {
              script.answer = ({ batch }) =>
                step.fails > index ? scripted.fail("Transport", { undelivered: batch }) : scripted.accept(batch)
            })
            yield* client.flush({ upTo: step.upTo === undefined ? undefined : now + step.upTo })
        }
        const { lastError, pipelines, ...stats } = yield* client.stats
        snapshots.push(stats, pipelines?.map(({ metrics }) => metrics))
      }
      scripts.forEach((script) => {
        script.answer = ({ batch }) => scripted.accept(batch)
      })
    }).pipe(
      Effect.provide(
        layerReporterWith({ periodicFlush: false, ...options }).pipe(
          Layer.provide(Layer.mergeAll(
            Reporter.combine(first!, ...rest),
            Layer.fresh(layerMetricsAggregatorWith(options)),
            Layer.fresh(layerEventsAggregatorWith(options))
          )),
          Layer.orDie
        )
      ),
      Effect.scoped,
      Effect.provide(scripted.logsTo(logs)),
      Effect.withClock(makeClock(() => now)),
      Effect.withRandom(Random.make("instruments"))
    )
    return { snapshots, logs, sent: scripts.map(({ calls }) => calls) }
  })

export const boundSeriesAreEquivalent = (numRuns: number): void =>
  it.effect.prop(
    "have the same series, statistics and warnings as calls that name the series each time",
    [world, fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), reporters, bounds, fc.nat()],
    ([world, steps, temporalities, options, seed]) =>
      Effect.gen(function*() {
        const expected = yield* outcome(world, steps, temporalities, options, () => false)
        assert.deepStrictEqual(yield* outcome(world, steps, temporalities, options, () => true), expected)
        const isBound = (i: number) => ((Math.imul(i + 1, 2654435761) ^ seed) & 64) === 0
        assert.deepStrictEqual(yield* outcome(world, steps, temporalities, options, isBound), expected)
        // Vitest's worker reports to its main process between the runs.
        yield* nextTurn
      }),
    { fastCheck: { numRuns } }
  )
