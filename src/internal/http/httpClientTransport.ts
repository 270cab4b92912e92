/** Over any `HttpClient` of `@effect/platform`. */
import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { keyHeader } from "./endpoints.js"
import { type DeliveryFailure, timedOut } from "./httpFailure.js"
import { type HttpResponse, maxResponseBytes } from "./httpResponse.js"
import * as Transport from "./transport.js"

export const make = (client: HttpClient.HttpClient, options: Transport.TransportOptions): Transport.Transport =>
  Transport.make(
    (request, limit, failed) =>
      Effect.suspend(() => {
        let status: number | undefined = undefined
        let headers: Headers.Headers = Headers.empty
        return Effect.suspend(() => client.execute(requestOf(request))).pipe(
          Effect.catchTag("ResponseError", responseOf),
          Effect.flatMap((response) => {
            status = response.status
            headers = response.headers
            return Effect.map(
              textOf(response),
              (body): HttpResponse => ({ status: response.status, headers: response.headers, body })
            )
          }),
          Effect.catchAllDefect(Effect.fail),
          Effect.mapError(failed),
          Effect.disconnect,
          // inside the time limit, so that it holds where the caller cannot be interrupted, or already was
          Effect.interruptible,
          Effect.timeoutTo({
            duration: limit,
            onSuccess: (answer): Effect.Effect<HttpResponse, DeliveryFailure> => Effect.succeed(answer),
            onTimeout: () =>
              status === undefined
                ? Effect.fail(timedOut(limit))
                : Effect.succeed({ status, headers, body: "" })
          }),
          Effect.flatten
        )
      }).pipe(
        Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, keyHeader]),
        Effect.withTracerEnabled(false)
      ),
    options
  )

const requestOf = ({ body, headers, method, url }: Transport.HttpRequest): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(method)(url, {
    headers: Headers.unsafeFromRecord(headers),
    ...(body === undefined ? undefined : { body: HttpBody.uint8Array(body, headers["content-type"]) })
  })

/** The body, or what there is of it, up to a limit; the platform's own limit does not hold for every client. */
const textOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string> =>
  Effect.suspend(() => {
    const decoder = new TextDecoder()
    let bytes = 0
    let text = ""
    const take = (chunk: Uint8Array) =>
      Effect.sync(() => {
        bytes += chunk.byteLength
        text += decoder.decode(chunk, { stream: true })
        return bytes < maxResponseBytes
      })
    // a stream runs on a fiber of its own, whose failure would be logged, request and all
    const readable = Stream.catchAllCause(Stream.suspend(() => response.stream), () => Stream.empty)
    return Effect.map(Stream.runForEachWhile(readable, take), () => text)
  })

/** A client that fails on statuses on its own has the answer in its error. */
const responseOf = (
  error: HttpClientError.ResponseError
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.ResponseError> =>
  error.reason === "StatusCode" ? Effect.succeed(error.response) : Effect.fail(error)
