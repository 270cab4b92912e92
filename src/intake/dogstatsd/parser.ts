/**
 * Reads DogStatsD as the Agent does: fields in any order, unknown ones passed over, a line that makes no sense dropped alone.
 * Source: the Agent's `comp/dogstatsd/server/parse.go` and `enrich.go`, and Datadog's documentation of the datagram format.
 */
import type { AlertType, Priority } from "../../Event.js"
import type { Verdict } from "../feedProtocol.js"
import { quoted, verdict } from "../validate.js"

/** What every line may say of where it comes from. */
interface Origin {
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  readonly device: string | undefined
  /** The fields `c:`, `e:` and `card:`, as they came. */
  readonly container: string | undefined
  readonly externalData: string | undefined
  readonly cardinality: string | undefined
}

export interface Metric extends Origin {
  readonly _tag: "Metric"
  readonly name: string
  readonly type: "c" | "g" | "ms" | "h" | "s" | "d"
  /** Of a set its member, of everything else finite numbers. */
  readonly values: ReadonlyArray<number> | readonly [member: string]
  /** One over how many each value stands for. */
  readonly rate: number
  /** Seconds since the epoch. */
  readonly timestamp: number | undefined
  readonly verdicts: ReadonlyArray<Verdict>
}

export interface EventLine extends Origin {
  readonly _tag: "Event"
  readonly title: string
  readonly text: string
  readonly timestamp: number | undefined
  readonly aggregationKey: string | undefined
  readonly priority: Priority
  readonly sourceTypeName: string | undefined
  readonly alertType: AlertType
}

export interface Check extends Origin {
  readonly _tag: "Check"
  readonly name: string
  /** 0 for OK, 1 for a warning, 2 for critical, 3 for unknown. */
  readonly status: 0 | 1 | 2 | 3
  readonly timestamp: number | undefined
  readonly message: string | undefined
}

/** A line that the Agent drops, and why. */
export interface Fault {
  readonly _tag: "Fault"
  readonly verdict: Verdict
}

/** The most the Agent reads of one datagram, in bytes. */
export const bufferSize = 8192

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8")

export const linesOf = (packet: Uint8Array): ReadonlyArray<string> =>
  utf8.decode(packet.byteLength > bufferSize ? packet.subarray(0, bufferSize) : packet)
    .split("\n")
    .filter((line) => line !== "")

export const parse = (line: string): Metric | EventLine | Check | Fault =>
  line.startsWith("_e{") ? parseEvent(line) : line.startsWith("_sc|") ? parseCheck(line) : parseMetric(line)

const fault = (code: string, metric: string | null, line: string, why: string): Fault => ({
  _tag: "Fault",
  verdict: verdict("dropped", code, metric, `${why}: ${quoted(line)}`)
})

const types: ReadonlySet<string> = new Set<Metric["type"]>(["c", "g", "ms", "h", "s", "d"])

const isType = (type: string): type is Metric["type"] => types.has(type)

const isDecimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const isNotFinite = /^[+-]?(?:nan|inf|infinity)$/i

