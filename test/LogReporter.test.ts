import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { LogReporter, Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import {
  checkedStats,
  layerClient,
  makeOutput,
  type MemoryOutput,
  type Metric,
  metric,
  metricsIn
} from "./log/output.js"
import { untyped } from "./support/clientAssertions.js"
import { reporterContract } from "./support/reporterContract.js"

class Output extends Context.Tag("test/Output")<Output, MemoryOutput>() {}

describe("LogReporter reporter contract", () => {
  const out = Layer.sync(Output, makeOutput)
  const dead = Layer.effect(
    Reporter.Reporter,
    Effect.suspend(() => {
      const output = makeOutput()
      output.answer = (callback) => callback(new Error("write EPIPE"))
      return Effect.orDie(LogReporter.make({ output }))
    })
  )
  const reporter = Effect.flatMap(Output, (output) => LogReporter.make({ output }))

  reporterContract(
    Layer.provideMerge(Layer.effect(Reporter.Reporter, reporter), out),
    {
      dead,
      arrived: Effect.map(Output, (output) => {
        const metrics = metricsIn(output.text())
        const isDistribution = ({ m }: Metric) => m === "shop.latency" || m === "shop.basket"
        return {
          metrics: metrics.filter((metric) => !isDistribution(metric)),
          distributions: metrics.filter(isDistribution),
          events: []
        }
      }),
      distributions: [
        metric("shop.latency", 0.1, 1_700_000_000, "env:test"),
        metric("shop.latency", 0.2, 1_700_000_000, "env:test"),
        metric("shop.latency", 0.1, 1_700_000_000, "env:test"),
        metric("shop.latency", 7, 1_700_000_010, "env:test"),
        metric("shop.basket", 1, 1_700_000_000)
      ],
      samples: {
        metrics: [
          metric("shop.orders", 5, 1_700_000_000, "env:test"),
          metric("shop.queue", -3, 1_700_000_000, "host:web-1"),
          metric("shop.users", 2, 1_700_000_000),
          // the sample has two of five values
          metric("shop.size", 1, 1_700_000_000),
          metric("shop.size", 1, 1_700_000_000),
          metric("shop.size", 1, 1_700_000_000),
          metric("shop.size", 2, 1_700_000_000),
          metric("shop.size", 2, 1_700_000_000),
          metric("shop.time", 0.25, 1_700_000_010, "env:test")
        ]
      },
      cannot: { events: "Rejected" }
    }
  )
})

describe("LogReporter.layerWith options", () => {
  const { off, on, write } = process.stderr
  const invalid: ReadonlyArray<readonly [name: string, options: unknown]> = [
    ["outpt", { outpt: process.stderr }],
    ["output", { output: "stderr" }],
    ["output", { output: null }],
    ["output", { output: { write, on } }],
    ["output", { output: { on, off } }],
    ["options", 7]
  ]
  for (const [i, [name, options]] of invalid.entries()) {
    it.effect(`fail the layer with an error that names ${name} when they are invalid (${i + 1})`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(LogReporter.layerWith(untyped(options)))))
        assert.include(String(error), `Invalid data at ${name}: "`)
      }).pipe(Effect.provide(ThreadStatsConfig.layerTest)))
  }

  it.effect("may have the three methods of a stream only", () =>
    Effect.asVoid(Layer.build(LogReporter.layerWith({ output: { write, on, off } }))).pipe(
      Effect.scoped,
      Effect.provide(ThreadStatsConfig.layerTest)
    ))
})

describe("ThreadStats over LogReporter", () => {
  it.effect("writes the points of every kind that are new since the last flush", () => {
    const output = makeOutput()
    return Effect.gen(function*() {
      for (const round of [1, 2]) {
        yield* ThreadStats.increment("orders", 10 * round)
        yield* ThreadStats.increment("orders", 1)
        yield* ThreadStats.gauge("queue", 7)
        yield* ThreadStats.gauge("queue", round)
        for (const user of ["ann", "bob", round]) yield* ThreadStats.set("users", user)
        yield* ThreadStats.histogram("size", round)
        yield* ThreadStats.histogram("size", 5)
        yield* ThreadStats.timing("time", 0.5)
        yield* ThreadStats.distribution("latency", round)
        const { metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual(metrics, { delivered: 11, pending: 0, dropped: 0 })
      }
      const metrics = metricsIn(output.text())
      const values = (name: string) => metrics.filter(({ m }) => m === name).map(({ v }) => v)
      assert.deepStrictEqual(values("orders"), [11, 21])
      assert.deepStrictEqual(values("queue"), [1, 2])
      assert.deepStrictEqual(values("users"), [3, 3])
      assert.deepStrictEqual(values("size"), [1, 5, 2, 5])
      assert.deepStrictEqual(values("time"), [0.5, 0.5])
      assert.deepStrictEqual(values("latency"), [1, 2])
      assert.lengthOf(metrics, 14)
      yield* checkedStats
    }).pipe(Effect.provide(layerClient(output)))
  })

  it.effect("writes counters and histograms unchanged when `submitAs` is \"distributions\"", () => {
    const output = makeOutput()
    return Effect.gen(function*() {
      yield* ThreadStats.increment("orders", 10)
      yield* ThreadStats.histogram("size", 3)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(metricsIn(output.text()), [metric("orders", 10, 0), metric("size", 3, 0)])
    }).pipe(Effect.provide(layerClient(output, { submitAs: "distributions" })))
  })

  it.effect("writes as many lines of a histogram as values were recorded when there are more than `sampleSize`", () => {
    const output = makeOutput()
    return Effect.gen(function*() {
      for (let n = 0; n < 1234; n++) yield* ThreadStats.histogram("size", n)
      yield* ThreadStats.flush()
      assert.lengthOf(metricsIn(output.text()), 1234)
      assert.lengthOf(Array.from(new Set(metricsIn(output.text()).map(({ v }) => v))), 100)
    }).pipe(Effect.provide(layerClient(output, { sampleSize: 100 })))
  })

  it.effect("refuses and counts events, with one error a flush", () => {
    const output = makeOutput()
    return Effect.gen(function*() {
      yield* ThreadStats.event("deployed", "now")
      yield* ThreadStats.distribution("a", 1)
      const { errors, events, metrics } = yield* ThreadStats.flush()
      assert.deepStrictEqual(events, { delivered: 0, pending: 0, dropped: 1 })
      assert.strictEqual(metrics.delivered, 1)
      assert.deepStrictEqual(errors.map(({ message }) => message), [
        "Rejected at standard output: log lines cannot carry events. Send events through another reporter"
      ])
      assert.deepStrictEqual((yield* checkedStats).events.dropped, { Refused: 1 })
    }).pipe(Effect.provide(layerClient(output)))
  })
})
