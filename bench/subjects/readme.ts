/** The lines that the README teaches, and the same with the peers. */
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import type { Lines } from "../children/readme.js"
import type { DatadogMetrics } from "../peers.js"
import { Counter, makeAggregator } from "./bare.js"
import { build, type Client, intake, textOf, unlimited } from "./threadstats.js"

type MakeLines = () => Promise<Lines>

interface Sent {
  readonly metric: string
  readonly type: string
  readonly points: ReadonlyArray<readonly [number, number]>
}

/** Sums the counts of bodies of series: a later total of an interval takes the place of an earlier one. */
const countsOf = (bodies: ReadonlyArray<string>): number => {
  const totals = new Map<number, number>()
  for (const body of bodies) {
    for (const { points, type } of JSON.parse(body).series as ReadonlyArray<Sent>) {
      if (type !== "rate") continue
      for (const [time, rate] of points) totals.set(time, rate * 10)
    }
  }
  return Array.from(totals.values()).reduce((sum, count) => sum + count, 0)
}

const make = (record: (client: Client) => (calls: number) => void | Promise<void>): MakeLines => async () => {
  const { bodies, layer } = intake()
  const { client } = await build(unlimited, layer)
  return {
    record: record(client),
    total: async () => {
      await Effect.runPromise(client.flush())
      return countsOf(bodies.map(textOf))
    }
  }
}

/** Repeats one line in a generator, with the client in the context. */
const repeat = (line: () => Effect.Effect<void, never, ThreadStats.ThreadStats>): MakeLines =>
  make((client) => (calls) =>
    Effect.gen(function*() {
      for (let i = 0; i < calls; i++) yield* line()
    }).pipe(Effect.provideService(ThreadStats.ThreadStats, client), Effect.runPromise)
  )

export const makeIncrement: MakeLines = repeat(() =>
  ThreadStats.increment("jobs.started", 1, { tags: { queue: "mail" } })
)

export const makeTimer: MakeLines = repeat(() => Effect.void.pipe(ThreadStats.timer("jobs.duration")))

export const makeBound: MakeLines = make((client) => (calls) =>
  Effect.gen(function*() {
    const orders = yield* ThreadStats.bindCounter("jobs.started", { tags: { queue: "mail" } })
    for (let i = 0; i < calls; i++) yield* orders.increment()
  }).pipe(Effect.provideService(ThreadStats.ThreadStats, client), Effect.runPromise)
)

export const makeUnsafe: MakeLines = make((client) => (calls) => {
  for (let i = 0; i < calls; i++) client.unsafeIncrement("jobs.started", 1, { tags: { queue: "mail" } })
})

export const makeBare: MakeLines = async () => {
  const { addPoint, flush } = makeAggregator()
  return {
    record: (calls) => {
      for (let i = 0; i < calls; i++) addPoint("jobs.started", ["queue:mail"], 1, Counter)
    },
    total: async () => countsOf(flush())
  }
}

export const makeDatadogMetrics: MakeLines = async () => {
  const { BufferedMetricsLogger }: DatadogMetrics = require("datadog-metrics")
  let total = 0
  const logger = new BufferedMetricsLogger({
    apiKey: "0123456789abcdef0123456789abcdef",
    flushIntervalSeconds: 0,
    reporter: {
      report: async (series) => {
        for (const { points } of series as unknown as ReadonlyArray<Sent>) {
          for (const [, value] of points) total += value
        }
      }
    }
  })
  return {
    record: (calls) => {
      for (let i = 0; i < calls; i++) logger.increment("jobs.started", 1, ["queue:mail"])
    },
    total: async () => {
      await logger.flush()
      return total
    }
  }
}
