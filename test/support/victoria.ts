/**
 * VictoriaMetrics, a server of another project. It accepts Datadog's v1 series and returns the stored values.
 * The binary comes from the Debian package victoria-metrics (1.79). `installed` is false on a machine without it.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Command from "@effect/platform/Command"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { existsSync } from "node:fs"
import { createServer } from "node:http"
import { delimiter, join } from "node:path"
import { eventuallyEffect } from "./wait.js"

const binary = "victoria-metrics"

export const installed: boolean = (process.env["PATH"] ?? "")
  .split(delimiter)
  .some((folder) => folder !== "" && existsSync(join(folder, binary)))

export const notInstalled =
  "VictoriaMetrics tests skipped: victoria-metrics is not installed (Debian package victoria-metrics)"

/** A stored value. The labels do not contain the name. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly value: number
}

const ExportLine = Schema.parseJson(Schema.Struct({
  metric: Schema.Record({ key: Schema.String, value: Schema.String }),
  values: Schema.Array(Schema.Finite),
  timestamps: Schema.Array(Schema.Int)
}))

export class Victoria extends Context.Tag("test/Victoria")<Victoria, {
  /** Address without the prefix of the Datadog routes. */
  readonly origin: string
  /** All stored values, in no order. The server keeps every value of a series and timestamp. */
  readonly samples: Effect.Effect<ReadonlyArray<Sample>>
}>() {}

class VictoriaEnded extends Data.TaggedError("VictoriaEnded")<{ readonly code: number; readonly output: string }> {}

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const start = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "victoria-" })
  const address = `127.0.0.1:${yield* freePort}`
  const origin = `http://${address}`
  const server = yield* Command.start(Command.make(
    binary,
    `-httpListenAddr=${address}`,
    `-storageDataPath=${join(folder, "data")}`,
    "-memory.allowedBytes=128MB",
    "-loggerLevel=ERROR"
  ))
  const ended = server.stderr.pipe(
    Stream.decodeText(),
    Stream.mkString,
    Effect.zip(server.exitCode),
    Effect.flatMap(([output, code]) => Effect.fail(new VictoriaEnded({ code, output })))
  )
  const healthy = eventuallyEffect(Effect.isSuccess(client.get(`${origin}/health`)))
  yield* Effect.raceFirst(healthy, ended)

  return Victoria.of({
    origin,
    samples: Effect.gen(function*() {
      yield* client.get(`${origin}/internal/force_flush`)
      const now = yield* Clock.currentTimeMillis
      const response = yield* client.get(`${origin}/api/v1/export`, {
        urlParams: { "match[]": "{__name__!=\"\"}", start: 0, end: now / 1000 + 3600 }
      })
      const lines = (yield* response.text).split("\n").filter((line) => line !== "")
      const series = yield* Effect.forEach(lines, (line) => Schema.decode(ExportLine)(line))
      return series.flatMap(({ metric: { __name__: name = "", ...labels }, timestamps, values }) =>
        values.map((value, i): Sample => ({ name, labels, timestamp: timestamps[i]! / 1000, value }))
      )
    }).pipe(Effect.orDie)
  })
})

/**
 * A server on a free loopback port, with a storage of its own. It cannot choose a free port itself: if another process takes the
 * port meanwhile, the server ends, and another port is tried.
 */
export const layerVictoria: Layer.Layer<Victoria> = Layer.scoped(
  Victoria,
  Effect.retry(start, { times: 2, while: ({ _tag }) => _tag === "VictoriaEnded" })
).pipe(Layer.provide([NodeContext.layer, FetchHttpClient.layer]), Layer.orDie)

/** Fault of a request: it does not arrive, or it arrives and the answer denies it. */
export type Fault = "NotArrived" | "AnswerLost"

/**
 * Forwards requests to VictoriaMetrics. It adds the label `arrival`, with the number of the request, to every value. The highest
 * arrival of a series and timestamp marks the value that Datadog would keep.
 */
export class Relay extends Context.Tag("test/Relay")<Relay, {
  readonly origin: string
  /** Sets the faults of the next requests, one for each. */
  readonly script: (faults: ReadonlyArray<Fault>) => Effect.Effect<void>
}>() {}

const makeRelay = Effect.gen(function*() {
  const { origin } = yield* Victoria
  const client = yield* HttpClient.HttpClient
  const server = yield* HttpServer.HttpServer
  const faults: Array<Fault> = []
  let arrivals = 0

  const unavailable = HttpServerResponse.empty({ status: 503, headers: { "retry-after": "3600" } })

  yield* HttpServer.serveEffect(Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = new Uint8Array(yield* request.arrayBuffer)
    const fault = faults.shift()
    if (fault === "NotArrived") return unavailable
    const { "content-encoding": encoding, "content-type": type } = request.headers
    const answer = yield* HttpClientRequest.post(`${origin}${request.url}`, {
      urlParams: { extra_label: `arrival=${++arrivals}` },
      headers: encoding === undefined ? {} : { "content-encoding": encoding }
    }).pipe(HttpClientRequest.bodyUint8Array(body, type), client.execute)
    if (fault === "AnswerLost") return unavailable
    return HttpServerResponse.text(yield* answer.text, { status: answer.status })
  }))

  return Relay.of({
    origin: HttpServer.formatAddress(server.address),
    script: (next) => Effect.sync(() => void faults.push(...next))
  })
})

export const layerRelay: Layer.Layer<Relay, never, Victoria> = Layer.scoped(Relay, makeRelay).pipe(
  Layer.provide([
    NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }),
    FetchHttpClient.layer
  ]),
  Layer.orDie
)
