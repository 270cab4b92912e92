import type { TruncationReason } from "./AggregatorStats.js"
import * as limits from "./datadogLimits.js"
import type { AlertType, Event, Priority } from "./Event.js"
import { cutEventText, cutText } from "./eventText.js"
import { appendConstantTags, decodeTags, makeCutTag, type TagFault, type Tags, tagsOfOptions } from "./tags.js"
import { type TimeInput, toMillis, type WindowFault, windowFault } from "./time.js"

/** Options of one event. */
export interface EventOptions {
  /** Mark of the event. Default: none, which Datadog shows as `info`. */
  readonly alertType?: AlertType | undefined
  /** Key that groups events in Datadog. The client cuts it to 100 characters. Default: none. */
  readonly aggregationKey?: string | undefined
  /** Name of the source of the event. Default: none. */
  readonly sourceTypeName?: string | undefined
  /** Time of the event. Default: the time of the call. */
  readonly dateHappened?: TimeInput | undefined
  /** Priority of the event. Default: none, which Datadog shows as `normal`. */
  readonly priority?: Priority | undefined
  /** Id of the parent event. Default: none. */
  readonly relatedEventId?: number | undefined
  /** Device of the event. Default: none. */
  readonly deviceName?: string | undefined
  /** Tags of the event, in addition to the client's constant tags. Default: none. */
  readonly tags?: Tags | undefined
  /** Host of the event. Default: the client's host name, if it has one. */
  readonly host?: string | null | undefined
}

/** Settings of the client that apply to its events. */
export interface EventSettings {
  readonly tags: ReadonlyArray<string>
  readonly hostname: string | undefined
  readonly acceptedTimestamps: "window" | "any"
}

/** `InvalidEvent`: the title is empty, or the title, the text or an option has the wrong type or value. */
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

/** Reads each option once, because a getter may return another value the next time. */
const readOptions = (options: EventOptions): EventOptions => {
  const { aggregationKey, alertType, dateHappened, deviceName, host, priority, relatedEventId, sourceTypeName } =
    options
  return {
    aggregationKey,
    alertType,
    dateHappened,
    deviceName,
    host,
    priority,
    relatedEventId,
    sourceTypeName,
    tags: tagsOfOptions(options)
  }
}

/** Builds the wire form of an event, or returns its first fault. Cuts texts that exceed Datadog's limits, and calls `onCut` for each. */
export const buildEvent = (
  settings: EventSettings,
  now: number,
  title: string,
  text: string,
  input: EventOptions,
  onCut: (reason: TruncationReason) => void
): Event | EventFault => {
  const options = readOptions(input ?? {})
  if (!isValid(title, text, options)) return "InvalidEvent"
  const tags = decodeTags(options.tags, makeCutTag(() => onCut("TagTooLong")))
  if (typeof tags === "string") return tags
  let happened = now
  if (options.dateHappened !== undefined) {
    happened = toMillis(options.dateHappened)
    const fault = windowFault(happened, now, settings.acceptedTimestamps === "any" ? undefined : limits.eventWindow)
    if (fault !== undefined) return fault
  }
  const host = options.host || settings.hostname || undefined
  if (text.length > limits.event.text) onCut("TextTooLong")
  if (options.aggregationKey !== undefined && options.aggregationKey.length > limits.event.aggregationKey) {
    onCut("AggregationKeyTooLong")
  }
  return {
    title,
    text: cutEventText(text, limits.event.text),
    ...(options.alertType === undefined ? undefined : { alert_type: options.alertType }),
    ...(options.aggregationKey === undefined
      ? undefined
      : { aggregation_key: cutText(options.aggregationKey, limits.event.aggregationKey) }),
    ...(options.sourceTypeName === undefined ? undefined : { source_type_name: options.sourceTypeName }),
    date_happened: Math.floor(happened / 1000),
    ...(options.priority === undefined ? undefined : { priority: options.priority }),
    ...(options.relatedEventId === undefined ? undefined : { related_event_id: options.relatedEventId }),
    ...(options.deviceName === undefined ? undefined : { device_name: options.deviceName }),
    ...(host === undefined ? undefined : { host }),
    tags: appendConstantTags(tags, settings.tags)
  }
}
