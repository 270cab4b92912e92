import type * as MetricLabel from "effect/MetricLabel"
import { tagLength } from "../model/limits.js"

/**
 * Returns the name that Datadog stores for a metric of Effect.
 *
 * Datadog replaces every character except ASCII letters, digits, `_` and `.` by `_`, and requires a letter first. Leading `_` and `.` are
 * removed, and a leading digit gets the prefix `metric_`. If nothing remains, the name stays as it is, and the client drops it.
 */
export const metricName = (name: string): string => {
  const plain = name.replace(/[^\w.]/gu, "_").replace(/^[_.]+/, "")
  return plain === "" ? name : /^\d/.test(plain) ? `metric_${plain}` : plain
}

/** Cuts a tag to Datadog's limit, without cutting through a surrogate pair. */
const truncateTag = (tag: string): string => {
  if (tag.length <= tagLength) return tag
  const last = tag.charCodeAt(tagLength - 1)
  return tag.slice(0, last >= 0xd800 && last < 0xdc00 ? tagLength - 1 : tagLength)
}

/** Returns `key:value`, or the part that is not empty. */
export const metricTag = (key: string, value: string): string =>
  truncateTag(value === "" ? key : key === "" ? value : `${key}:${value}`)

export const metricTags = (labels: ReadonlyArray<MetricLabel.MetricLabel>): ReadonlyArray<string> =>
  labels.map(({ key, value }) => metricTag(key, value))
