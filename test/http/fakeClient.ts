/** A reporter over an HTTP client that answers as a test scripts it, and the requests of that client. */
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert } from "@effect/vitest"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inflateSync } from "node:zlib"
import { apiKey } from "../support/keySweep.js"
import { toWire } from "../support/wireReporter.js"

export const settings = (
  apiUrl: string,
  more: Partial<HttpReporter.HttpReporterSettings> = {}
): HttpReporter.HttpReporterSettings => ({
  apiUrl,
  apiKey: Option.some(Redacted.make(apiKey)),
  compress: true,
  delivery: "at-least-once",
  disabled: false,
  requestTimeout: Duration.seconds(3),
  ...more
})

export const makeOver = (client: HttpClient.HttpClient, more?: Partial<HttpReporter.HttpReporterSettings>) =>
  Effect.provideService(
    Effect.map(HttpReporter.make(settings("https://api.datadoghq.example", more)), toWire),
    HttpClient.HttpClient,
    client
  )

export type Answer = (
  request: HttpClientRequest.HttpClientRequest,
  index: number
) => Effect.Effect<Response, unknown>

export const scriptReporter = Effect.fnUntraced(
  function*(answer: Answer, more?: Partial<HttpReporter.HttpReporterSettings>) {
    const requests: Array<HttpClientRequest.HttpClientRequest> = []
    const client = HttpClient.make((request) =>
      Effect.suspend(() => answer(request, requests.push(request) - 1)).pipe(
        Effect.map((response) => HttpClientResponse.fromWeb(request, response)),
        Effect.mapError((cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause }))
      )
    )
    return { reporter: yield* makeOver(client, more), requests }
  }
)

/** Fails a request with this cause. */
export const failWith = (cause: unknown): Effect.Effect<never, unknown> => Effect.fail(cause)

export const respond =
  (status: number, body: string | null = `{"status":"ok"}`, headers?: Record<string, string>) => () =>
    Effect.sync(() => new Response(body, { status, ...(headers === undefined ? {} : { headers }) }))

export const bytesOf = (request: HttpClientRequest.HttpClientRequest | undefined): Uint8Array => {
  assert.strictEqual(request?.body._tag, "Uint8Array")
  return (request?.body as HttpBody.Uint8Array).body
}

export const bodyOf = (request: HttpClientRequest.HttpClientRequest | undefined): unknown => {
  const bytes = bytesOf(request)
  return JSON.parse(
    Buffer.from(request?.headers["content-encoding"] === "deflate" ? inflateSync(bytes) : bytes).toString()
  )
}

/** A reporter that delivers to the intake in process. It has a short key, because its suites do not test keys. */
export const reporterToIntake = (more?: Partial<HttpReporter.HttpReporterSettings>) =>
  Effect.flatMap(
    LocalIntake.LocalIntake,
    ({ url }) =>
      Effect.map(
        HttpReporter.make(settings(url, { apiKey: Option.some(Redacted.make("key")), seriesVersion: "v2", ...more })),
        toWire
      )
  )
