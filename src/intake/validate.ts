/**
 * What Datadog would do with what it is sent, and why. Pure: what an intake remembers is handed in.
 *
 * Sources, unless one is named below: Datadog's API reference (v1 and v2 metrics, v1 events) and documentation ("Custom metrics",
 * "Metric types", "Getting started with tags", "Serverless custom metrics").
 */
import { eventWindow, nameLength, pointWindow, tagLength } from "../internal/model/limits.js"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries } from "../LocalIntake.js"
import type { Verdict } from "./feedProtocol.js"

/** Tags from which on a metric is dropped by Datadog's Lambda extension; nothing is published for the API. */
export const manyTags = 100

/** New series of one name within {@link growthWindow} that are worth a word. */
export const fastGrowth = 100

/** In milliseconds. */
export const growthWindow = 60_000

/** What is left of a payload's element: the points Datadog keeps, and what there is to say. */
export interface Judgement<Point> {
  readonly points: ReadonlyArray<Point>
  readonly verdicts: ReadonlyArray<Verdict>
}

export const verdict = (
  outcome: Verdict["outcome"],
  code: string,
  metric: string | null,
  message: string
): Verdict => ({ outcome, code, message, metric })

/** As Datadog shows a metric's name: characters it does not know become `_`. */
export const datadogName = (name: string): string => name.replace(/[^\w.]/gu, "_")

/** What needs no second look, which is nearly every tag. */
const plainTag = /^(?!.*__)[a-z][a-z0-9_\-:./]*(?<![_:])$/

/** As Datadog keeps a tag: in lower case, `_` for what it does not know, no `_` twice, and neither `_` nor `:` at the end. */
export const datadogTag = (tag: string): string =>
  plainTag.test(tag)
    ? tag
    : tag.toLowerCase().replace(/[^\p{L}\p{M}\p{N}_\-:./]+/gu, "_").replace(/_{2,}/g, "_").replace(/[_:]+$/, "")

/** As it is said in a sentence: quoted, and not longer than is read. */
export const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

export const judgeName = (metric: string): ReadonlyArray<Verdict> => {
  const known = datadogName(metric)
  const startsWell = /^[A-Za-z]/.test(metric)
  if (known === metric && startsWell && metric.length <= nameLength) return []
  const verdicts: Array<Verdict> = []
  if (metric.length > nameLength) {
    verdicts.push(verdict(
      "dropped",
      "NameTooLong",
      metric,
      `${quoted(metric)} has ${metric.length} characters; a name has ${nameLength} at most`
    ))
  }
  if (!startsWell) {
    verdicts.push(
      verdict("dropped", "NameStart", metric, `${quoted(metric)} does not begin with a letter, as names have to`)
    )
  }
  if (known !== metric) {
    verdicts.push(
      verdict("rewritten", "NameRewritten", metric, `the name ${quoted(metric)} becomes ${quoted(known)}`)
    )
  }
  return verdicts
}

export const judgeTags = (
  metric: string | null,
  tags: ReadonlyArray<string> | null | undefined
): ReadonlyArray<Verdict> => {
  if (tags === null || tags === undefined || tags.length === 0) return []
  const verdicts: Array<Verdict> = []
  for (const tag of tags.length < 2 ? tags : new Set(tags)) {
    const known = datadogTag(tag)
    if (known !== tag) {
      verdicts.push(verdict("rewritten", "TagRewritten", metric, `the tag ${quoted(tag)} becomes ${quoted(known)}`))
    }
    if (tag.length > tagLength) {
      verdicts.push(verdict(
        "warning",
        "TagTooLong",
        metric,
        `the tag ${quoted(tag)} has ${tag.length} characters; a tag has ${tagLength} at most`
      ))
    }
    if (!/^\p{L}/u.test(known)) {
      verdicts.push(
        verdict("warning", "TagStart", metric, `the tag ${quoted(tag)} does not begin with a letter, as tags have to`)
      )
    }
  }
  if (tags.length > manyTags) {
    verdicts.push(verdict(
      "warning",
      "TooManyTags",
      metric,
      `${tags.length} tags; Datadog's Lambda extension drops a metric with more than ${manyTags}`
    ))
  }
  return verdicts
}

const instant = (millis: number): string =>
  Math.abs(millis) <= 8.64e15 ? new Date(millis).toISOString() : `${millis / 1000} seconds`

const howLong = (millis: number): string => {
  const seconds = Math.abs(millis) / 1000
  const rounded = (unit: number) => Math.round(10 * seconds / unit) / 10
  return seconds < 120
    ? `${rounded(1)} s`
    : seconds < 3600
    ? `${rounded(60)} min`
    : seconds < 172_800
    ? `${rounded(3600)} h`
    : `${rounded(86_400)} days`
}

/** How a time lies to now: `3 h ago`, `in 20 min`. */
const relation = (millis: number, now: number): string =>
  millis <= now ? `${howLong(now - millis)} ago` : `in ${howLong(millis - now)}`

