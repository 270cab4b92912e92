import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import type { Reason } from "../model/Delivery.js"
import { toPrintable } from "../model/printableText.js"

/** Reason why one payload was not delivered. No field contains the key. */
export class DeliveryFailure extends /*#__PURE__*/ Data.TaggedError("DeliveryFailure")<{
  readonly reason: Reason
  /** True if the payload may be accepted later. */
  readonly transient: boolean
  readonly description: string
  readonly status?: number | undefined
  /** Pause that the receiver requests, in milliseconds. */
  readonly retryAfter?: number | undefined
  /** True if the connection broke before the response. A connection that was idle while the process was frozen does. */
  readonly reset?: boolean | undefined
  /** True if the payload may have arrived. */
  readonly ambiguous: boolean
  readonly cause?: unknown
}> {}

/** Failure of a payload that was not sent. */
export const unsent = (description: string, reason: Reason = "Timeout"): DeliveryFailure =>
  new DeliveryFailure({ reason, transient: true, ambiguous: false, description })

/** Failure of a request without a response within `limit` milliseconds. */
export const timedOut = (limit: number): DeliveryFailure =>
  new DeliveryFailure({
    reason: "Timeout",
    transient: true,
    ambiguous: true,
    description: `no answer within ${Duration.format(limit)}`
  })

/** Codes of Node.js and undici for a connection that broke during a request. */
const resetCodes: ReadonlySet<string> = /*#__PURE__*/ new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"])

/** Codes of errors before a request: no address, no listener, or an untrusted certificate. */
const unsentCodes =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|ENETDOWN|ENOENT|EADDRNOTAVAIL|ERR_PROXY_TUNNEL|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_CERT_\w+|ERR_SSL_\w+|CERT_\w+|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT\w*|UNABLE_TO_\w+)$/

/** Makes the failure of a request without a response. */
export const fromNetworkError = (error: unknown, redactKey: (text: string) => string): DeliveryFailure => {
  const redact = (text: string) => toPrintable(redactKey(text))
  const root = readRootCause(error)
  const name = redact(root.name)
  const code = root.code === undefined ? undefined : redact(root.code)
  const message = redact(root.message) || code || name
  return new DeliveryFailure({
    reason: "Transport",
    transient: true,
    description: toLine(message),
    reset: code !== undefined && resetCodes.has(code),
    ambiguous: code === undefined || !unsentCodes.test(code),
    cause: Object.assign(new Error(message), { name }, code === undefined ? undefined : { code })
  })
}

/** Returns one line of at most 200 characters. */
export const toLine = (text: string): string => {
  const line = toPrintable(text.replace(/\s+/g, " ").trim())
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}

interface RootCause {
  readonly name: string
  readonly message: string
  readonly code: string | undefined
}

/** Reads the root cause. An error may throw when its properties are read. */
const readRootCause = (error: unknown): RootCause => {
  try {
    return rootCause(error)
  } catch {
    return { name: "Error", message: "an error that cannot be read", code: undefined }
  }
}

/** Returns the innermost error. The outer ones contain the request, which contains the key. */
const rootCause = (error: unknown): RootCause => {
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
