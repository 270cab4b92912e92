import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"

/** What is done instead of, or before, the usual answer. */
export type Action =
  | { readonly _tag: "Usual" }
  | { readonly _tag: "Answer"; readonly response: HttpServerResponse.HttpServerResponse }
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Reset" }

export interface Fault {
  /** As it was given. */
  readonly text: string
  readonly action: Action
  readonly delay: Duration.Duration
  /** How probable it is, from 0 to 1. */
  readonly rate: number
  /** The only path it is played on. */
  readonly path: string | undefined
}

const forms = "status=503, delay=2s, hang, reset or rate-limit, with rate=0.2 and path=/api/v1/series if you like"

const units: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000 }

const answer = (
  status: number,
  error: string,
  headers: Record<string, string> = {}
): Action => ({
  _tag: "Answer",
  response: HttpServerResponse.unsafeJson({ errors: [error] }, { status, headers })
})

/** As Datadog has it: the time is in seconds from now on. The name is ours. */
const rateLimit = (seconds: number): Action =>
  answer(429, "Rate limit exceeded", {
    "x-ratelimit-limit": "1",
    "x-ratelimit-period": String(seconds),
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": String(seconds),
    "x-ratelimit-name": "local_intake"
  })

const numberFrom = (text: string, from: number, to: number): number | undefined =>
  /^\d*\.?\d+$/.test(text) && Number(text) >= from && Number(text) <= to ? Number(text) : undefined

/** A fault out of words such as `status=503 rate=0.2`, or what is wrong with them. */
export const parse = (text: string): Either.Either<Fault, string> => {
  let action: Action | undefined
  let delay: Duration.Duration | undefined
  let rate = 1
  let path: string | undefined
  const seen = new Set<string>()
  for (const word of text.trim().split(/\s+/)) {
    const equals = word.indexOf("=")
    const key = equals < 0 ? word : word.slice(0, equals)
    const value = equals < 0 ? undefined : word.slice(equals + 1)
    const wrong = (why: string) => Either.left(`${JSON.stringify(word)}: ${why}`)
    if (seen.has(key)) return wrong(`there is one ${key} already`)
    seen.add(key)
    let found: Action | undefined
    switch (key) {
      case "status": {
        const status = numberFrom(value ?? "", 200, 599)
        if (status === undefined || !Number.isInteger(status)) return wrong("a status is a number from 200 to 599")
        found = answer(status, `Fault: ${text.trim()}`)
        break
      }
      case "hang":
      case "reset":
        if (value !== undefined) return wrong(`${key} stands alone`)
        found = { _tag: key === "hang" ? "Hang" : "Reset" }
        break
      case "rate-limit": {
        const seconds = value === undefined ? 10 : numberFrom(value, 1, 86_400)
        if (seconds === undefined) return wrong("rate-limit stands alone, or has the seconds until the next try")
        found = rateLimit(seconds)
        break
      }
      case "delay": {
        const [, amount = "", unit = "ms"] = /^([\d.]+)(ms|s|m)?$/.exec(value ?? "") ?? []
        const millis = (numberFrom(amount, 0, 1e9) ?? Number.NaN) * units[unit]!
        if (Number.isNaN(millis)) return wrong("a delay is a number with ms, s or m")
        delay = Duration.millis(millis)
        break
      }
      case "rate": {
        const share = numberFrom(value ?? "", 0, 1)
        if (share === undefined) return wrong("a rate is a number from 0 to 1")
        rate = share
        break
      }
      case "path":
        if (value === undefined || !value.startsWith("/")) return wrong("a path begins with /")
        path = value
        break
      default:
        return wrong(`a fault is ${forms}`)
    }
    if (found === undefined) continue
    if (action !== undefined) return wrong("a fault does one thing; give --fault twice for two")
    action = found
  }
  return action === undefined && delay === undefined
    ? Either.left(`${JSON.stringify(text)} does nothing: a fault is ${forms}`)
    : Either.right({
      text: text.trim(),
      action: action ?? { _tag: "Usual" },
      delay: delay ?? Duration.zero,
      rate,
      path
    })
}
