/** Clients whose flushes a test observes. */
import * as Reporter from "effect-threadstats/Reporter"
import { ThreadStats } from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "../support/layers.js"
import { fromWire, toWire, type WireReporter as Wire } from "../support/wireReporter.js"

/** The events of a test, in order. */
export class Log extends Context.Tag("test/Log")<Log, Array<string>>() {}

/** Adds an entry to the log. */
export const note = (entry: string): Effect.Effect<void, never, Log> =>
  Effect.map(Log, (log) => {
    log.push(entry)
  })

/** Notes each flush before it starts: `flush all`, or `flush closed` for closed buckets. */
export const observe = (client: ThreadStats["Type"], log: Array<string>, prefix = ""): ThreadStats["Type"] => ({
  ...client,
  flush: (options) =>
    Effect.suspend(() => {
      log.push(`${prefix}${options?.upTo === undefined ? "flush all" : "flush closed"}`)
      return client.flush(options)
    })
})

/** A client over this reporter. It does not read the environment. */
export const layerOver = <R>(reporter: Layer.Layer<Reporter.Reporter | R>): Layer.Layer<ThreadStats | R> =>
  layerReporterWith({ periodicFlush: false }).pipe(
    Layer.provide([layerMetricsAggregator, layerEventsAggregator]),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map()))),
    Layer.orDie,
    Layer.provideMerge(reporter)
  )

/** A client over the no-op reporter that notes its flushes in `log`. */
export const layerNoting = (log: Array<string>): Layer.Layer<ThreadStats> =>
  Layer.effect(ThreadStats, Effect.map(ThreadStats, (client) => observe(client, log))).pipe(
    Layer.provide(layerOver(Reporter.layerNoop))
  )

/** A client that delivers to memory, and the log of its flushes. */
export const layerObserved: Layer.Layer<ThreadStats | Reporter.MemoryReporter | Log> = Layer.effect(
  ThreadStats,
  Effect.zipWith(ThreadStats, Log, (client, log) => observe(client, log))
).pipe(Layer.provideMerge(Layer.merge(layerOver(Reporter.layerMemory), Layer.sync(Log, () => []))))

/** A reporter that delivers distributions with this function, and accepts everything else. */
export const layerReporting = (
  flushDistributions: Wire["flushDistributions"]
): Layer.Layer<Reporter.Reporter> =>
  Layer.effect(
    Reporter.Reporter,
    Effect.map(
      Effect.provide(Reporter.Reporter, Reporter.layerNoop),
      (reporter) => fromWire({ ...toWire(reporter), flushDistributions })
    )
  )

/** Distributions in memory, as `name tags = values`. */
export const deliveredDistributions = Effect.flatMap(Reporter.MemoryReporter, (memory) => memory.distributions).pipe(
  Effect.map((batch) =>
    batch.map((series) =>
      `${[series.metric, ...series.tags].join(" ")} = ${series.points.flatMap(([, values]) => values)}`
    )
  )
)
