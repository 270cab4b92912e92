import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { Reason } from "../Reporter.js"
import type { Chunk } from "./encoder.js"
import { keyHeader, validatePath } from "./endpoints.js"
import { version } from "./version.js"

/** Why one body was not delivered, and whether sending it again can help. Nothing in it holds the key. */
export class DeliveryFailure extends Data.TaggedError("DeliveryFailure")<{
  readonly reason: Reason
  readonly transient: boolean
  readonly description: string
  readonly status?: number | undefined
  /** How long the receiver asks to be left alone, in milliseconds. */
  readonly retryAfter?: number | undefined
  /** The connection broke before any answer, as one does that died while the process was frozen. */
  readonly reset?: boolean | undefined
  /** It may have arrived all the same. */
  readonly ambiguous: boolean
  readonly cause?: unknown
}> {}

/** Sends one body, once, with this key, in no more than `limit` milliseconds. */
export interface Transport {
  readonly send: (
    chunk: Pick<Chunk, "body" | "encoding" | "endpoint">,
    key: Redacted.Redacted,
    limit: number
  ) => Effect.Effect<void, DeliveryFailure>
  /** Opens a connection. The answer does not matter, nor that it is a refusal where there is no key yet. */
  readonly warm: (key: Option.Option<Redacted.Redacted>) => Effect.Effect<void>
}

/** Where there is nothing to keep out of an error. */
const noKey = /*#__PURE__*/ Redacted.make("(none)")

const timedOut = (limit: Duration.Duration) =>
  new DeliveryFailure({
    reason: "Timeout",
    transient: true,
    ambiguous: true,
    description: `no answer within ${Duration.format(limit)}`
  })

export const make = (client: HttpClient.HttpClient, options: {
  readonly apiUrl: string
  readonly requestTimeout: Duration.Duration
}): Transport => {
  const headers = (key: Option.Option<Redacted.Redacted>, more: Record<string, string>) =>
    Headers.unsafeFromRecord({
      ...more,
      ...(Option.isSome(key) ? { [keyHeader]: Redacted.value(key.value) } : undefined),
      "user-agent": `effect-threadstats/${version}`
    })

  /** Without the key, as it is and as others may have written it. */
  const cleanOf = (key: Redacted.Redacted) => (text: string) => {
    const value = Redacted.value(key)
    const bytes = Buffer.from(value)
    return [
      value,
      encodeURIComponent(value),
      encodeURI(value),
      JSON.stringify(value).slice(1, -1),
      bytes.toString("base64"),
      bytes.toString("base64url"),
      bytes.toString("hex")
    ].reduce((cleaned, form) => cleaned.replaceAll(form, "<redacted>"), text)
  }

  const noAnswer = (key: Redacted.Redacted) => (error: unknown): DeliveryFailure => {
    const clean = cleanOf(key)
    const root = safely(() => rootCause(error))
    const name = clean(root.name)
    const code = root.code === undefined ? undefined : clean(root.code)
    const message = clean(root.message) || code || name
    return new DeliveryFailure({
      reason: "Transport",
      transient: true,
      description: cut(message),
      reset: code !== undefined && resets.has(code),
      ambiguous: code === undefined || !unsent.test(code),
      cause: Object.assign(new Error(message), { name }, code === undefined ? undefined : { code })
    })
  }

  /** The status and the body of the answer. An answer whose body breaks off, or never ends, is an answer all the same. */
  const exchange = (
    request: () => HttpClientRequest.HttpClientRequest,
    key: Redacted.Redacted,
    limit: Duration.Duration
  ): Effect.Effect<Answer, DeliveryFailure> =>
    Effect.suspend(() => {
      let status: number | undefined = undefined
      let headers: Headers.Headers = Headers.empty
      return Effect.suspend(() => client.execute(request())).pipe(
        Effect.catchTag("ResponseError", responseOf),
        Effect.flatMap((response) => {
          status = response.status
          headers = response.headers
          return Effect.map(
            textOf(response),
            (body): Answer => ({ status: response.status, headers: response.headers, body })
          )
        }),
        Effect.catchAllDefect(Effect.fail),
        Effect.mapError(noAnswer(key)),
        Effect.disconnect,
        // inside the time limit, so that it holds where the caller cannot be interrupted, or already was
        Effect.interruptible,
        Effect.timeoutTo({
          duration: limit,
          onSuccess: (answer): Effect.Effect<Answer, DeliveryFailure> => Effect.succeed(answer),
          onTimeout: () =>
            status === undefined ? Effect.fail(timedOut(limit)) : Effect.succeed({ status, headers, body: "" })
        }),
        Effect.flatten
      )
    }).pipe(
      Effect.locallyWith(Headers.currentRedactedNames, (names) => [...names, keyHeader]),
      Effect.withTracerEnabled(false)
    )

  return {
    send: ({ body, encoding, endpoint }, key, limit) =>
      Effect.flatMap(
        exchange(
          () =>
            HttpClientRequest.post(`${options.apiUrl}${endpoint.path}`, {
              headers: headers(Option.some(key), encoding === "identity" ? {} : { "content-encoding": encoding }),
              body: HttpBody.uint8Array(body, "application/json")
            }),
          key,
          Duration.min(options.requestTimeout, Math.floor(limit))
        ),
        (answer) =>
          answer.status >= 200 && answer.status < 300
            ? Effect.void
            : Effect.flatMap(
              Clock.currentTimeMillis,
              (now) =>
                Effect.fail(
                  refused(answer.status, cut(cleanOf(key)(excerpt(answer.body))), pauseOf(answer.headers, now))
                )
            )
      ),
    warm: (key) =>
      Effect.ignore(
        exchange(
          () => HttpClientRequest.get(`${options.apiUrl}${validatePath}`, { headers: headers(key, {}) }),
          Option.getOrElse(key, () => noKey),
          options.requestTimeout
        )
      )
  }
}