const timeFault = {
  TooOld: `the last ${howLong(pointWindow.past)}`,
  TooNew: `the next ${howLong(pointWindow.future)}`
}

/** Keeps the points inside of the window, and says of the others how many there are. */
const withinWindow = <Point extends readonly [timestamp: number, ...unknown: ReadonlyArray<unknown>]>(
  metric: string,
  points: ReadonlyArray<Point>,
  now: number
): Judgement<Point> => {
  const outside: { TooOld: Array<number>; TooNew: Array<number> } = { TooOld: [], TooNew: [] }
  const kept: Array<Point> = []
  for (const point of points) {
    const at = point[0] * 1000
    if (at < now - pointWindow.past) outside.TooOld.push(at)
    else if (at > now + pointWindow.future) outside.TooNew.push(at)
    else kept.push(point)
  }
  const verdicts = (["TooOld", "TooNew"] as const).flatMap((code) => {
    const [first] = outside[code]
    return first === undefined ? [] : [verdict(
      "dropped",
      code,
      metric,
      `${outside[code].length} of ${points.length} points of ${quoted(metric)} not within ${timeFault[code]}: ` +
        `${instant(first)}, ${relation(first, now)}`
    )]
  })
  return { points: kept, verdicts }
}

/** A name that Datadog does not take leaves no points. */
const named = <Point>(metric: string, { points, verdicts }: Judgement<Point>): Judgement<Point> => {
  const ofName = judgeName(metric)
  return {
    points: ofName.some(({ outcome }) => outcome === "dropped") ? [] : points,
    verdicts: ofName.length === 0 ? verdicts : [...ofName, ...verdicts]
  }
}

export const judgeSeries = (item: AcceptedSeries, now: number): Judgement<readonly [number, number]> => {
  const { metric, type } = item
  const { points, verdicts } = withinWindow(metric, item.points, now)
  const all = [...verdicts, ...judgeTags(metric, item.tags)]
  if (type === undefined || type === "") {
    all.push(verdict("warning", "NoType", metric, `${quoted(metric)} has no type, and is shown as "Not Assigned"`))
  } else if (type !== "gauge" && !item.interval) {
    all.push(verdict(
      "warning",
      "NoInterval",
      metric,
      `${quoted(metric)} is a ${type} without an interval: as_count() and as_rate() scale it wrongly`
    ))
  }
  return named(metric, { points, verdicts: all })
}

export const judgeDistribution = (
  item: AcceptedDistribution,
  now: number
): Judgement<readonly [number, ReadonlyArray<number>]> => {
  const { points, verdicts } = withinWindow(item.metric, item.points, now)
  return named(item.metric, { points, verdicts: [...verdicts, ...judgeTags(item.metric, item.tags)] })
}

export const judgeEvent = (event: AcceptedEvent, now: number): ReadonlyArray<Verdict> => {
  const at = event.date_happened === undefined ? now : event.date_happened * 1000
  const verdicts = judgeTags(null, event.tags)
  return at <= now + eventWindow.future ? verdicts : [
    verdict(
      "dropped",
      "TooNew",
      null,
      `the event ${quoted(event.title)} is not within the next ${howLong(eventWindow.future)}: ${relation(at, now)}`
    ),
    ...verdicts
  ]
}

/** Of several values for one series and second, Datadog keeps the last. */
export const overwritten = (
  metric: string,
  points: ReadonlyArray<{ readonly second: number; readonly before: number; readonly after: number }>
): ReadonlyArray<Verdict> => {
  const [first] = points
  return first === undefined ? [] : [verdict(
    "overwritten",
    "Overwritten",
    metric,
    `${quoted(metric)} had a value for ${
      instant(first.second * 1000)
    }, which is lost: ${first.after} for ${first.before}` +
      (points.length === 1 ? "" : `; and ${points.length - 1} more`)
  )]
}

/** A distribution has to have a name that nothing else has. */
export const kindConflict = (metric: string, kind: string, other: string): Verdict =>
  verdict(
    "warning",
    "KindConflict",
    metric,
    `${quoted(metric)} is a ${kind} here, and was a ${other}: a distribution needs a name that nothing else has`
  )

/** Every combination of tags is a custom metric of its own. */
export const growing = (metric: string, count: number, widest: { readonly key: string; readonly values: number }) =>
  verdict(
    "warning",
    "CardinalityGrows",
    metric,
    `${quoted(metric)} got ${count} new series within a minute` +
      (widest.values < 2 ? "" : `; the tag ${quoted(widest.key)} has ${widest.values} values`)
  )

/** The key of a tag with the most different values, where each has one or more. */
export const widestTag = (
  all: Iterable<ReadonlyArray<string>>
): { readonly key: string; readonly values: number } => {
  const byKey = new Map<string, Set<string>>()
  for (const tags of all) {
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

/** Whether a verdict is about something that Datadog takes and does not keep, or does not take. */
export const isLoss = ({ outcome }: Verdict): boolean => outcome === "dropped" || outcome === "refused"
