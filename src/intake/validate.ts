/**
 * Validation of payloads: decides which points Datadog keeps, and which verdicts a payload gets.
 *
 * Sources, unless one is named below: Datadog's API reference (v1 and v2 metrics, v1 events) and documentation ("Custom metrics",
 * "Metric types", "Getting started with tags", "Serverless custom metrics").
 */
import { eventWindow, nameLength, pointWindow, tagLength } from "../internal/model/datadogLimits.js"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries, ServiceCheck } from "./model.js"
import { makeVerdict, quoteText, type Verdict } from "./verdict.js"

/** Number of tags above which Datadog's Lambda extension drops a metric. Datadog publishes no limit for the API. */
const maxExtensionTags = 100

/** Points of a payload's element that Datadog keeps, and verdicts of the element. */
export interface ValidationResult<Point> {
  readonly points: ReadonlyArray<Point>
  readonly verdicts: ReadonlyArray<Verdict>
}

/** Returns the name that Datadog shows: each character other than ASCII letters, digits, `_` and `.` becomes `_`. */
export const normalizeName = (name: string): string => name.replace(/[^\w.]/gu, "_")

/** Matches tags that {@link normalizeTag} does not change. Nearly all tags match, and the test is cheap. */
const plainTag = /^(?!.*__)[a-z][a-z0-9_\-:./]*(?<![_:])$/

/** Removes `_` and `:` at the end. The pattern `/[_:]+$/` takes quadratic time for text with many of them elsewhere. */
const removeTrailingMarks = (tag: string): string => {
  let end = tag.length
  while (tag[end - 1] === "_" || tag[end - 1] === ":") end--
  return tag.slice(0, end)
}

/** Keys whose values keep their case: they name a host or a device. */
const isNameTag = (tag: string): boolean => tag.startsWith("host:") || tag.startsWith("device:")

/**
 * Returns the tag that Datadog keeps: in lower case, with `_` for invalid characters. Repeated `_` become one, and `_` and `:` at
 * the end are removed. A tag with the key `host` or `device` keeps its case.
 */
export const normalizeTag = (tag: string): string => {
  if (plainTag.test(tag)) return tag
  const text = isNameTag(tag) ? tag : tag.toLowerCase()
  return removeTrailingMarks(text.replace(/[^\p{L}\p{M}\p{N}_\-:./]+/gu, "_").replace(/_{2,}/g, "_"))
}

/** Validates the name of a metric. */
export const validateName = (metric: string): ReadonlyArray<Verdict> => {
  const normalized = normalizeName(metric)
  const beginsWithLetter = /^[A-Za-z]/.test(metric)
  if (normalized === metric && beginsWithLetter && metric.length <= nameLength) return []
  const name = `the name ${quoteText(metric)}`
  const verdicts: Array<Verdict> = []
  if (metric.length > nameLength) {
    const message = `${name} has ${metric.length} characters, and ${nameLength} are allowed`
    verdicts.push(makeVerdict("dropped", "NameTooLong", metric, message))
  }
  if (!beginsWithLetter) {
    verdicts.push(makeVerdict("dropped", "NameStart", metric, `${name} does not begin with a letter`))
  }
  if (normalized !== metric) {
    verdicts.push(makeVerdict("rewritten", "NameRewritten", metric, `${name} becomes ${quoteText(normalized)}`))
  }
  return verdicts
}

const validateTag = (metric: string | null, tag: string): ReadonlyArray<Verdict> => {
  const normalized = normalizeTag(tag)
  const verdicts: Array<Verdict> = []
  if (normalized !== tag) {
    const message = `the tag ${quoteText(tag)} becomes ${quoteText(normalized)}`
    verdicts.push(makeVerdict("rewritten", "TagRewritten", metric, message))
  }
  if (tag.length > tagLength) {
    const message = `the tag ${quoteText(tag)} has ${tag.length} characters, and ${tagLength} are allowed`
    verdicts.push(makeVerdict("warning", "TagTooLong", metric, message))
  }
  if (!/^\p{L}/u.test(normalized)) {
    verdicts.push(makeVerdict("warning", "TagStart", metric, `the tag ${quoteText(tag)} does not begin with a letter`))
  }
  return verdicts
}

