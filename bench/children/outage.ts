/** Recording while nothing can be delivered: the breaker is open, and everything is held that may be held. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { performance } from "node:perf_hooks"
import { build, type Client, intake, type Recording, unlimited } from "../subjects/threadstats.js"
import { cpuTime, memory, report, slowClock, Wrong } from "./child.js"
import { make as makeWorkload } from "./workload.js"

export interface Args {
  readonly series: number
  readonly calls: number
  /** How much is held when it is down, and the limits of both cases. */
  readonly held: { readonly series: number; readonly values: number }
  /** `holding`: it holds as much and cannot deliver it, but no limit is near. */
  readonly state: "up" | "holding" | "down"
}

const flushTimeout = 200

/** Accepts no connection and refuses none. */
const dead = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make(() => Effect.async<never>(() => {}))
)

/** Six older intervals, as full as the limits allow. */
const fill = (client: Client, held: Args["held"]) => {
  const now = Date.now()
  const { series } = makeWorkload(held.series, 0)
  const perSeries = Math.ceil(held.values / (series.length / 5))
  for (const { index, kind, name, tags } of series) {
    const options = { tags, timestamp: now - 60_000 * (2 + index % 6) }
    switch (kind) {
      case "count":
        client.unsafeIncrement(name, 1, options)
        break
      case "gauge":
        client.unsafeGauge(name, 1, options)
        break
      case "histogram":
        client.unsafeHistogram(name, 1, options)
        break
      case "distribution":
        for (let i = 0; i < perSeries; i++) client.unsafeDistribution(name, i, options)
    }
  }
}

/** A client that has given up on its intake, and holds all that it may; or could hold as much again, and more. */
const makeDown = async (held: Args["held"], isFull: boolean): Promise<Client> => {
  const limits = isFull ? { maxSeries: held.series, maxValues: held.values } : {}
  const { client } = await build({ ...unlimited, ...limits, flushTimeout }, dead)
  client.unsafeIncrement("orders.received")
  const isOpen = Effect.map(client.stats, ({ breaker }) => breaker === "open")
  // Three are enough, unless one has no time to begin.
  for (let i = 0; i < 20 && !await Effect.runPromise(isOpen); i++) await Effect.runPromise(client.flush())
  fill(client, held)
  return client
}

export const run = (recording: Recording): Promise<never> =>
  report<Args>(async ({ calls, series, held, state }) => {
    const client = state === "up"
      ? (await build(unlimited, intake().layer)).client
      : await makeDown(held, state === "down")
    const { prepare, record } = recording(client)
    const workload = makeWorkload(series, calls)
    prepare?.(workload)
    await record(makeWorkload(100, 100_000))
    slowClock()
    const before = await Effect.runPromise(client.stats)
    if (state !== "up" && (before.breaker !== "open" || before.series < held.series * 0.9)) {
      throw new Wrong(`the breaker is ${before.breaker}, and ${before.series} series are pending`)
    }

    // The garbage of the preparation is not part of the measurement.
    memory()
    const cpu = cpuTime()
    const start = performance.now()
    await record(workload)
    const time = performance.now() - start
    const used = cpuTime() - cpu

    const { metrics: { delivered, dropped, pending, received } } = await Effect.runPromise(client.stats)
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0)
    if (received - before.metrics.received !== calls || received !== delivered + pending + lost) {
      throw new Wrong(`${received} received, ${delivered} delivered, ${pending} pending, ${lost} dropped`)
    }
    return { ns: time * 1e6 / calls, nsCpu: used / calls }
  })
