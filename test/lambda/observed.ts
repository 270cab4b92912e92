import * as EventsAggregator from "effect-threadstats/EventsAggregator"
import * as MetricsAggregator from "effect-threadstats/MetricsAggregator"
import * as Reporter from "effect-threadstats/Reporter"
import { layer, ThreadStats } from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** What happened, in order. */
export class Log extends Context.Tag("test/Log")<Log, Array<string>>() {}

export const note = (what: string): Effect.Effect<void, never, Log> =>
  Effect.map(Log, (log) => {
    log.push(what)
  })

/** `client`, with its flushes noted before they happen: `flush` for everything, `tick` for closed buckets. */
export const observe = (client: ThreadStats["Type"], log: Array<string>, name = ""): ThreadStats["Type"] => ({
  ...client,
  flush: (options) =>
    Effect.suspend(() => {
      log.push(`${name}${options?.upTo === undefined ? "flush" : "tick"}`)
      return client.flush(options)
    })
})

export const layerLog: Layer.Layer<Log> = Layer.sync(Log, () => [])

/** A client over a reporter of the test's choice, that does not read the environment. */
export const layerOver = <R>(reporter: Layer.Layer<Reporter.Reporter | R>): Layer.Layer<ThreadStats | R> =>
  layer({ periodicFlush: false }).pipe(
    Layer.provide([MetricsAggregator.layerDefault, EventsAggregator.layer]),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map()))),
    Layer.orDie,
    Layer.provideMerge(reporter)
  )

/** A client that delivers to memory, and the log of its flushes. */
export const layerObserved: Layer.Layer<ThreadStats | Reporter.MemoryReporter | Log> = Layer.effect(
  ThreadStats,
  Effect.zipWith(ThreadStats, Log, (client, log) => observe(client, log))
).pipe(Layer.provideMerge(Layer.merge(layerOver(Reporter.layerMemory), layerLog)))
