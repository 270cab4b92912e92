import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import type { ConfigError } from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"

export type Transport = (
  options: ThreadStatsConfig.ThreadStatsOptions
) => Layer.Layer<ThreadStats.ThreadStats, ConfigError>

/** The transports of a client. The first is the library's own. */
export const transports: {
  readonly [Name in "node" | "fetch" | "node:http" | "undici"]: Transport
} = {
  node: ThreadStats.layerWith,
  fetch: (options) => Layer.provide(ThreadStats.layerHttpClientWith(options), FetchHttpClient.layer),
  "node:http": (options) => Layer.provide(ThreadStats.layerHttpClientWith(options), NodeHttpClient.layer),
  undici: (options) => Layer.provide(ThreadStats.layerHttpClientWith(options), NodeHttpClient.layerUndici)
}

export type TransportName = keyof typeof transports

export const transportNames = Object.keys(transports) as ReadonlyArray<TransportName>

export const apiKey = "0123456789abcdef0123456789abcdef"

/**
 * Makes the pause before a retry longer than the shortest flush of these tests. Such a flush sends every body once, or twice if the
 * connection broke.
 */
const longPauses = Layer.setRandom(Random.fixed([0.96]))

/** A client whose requests may take as long as its flushes. */
export const makeClient = (apiUrl: string, transport: Transport, limit: Duration.DurationInput = "100 millis") =>
  transport({
    apiUrl,
    apiKey: Redacted.make(apiKey),
    periodicFlush: false,
    flushTimeout: limit,
    requestTimeout: limit
  }).pipe(Layer.provideMerge(longPauses), Layer.orDie)

export const record = Effect.gen(function*() {
  yield* ThreadStats.increment("c", 5)
  yield* ThreadStats.distribution("d", 7)
  yield* ThreadStats.event("e", "")
})
