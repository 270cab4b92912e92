import type { AlertType, Event, Priority } from "./Event.js"
import * as limits from "./limits.js"
import type { ThreadStatsSettings } from "./settings.js"
import { appendConstantTags, decodeTags, type TagFault, type Tags } from "./tags.js"
import { type TimeInput, toMillis, type WindowFault, windowFault } from "./time.js"

export interface EventOptions {
  /** How the event is marked. Default: none, which Datadog shows as `info`. */
  readonly alertType?: AlertType | undefined
  /** Events with the same key are shown as one; cut after 100 characters. */
  readonly aggregationKey?: string | undefined
  /** Where the event comes from. */
  readonly sourceTypeName?: string | undefined
  /** When it happened. Default: now, at the time of the call. */
  readonly dateHappened?: TimeInput | undefined
  /** Default: none, which Datadog shows as `normal`. */
  readonly priority?: Priority | undefined
  /** The id of the event this one belongs to. */
  readonly relatedEventId?: number | undefined
  readonly deviceName?: string | undefined
  readonly tags?: Tags | undefined
  /** Default: the client's host name, if it has one. */
  readonly host?: string | null | undefined
}

/** `InvalidEvent`: title no string or empty, text no string, or an option of the wrong type or value. */
export type EventFault = "InvalidEvent" | TagFault | WindowFault

const alertTypes: ReadonlySet<unknown> = new Set<AlertType>([
  "error",
  "warning",
  "info",
  "success",
  "user_update",
  "recommendation",
  "snapshot"
])

const isText = (value: unknown): boolean => value === undefined || typeof value === "string"

const isValid = (title: unknown, text: unknown, options: EventOptions): boolean =>
  typeof title === "string" && title.length > 0 && typeof text === "string" &&
  (options.alertType === undefined || alertTypes.has(options.alertType)) &&
  (options.priority === undefined || options.priority === "normal" || options.priority === "low") &&
  (options.relatedEventId === undefined || Number.isSafeInteger(options.relatedEventId)) &&
  isText(options.aggregationKey) && isText(options.sourceTypeName) && isText(options.deviceName) &&
  (options.host === null || isText(options.host)) && (options.host?.length ?? 0) <= limits.hostLength

/** Cuts to a number of UTF-16 units, but never between the two of one character. */
const cut = (text: string, length: number): string => {
  if (text.length <= length) return text
  const last = text.charCodeAt(length - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length)
}

/** Reads each option once: a getter may return another value the next time. */
const readOptions = ({
  aggregationKey,
  alertType,
  dateHappened,
  deviceName,
  host,
  priority,
  relatedEventId,
  sourceTypeName,
  tags
}: EventOptions): EventOptions => ({
  aggregationKey,
  alertType,
  dateHappened,
  deviceName,
  host,
  priority,
  relatedEventId,
  sourceTypeName,
  tags
})

/** The event for the wire, or why it cannot be taken. Over-long texts are cut. */
export const make = (
  config: Pick<ThreadStatsSettings, "tags" | "host" | "timestamps">,
  now: number,
  title: string,
  text: string,
  input: EventOptions
): Event | EventFault => {
  const options = readOptions(input ?? {})
  if (!isValid(title, text, options)) return "InvalidEvent"
  const tags = decodeTags(options.tags)
  if (typeof tags === "string") return tags
  let happened = now
  if (options.dateHappened !== undefined) {
    happened = toMillis(options.dateHappened)
    const fault = windowFault(happened, now, config.timestamps === "any" ? undefined : limits.eventWindow)
    if (fault !== undefined) return fault
  }
  const host = options.host || config.host
  return {
    title,
    text: cut(text, limits.event.text),
    ...(options.alertType === undefined ? undefined : { alert_type: options.alertType }),
    ...(options.aggregationKey === undefined
      ? undefined
      : { aggregation_key: cut(options.aggregationKey, limits.event.aggregationKey) }),
    ...(options.sourceTypeName === undefined ? undefined : { source_type_name: options.sourceTypeName }),
    date_happened: Math.floor(happened / 1000),
    ...(options.priority === undefined ? undefined : { priority: options.priority }),
    ...(options.relatedEventId === undefined ? undefined : { related_event_id: options.relatedEventId }),
    ...(options.deviceName === undefined ? undefined : { device_name: options.deviceName }),
    ...(host === undefined ? undefined : { host }),
    tags: appendConstantTags(tags, config.tags)
  }
}
