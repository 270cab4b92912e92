/**
 * Parser of DogStatsD lines with the rules of the Agent: fields come in any order, unknown fields are ignored, and an invalid line
 * is dropped alone. Sources: the Agent's `comp/dogstatsd/server/parse.go` and `enrich.go`, and Datadog's documentation of the
 * datagram format.
 */
import type { AlertType, Priority } from "../../Event.js"
import { makeVerdict, quoteText, type Verdict } from "../verdict.js"

/** Tags and origin, which each line may have. */
interface LineOrigin {
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  readonly device: string | undefined
  /** Field `c:`. */
  readonly container: string | undefined
  /** Field `e:`. */
  readonly externalData: string | undefined
  /** Field `card:`. */
  readonly cardinality: string | undefined
}

export interface MetricLine extends LineOrigin {
  readonly _tag: "Metric"
  readonly name: string
  readonly type: "c" | "g" | "ms" | "h" | "s" | "d"
  /** Finite numbers, or the member of a set. */
  readonly values: ReadonlyArray<number> | readonly [member: string]
  /** Sample rate: each value stands for `1 / rate` values. */
  readonly rate: number
  /** Seconds since the epoch. */
  readonly timestamp: number | undefined
  readonly verdicts: ReadonlyArray<Verdict>
}

export interface EventLine extends LineOrigin {
  readonly _tag: "Event"
  readonly title: string
  readonly text: string
  readonly timestamp: number | undefined
  readonly aggregationKey: string | undefined
  readonly priority: Priority
  readonly sourceTypeName: string | undefined
  readonly alertType: AlertType
}

export interface ServiceCheckLine extends LineOrigin {
  readonly _tag: "ServiceCheck"
  readonly name: string
  /** 0 is OK, 1 is a warning, 2 is critical, 3 is unknown. */
  readonly status: 0 | 1 | 2 | 3
  readonly timestamp: number | undefined
  readonly message: string | undefined
}

/** A line that the Agent drops. */
export interface InvalidLine {
  readonly _tag: "Invalid"
  readonly verdict: Verdict
}

/** Size of the Agent's buffer for one datagram, in bytes. */
export const bufferSize = 8192

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8")

/** Splits a datagram into lines. Bytes beyond {@link bufferSize} are lost. */
export const splitLines = (packet: Uint8Array): ReadonlyArray<string> =>
  utf8.decode(packet.byteLength > bufferSize ? packet.subarray(0, bufferSize) : packet)
    .split("\n")
    .filter((line) => line !== "")

/** Parses one line. */
export const parseLine = (line: string): MetricLine | EventLine | ServiceCheckLine | InvalidLine =>
  line.startsWith("_e{") ? parseEvent(line) : line.startsWith("_sc|") ? parseServiceCheck(line) : parseMetric(line)

const makeInvalid = (metric: string | null, line: string, reason: string): InvalidLine => ({
  _tag: "Invalid",
  verdict: makeVerdict("dropped", "BadLine", metric, `${reason}: ${quoteText(line)}`)
})

const types: ReadonlySet<string> = new Set<MetricLine["type"]>(["c", "g", "ms", "h", "s", "d"])

const isType = (type: string): type is MetricLine["type"] => types.has(type)

const decimalPattern = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i
const notFinitePattern = /^[+-]?(?:nan|inf|infinity)$/i

const parseMetric = (line: string): MetricLine | InvalidLine => {
  const [head = "", type = "", ...fields] = line.split("|")
  const colon = head.indexOf(":")
  const name = head.slice(0, Math.max(0, colon))
  const text = head.slice(colon + 1)
  if (name === "") return makeInvalid(null, line, "the name is missing")
  if (!isType(type)) return makeInvalid(name, line, `${quoteText(type)} is not a type of a metric`)
  if (text === "") return makeInvalid(name, line, "the value is missing")
  const values: Array<number> = []
  const verdicts: Array<Verdict> = []
  for (const value of type === "s" ? [] : text.split(":")) {
    if (value === "") continue
    const number = decimalPattern.test(value) ? Number(value) : Number.NaN
    if (Number.isFinite(number)) values.push(number)
    else if (!decimalPattern.test(value) && !notFinitePattern.test(value)) {
      return makeInvalid(name, line, `${quoteText(value)} is not a number`)
    } else verdicts.push(makeVerdict("dropped", "NotFinite", name, `a value of ${quoteText(name)} is ${value}`))
  }
  let rate = 1
  let timestamp: number | undefined
  for (const field of fields) {
    if (field.startsWith("@")) {
      rate = Number(field.slice(1))
      if (!(rate > 0 && rate <= 1)) return makeInvalid(name, line, `${quoteText(field)} is not a sample rate`)
      if (type === "g" || type === "s") {
        const message = `the Agent ignores the sample rate of a ${type === "g" ? "gauge" : "set"}`
        verdicts.push(makeVerdict("warning", "RateIgnored", name, message))
        rate = 1
      }
    } else if (field.startsWith("T")) {
      timestamp = Number(field.slice(1))
      if (!Number.isInteger(timestamp) || timestamp < 1) {
        return makeInvalid(name, line, `${quoteText(field)} is not a time in seconds since the epoch`)
      }
      if (type !== "c" && type !== "g") {
        const message = "the Agent ignores the time of a value that is neither a count nor a gauge"
        verdicts.push(makeVerdict("warning", "TimeIgnored", name, message))
        timestamp = undefined
      }
    }
  }
  return {
    _tag: "Metric",
    name,
    type,
    values: type === "s" ? [text] : values,
    rate,
    timestamp,
    verdicts,
    ...readOrigin(fields)
  }
}

