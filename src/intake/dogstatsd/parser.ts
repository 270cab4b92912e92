/**
 * Parser of DogStatsD lines with the rules of the Agent: fields come in any order, the last one of a kind counts, unknown fields
 * are ignored, and an invalid line is dropped alone. Sources: the Agent's `comp/dogstatsd/server` (`parse.go`, `parse_events.go`,
 * `parse_service_checks.go`, `enrich.go`, `server.go`).
 */
import { makeVerdict, quoteText, type Verdict } from "../verdict.js"
import { type EventLine, parseEvent } from "./eventLine.js"
import { type InvalidLine, type LineOrigin, makeInvalid, parseInteger, readOrigin } from "./lineFields.js"
import { parseFloat64 } from "./number.js"
import { parseServiceCheck, type ServiceCheckLine } from "./serviceCheckLine.js"

export type { EventLine, InvalidLine, ServiceCheckLine }

export interface MetricLine extends LineOrigin {
  readonly _tag: "Metric"
  readonly name: string
  readonly type: "c" | "g" | "ms" | "h" | "s" | "d"
  /** Finite numbers, or the member of a set. */
  readonly values: ReadonlyArray<number> | readonly [member: string]
  /** Sample rate, as it is in the line: each value stands for `1 / rate` values. */
  readonly rate: number
  /** Seconds since the epoch. */
  readonly timestamp: number | undefined
  readonly verdicts: ReadonlyArray<Verdict>
}

/** Size of the Agent's buffer for one datagram, in bytes. */
export const bufferSize = 8192

const lineFeed = 0x0a
const carriageReturn = 0x0d

/** Splits a datagram into lines, which end with `\n` or `\r\n`. Bytes beyond {@link bufferSize} are lost. */
export const splitLines = (packet: Uint8Array): ReadonlyArray<Uint8Array> => {
  const bytes = packet.subarray(0, bufferSize)
  const lines: Array<Uint8Array> = []
  let start = 0
  while (start < bytes.byteLength) {
    const found = bytes.indexOf(lineFeed, start)
    const next = found < 0 ? bytes.byteLength : found
    const end = next > start && bytes[next - 1] === carriageReturn ? next - 1 : next
    if (end > start) lines.push(bytes.subarray(start, end))
    start = next + 1
  }
  return lines
}

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8", { ignoreBOM: true })

/** Parses one line. */
export const parseLine = (bytes: Uint8Array): MetricLine | EventLine | ServiceCheckLine | InvalidLine => {
  const line = utf8.decode(bytes)
  return line.startsWith("_e{")
    ? parseEvent(bytes, line)
    : line.startsWith("_sc")
    ? parseServiceCheck(line)
    : parseMetric(line)
}

const types: ReadonlySet<string> = new Set<MetricLine["type"]>(["c", "g", "ms", "h", "s", "d"])

const isType = (type: string): type is MetricLine["type"] => types.has(type)

/** Values of a metric, and verdicts about those that are not finite. A text that is not a number is the error. */
const parseValues = (name: string, text: string): string | {
  readonly values: ReadonlyArray<number>
  readonly verdicts: ReadonlyArray<Verdict>
} => {
  const values: Array<number> = []
  const verdicts: Array<Verdict> = []
  let isEmpty = true
  for (const value of text.split(":")) {
    if (value === "") continue
    isEmpty = false
    const number = parseFloat64(value)
    if (number === undefined) return `${quoteText(value)} is not a number`
    if (Number.isFinite(number)) values.push(number)
    else verdicts.push(makeVerdict("dropped", "NotFinite", name, `a value of ${quoteText(name)} is ${value}`))
  }
  return isEmpty ? "the value is missing" : { values, verdicts }
}

/** Sample rate and timestamp of a metric. An invalid one is the error. */
const parseMetricFields = (fields: ReadonlyArray<string>): string | {
  readonly rate: number
  readonly timestamp: number | undefined
} => {
  let rate = 1
  let timestamp: number | undefined
  for (const field of fields) {
    if (field.startsWith("@")) {
      const parsed = parseFloat64(field.slice(1))
      if (parsed === undefined) return `${quoteText(field)} is not a sample rate`
      rate = parsed
    } else if (field.startsWith("T")) {
      timestamp = parseInteger(field.slice(1))
      if (timestamp === undefined || timestamp < 1) {
        return `${quoteText(field)} is not a time in whole seconds since the epoch`
      }
    }
  }
  return { rate, timestamp }
}

/** Returns the verdicts about a sample rate or a time that the Agent ignores. */
const reportIgnoredFields = (
  name: string,
  type: MetricLine["type"],
  rate: number,
  timestamp: number | undefined
): ReadonlyArray<Verdict> => {
  if (rate === 1) return []
  const warn = (code: string, message: string) => [makeVerdict("warning", code, name, message)]
  if (timestamp !== undefined) {
    return warn("RateIgnored", "the Agent ignores the sample rate of a value with a timestamp")
  }
  if (type === "g" || type === "s") {
    return warn("RateIgnored", `the Agent ignores the sample rate of a ${type === "g" ? "gauge" : "set"}`)
  }
  return rate > 0 && rate < 1
    ? []
    : warn("RateOutOfRange", `the sample rate ${rate} is not between 0 and 1, and the Agent does not check it`)
}

const parseMetric = (line: string): MetricLine | InvalidLine => {
  const [head = "", type = "", ...fields] = line.split("|")
  const colon = head.indexOf(":")
  const name = head.slice(0, Math.max(0, colon))
  const text = head.slice(colon + 1)
  if (name === "") return makeInvalid(null, line, "the name is missing")
  if (text === "") return makeInvalid(name, line, "the value is missing")
  if (!isType(type)) return makeInvalid(name, line, `${quoteText(type)} is not a type of a metric`)
  const parsed = type === "s" ? { values: [text] as const, verdicts: [] } : parseValues(name, text)
  if (typeof parsed === "string") return makeInvalid(name, line, parsed)
  const sampling = parseMetricFields(fields)
  if (typeof sampling === "string") return makeInvalid(name, line, sampling)
  const { rate, timestamp } = sampling
  if (timestamp !== undefined && type !== "c" && type !== "g") {
    return makeInvalid(name, line, "the Agent drops a value with a timestamp that is neither a count nor a gauge")
  }
  return {
    _tag: "Metric",
    name,
    type,
    values: parsed.values,
    rate,
    timestamp,
    verdicts: [...parsed.verdicts, ...reportIgnoredFields(name, type, rate, timestamp)],
    ...readOrigin(fields)
  }
}
