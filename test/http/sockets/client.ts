import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"

type Transport = (options: ThreadStatsConfig.Options) => Layer.Layer<ThreadStats.ThreadStats, ConfigError>

/** What a client may send over. The first is the library's own. */
export const transports: {
  readonly [Name in "node" | "fetch" | "node:http" | "undici"]: Transport
} = {
  node: ThreadStats.layerNodeWith,
  fetch: (options) => Layer.provide(ThreadStats.layerHttpWith(options), HttpReporter.layerHttpClient),
  "node:http": (options) => Layer.provide(ThreadStats.layerHttpWith(options), NodeHttpClient.layer),
  undici: (options) => Layer.provide(ThreadStats.layerHttpWith(options), NodeHttpClient.layerUndici)
}

export type ClientName = keyof typeof transports

export const clientNames = Object.keys(transports) as ReadonlyArray<ClientName>

export const apiKey = "0123456789abcdef0123456789abcdef"

/** In milliseconds. */
export const flushTimeout = 1_200
export const requestTimeout = 400

/**
 * Pauses are as long as they get. Then the last try of a flush has time enough left to fail for a reason of its own, and
 * not for the end of the flush.
 */
const longPauses = Layer.setRandom(Random.fixed([0.96]))

export const client = (
  apiUrl: string,
  transport: Transport,
  options: ThreadStatsConfig.Options = {}
) =>
  transport({
    apiUrl,
    apiKey: Redacted.make(apiKey),
    periodicFlush: false,
    flushTimeout,
    requestTimeout,
    ...options
  }).pipe(Layer.provideMerge(longPauses), Layer.orDie)

export const record = Effect.gen(function*() {
  yield* ThreadStats.increment("c", 5)
  yield* ThreadStats.distribution("d", 7)
  yield* ThreadStats.event("e", "")
})
