/** Handlers that record and deliver, as users write them, and the same by hand. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { createSocket } from "node:dgram"
import * as http from "node:http"
import * as https from "node:https"
import { deflateSync } from "node:zlib"
import type { Invocations } from "../children/invocation.js"
import type { Handler } from "../children/warm.js"
import type { DatadogLambda } from "../peers.js"
import { makeLifecycle } from "./lifecycle.js"

type MakeInvocations = () => Promise<Invocations>

const agents = {
  "http:": new http.Agent({ keepAlive: true }),
  "https:": new https.Agent({ keepAlive: true })
}

const now = () => Math.floor(Date.now() / 1000)

const gauge = (metric: string, value: number, tags: ReadonlyArray<string>) => ({
  metric,
  points: [[now(), value]],
  type: "gauge",
  tags
})

const distribution = (metric: string, value: number, tags: ReadonlyArray<string> = ["shop:eu"]) => ({
  metric,
  points: [[now(), [value]]],
  type: "distribution",
  tags
})

/** Sends one request by `node:http` or `node:https`, with a kept connection. Compresses a body of more than 1 kB, as this client does. */
const post = (path: string, series: ReadonlyArray<object>): Promise<void> =>
  new Promise((resolve, reject) => {
    const text = JSON.stringify({ series })
    const body = text.length < 1024 ? text : deflateSync(text)
    const url = new URL(path, process.env.DATADOG_HOST)
    const { request } = url.protocol === "https:" ? https : http
    const outgoing = request(url, {
      agent: agents[url.protocol as keyof typeof agents],
      method: "POST",
      headers: {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        ...(body === text ? undefined : { "content-encoding": "deflate" }),
        "dd-api-key": process.env.DD_API_KEY
      }
    }, (response) => {
      response.resume().on("end", resolve)
    })
    outgoing.on("error", reject)
    outgoing.end(body)
  })

const postSeries = () => post("/api/v1/series", [gauge("queue.length", 12, ["queue:mail"])])

const postDistribution = () => post("/api/v1/distribution_points", [distribution("orders.value", 49.9)])

const postDistributions = () =>
  post("/api/v1/distribution_points", [distribution("orders.received", 1), distribution("orders.value", 49.9)])

export const makePost: MakeInvocations = async () => ({
  metrics: 2,
  handler: () => postDistributions().then(() => "done")
})

export const makeTwoPosts: MakeInvocations = async () => ({
  metrics: 2,
  handler: () => Promise.all([postSeries(), postDistribution()]).then(() => "done")
})

export const makeFetch: MakeInvocations = async () => ({
  metrics: 2,
  handler: async () => {
    const response = await fetch(`${process.env.DATADOG_HOST}/api/v1/distribution_points`, {
      method: "POST",
      headers: { "content-type": "application/json", "dd-api-key": process.env.DD_API_KEY! },
      body: JSON.stringify({ series: [distribution("orders.received", 1), distribution("orders.value", 49.9)] })
    })
    await response.text()
    return "done"
  }
})

/** A floor: a scope, a finalizer and a request, with Effect's own pieces and nothing else. */
export const makeEffect: MakeInvocations = async () => {
  const runtime = ManagedRuntime.make(Layer.empty)
  const flush = Effect.orDie(Effect.tryPromise(postDistributions))
  const program = Effect.scoped(Effect.as(Effect.addFinalizer(() => flush), "done"))
  return { metrics: 2, handler: () => runtime.runPromise(program) }
}

const lifecycle = (metrics: number, send: () => Promise<unknown>): Invocations => ({
  metrics,
  handler: makeLifecycle(Effect.tryPromise(send))
})

export const makeLifecycleOne: MakeInvocations = async () => lifecycle(2, postDistributions)

export const makeLifecycleTwo: MakeInvocations = async () => ({
  metrics: 2,
  handler: makeLifecycle(
    Effect.all([Effect.tryPromise(postSeries), Effect.tryPromise(postDistribution)], { concurrency: "unbounded" })
  )
})

export const makeLifecycleTls: MakeInvocations = async () => {
  process.env.DATADOG_HOST = `https://127.0.0.1:${process.env.BENCH_TLS_PORT}`
  return lifecycle(1, postDistribution)
}

export const makeLifecycleDatagram: MakeInvocations = async () => {
  const { handler, metrics } = await makeDatagram()
  return lifecycle(metrics, () => handler(undefined, undefined as never))
}

export const makeLifecycleLines: MakeInvocations = async () => {
  const { handler, metrics } = await makeLines()
  return lifecycle(metrics, () => handler(undefined, undefined as never))
}

const order = Effect.gen(function*() {
  yield* ThreadStats.increment("orders.received", 1, { tags: { shop: "eu" } })
  yield* ThreadStats.distribution("orders.value", 49.9, { tags: { shop: "eu" } })
  return "done"
})

const makeHandler = async (
  program: Effect.Effect<string, never, ThreadStats.ThreadStats>,
  layer: Layer.Layer<ThreadStats.ThreadStats, unknown>,
  flush: Lambda.FlushMode = "before-response"
): Promise<Handler> => {
  const handler = Lambda.makeHandler({ handler: () => program, layer, flush })
  await handler.ready
  return handler
}

/** One counter and one distribution: one request on Lambda. */
export const makeOne: MakeInvocations = async () => ({
  metrics: 2,
  handler: await makeHandler(order, ThreadStats.layer)
})

