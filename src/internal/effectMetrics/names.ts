import type * as MetricLabel from "effect/MetricLabel"
import { tagLength } from "../model/limits.js"

/**
 * The name under which Datadog shows a metric of Effect's.
 *
 * Every character but ASCII letters, digits, `_` and `.` becomes `_`, as Datadog itself would have it. Names begin with a
 * letter: what `_` and `.` there are in front of it go, and before a digit comes `metric_`. A name of which nothing is left
 * stays as it is, for the client to refuse.
 */
export const metricName = (name: string): string => {
  const plain = name.replace(/[^\w.]/gu, "_").replace(/^[_.]+/, "")
  return plain === "" ? name : /^\d/.test(plain) ? `metric_${plain}` : plain
}

/** As long as Datadog takes it, and not in the middle of a character. */
const cut = (tag: string): string => {
  if (tag.length <= tagLength) return tag
  const end = tag.charCodeAt(tagLength - 1)
  return tag.slice(0, end >= 0xd800 && end < 0xdc00 ? tagLength - 1 : tagLength)
}

/** `key:value`, or the one of them that is not empty. */
export const metricTag = (key: string, value: string): string =>
  cut(value === "" ? key : key === "" ? value : `${key}:${value}`)

export const metricTags = (labels: ReadonlyArray<MetricLabel.MetricLabel>): ReadonlyArray<string> =>
  labels.map(({ key, value }) => metricTag(key, value))
