/** Parser of lines with an event: `_e{<length of the title>,<length of the text>}:<title>|<text>|…`. */
import type { AlertType, Priority } from "../../Event.js"
import { makeVerdict, quoteText, type Verdict } from "../verdict.js"
import { type InvalidLine, lastField, type LineOrigin, makeInvalid, parseInteger, readOrigin } from "./lineFields.js"

export interface EventLine extends LineOrigin {
  readonly _tag: "Event"
  readonly title: string
  readonly text: string
  readonly timestamp: number | undefined
  readonly aggregationKey: string | undefined
  readonly priority: Priority
  readonly sourceTypeName: string | undefined
  readonly alertType: AlertType
  readonly verdicts: ReadonlyArray<Verdict>
}

const alertTypes: ReadonlyArray<AlertType> = ["error", "warning", "info", "success"]
const priorities: ReadonlyArray<Priority> = ["normal", "low"]

const separator = 0x7c

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8", { ignoreBOM: true })

const unescape = (text: string): string => text.replaceAll("\\n", "\n")

/** Returns the value of the last field with this prefix whose value is valid. The Agent ignores the others. */
const lastValid = <A>(
  fields: ReadonlyArray<string>,
  prefix: string,
  decode: (text: string) => A | undefined
): A | undefined => {
  for (const field of fields.toReversed()) {
    const value = field.startsWith(prefix) ? decode(field.slice(prefix.length)) : undefined
    if (value !== undefined) return value
  }
  return undefined
}

/**
 * Parses a line with an event. The lengths count bytes, and the Agent cuts there without a check of the separators: a client
 * that counts characters gets an event with other words.
 */
export const parseEvent = (bytes: Uint8Array, line: string): EventLine | InvalidLine => {
  const colon = bytes.indexOf(0x3a)
  const header = utf8.decode(bytes.subarray(0, Math.max(0, colon)))
  // The Agent does not check the last character of the header.
  const [titleLength, textLength] = header.slice(3, -1).split(/,(.*)/s, 2).map(parseInteger)
  if (colon < 7 || titleLength === undefined || titleLength < 0 || textLength === undefined || textLength < 0) {
    return makeInvalid(null, line, "the lengths are missing")
  }
  if (titleLength === 0) return makeInvalid(null, line, "the title is empty")
  const content = bytes.subarray(colon + 1)
  const textEnd = titleLength + 1 + textLength
  if (content.byteLength < textEnd) return makeInvalid(null, line, "the lengths exceed the text")
  const title = unescape(utf8.decode(content.subarray(0, titleLength)))
  const isCutWrongly = content[titleLength] !== separator ||
    (content.byteLength > textEnd && content[textEnd] !== separator)
  const fields = utf8.decode(content.subarray(textEnd)).split("|")
  const origin = readOrigin(fields)
  const message = `the lengths of the event ${
    quoteText(title)
  } do not match its text. They count bytes of UTF-8, not characters`
  const timestamp = lastValid(fields, "d:", parseInteger)
  return {
    _tag: "Event",
    title,
    text: unescape(utf8.decode(content.subarray(titleLength + 1, textEnd))),
    timestamp: timestamp === 0 ? undefined : timestamp,
    aggregationKey: lastField(fields, "k:"),
    priority: lastValid(fields, "p:", (text) => priorities.find((priority) => priority === text)) ?? "normal",
    sourceTypeName: lastField(fields, "s:"),
    alertType: lastValid(fields, "t:", (text) => alertTypes.find((type) => type === text)) ?? "info",
    verdicts: isCutWrongly ? [makeVerdict("warning", "WrongLengths", null, message)] : [],
    ...origin,
    host: lastField(fields, "h:") || origin.host
  }
}