/** The same, delivered after the response. */
export const makeAfterResponse: MakeInvocations = async () => ({
  metrics: 2,
  handler: await makeHandler(order, ThreadStats.layer, LambdaExtension.afterResponse)
})

/** One gauge and one distribution: two requests. */
export const makeTwo: MakeInvocations = async () => ({
  metrics: 2,
  handler: await makeHandler(
    Effect.gen(function*() {
      yield* ThreadStats.gauge("queue.length", 12, { tags: { queue: "mail" } })
      yield* ThreadStats.distribution("orders.value", 49.9, { tags: { shop: "eu" } })
      return "done"
    }),
    ThreadStats.layer
  )
})

const shops = Array.from({ length: 20 }, (_, i) => `shop-${i}`)

/** 100 series, over an invocation with one gauge and one distribution, which sends as many requests. */
const hundred = (handler: Handler, over: Invocations): Invocations => ({
  metrics: 100,
  handler,
  over: { handler: over.handler, metrics: over.metrics, series: 98 }
})

/** 100 series of all kinds. On Lambda, counters and histograms are distributions. */
export const makeHundred: MakeInvocations = async () => {
  const tagsOf = shops.map((shop) => ({ shop }))
  const program = Effect.gen(function*() {
    for (const tags of tagsOf) {
      yield* ThreadStats.increment("orders.received", 1, { tags })
      yield* ThreadStats.increment("orders.lines", 3, { tags })
      yield* ThreadStats.gauge("queue.length", 12, { tags })
      yield* ThreadStats.histogram("orders.weight", 2, { tags })
      yield* ThreadStats.distribution("orders.value", 49.9, { tags })
    }
    return "done"
  })
  return hundred(await makeHandler(program, ThreadStats.layer), await makeTwo())
}

const postHundred = () => {
  const tagsOf = shops.map((shop) => [`shop:${shop}`])
  return Promise.all([
    post("/api/v1/series", tagsOf.map((tags) => gauge("queue.length", 12, tags))),
    post(
      "/api/v1/distribution_points",
      tagsOf.flatMap((tags) => [
        distribution("orders.received", 1, tags),
        distribution("orders.lines", 3, tags),
        distribution("orders.weight", 2, tags),
        distribution("orders.value", 49.9, tags)
      ])
    )
  ])
}

export const makeHundredPosts: MakeInvocations = async () =>
  hundred(() => postHundred().then(() => "done"), await makeTwoPosts())

/** A floor: each point is an effect that reads a service, as in the README, and the requests are made by hand. */
export const makeLifecycleHundred: MakeInvocations = async () => {
  const Points = Context.GenericTag<{ readonly count: () => void }>("Points")
  let points = 0
  const services = { count: () => void points++ }
  const point = Effect.map(Points, (service) => service.count())
  const body = Effect.gen(function*() {
    for (let i = 0; i < 100; i++) yield* point
  })
  return hundred(
    makeLifecycle(Effect.tryPromise(postHundred), Effect.provideService(body, Points, services)),
    await makeLifecycleTwo()
  )
}

/** One distribution over TLS, to compare with datadog-lambda-js, which sends over TLS only. */
export const makeTls: MakeInvocations = async () => {
  process.env.DATADOG_HOST = `https://127.0.0.1:${process.env.BENCH_TLS_PORT}`
  return {
    metrics: 1,
    handler: await makeHandler(
      Effect.as(ThreadStats.distribution("orders.value", 49.9, { tags: { shop: "eu" } }), "done"),
      ThreadStats.layer
    )
  }
}

export const makeDatadogLambda: MakeInvocations = async () => {
  const { datadog, sendDistributionMetric }: DatadogLambda = require("datadog-lambda-js")
  const handler = datadog(async () => {
    sendDistributionMetric("orders.value", 49.9, "shop:eu")
    return "done"
  }, {
    apiKey: process.env.DD_API_KEY!,
    // The library puts `https://api.` in front of the site.
    siteURL: `@127.0.0.1:${process.env.BENCH_TLS_PORT}`,
    logForwarding: false,
    enhancedMetrics: false
  })
  return { metrics: 1, handler: handler as Handler }
}

export const makeDatagram: MakeInvocations = async () => {
  const { hostname, port } = new URL(process.env.DD_DOGSTATSD_URL!)
  const socket = createSocket("udp4")
  await new Promise<void>((resolve) => socket.connect(Number(port), hostname, resolve))
  return {
    metrics: 2,
    handler: () =>
      new Promise((resolve, reject) => {
        const lines = `orders.received:1|d|#shop:eu\norders.value:49.9|d|#shop:eu\n`
        socket.send(lines, (error) => error === null ? resolve("done") : reject(error))
      })
  }
}

export const makeDogStatsD: MakeInvocations = async () => ({
  metrics: 2,
  handler: await makeHandler(order, ThreadStats.layerDogStatsD)
})

export const makeLines: MakeInvocations = async () => ({
  metrics: 2,
  handler: () =>
    new Promise((resolve) => {
      const lines = [["orders.received", 1], ["orders.value", 49.9]].map(([m, v]) =>
        `${JSON.stringify({ m, v, e: now(), t: ["shop:eu"] })}\n`
      )
      process.stdout.write(lines.join(""), () => resolve("done"))
    })
})

export const makeLog: MakeInvocations = async () => {
  process.env.DD_FLUSH_TO_LOG = "true"
  return { metrics: 2, handler: await makeHandler(order, ThreadStats.layerAuto) }
}
