import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type { Reason } from "../model/Delivery.js"
import { toPrintable } from "../model/printableText.js"
import { version } from "../model/version.js"
import type { Chunk } from "./encoder.js"
import { keyHeader, validatePath } from "./endpoints.js"
import { redactKey } from "./redactKey.js"

/** Why one body was not delivered, and whether sending it again can help. Nothing in it holds the key. */
export class DeliveryFailure extends /*#__PURE__*/ Data.TaggedError("DeliveryFailure")<{
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

export interface Options {
  readonly apiUrl: string
  readonly requestTimeout: Duration.Duration
}

export const timedOut = (limit: Duration.Duration) =>
  new DeliveryFailure({
    reason: "Timeout",
    transient: true,
    ambiguous: true,
    description: `no answer within ${Duration.format(limit)}`
  })

/** One HTTP request. Its headers hold the key. */
export interface Request {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
}

/** The status, the headers by lower-case name, and the body as text. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/**
 * Sends one request and waits for its answer, at most `limit`; follows no redirect. The limit holds where the caller cannot be
 * interrupted, too. Once there is a status there is an answer: a body that breaks off, or never ends, is what came of it, up
 * to {@link maxAnswer}. What went wrong is `failed`, or {@link timedOut}.
 */
export type Exchange = (
  request: Request,
  limit: Duration.Duration,
  failed: (error: unknown) => DeliveryFailure
) => Effect.Effect<Answer, DeliveryFailure>

export const make = (exchange: Exchange, options: Options): Transport => {
  const headers = (key: Option.Option<Redacted.Redacted>, more: Record<string, string>) => ({
    ...more,
    ...(Option.isSome(key) ? { [keyHeader]: Redacted.value(key.value) } : undefined),
    "user-agent": `effect-threadstats/${version}`
  })

  return {
    send: ({ body, encoding, endpoint }, key, limit) =>
      Effect.flatMap(
        exchange(
          {
            method: "POST",
            url: `${options.apiUrl}${endpoint.path}`,
            headers: headers(Option.some(key), {
              "content-type": "application/json",
              ...(encoding === "identity" ? undefined : { "content-encoding": encoding })
            }),
            body
          },
          Duration.millis(Math.min(Duration.toMillis(options.requestTimeout), Math.floor(limit))),
          noAnswer(key)
        ),
        (answer) =>
          answer.status >= 200 && answer.status < 300
            ? Effect.void
            : Effect.flatMap(
              Clock.currentTimeMillis,
              (now) =>
                Effect.fail(
                  refused(
                    answer.status,
                    cut(cleanOf(key)(excerpt(answer.body).slice(0, maxQuoted))),
                    pauseOf(answer.headers, now)
                  )
                )
            )
      ),
    warm: (key) =>
      Effect.asVoid(Effect.catchAll(
        exchange(
          { method: "GET", url: `${options.apiUrl}${validatePath}`, headers: headers(key, {}) },
          options.requestTimeout,
          // whatever it is: nobody hears of it
          () => timedOut(options.requestTimeout)
        ),
        () => Effect.void
      ))
  }
}

const cleanOf = (key: Redacted.Redacted) => redactKey(Redacted.value(key))

const noAnswer = (key: Redacted.Redacted) => (error: unknown): DeliveryFailure => {
  const redact = cleanOf(key)
  const clean = (text: string) => toPrintable(redact(text))
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

/** What Node.js and undici call a connection that broke under a request. */
const resets: ReadonlySet<string> = /*#__PURE__*/ new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"])

/** What they call it when there was no connection: no address, nobody there, or a certificate that is not to be trusted. */
const unsent =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOENT|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_\w+|ERR_SSL_\w+|CERT_\w+|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT\w*|UNABLE_TO_\w+)$/

/**
 * How long the answer asks to wait, in milliseconds: `Retry-After` in seconds or as a date, `X-RateLimit-Reset` in
 * seconds, whichever is longer. (Datadog documents the latter, seconds from now; proxies send the former.)
 */
const pauseOf = (headers: Answer["headers"], now: number): number | undefined => {
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

/** In bytes. Datadog's own answers have a few hundred. */
export const maxAnswer = 1024 * 1024

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
  const parsed = parseJson(body)
  return Predicate.hasProperty(parsed, "errors") && Array.isArray(parsed.errors)
    ? parsed.errors.slice(0, 10).map((error) => typeof error === "string" ? error : JSON.stringify(error)).join(", ")
    : body
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Characters of an answer that are searched for the key. A message quotes fewer than 200 of them. */
const maxQuoted = 4_000

const cut = (text: string): string => {
  const line = toPrintable(text.replace(/\s+/g, " ").trim())
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
