import type { Event } from "../model/Event.js"
import { replaceTagCharacters } from "../model/tagCharacters.js"
import { type Line, type LineFormat, maxLineSize, refuse, type RefusedItem, refuseTooLarge } from "./format.js"
import { cutToBytes, escapeText, sanitizeField } from "./sanitize.js"

/** Alert types of the Agent. It shows an event with another type, or without one, as `info`. */
const alertTypes: ReadonlySet<unknown> = /*#__PURE__*/ new Set(["error", "warning", "info", "success"])

const field = (key: string, value: string | undefined): string =>
  value === undefined || value === "" ? "" : `|${key}:${sanitizeField(value)}`

const tagsOf = (event: Event, format: LineFormat): ReadonlyArray<string> => [
  ...event.tags.map(replaceTagCharacters).filter((tag) => tag !== ""),
  ...event.device_name === undefined ? [] : [replaceTagCharacters(`device:${event.device_name}`)],
  ...format.tags
]

/** Encodes an event in one line. Cuts a text that the receiver's buffer cannot hold. */
export const encodeEvent = (event: Event, index: number, format: LineFormat): ReadonlyArray<Line> | RefusedItem => {
  if (format.extension) return refuse(index, "Rejected", "the Lambda extension does not support events")
  const title = escapeText(event.title)
  if (title === "") return refuse(index, "Encoding", "the event has no title")
  const tags = tagsOf(event, format)
  const tail = [
    event.date_happened === undefined ? "" : `|d:${Math.floor(event.date_happened)}`,
    field("h", event.host),
    field("k", event.aggregation_key),
    field("p", event.priority),
    field("s", event.source_type_name),
    alertTypes.has(event.alert_type) ? `|t:${event.alert_type}` : "",
    tags.length === 0 ? "" : `|#${tags.join(",")}`,
    format.origin,
    "\n"
  ].join("")
  const titleSize = Buffer.byteLength(title)
  const sizeWithoutText = Buffer.byteLength(`_e{${titleSize},99999}:${title}|${tail}`)
  const room = maxLineSize(format) - sizeWithoutText
  if (room < 0) return refuseTooLarge(index, sizeWithoutText)
  const text = cutToBytes(escapeText(event.text), room)
  return [{ head: `_e{${titleSize},${Buffer.byteLength(text)}}:${title}|${text}`, values: [""], tail, packed: false }]
}
