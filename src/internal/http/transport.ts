import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { version } from "../model/version.js"
import type { Chunk } from "./chunker.js"
import { makeClockCheck } from "./clockCheck.js"
import { keyHeader, validatePath } from "./endpoints.js"
import { type DeliveryFailure, fromNetworkError, timedOut } from "./httpFailure.js"
import { failureOf, type HttpResponse } from "./httpResponse.js"
import { redactKey } from "./redactKey.js"

/** Sends payloads to Datadog's API. */
export interface Transport {
  /** Sends a payload once, within `limit` milliseconds. */
  readonly send: (
    chunk: Pick<Chunk, "body" | "encoding" | "endpoint">,
    key: Redacted.Redacted,
    limit: number
  ) => Effect.Effect<void, DeliveryFailure>
  /** Opens a connection. Ignores the response, also the refusal of a request without a key. */
  readonly warm: (key: Option.Option<Redacted.Redacted>) => Effect.Effect<void>
}

export interface TransportOptions {
  readonly apiUrl: string
  readonly requestTimeout: Duration.Duration
  readonly acceptedTimestamps?: "window" | "any" | undefined
}

/** One HTTP request. The headers contain the key. */
export interface HttpRequest {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
}

/**
 * Sends one request and returns its response, within `limit` milliseconds. Follows no redirect. The limit holds also where the caller cannot be
 * interrupted. A response whose body breaks off, or does not end in time, is a response. Fails with {@link timedOut}, or with the result of `failed`
 * for any other error.
 */
export type HttpExchange = (
  request: HttpRequest,
  limit: number,
  failed: (error: unknown) => DeliveryFailure
) => Effect.Effect<HttpResponse, DeliveryFailure>

const userAgent = `effect-threadstats/${version}`

/** Makes the transport over an exchange of HTTP messages. */
export const make = (
  exchange: HttpExchange,
  { acceptedTimestamps, apiUrl, ...options }: TransportOptions
): Transport => {
  const requestTimeout = Duration.toMillis(options.requestTimeout)
  const checkClock = makeClockCheck(acceptedTimestamps)
  const validateUrl = `${apiUrl}${validatePath}`

  const send: Transport["send"] = ({ body, encoding, endpoint }, key, limit) => {
    const value = Redacted.value(key)
    const headers: Record<string, string> = {
      "content-type": "application/json",
      [keyHeader]: value,
      "user-agent": userAgent
    }
    if (encoding !== "identity") headers["content-encoding"] = encoding
    return Effect.flatMap(
      exchange(
        { method: "POST", url: `${apiUrl}${endpoint.path}`, headers, body },
        Math.min(requestTimeout, Math.floor(limit)),
        (error) => fromNetworkError(error, redactKey(value))
      ),
      (response) =>
        Effect.clockWith((clock) => {
          const failure = failureOf(response, clock.unsafeCurrentTimeMillis(), redactKey(value))
          const outcome = failure === undefined ? Effect.void : Effect.fail(failure)
          const log = checkClock(response, clock)
          return log === undefined ? outcome : Effect.zipRight(log, outcome)
        })
    )
  }

  return {
    send,
    warm: (key) => {
      const headers: Record<string, string> = { "user-agent": userAgent }
      if (Option.isSome(key)) headers[keyHeader] = Redacted.value(key.value)
      const request = { method: "GET", url: validateUrl, headers } as const
      return Effect.ignore(exchange(request, requestTimeout, () => timedOut(requestTimeout)))
    }
  }
}
