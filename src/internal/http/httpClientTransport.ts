/** Transport over any `HttpClient` of `@effect/platform`. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { within } from "../runtime/timeLimit.js"
import { keyHeader } from "./endpoints.js"
import { type DeliveryFailure, timedOut } from "./httpFailure.js"
import { type HttpResponse, maxResponseBytes } from "./httpResponse.js"
import * as Transport from "./transport.js"

export const make = (client: HttpClient.HttpClient, options: Transport.TransportOptions): Transport.Transport =>
  Transport.make(
    (request, limit, failed) =>
      Effect.suspend(() => {
        let head: Omit<HttpResponse, "body"> | undefined = undefined
        const exchange = Effect.suspend(() => client.execute(toClientRequest(request))).pipe(
          Effect.catchTag("ResponseError", responseOf),
          Effect.flatMap((response) => {
            const { headers, status } = response
            head = { status, headers }
            return Effect.map(readBody(response), (body): HttpResponse => ({ status, headers, body }))
          }),
          Effect.catchAllDefect(Effect.fail),
          Effect.mapError(failed),
          // Inside the time limit, so that the limit holds also for a caller that cannot be interrupted, or already was.
          Effect.interruptible
        )
        return within(
          exchange,
          limit,
          (): Effect.Effect<HttpResponse, DeliveryFailure> =>
            head === undefined ? Effect.fail(timedOut(limit)) : Effect.succeed({ ...head, body: "" })
        )
      }).pipe(
        Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, keyHeader]),
        Effect.withTracerEnabled(false),
        followNoRedirect
      ),
    options
  )

/**
 * Makes `fetch` return a redirect as the answer. To follow it with a GET would lose the payload, and would send the key to another
 * host.
 */
const followNoRedirect = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.serviceOption(FetchHttpClient.RequestInit),
    (given) =>
      Effect.provideService(self, FetchHttpClient.RequestInit, { ...Option.getOrUndefined(given), redirect: "manual" })
  )

const toClientRequest = (
  { body, headers, method, url }: Transport.HttpRequest
): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(method)(url, {
    headers: Headers.unsafeFromRecord(headers),
    ...(body === undefined ? undefined : { body: HttpBody.uint8Array(body, headers["content-type"]) })
  })

/** Length in bytes of a body that is read at once. Datadog's answer to an accepted payload has 15. */
const shortBody = 1024

/** Reads a body, or the first bytes of it. The limit of `@effect/platform` does not hold for every client. */
const readBody = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> => {
  const isShort = Number(response.headers["content-length"]) <= shortBody
  return isShort && response.status < 300
    ? Effect.orElseSucceed(response.text, () => "")
    : readStream(response)
}

const readStream = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    const add = (chunk: Uint8Array) =>
      Effect.sync(() => {
        bytes += chunk.byteLength
        text += decoder.decode(chunk, { stream: true })
        return bytes < maxResponseBytes
      })
    // A stream runs on a fiber of its own. Effect would log its failure, and the request with it.
    const readable = Stream.catchAllCause(Stream.suspend(() => response.stream), () => Stream.empty)
    return Effect.map(Stream.runForEachWhile(readable, add), () => text)
  })

/** Takes the response out of the error of a client that fails on statuses. */
const responseOf = (
  error: HttpClientError.ResponseError
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.ResponseError> =>
  error.reason === "StatusCode" ? Effect.succeed(error.response) : Effect.fail(error)