/** Validates the tags of a metric, or of an event or service check if the metric is `null`. */
export const validateTags = (
  metric: string | null,
  tags: ReadonlyArray<string> | null | undefined
): ReadonlyArray<Verdict> => {
  if (tags === null || tags === undefined || tags.length === 0) return []
  const verdicts = Array.from(tags.length < 2 ? tags : new Set(tags)).flatMap((tag) => validateTag(metric, tag))
  if (tags.length > maxExtensionTags) {
    const message = `${tags.length} tags: Datadog's Lambda extension drops a metric with more than ${maxExtensionTags}`
    verdicts.push(makeVerdict("warning", "TooManyTags", metric, message))
  }
  return verdicts
}

const formatInstant = (millis: number): string =>
  Math.abs(millis) <= 8.64e15 ? new Date(millis).toISOString() : `${millis / 1000} seconds`

const formatDuration = (millis: number): string => {
  const seconds = Math.abs(millis) / 1000
  const roundTo = (unit: number) => Math.round(10 * seconds / unit) / 10
  return seconds < 120
    ? `${roundTo(1)} s`
    : seconds < 3600
    ? `${roundTo(60)} min`
    : seconds < 172_800
    ? `${roundTo(3600)} h`
    : `${roundTo(86_400)} days`
}

/** Formats a time relative to now: `3 h ago`, `in 20 min`. */
const formatRelativeTime = (millis: number, now: number): string =>
  millis <= now ? `${formatDuration(now - millis)} ago` : `in ${formatDuration(millis - now)}`

const windowText = {
  TooOld: `the last ${formatDuration(pointWindow.past)}`,
  TooNew: `the next ${formatDuration(pointWindow.future)}`
}

/** Keeps the points inside Datadog's time window, and drops the others with one verdict for each side of the window. */
const validateTimes = <Point extends readonly [timestamp: number, ...unknown: ReadonlyArray<unknown>]>(
  metric: string,
  points: ReadonlyArray<Point>,
  now: number
): ValidationResult<Point> => {
  const outside: { TooOld: Array<number>; TooNew: Array<number> } = { TooOld: [], TooNew: [] }
  const inside: Array<Point> = []
  for (const point of points) {
    const at = point[0] * 1000
    if (at < now - pointWindow.past) outside.TooOld.push(at)
    else if (at > now + pointWindow.future) outside.TooNew.push(at)
    else inside.push(point)
  }
  const verdicts = (["TooOld", "TooNew"] as const).flatMap((code) => {
    const [first] = outside[code]
    if (first === undefined) return []
    const count = `${outside[code].length} of ${points.length} points of ${quoteText(metric)}`
    const example = `${formatInstant(first)}, ${formatRelativeTime(first, now)}`
    return [makeVerdict("dropped", code, metric, `${count} not within ${windowText[code]}: ${example}`)]
  })
  return { points: inside, verdicts }
}

/** Adds the verdicts of the name, and removes all points if Datadog drops the name. */
const withNameVerdicts = <Point>(
  metric: string,
  { points, verdicts }: ValidationResult<Point>
): ValidationResult<Point> => {
  const nameVerdicts = validateName(metric)
  return {
    points: nameVerdicts.some(({ outcome }) => outcome === "dropped") ? [] : points,
    verdicts: nameVerdicts.length === 0 ? verdicts : [...nameVerdicts, ...verdicts]
  }
}

const validateType = ({ interval, metric, type }: AcceptedSeries): ReadonlyArray<Verdict> => {
  if (type === undefined || type === "") {
    const message = `${quoteText(metric)} has no type, and Datadog shows it as "Not Assigned"`
    return [makeVerdict("warning", "NoType", metric, message)]
  }
  if (type === "gauge" || interval) return []
  const message = `${quoteText(metric)} is a ${type} without an interval: as_count() and as_rate() scale it wrongly`
  return [makeVerdict("warning", "NoInterval", metric, message)]
}

/** Validates name, times, tags and type of a series. */
export const validateSeries = (
  item: AcceptedSeries,
  now: number
): ValidationResult<readonly [timestamp: number, value: number]> => {
  const { points, verdicts } = validateTimes(item.metric, item.points, now)
  return withNameVerdicts(item.metric, {
    points,
    verdicts: [...verdicts, ...validateTags(item.metric, item.tags), ...validateType(item)]
  })
}

