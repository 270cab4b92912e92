/** Decides by its response whether a payload was delivered. */
import * as Predicate from "effect/Predicate"
import type { Reason } from "../model/Delivery.js"
import { DeliveryFailure, toLine } from "./httpFailure.js"

export interface HttpResponse {
  readonly status: number
  /** Headers by name in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Body, or its first {@link maxResponseBytes}. If the body breaks off, the part that arrived. */
  readonly body: string
}

/** Limit of the bytes that a transport reads of a response. Datadog's responses have a few hundred. */
export const maxResponseBytes = 1024 * 1024

const checkKey =
  "check DATADOG_API_KEY or DD_API_KEY, or the secret the key is read from, and that DD_SITE is the site the key belongs to"

const checkAddress = "check DD_SITE and DATADOG_HOST"

const checkProxy = "the proxy requires a user name and a password. Add them to the address of the proxy"

const checkNetwork =
  "the response is a web page, which Datadog does not send. Check DD_SITE and DATADOG_HOST, and whether a proxy or a login page answers"

/** True if a web page is the response. Datadog's receivers answer with JSON, and test doubles also with plain text or nothing. */
const isWebPage = ({ body, headers }: HttpResponse): boolean =>
  !/^\s*(?:[{[]|$)/.test(body) && (/^\s*</.test(body) || headers["content-type"]?.includes("html") === true)

/** Returns advice for a status that Datadog does not document for payloads. */
const adviceFor = (status: number): string | undefined =>
  status === 407 ? checkProxy : status === 404 || status < 400 ? checkAddress : undefined

/**
 * Returns undefined if the response accepts the payload, else the failure. `now` is in milliseconds since the epoch.
 *
 * Only a status that Datadog documents for its endpoints is final. Any other one is probably the response of a proxy, a load balancer or
 * a login page, so the payload stays undelivered.
 */
export const failureOf = (
  response: HttpResponse,
  now: number,
  redact: (text: string) => string
): DeliveryFailure | undefined => {
  const { headers, status } = response
  const isAccepted = status >= 200 && status < 300
  if (isAccepted && !isWebPage(response)) return undefined
  const failure = (reason: Reason, transient: boolean, hint?: string) => {
    const parts = [toLine(redact(errorDetail(response.body).slice(0, maxSearched))), hint]
    return new DeliveryFailure({
      reason,
      transient,
      // A proxy that answers for the receiver may have passed the payload on.
      ambiguous: status >= 500 || isAccepted,
      status,
      retryAfter: retryAfterMillis(headers, dateOf(headers) ?? now),
      description: parts.filter((part) => part !== undefined && part !== "").join("; ") || "no description"
    })
  }
  if (status >= 500 && status < 600) return failure("ServerError", true)
  // The server switched protocols, and answered nothing.
  if (status < 200) return failure("Transport", true)
  switch (status) {
    case 401:
    case 403:
      return failure("Unauthorized", true, checkKey)
    case 408:
      return failure("ServerError", true)
    case 413:
      return failure("PayloadTooLarge", false)
    case 429:
      return failure("RateLimited", true)
  }
  if (isWebPage(response)) return failure("UnexpectedResponse", true, checkNetwork)
  const isAboutPayload = status === 400 || status === 415 || status === 422
  return isAboutPayload
    ? failure("Rejected", false)
    : failure("UnexpectedResponse", true, adviceFor(status))
}

/** Returns the time at which the response was sent, in milliseconds since the epoch. */
export const dateOf = ({ date }: HttpResponse["headers"]): number | undefined => {
  const time = date === undefined ? Number.NaN : Date.parse(date)
  return Number.isNaN(time) ? undefined : time
}

/**
 * Returns the pause that the response requests, in milliseconds: `Retry-After` in seconds or as a date, or `X-RateLimit-Reset` in
 * seconds, whichever is longer. Datadog documents `X-RateLimit-Reset`, in seconds from now; proxies send `Retry-After`.
 */
const retryAfterMillis = (headers: HttpResponse["headers"], now: number): number | undefined => {
  const parseSeconds = (text: string | undefined) =>
    text !== undefined && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) * 1000 : Number.NaN
  const after = headers["retry-after"]
  const pauses = [
    parseSeconds(headers["x-ratelimit-reset"]),
    after?.endsWith("GMT") === true ? Date.parse(after) - now : parseSeconds(after)
  ].filter((pause) => Number.isFinite(pause))
  return pauses.length === 0 ? undefined : Math.max(0, ...pauses)
}

/** Characters of a body that are searched for the key. A message quotes fewer than 200 of them. */
const maxSearched = 4_000

/** Returns the receiver's description of an error: the `errors` of a JSON body, else the body. */
const errorDetail = (body: string): string => {
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
