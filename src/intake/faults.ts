/** Faults in words, such as `status=503 rate=0.2`. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { quoteText } from "./verdict.js"

/** Effect of a fault on a request, after its delay. `Usual` answers like Datadog. */
export type FaultAction =
  | { readonly _tag: "Usual" }
  | { readonly _tag: "Answer"; readonly response: HttpServerResponse.HttpServerResponse }
  | { readonly _tag: "Hang" }
  | { readonly _tag: "Reset" }

/**
 * A fault that the intake injects into requests.
 *
 * @since 0.1.0
 * @category models
 */
export interface InjectedFault {
  /** Words that the fault was parsed from. */
  readonly text: string
  /** Answer or failure in place of the regular answer. */
  readonly action: FaultAction
  /** Time before the answer. */
  readonly delay: Duration.Duration
  /** Probability, from 0 to 1. */
  readonly rate: number
  /** Path of the requests that it affects; `undefined` for all paths. */
  readonly path: string | undefined
}

const actions = "status=503, delay=2s, hang, reset or rate-limit"
const forms = `${actions}, optionally with rate=0.2 and path=/api/v1/series`

const unitMillis: { readonly [unit: string]: number } = { ms: 1, s: 1000, m: 60_000 }

const parseNumber = (text: string, min: number, max: number): number | undefined =>
  /^(?:\d+(?:\.\d+)?|\.\d+)$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined

const answerWith = (status: number, error: string, headers: Record<string, string> = {}): FaultAction => ({
  _tag: "Answer",
  response: HttpServerResponse.unsafeJson({ errors: [error] }, { status, headers })
})

/** Answers 429 with the headers of Datadog. `reset` is the number of seconds from now. */
const limitRate = (seconds: number): FaultAction =>
  answerWith(429, "Rate limit exceeded", {
    "x-ratelimit-limit": "1",
    "x-ratelimit-period": String(seconds),
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": String(seconds),
    "x-ratelimit-name": "local_intake"
  })

/** Part of a fault that one word sets. */
type FaultPart = Partial<Omit<InjectedFault, "text">>

/** Returns the end of an error that names the wrong value. */
const butNot = (value: string): string => value === "" ? "" : `, not ${quoteText(value)}`

/** Parses the value of one word. An error is the reason. */
type WordParser = (value: string | undefined, text: string) => Either.Either<FaultPart, string>

const parseFlag = (action: FaultAction): WordParser => (value) =>
  value === undefined
    ? Either.right({ action })
    : Either.left(`${quoteText(value)} is not allowed: this word takes no value`)

const parsers: { readonly [word: string]: WordParser } = {
  status: (value = "", text) => {
    const status = parseNumber(value, 200, 599)
    return status === undefined || !Number.isInteger(status)
      ? Either.left(`a status is a number from 200 to 599, such as status=503${butNot(value)}`)
      : Either.right({ action: answerWith(status, `Fault: ${text}`) })
  },
  hang: parseFlag({ _tag: "Hang" }),
  reset: parseFlag({ _tag: "Reset" }),
  "rate-limit": (value = "10") => {
    const seconds = parseNumber(value, 1, 86_400)
    return seconds === undefined
      ? Either.left(`rate-limit takes no value, or a number of seconds from 1 to 86400${butNot(value)}`)
      : Either.right({ action: limitRate(seconds) })
  },
  delay: (value = "") => {
    const [, number = "", unit = ""] = /^([\d.]*)([a-z]*)$/i.exec(value) ?? []
    const amount = parseNumber(number, 0, 1e9)
    if (amount === undefined) {
      return Either.left(`a delay is a number with ms, s or m, such as delay=2s${butNot(value)}`)
    }
    if (unit === "") return Either.left(`${quoteText(value)} has no unit: write ${value}ms, ${value}s or ${value}m`)
    return Object.hasOwn(unitMillis, unit)
      ? Either.right({ delay: Duration.millis(amount * unitMillis[unit]!) })
      : Either.left(`the unit ${quoteText(unit)} is unknown: write ms, s or m`)
  },
  rate: (value = "") => {
    const rate = parseNumber(value, 0, 1)
    return rate === undefined
      ? Either.left(`a rate is a number from 0 to 1, such as rate=0.2${butNot(value)}`)
      : Either.right({ rate })
  },
  path: (path = "") =>
    path.startsWith("/")
      ? Either.right({ path })
      : Either.left(`a path begins with /${butNot(path)}`)
}

/** Parses a fault. An error is the reason. */
export const parseFault = (words: string): Either.Either<InjectedFault, string> => {
  const text = words.trim()
  const parts: Array<FaultPart> = []
  const seen = new Set<string>()
  for (const word of text.split(/\s+/)) {
    const [key = "", ...values] = word.split("=")
    const fail = (reason: string) => Either.left(`${quoteText(word)}: ${reason}`)
    if (seen.has(key)) return fail(`${quoteText(key)} is given twice`)
    seen.add(key)
    const parse: WordParser = Object.hasOwn(parsers, key)
      ? parsers[key]!
      : () =>
        Either.left(
          text === "" ? `a fault is ${forms}` : `${quoteText(key)} is not a word of a fault, which is ${forms}`
        )
    const part = parse(values.length === 0 ? undefined : values.join("="), text)
    if (Either.isLeft(part)) return fail(part.left)
    if (part.right.action !== undefined && parts.some(({ action }) => action !== undefined)) {
      return fail("a fault has one action. Use a second fault for the other action")
    }
    parts.push(part.right)
  }
  const fault: Omit<InjectedFault, "text"> & { readonly action?: FaultAction } = Object.assign(
    { action: { _tag: "Usual" }, delay: Duration.zero, rate: 1, path: undefined },
    ...parts
  )
  return parts.some(({ action, delay }) => action !== undefined || delay !== undefined)
    ? Either.right({ text, ...fault })
    : Either.left(`${quoteText(text)} has no effect: add ${actions}`)
}