/** Validates name, times and tags of a distribution. */
export const validateDistribution = (
  item: AcceptedDistribution,
  now: number
): ValidationResult<readonly [timestamp: number, values: ReadonlyArray<number>]> => {
  const { points, verdicts } = validateTimes(item.metric, item.points, now)
  return withNameVerdicts(item.metric, { points, verdicts: [...verdicts, ...validateTags(item.metric, item.tags)] })
}

/** Validates title, time and tags of an event. An event that is too old never gets here: the intake refuses it as Datadog does. */
export const validateEvent = (event: AcceptedEvent, now: number): ReadonlyArray<Verdict> => {
  const at = typeof event.date_happened === "number" ? event.date_happened * 1000 : now
  const verdicts = [...validateTitle(event.title), ...validateTags(null, event.tags)]
  if (at <= now + eventWindow.future) return verdicts
  const limit = `the next ${formatDuration(eventWindow.future)}`
  const message = `the event ${quoteText(event.title)} is not within ${limit}: ${formatRelativeTime(at, now)}`
  return [makeVerdict("dropped", "TooNew", null, message), ...verdicts]
}

const validateTitle = (title: string): ReadonlyArray<Verdict> =>
  title === ""
    ? [makeVerdict("warning", "NoTitle", null, "the event has no title, which Datadog requires by its documentation")]
    : []

/** Maximum age of a service check, in milliseconds. */
const maxCheckAge = 600_000

/** Validates time and tags of a service check. */
export const validateServiceCheck = ({ name, tags, timestamp }: ServiceCheck, now: number): ReadonlyArray<Verdict> => {
  const verdicts = validateTags(null, tags)
  const at = timestamp * 1000
  if (at >= now - maxCheckAge) return verdicts
  const limit = `the last ${formatDuration(maxCheckAge)}`
  const message = `the service check ${quoteText(name)} is not within ${limit}: ${formatRelativeTime(at, now)}`
  return [makeVerdict("dropped", "TooOld", null, message), ...verdicts]
}

/** A value that replaces another one of its series and second. */
export interface Overwrite {
  readonly second: number
  readonly before: number
  readonly after: number
}

/** Reports overwritten values of a series in one verdict. Datadog keeps the last value of each second. */
export const reportOverwrites = (metric: string, overwrites: ReadonlyArray<Overwrite>): ReadonlyArray<Verdict> => {
  const [first] = overwrites
  if (first === undefined) return []
  const others = overwrites.length === 1 ? "" : `; and ${overwrites.length - 1} more`
  const message = `${quoteText(metric)} already had a value for ${formatInstant(first.second * 1000)}: ` +
    `${first.after} replaces ${first.before}${others}`
  return [makeVerdict("overwritten", "Overwritten", metric, message)]
}

/** Reports a name that is used for a distribution and for another kind. */
export const reportKindConflict = (metric: string, kind: string, otherKind: string): Verdict => {
  const message = `${quoteText(metric)} is a ${kind} here and was a ${otherKind} before: ` +
    "a distribution needs a name of its own"
  return makeVerdict("warning", "KindConflict", metric, message)
}

/** Reports a name that gains many series. Each combination of tags is a custom metric, which Datadog bills. */
export const reportCardinality = (
  metric: string,
  newSeries: number,
  widest: { readonly key: string; readonly values: number }
): Verdict => {
  const tag = widest.values < 2 ? "" : `; the tag ${quoteText(widest.key)} has ${widest.values} values`
  const message = `${quoteText(metric)} got ${newSeries} new series within a minute${tag}`
  return makeVerdict("warning", "CardinalityGrows", metric, message)
}

/** Finds the tag key with the most values, and counts its values. A tag without a colon is a key with one value. */
export const findWidestTag = (
  tagLists: Iterable<ReadonlyArray<string>>
): { readonly key: string; readonly values: number } => {
  const byKey = new Map<string, Set<string>>()
  for (const tags of tagLists) {
    for (const tag of tags) {
      const colon = tag.indexOf(":")
      const key = colon < 0 ? tag : tag.slice(0, colon)
      let values = byKey.get(key)
      if (values === undefined) byKey.set(key, values = new Set())
      values.add(tag)
    }
  }
  let widest = { key: "", values: 0 }
  for (const [key, { size }] of byKey) {
    if (size > widest.values) widest = { key, values: size }
  }
  return widest
}
