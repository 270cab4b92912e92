/** Parser of lines with a service check: `_sc|<name>|<status>|…`. */
import { quoteText } from "../verdict.js"
import { type InvalidLine, lastField, type LineOrigin, makeInvalid, parseInteger, readOrigin } from "./lineFields.js"

export interface ServiceCheckLine extends LineOrigin {
  readonly _tag: "ServiceCheck"
  readonly name: string
  /** 0 is OK, 1 is a warning, 2 is critical, 3 is unknown. */
  readonly status: 0 | 1 | 2 | 3
  readonly timestamp: number | undefined
  readonly message: string | undefined
}

/** Returns the text of a status as a number; `undefined` for other text. */
const parseStatus = (text: string): ServiceCheckLine["status"] | undefined =>
  ([0, 1, 2, 3] as const).find((code) => String(code) === text)

/** Parses a line with a service check. The Agent skips four bytes, and reads the message as a field like the others. */
export const parseServiceCheck = (line: string): ServiceCheckLine | InvalidLine => {
  const parts = line.slice(4).split("|")
  const [name = "", status = "", ...fields] = parts
  if (line.split("|", 3).length < 3 || name === "") return makeInvalid(null, line, "the name is missing")
  const known = parseStatus(status)
  if (known === undefined) return makeInvalid(null, line, `${quoteText(status)} is not a status`)
  const origin = readOrigin(fields)
  const times = fields.filter((field) => field.startsWith("d:")).map((field) => parseInteger(field.slice(2)))
  return {
    _tag: "ServiceCheck",
    name,
    status: known,
    timestamp: times.findLast((time) => time !== undefined) || undefined,
    message: lastField(fields, "m:"),
    ...origin,
    host: lastField(fields, "h:") || origin.host
  }
}
