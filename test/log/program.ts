/** Programs that record metrics and print at the same time. The environment variable PROGRAM names the one to run. */
import * as LogReporter from "effect-threadstats/LogReporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { writeSync } from "node:fs"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "../support/layers.js"

const layer = layerReporterWith({ periodicFlush: false, flushTimeout: "2 minutes" }).pipe(
  Layer.provide([LogReporter.layer, layerMetricsAggregator, layerEventsAggregator]),
  Layer.provide(ThreadStatsConfig.layerTest),
  Layer.orDie
)

/** Sends a report to the test, over standard error. */
const report = (value: unknown) => Effect.sync(() => writeSync(2, `${JSON.stringify(value)}\n`))

process.on("uncaughtException", (error) => {
  writeSync(2, `${JSON.stringify({ uncaught: String(error) })}\n`)
  process.exit(1)
})

const nextTurn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const programs = {
  /** Leaves lines open, ends them, logs and records at the same time. */
  interleaved: Effect.gen(function*() {
    const chatter = yield* Effect.fork(Effect.gen(function*() {
      for (let n = 0; n < 300; n++) {
        if (n % 3 === 0) process.stdout.write(`open ${n}`)
        else if (n % 3 === 1) console.log(`logged ${n} ${"x".repeat(n * 10)}`)
        else process.stdout.write(`\n`)
        yield* nextTurn
      }
    }))
    for (let round = 0; round < 30; round++) {
      for (let n = 0; n < 50; n++) yield* ThreadStats.distribution("latency", round * 50 + n, { tags: ["größe:ü"] })
      yield* ThreadStats.increment("rounds")
      yield* ThreadStats.flush()
      yield* nextTurn
    }
    yield* Fiber.join(chatter)
    yield* report((yield* ThreadStats.stats).metrics)
  }),

  /** Writes more than a pipe holds. */
  flood: Effect.gen(function*() {
    for (let n = 0; n < 20_000; n++) yield* ThreadStats.distribution("latency", n)
    let mostWaiting = 0
    const { write } = process.stdout
    process.stdout.write = function(this: typeof process.stdout, ...args: Parameters<typeof write>) {
      const result = write.apply(this, args)
      mostWaiting = Math.max(mostWaiting, this.writableLength)
      return result
    } as typeof write
    yield* report("flush")
    const { metrics } = yield* ThreadStats.flush()
    yield* report({ metrics, mostWaiting })
    yield* report((yield* ThreadStats.stats).metrics)
  }),

  /** Flushes when the reader of standard output is gone. */
  closed: Effect.gen(function*() {
    yield* Effect.promise(() => new Promise((resolve) => process.stdin.once("data", resolve)))
    const before = process.stdout.listenerCount("error")
    for (let round = 0; round < 3; round++) {
      yield* ThreadStats.distribution("latency", round)
      yield* ThreadStats.flush()
      yield* nextTurn
      yield* nextTurn
    }
    yield* report({ listeners: process.stdout.listenerCount("error") - before })
    yield* report((yield* ThreadStats.stats).metrics)
    process.stdin.destroy()
  })
}

programs[process.env["PROGRAM"] as keyof typeof programs].pipe(
  Effect.provide(layer),
  Effect.runFork
)