/** What Node.js and undici call a connection that broke under a request. */
const resets: ReadonlySet<string> = /*#__PURE__*/ new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"])

/** What they call it when there was no connection: no address, nobody there, or a certificate that is not to be trusted. */
const unsent =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOENT|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_\w+|ERR_SSL_\w+|CERT_\w+|\w*SELF_SIGNED\w*|UNABLE_TO_\w+)$/

/**
 * How long the answer asks to wait, in milliseconds: `Retry-After` in seconds or as a date, `X-RateLimit-Reset` in
 * seconds, whichever is longer. (Datadog documents the latter, seconds from now; proxies send the former.)
 */
const pauseOf = (headers: Headers.Headers, now: number): number | undefined => {
  const secondsOf = (text: string | undefined) =>
    text !== undefined && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) * 1000 : Number.NaN
  const after = headers["retry-after"]
  const seconds = secondsOf(after)
  const pauses = [
    secondsOf(headers["x-ratelimit-reset"]),
    after?.endsWith("GMT") === true ? Date.parse(after) - now : seconds
  ].filter((pause) => Number.isFinite(pause))
  return pauses.length === 0 ? undefined : Math.max(0, ...pauses)
}

interface Answer {
  readonly status: number
  readonly headers: Headers.Headers
  readonly body: string
}

/** In bytes. Datadog's own answers have a few hundred. */
const maxAnswer = 1024 * 1024

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
        return bytes < maxAnswer
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

const refused = (status: number, detail: string, retryAfter: number | undefined): DeliveryFailure => {
  const failure = (reason: Reason, transient: boolean, hint?: string) =>
    new DeliveryFailure({
      reason,
      transient,
      ambiguous: status >= 500,
      status,
      retryAfter,
      description: [detail, hint].filter((part) => part !== undefined && part !== "").join("; ") || "no description"
    })
  if (status >= 500 && status < 600) return failure("ServerError", true)
  // no answer to the request at all
  if (status < 200) return failure("Transport", true)
  switch (status) {
    case 401:
    case 403:
      return failure(
        "Unauthorized",
        true,
        "check DATADOG_API_KEY or DD_API_KEY, or the secret the key is read from, and that DD_SITE is the site the key belongs to"
      )
    case 408:
      return failure("ServerError", true)
    case 413:
      return failure("PayloadTooLarge", false)
    case 429:
      return failure("RateLimited", true)
    default:
      return failure(
        "Rejected",
        false,
        status === 404 || status < 400 ? "check DD_SITE and DATADOG_HOST" : undefined
      )
  }
}

/** What Datadog says is wrong: the `errors` of a JSON body, else the text as it is. */
const excerpt = (body: string): string => {
  const parsed = Option.getOrUndefined(parseJson(body))
  return Predicate.hasProperty(parsed, "errors") && Array.isArray(parsed.errors)
    ? parsed.errors.map((error) => typeof error === "string" ? error : JSON.stringify(error)).join(", ")
    : body
}

const parseJson = /*#__PURE__*/ Option.liftThrowable((text: string): unknown => JSON.parse(text))

const cut = (text: string): string => {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}

/** An error that throws when it is looked at says nothing. */
const safely = (look: () => Root): Root => {
  try {
    return look()
  } catch {
    return { name: "Error", message: "an error that cannot be read", code: undefined }
  }
}

interface Root {
  readonly name: string
  readonly message: string
  readonly code: string | undefined
}

/** The innermost error says what happened; the outer ones hold the request, and with it the key. */
const rootCause = (error: unknown): Root => {
  let current = error
  for (let depth = 0; depth < 16; depth++) {
    const inner = Predicate.hasProperty(current, "errors") && Array.isArray(current.errors)
      ? current.errors[0]
      : Predicate.hasProperty(current, "cause")
      ? current.cause
      : undefined
    if (inner === undefined || inner === null) break
    current = inner
  }
  return Predicate.hasProperty(current, "message")
    ? {
      name: Predicate.hasProperty(current, "name") ? String(current.name) : "Error",
      message: String(current.message),
      code: Predicate.hasProperty(current, "code") && typeof current.code === "string" ? current.code : undefined
    }
    : { name: "Error", message: Inspectable.toStringUnknown(current), code: undefined }
}
