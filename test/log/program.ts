/**
 * A program that records and prints at the same time, in a process of its own. What it is to do comes in the environment.
 */
import * as EventsAggregator from "effect-threadstats/EventsAggregator"
import * as LogReporter from "effect-threadstats/LogReporter"
import * as MetricsAggregator from "effect-threadstats/MetricsAggregator"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { writeSync } from "node:fs"

const layer = ThreadStats.layer({ periodicFlush: false, flushTimeout: "20 seconds" }).pipe(
  Layer.provide([LogReporter.layer, MetricsAggregator.layerDefault, EventsAggregator.layer]),
  Layer.orDie
)

/** Tells the test, past standard output. */
const tell = (what: unknown) => Effect.sync(() => writeSync(2, `${JSON.stringify(what)}\n`))

process.on("uncaughtException", (error) => {
  writeSync(2, `${JSON.stringify({ uncaught: String(error) })}\n`)
  process.exit(1)
})

const yieldToOthers = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const programs = {
  /** Leaves lines open, ends them, logs, and records, all at once. */
  interleaved: Effect.gen(function*() {
    const chatter = yield* Effect.fork(Effect.gen(function*() {
      for (let n = 0; n < 300; n++) {
        if (n % 3 === 0) process.stdout.write(`open ${n}`)
        else if (n % 3 === 1) console.log(`logged ${n} ${"x".repeat(n * 10)}`)
        else process.stdout.write(`\n`)
        yield* yieldToOthers
      }
    }))
    for (let round = 0; round < 30; round++) {
      for (let n = 0; n < 50; n++) yield* ThreadStats.distribution("latency", round * 50 + n, { tags: ["größe:ü"] })
      yield* ThreadStats.increment("rounds")
      yield* ThreadStats.flush()
      yield* yieldToOthers
    }
    yield* Fiber.join(chatter)
    yield* tell((yield* ThreadStats.stats).metrics)
  }),

  /** More than a pipe holds. */
  much: Effect.gen(function*() {
    for (let n = 0; n < 20_000; n++) yield* ThreadStats.distribution("latency", n)
    const { metrics } = yield* ThreadStats.flush()
    yield* tell({ metrics, waiting: process.stdout.writableLength })
    yield* tell((yield* ThreadStats.stats).metrics)
  }),

  /** The reader is gone. */
  closed: Effect.gen(function*() {
    yield* Effect.promise(() => new Promise((resolve) => process.stdin.once("data", resolve)))
    const before = process.stdout.listenerCount("error")
    for (let round = 0; round < 3; round++) {
      yield* ThreadStats.distribution("latency", round)
      yield* ThreadStats.flush()
      yield* yieldToOthers
      yield* yieldToOthers
    }
    yield* tell({ listeners: process.stdout.listenerCount("error") - before })
    yield* tell((yield* ThreadStats.stats).metrics)
    process.stdin.destroy()
  })
}

programs[process.env["PROGRAM"] as keyof typeof programs].pipe(
  Effect.provide(layer),
  Effect.runFork
)
