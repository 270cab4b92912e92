/**
 * VictoriaMetrics, a server that this project did not write: it takes Datadog's v1 series and shows what it stored.
 * The binary is the Debian package's (1.79); on a machine without it, `installed` is false.
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
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { existsSync } from "node:fs"
import { createServer } from "node:http"
import { delimiter, join } from "node:path"

const binary = "victoria-metrics"

export const installed: boolean = (process.env["PATH"] ?? "")
  .split(delimiter)
  .some((folder) => folder !== "" && existsSync(join(folder, binary)))

export const notInstalled = "victoria-metrics is not installed (Debian package victoria-metrics); skipped"

/** One stored value; `labels` are without the name. */
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
  /** Without the prefix of its Datadog routes. */
  readonly origin: string
  /** Everything stored. It keeps every value, also of the same series and timestamp, and in no order. */
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
  const healthy = client.get(`${origin}/health`).pipe(
    Effect.retry(Schedule.spaced("30 millis")),
    Effect.timeout("30 seconds")
  )
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

/** A server on a free loopback port, with a storage of its own. Somebody else may take the port first. */
export const layerVictoria: Layer.Layer<Victoria> = Layer.scoped(
  Victoria,
  Effect.retry(start, { times: 2, while: ({ _tag }) => _tag === "VictoriaEnded" })
).pipe(Layer.provide([NodeContext.layer, FetchHttpClient.layer]), Layer.orDie)

/** What goes wrong with one request: it does not arrive, or it does and the answer says that it did not. */
export type Fault = "NotArrived" | "AnswerLost"

/**
 * Stands before VictoriaMetrics and hands requests on as they are. Every value gets the label `arrival`, with the number
 * of its request, so that one can tell the last value of a series and timestamp, which is the one that Datadog keeps.
 */
export class Relay extends Context.Tag("test/Relay")<Relay, {
  readonly origin: string
  /** The fate of the next requests, one each. */
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
