import type * as MetricLabel from "effect/MetricLabel"
import { normalizeName } from "../model/tagCharacters.js"

/**
 * Returns the name that Datadog stores for a metric of Effect.
 *
 * Datadog replaces every character except ASCII letters, digits, `_` and `.` by `_`, and requires a letter first. Leading `_` and `.` are
 * removed, and a leading digit gets the prefix `metric_`. If nothing remains, the name stays as it is, and the client drops it.
 */
export const metricName = (name: string): string => {
  const plain = normalizeName(name).replace(/^[_.]+/, "")
  return plain === "" ? name : /^\d/.test(plain) ? `metric_${plain}` : plain
}

/** Returns `key:value`, or the part that is not empty. */
export const metricTag = (key: string, value: string): string =>
  value === "" ? key : key === "" ? value : `${key}:${value}`

export const metricTags = (labels: ReadonlyArray<MetricLabel.MetricLabel>): ReadonlyArray<string> =>
  labels.map(({ key, value }) => metricTag(key, value))
