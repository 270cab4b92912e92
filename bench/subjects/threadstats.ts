/** This library, over HTTP up to the bodies: the client answers every request with 202 and keeps its body. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { inflateSync } from "node:zlib"
import { recordAll, type Recorder, totalsOfBodies, type WorkloadSeries } from "../children/workload.js"
import { recordEach } from "./effectLoop.js"
import type { MakeSubject, Subject } from "./subject.js"

export type Client = ThreadStats.ThreadStats["Type"]

export interface Intake {
  readonly bodies: Array<Uint8Array>
  readonly layer: Layer.Layer<HttpClient.HttpClient>
}

export const intake = (): Intake => {
  const bodies: Array<Uint8Array> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      if (request.body._tag === "Uint8Array") bodies.push(request.body.body)
      return HttpClientResponse.fromWeb(request, new Response("{\"status\":\"ok\"}", { status: 202 }))
    })
  )
  return { bodies, layer: Layer.succeed(HttpClient.HttpClient, client) }
}

/** Settings without limits, so that only requested flushes run, and each has all points. */
export const unlimited: ThreadStatsConfig.ThreadStatsOptions = {
  apiKey: Redacted.make("0123456789abcdef0123456789abcdef"),
  apiUrl: "http://intake.invalid",
  periodicFlush: false,
  maxSeries: 10_000_000,
  maxValues: 100_000_000,
  maxBytes: 8 * 1024 ** 3,
  flushTimeout: "120 seconds"
}

export interface Built {
  readonly client: Client
  readonly close: () => Promise<void>
}

export const build = async (
  options: ThreadStatsConfig.ThreadStatsOptions,
  http: Layer.Layer<HttpClient.HttpClient>
): Promise<Built> => {
  const scope = await Effect.runPromise(Scope.make())
  const client = await Layer.build(ThreadStats.layerHttpClientWith(options)).pipe(
    Effect.flatMap((services) => Effect.provide(ThreadStats.ThreadStats, services)),
    Effect.provide(http),
    Scope.extend(scope),
    Effect.runPromise
  )
  return { client, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

export const textOf = (body: Uint8Array): string =>
  (body[0] === 0x78 ? inflateSync(body) : Buffer.from(body)).toString()

export type Recording = (client: Client) => Pick<Subject, "prepare" | "record">

const makeWith = (
  recording: Recording,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
): MakeSubject =>
async () => {
  const { bodies, layer } = intake()
  const { client } = await build({ ...unlimited, ...options }, layer)
  return {
    ...recording(client),
    flush: async () => {
      const { errors } = await Effect.runPromise(client.flush())
      if (errors.length > 0) throw errors[0]
      return {
        bytes: bodies.reduce((sum, body) => sum + body.byteLength, 0),
        check: () => {
          const texts = bodies.map(textOf)
          return {
            totals: totalsOfBodies(texts),
            jsonBytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
          }
        }
      }
    }
  }
}

const unsafeRecorder = (client: Client, tagsOf: (series: WorkloadSeries) => ReadonlyArray<string>): Recorder => ({
  count: (series, value) => client.unsafeIncrement(series.name, value, { tags: tagsOf(series) }),
  gauge: (series, value) => client.unsafeGauge(series.name, value, { tags: tagsOf(series) }),
  histogram: (series, value) => client.unsafeHistogram(series.name, value, { tags: tagsOf(series) }),
  distribution: (series, value) => client.unsafeDistribution(series.name, value, { tags: tagsOf(series) })
})

const unsafeWith = (tagsOf: (series: WorkloadSeries) => ReadonlyArray<string>): Recording => (client) => {
  const recorder = unsafeRecorder(client, tagsOf)
  return { record: (workload) => recordAll(recorder, workload) }
}

const fresh = ({ tags: [a, b, c] }: WorkloadSeries) => [a, b, c]

export const recordUnsafe = unsafeWith(fresh)

export const makeUnsafe: MakeSubject = makeWith(recordUnsafe)

export const makeUncompressed: MakeSubject = makeWith(recordUnsafe, { compress: false })

/** With tags that are concatenated per call. */
export const makeBuilt: MakeSubject = makeWith(
  unsafeWith(({ labels: [a, b, c] }) => [`service:${a}`, `route:${b}`, `customer:${c}`])
)

/** With tags as a record. */
export const makeRecord: MakeSubject = makeWith((client) => {
  const recorder: Recorder = {
    count: ({ labels: [service, route, customer], name }, value) =>
      client.unsafeIncrement(name, value, { tags: { service, route, customer } }),
    gauge: ({ labels: [service, route, customer], name }, value) =>
      client.unsafeGauge(name, value, { tags: { service, route, customer } }),
    histogram: ({ labels: [service, route, customer], name }, value) =>
      client.unsafeHistogram(name, value, { tags: { service, route, customer } }),
    distribution: ({ labels: [service, route, customer], name }, value) =>
      client.unsafeDistribution(name, value, { tags: { service, route, customer } })
  }
  return { record: (workload) => recordAll(recorder, workload) }
})

/** The methods of the client, each call a `yield*`. */
export const makeEffect: MakeSubject = makeWith((client) => {
  const recorder = {
    count: (series: WorkloadSeries, value: number) => client.increment(series.name, value, { tags: fresh(series) }),
    gauge: (series: WorkloadSeries, value: number) => client.gauge(series.name, value, { tags: fresh(series) }),
    histogram: (series: WorkloadSeries, value: number) => client.histogram(series.name, value, { tags: fresh(series) }),
    distribution: (series: WorkloadSeries, value: number) =>
      client.distribution(series.name, value, { tags: fresh(series) })
  }
  return { record: (workload) => Effect.runPromise(recordEach(recorder, workload)) }
})

/** The functions of the module, which read the client from the context. */
export const makeAccessor: MakeSubject = makeWith((client) => {
  const recorder = {
    count: (series: WorkloadSeries, value: number) =>
      ThreadStats.increment(series.name, value, { tags: fresh(series) }),
    gauge: (series: WorkloadSeries, value: number) => ThreadStats.gauge(series.name, value, { tags: fresh(series) }),
    histogram: (series: WorkloadSeries, value: number) =>
      ThreadStats.histogram(series.name, value, { tags: fresh(series) }),
    distribution: (series: WorkloadSeries, value: number) =>
      ThreadStats.distribution(series.name, value, { tags: fresh(series) })
  }
  return {
    record: (workload) =>
      Effect.runPromise(Effect.provideService(recordEach(recorder, workload), ThreadStats.ThreadStats, client))
  }
})

/** Binds an instrument to name and tags of a series. */
const bind = (client: Client, { kind, name, tags }: WorkloadSeries): (value: number) => void => {
  switch (kind) {
    case "count":
      return client.bindCounter(name, { tags }).unsafeIncrement
    case "gauge":
      return client.bindGauge(name, { tags }).unsafeSet
    case "histogram":
      return client.bindHistogram(name, { tags }).unsafeRecord
    case "distribution":
      return client.bindDistribution(name, { tags }).unsafeRecord
  }
}

export const makeBound: MakeSubject = makeWith((client) => {
  const instruments: Array<(value: number) => void> = []
  return {
    prepare: (workload) => {
      for (const series of workload.series) instruments.push(bind(client, series))
    },
    // One call site for each kind, like a program.
    record: (workload) =>
      recordAll({
        count: ({ index }, value) => instruments[index]!(value),
        gauge: ({ index }, value) => instruments[index]!(value),
        histogram: ({ index }, value) => instruments[index]!(value),
        distribution: ({ index }, value) => instruments[index]!(value)
      }, workload)
  }
})
