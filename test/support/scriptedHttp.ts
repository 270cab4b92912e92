/**
 * An HTTP client that answers as it is told, and the requests it saw, with their bodies unpacked and parsed.
 */
import { HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { Clock, Duration, Effect, Option, Redacted } from "effect"
import { HttpReporter } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import { toWire } from "./wireReporter.js"

export interface Request {
  readonly path: string
  readonly key: string | undefined
  readonly bytes: number
  readonly body: { readonly series: ReadonlyArray<{ readonly metric: string }> }
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type Reply = Effect.Effect<Response, unknown>

export const reply = (status: number, headers: Record<string, string> = {}, body = ""): Reply =>
  Effect.sync(() => new Response(body, { status, headers }))

export const broken = (code: string): Reply => Effect.fail(Object.assign(new Error(code), { code }))

const parse = (request: HttpClientRequest.HttpClientRequest, at: number): Request => {
  const { body } = request.body as HttpBody.Uint8Array
  const text = Buffer.from(request.headers["content-encoding"] === "deflate" ? inflateSync(body) : body).toString()
  return {
    path: new URL(request.url).pathname,
    key: request.headers["dd-api-key"],
    bytes: body.byteLength,
    body: JSON.parse(text),
    at
  }
}

export const reporter = Effect.fnUntraced(function*(
  answer: (request: Request, index: number) => Reply,
  more: Partial<HttpReporter.HttpReporterSettings> = {}
) {
  const requests: Array<Request> = []
  const client = HttpClient.make((request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const seen = parse(request, now)
      return answer(seen, requests.push(seen) - 1)
    }).pipe(
      Effect.map((response) => HttpClientResponse.fromWeb(request, response)),
      Effect.mapError((cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause }))
    )
  )
  const service = yield* Effect.provideService(
    HttpReporter.make({
      apiUrl: "https://api.datadoghq.example",
      apiKey: Option.some(Redacted.make("key")),
      compress: true,
      delivery: "at-least-once",
      disabled: false,
      requestTimeout: Duration.seconds(3),
      ...more
    }),
    HttpClient.HttpClient,
    client
  )
  return { reporter: toWire(service), service, requests }
})