const parseMetric = (line: string): Metric | Fault => {
  const [head = "", type = "", ...fields] = line.split("|")
  const colon = head.indexOf(":")
  const name = head.slice(0, Math.max(0, colon))
  const text = head.slice(colon + 1)
  if (name === "") return fault("BadLine", null, line, "no name")
  if (!isType(type)) return fault("BadLine", name, line, `${quoted(type)} is no type of a metric`)
  if (text === "") return fault("BadLine", name, line, "no value")
  const values: Array<number> = []
  const verdicts: Array<Verdict> = []
  for (const value of type === "s" ? [] : text.split(":")) {
    if (value === "") continue
    const number = isDecimal.test(value) ? Number(value) : Number.NaN
    if (Number.isFinite(number)) values.push(number)
    else if (!isDecimal.test(value) && !isNotFinite.test(value)) {
      return fault("BadLine", name, line, `${quoted(value)} is no number`)
    } else verdicts.push(verdict("dropped", "NotFinite", name, `a value of ${quoted(name)} is ${value}`))
  }
  let rate = 1
  let timestamp: number | undefined
  for (const field of fields) {
    if (field.startsWith("@")) {
      rate = Number(field.slice(1))
      if (!(rate > 0 && rate <= 1)) return fault("BadLine", name, line, `${quoted(field)} is no sample rate`)
      if (type === "g" || type === "s") {
        verdicts.push(verdict("warning", "RateIgnored", name, `a ${type === "g" ? "gauge" : "set"} has no sample rate`))
        rate = 1
      }
    } else if (field.startsWith("T")) {
      timestamp = Number(field.slice(1))
      if (!Number.isInteger(timestamp) || timestamp < 1) {
        return fault("BadLine", name, line, `${quoted(field)} is no time of the past`)
      }
      if (type !== "c" && type !== "g") {
        verdicts.push(verdict("warning", "TimeIgnored", name, "only counts and gauges have a time of their own"))
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
    ...originOf(fields)
  }
}

/** Some tags are none: the Agent makes them what they name. */
const originOf = (fields: ReadonlyArray<string>): Origin => {
  const after = (prefix: string) => fields.find((field) => field.startsWith(prefix))?.slice(prefix.length)
  const tags = (after("#") ?? "").split(",").filter((tag) => tag !== "")
  const valueOf = (key: string) => tags.findLast((tag) => tag.startsWith(key))?.slice(key.length)
  const special = ["host:", "device:", "dd.internal.entity_id:"]
  return {
    tags: tags.filter((tag) => !special.some((key) => tag.startsWith(key))),
    host: valueOf("host:"),
    device: valueOf("device:"),
    container: after("c:"),
    externalData: after("e:"),
    cardinality: after("card:")
  }
}

const secondsIn = (text: string | undefined): number | undefined => {
  const seconds = text === undefined ? Number.NaN : Number(text)
  return Number.isInteger(seconds) && seconds > 0 ? seconds : undefined
}

const unescape = (text: string): string => text.replaceAll("\\n", "\n")

const alertTypes: ReadonlyArray<AlertType> = ["error", "warning", "info", "success"]

const parseEvent = (line: string): EventLine | Fault => {
  const [header, titleLength, textLength] = /^_e\{(\d+),(\d+)\}:/.exec(line) ?? []
  if (header === undefined) return fault("BadLine", null, line, "no lengths")
  // they count bytes
  const bytes = Buffer.from(line)
  const titleEnd = header.length + Number(titleLength)
  const textEnd = titleEnd + 1 + Number(textLength)
  if (bytes[titleEnd] !== 0x7c || textEnd > bytes.byteLength) return fault("BadLine", null, line, "wrong lengths")
  if (titleEnd === header.length) return fault("BadLine", null, line, "no title")
  const fields = bytes.subarray(textEnd).toString().split("|").slice(1)
  const after = (prefix: string) => fields.find((field) => field.startsWith(prefix))?.slice(prefix.length)
  const origin = originOf(fields)
  return {
    _tag: "Event",
    title: unescape(bytes.subarray(header.length, titleEnd).toString()),
    text: unescape(bytes.subarray(titleEnd + 1, textEnd).toString()),
    timestamp: secondsIn(after("d:")),
    aggregationKey: after("k:"),
    priority: after("p:") === "low" ? "low" : "normal",
    sourceTypeName: after("s:"),
    alertType: alertTypes.find((type) => type === after("t:")) ?? "info",
    ...origin,
    host: after("h:") ?? origin.host
  }
}

const parseCheck = (line: string): Check | Fault => {
  // the message comes last, and may hold anything
  const at = line.indexOf("|m:")
  const [, name = "", status = "", ...fields] = (at < 0 ? line : line.slice(0, at)).split("|")
  if (name === "") return fault("BadLine", null, line, "no name")
  const known = ([0, 1, 2, 3] as const).find((code) => String(code) === status)
  if (known === undefined) return fault("BadLine", null, line, `${quoted(status)} is no status`)
  const origin = originOf(fields)
  return {
    _tag: "Check",
    name,
    status: known,
    timestamp: secondsIn(fields.find((field) => field.startsWith("d:"))?.slice(2)),
    message: at < 0 ? undefined : unescape(line.slice(at + "|m:".length)),
    ...origin,
    host: fields.find((field) => field.startsWith("h:"))?.slice(2) ?? origin.host
  }
}
