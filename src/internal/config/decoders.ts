/**
 * Decoders of settings. A `parse` function reads the text of a variable; a `decode` function validates a value, be it from an option
 * or parsed. Both fail with a text that names the valid values.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { hostLength, nameLength } from "../model/datadogLimits.js"
import { percentileSuffix } from "../model/percentile.js"
import type { Aggregate } from "../model/settings.js"
import { decodeTags as decodeTagsInput, makeCutTag, type Tags } from "../model/tags.js"

export type Decoder<in I, out A> = (input: I) => Either.Either<A, string>

/** Quotes a rejected text for an error message. */
const received = (value: unknown): string => typeof value === "string" ? `, received ${JSON.stringify(value)}` : ""

const isString = (value: unknown): value is string => typeof value === "string"

export const parseText: Decoder<string, string> = Either.right

export const decodeText: Decoder<unknown, string> = (value) =>
  isString(value) ? Either.right(value) : Either.left("expected text")

export const decodeTrimmedText: Decoder<unknown, string> = (value) =>
  Either.map(decodeText(value), (text) => text.trim())

/** Parses true, yes, y, on and 1, or false, no, n, off and 0, in any case. The message does not quote the text, which may be a key. */
export const parseBoolean: Decoder<string, boolean> = (text) => {
  switch (text.toLowerCase()) {
    case "true":
    case "yes":
    case "y":
    case "on":
    case "1":
      return Either.right(true)
    case "false":
    case "no":
    case "n":
    case "off":
    case "0":
      return Either.right(false)
    default:
      return Either.left("expected true or false")
  }
}

export const decodeBoolean: Decoder<unknown, boolean> = (value) =>
  typeof value === "boolean" ? Either.right(value) : Either.left("expected true or false")

/** Parses a word in any case; the words of all settings are in lower case. */
export const parseWord: Decoder<string, string> = (text) => Either.right(text.toLowerCase())

export const decodeWord = <const A extends string>(...words: ReadonlyArray<A>): Decoder<unknown, A> => (value) =>
  words.includes(value as A)
    ? Either.right(value as A)
    : Either.left(`expected ${words.join(" or ")}${received(value)}`)

/** Parses a number. Any other text gives NaN, which the decoder rejects. */
export const parseNumber: Decoder<string, number> = (text) => Either.right(Number(text))

export const decodeWholeNumber = (least: number, most: number): Decoder<unknown, number> => (value) =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
    ? Either.right(value)
    : Either.left(`expected a whole number from ${least} to ${most}`)

/** Parses seconds, a duration such as `10 seconds`, or `off` for an infinite one. */
export const parseDuration: Decoder<string, Duration.Duration> = (text) =>
  /^\d+(\.\d+)?$/.test(text)
    ? Either.right(Duration.seconds(Number(text)))
    : text.toLowerCase() === "off"
    ? Either.right(Duration.infinity)
    : Either.fromOption(
      Duration.decodeUnknown(text),
      () => `expected seconds, or a duration such as "10 seconds"${received(text)}`
    )

/** Rejects less than a millisecond, the resolution of timers: no request could end in such a time limit. */
const decodeDurationOr = (tooShort: string): Decoder<unknown, Duration.Duration> => (value) =>
  Either.filterOrLeft(
    Either.fromOption(
      Duration.decodeUnknown(value),
      () => `expected a duration such as "10 seconds"${received(value)}`
    ),
    (duration) => Duration.toMillis(duration) >= 1,
    () => tooShort
  )

const atLeast = "expected at least 1 millisecond"

export const decodeDuration: Decoder<unknown, Duration.Duration> = /*#__PURE__*/ decodeDurationOr(atLeast)

/** Decodes the time between periodic flushes. The message names the duration without them, because zero means that elsewhere. */
export const decodeFlushInterval: Decoder<unknown, Duration.Duration> = /*#__PURE__*/ decodeDurationOr(
  `${atLeast}, or Duration.infinity (off in a variable) for the last flush only`
)

export const decodeFiniteDuration: Decoder<unknown, Duration.Duration> = (value) =>
  Either.filterOrLeft(decodeDuration(value), Duration.isFinite, () => "expected a finite duration")

/** A point carries the start of its bucket, and Datadog accepts it for an hour. Half of that is left for its delivery. */
const longestRollUpSeconds = 1800

export const decodeRollUpInterval: Decoder<unknown, Duration.Duration> = (value) =>
  Either.filterOrLeft(
    decodeFiniteDuration(value),
    (duration) =>
      Number.isInteger(Duration.toSeconds(duration)) && Duration.toSeconds(duration) <= longestRollUpSeconds,
    () => `expected whole seconds, from 1 to ${longestRollUpSeconds}`
  )

const splitList = (text: string): ReadonlyArray<string> =>
  text.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "")

/** Parses a comma list without its blank entries. */
export const parseList: Decoder<string, ReadonlyArray<string>> = (text) => Either.right(splitList(text))

export const parseNumbers: Decoder<string, ReadonlyArray<number>> = (text) => Either.right(splitList(text).map(Number))

/** Copies an array of at most a hundred elements, so that later changes to the caller's array have no effect. */
const decodeArray = <A>(
  values: unknown,
  isValid: (element: unknown) => element is A,
  expected: string
): Either.Either<ReadonlyArray<A>, string> => {
  // The spread gives a hole the value `undefined`, which `every` would skip.
  const copy: ReadonlyArray<unknown> | undefined = Array.isArray(values) && values.length <= 100
    ? [...values as ReadonlyArray<unknown>]
    : undefined
  return copy?.every(isValid) === true ? Either.right(copy) : Either.left(expected)
}

const isPercentile = (value: unknown): value is number => typeof value === "number" && value > 0 && value < 1

