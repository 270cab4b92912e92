import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"

export const httpClients: {
  readonly [Name in "fetch" | "node:http" | "undici"]: Layer.Layer<HttpClient.HttpClient>
} = {
  fetch: HttpReporter.layerHttpClient,
  "node:http": NodeHttpClient.layer,
  undici: NodeHttpClient.layerUndici
}

export type ClientName = keyof typeof httpClients

export const clientNames = Object.keys(httpClients) as ReadonlyArray<ClientName>

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
  http: Layer.Layer<HttpClient.HttpClient>,
  options: ThreadStatsConfig.Options = {}
) =>
  ThreadStats.layerHttpWith({
    apiUrl,
    apiKey: Redacted.make(apiKey),
    periodicFlush: false,
    flushTimeout,
    requestTimeout,
    ...options
  }).pipe(Layer.provide(http), Layer.provideMerge(longPauses), Layer.orDie)

export const record = Effect.gen(function*() {
  yield* ThreadStats.increment("c", 5)
  yield* ThreadStats.distribution("d", 7)
  yield* ThreadStats.event("e", "")
})