/** Reads tags and origin. The Agent turns some tags into fields, and removes them from the tags. */
const readOrigin = (fields: ReadonlyArray<string>): LineOrigin => {
  const fieldAfter = (prefix: string) => fields.find((field) => field.startsWith(prefix))?.slice(prefix.length)
  const tags = (fieldAfter("#") ?? "").split(",").filter((tag) => tag !== "")
  const valueOf = (key: string) => tags.findLast((tag) => tag.startsWith(key))?.slice(key.length)
  const special = ["host:", "device:", "dd.internal.entity_id:"]
  return {
    tags: tags.filter((tag) => !special.some((key) => tag.startsWith(key))),
    host: valueOf("host:"),
    device: valueOf("device:"),
    container: fieldAfter("c:"),
    externalData: fieldAfter("e:"),
    cardinality: fieldAfter("card:")
  }
}

/** Returns positive whole seconds; `undefined` for other text. */
const parseSeconds = (text: string | undefined): number | undefined => {
  const seconds = text === undefined ? Number.NaN : Number(text)
  return Number.isInteger(seconds) && seconds > 0 ? seconds : undefined
}

const unescape = (text: string): string => text.replaceAll("\\n", "\n")

const alertTypes: ReadonlyArray<AlertType> = ["error", "warning", "info", "success"]

const parseEvent = (line: string): EventLine | InvalidLine => {
  const [header, titleLength, textLength] = /^_e\{(\d+),(\d+)\}:/.exec(line) ?? []
  if (header === undefined) return makeInvalid(null, line, "the lengths are missing")
  // The lengths count bytes.
  const bytes = Buffer.from(line)
  const titleEnd = header.length + Number(titleLength)
  const textEnd = titleEnd + 1 + Number(textLength)
  if (bytes[titleEnd] !== 0x7c || textEnd > bytes.byteLength) {
    return makeInvalid(null, line, "the lengths do not match the text")
  }
  if (titleEnd === header.length) return makeInvalid(null, line, "the title is empty")
  const fields = bytes.subarray(textEnd).toString().split("|").slice(1)
  const fieldAfter = (prefix: string) => fields.find((field) => field.startsWith(prefix))?.slice(prefix.length)
  const origin = readOrigin(fields)
  return {
    _tag: "Event",
    title: unescape(bytes.subarray(header.length, titleEnd).toString()),
    text: unescape(bytes.subarray(titleEnd + 1, textEnd).toString()),
    timestamp: parseSeconds(fieldAfter("d:")),
    aggregationKey: fieldAfter("k:"),
    priority: fieldAfter("p:") === "low" ? "low" : "normal",
    sourceTypeName: fieldAfter("s:"),
    alertType: alertTypes.find((type) => type === fieldAfter("t:")) ?? "info",
    ...origin,
    host: fieldAfter("h:") ?? origin.host
  }
}

const parseServiceCheck = (line: string): ServiceCheckLine | InvalidLine => {
  // The message is the last field, and can contain any character.
  const at = line.indexOf("|m:")
  const [, name = "", status = "", ...fields] = (at < 0 ? line : line.slice(0, at)).split("|")
  if (name === "") return makeInvalid(null, line, "the name is missing")
  const known = ([0, 1, 2, 3] as const).find((code) => String(code) === status)
  if (known === undefined) return makeInvalid(null, line, `${quoteText(status)} is not a status`)
  const origin = readOrigin(fields)
  return {
    _tag: "ServiceCheck",
    name,
    status: known,
    timestamp: parseSeconds(fields.find((field) => field.startsWith("d:"))?.slice(2)),
    message: at < 0 ? undefined : unescape(line.slice(at + "|m:".length)),
    ...origin,
    host: fields.find((field) => field.startsWith("h:"))?.slice(2) ?? origin.host
  }
}