/** Keeps one of two percentiles that would have the same metric name. */
export const decodePercentiles: Decoder<unknown, ReadonlyArray<number>> = (value) =>
  Either.map(
    decodeArray(value, isPercentile, "expected numbers above 0 and below 1, such as 0.95"),
    (percentiles) => Array.from(new Map(percentiles.map((p) => [percentileSuffix(p), p])).values())
  )

const aggregates: ReadonlyArray<Aggregate> = ["min", "max", "count", "avg", "sum", "median"]

const isAggregate = (value: unknown): value is Aggregate => aggregates.includes(value as Aggregate)

export const decodeAggregates: Decoder<unknown, ReadonlyArray<Aggregate>> = (value) =>
  Either.map(
    decodeArray(value, isAggregate, `expected some of ${aggregates.join(", ")}`),
    (found) => Array.from(new Set(found))
  )

/** Parses a comma list of `metric:unit`. A unit may contain colons. */
export const parseUnits: Decoder<string, Readonly<Record<string, string>>> = (text) =>
  Either.right(Object.fromEntries(
    splitList(text).map((entry) => {
      const [metric = "", ...unit] = entry.split(":")
      return [metric.trim(), unit.join(":").trim()]
    })
  ))

const hasLength = (value: unknown, most: number): boolean => isString(value) && value.length > 0 && value.length <= most

/** Copies at most a thousand units. */
export const decodeUnits: Decoder<unknown, Readonly<Record<string, string>>> = (value) => {
  const units = value as Readonly<Record<string, string>>
  const entries = Symbol.iterator in units ? undefined : Object.entries(units)
  return entries !== undefined && entries.length <= 1000 &&
      entries.every(([metric, unit]) => hasLength(metric, nameLength) && hasLength(unit, 100))
    ? Either.right(Object.fromEntries(entries))
    : Either.left("expected units by metric name, such as shop.size:byte")
}

/** Parses tags like the Agent, which separates them by spaces, and like the Lambda clients, which use commas. */
export const parseAgentTags: Decoder<string, ReadonlyArray<string>> = (text) =>
  Either.right(text.includes(",") ? splitList(text) : text.split(/\s+/).filter((tag) => tag !== ""))

/** Decodes constant tags. A long one is an invalid setting, where the tags of points and events are cut: the author can correct it. */
export const decodeTags: Decoder<unknown, ReadonlyArray<string>> = (value) => {
  let isTooLong = false
  const tags = decodeTagsInput(
    value as Tags,
    makeCutTag(() => {
      isTooLong = true
    })
  )
  if (typeof tags === "string") {
    return Either.left("expected tags such as [\"team:checkout\"] or { team: \"checkout\" }")
  }
  return isTooLong ? Either.left("expected tags of at most 200 characters") : Either.right(tags)
}

/** Decodes the value of a tag with this key. An empty value gives no tag. */
export const decodeTag = (key: string): Decoder<unknown, ReadonlyArray<string>> => (value) =>
  Either.flatMap(decodeText(value), (text) => text === "" ? Either.right([]) : decodeTags([`${key}:${text}`]))

export const decodeHost: Decoder<unknown, string> = (value) =>
  Either.filterOrLeft(
    decodeTrimmedText(value),
    (host) => host.length <= hostLength,
    () => `expected at most ${hostLength} characters`
  )

/** Removes a repeated last character. The pattern `/x+$/` takes quadratic time for text with many of them elsewhere. */
const removeTrailing = (text: string, character: string): string => {
  let end = text.length
  while (text[end - 1] === character) end--
  return text.slice(0, end)
}

/** A full metric name has at most 200 characters, so a namespace is shorter. */
export const decodeNamespace: Decoder<unknown, string> = (value) =>
  Either.filterOrLeft(
    Either.map(decodeText(value), (text) => removeTrailing(text, ".")),
    (namespace) => namespace === "" || (/^[A-Za-z]/.test(namespace) && namespace.length <= 150),
    () => "expected at most 150 characters, of which the first is a letter"
  )

/** Returns the API's URL of a site. The messages of this decoder and the next do not quote the text: it may contain credentials. */
export const decodeSite: Decoder<unknown, string> = (value) =>
  Either.flatMap(decodeTrimmedText(value), (text) => {
    const host = text.toLowerCase().replace(/^https?:\/\//, "").split("/", 1)[0]!.replace(/^(app|api)\./, "")
    const url = `https://api.${host}`
    return /^[a-z0-9.-]+(:\d+)?$/.test(host) && URL.canParse(url)
      ? Either.right(url)
      : Either.left("expected a site such as datadoghq.eu")
  })

export const decodeUrl: Decoder<unknown, string> = (value) =>
  Either.flatMap(
    decodeTrimmedText(value),
    (text) =>
      /^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/i.test(text) && URL.canParse(text)
        ? Either.right(removeTrailing(new URL(text).href, "/"))
        : Either.left("expected an address with its scheme, such as https://api.datadoghq.eu")
  )

/** Whether this can be an API key: printable ASCII without spaces, because a header carries it. */
export const isUsable = (key: Redacted.Redacted): boolean => {
  const value: unknown = Redacted.value(key)
  return isString(value) && /^[!-~]+$/.test(value)
}

export const parseApiKey: Decoder<string, Redacted.Redacted> = (text) => Either.right(Redacted.make(text))

/** The message does not show the key. */
export const decodeApiKey: Decoder<unknown, Redacted.Redacted> = (value) => {
  if (!Redacted.isRedacted(value)) return Either.left("expected Redacted.make(key)")
  const key = value as Redacted.Redacted
  return isUsable(key) ? Either.right(key) : Either.left("expected a key of printable characters without spaces")
}
