/** Encodes series and samples in lines of DogStatsD. */
import { type Accumulation, metricKinds } from "../model/metricKinds.js"
import { replaceTagCharacters } from "../model/tagCharacters.js"
import type { DistributionSeries, SampleSeries } from "../model/wireSeries.js"
import { type Line, type LineFormat, maxLineSize, refuse, type RefusedItem, refuseTooLarge } from "./format.js"
import { sanitizeName, sanitizePlainName } from "./sanitize.js"
import { encodeMember, type SetMembers } from "./setMembers.js"
import type { BatchTimestamps } from "./timestampAllocator.js"
import { repeatSamples, sampleWeight, weightedRate } from "./weights.js"

type MetricItem = DistributionSeries | SampleSeries

/** State of one batch. */
export interface BatchContext {
  readonly format: LineFormat
  readonly timestamps: BatchTimestamps
  readonly members: SetMembers
  /** Current time, in seconds. */
  readonly now: number
}

/** Number of tags above which the extension drops a metric. */
const maxExtensionTags = 100

/** Prefix of the metrics that the extension makes itself. It drops others with this name. */
const reservedByExtension = "aws.lambda.enhanced.invocations"

/** Time after the end of its interval from which a count is late, in seconds. */
const lateAfter = 60

/** Maximum length of a number in decimal: a sign, 17 digits, a point and an exponent. */
const maxNumberLength = 25

/** Encodes one item, or returns the reason why the receiver would refuse it. */
export const encodeMetric = (
  item: MetricItem,
  index: number,
  context: BatchContext
): ReadonlyArray<Line> | RefusedItem => {
  const { format } = context
  const { profile } = format
  const name = profile === "plain" ? sanitizePlainName(item.metric) : sanitizeName(item.metric)
  const tags = tagsOf(item, format)
  if (name === "" || name.startsWith("_e{") || name.startsWith("_sc")) {
    return refuse(index, "Encoding", `${JSON.stringify(item.metric)} is not a valid metric name`)
  }
  if (profile === "extension" && name.startsWith(reservedByExtension)) {
    return refuse(index, "Rejected", `the Lambda extension reserves the name ${reservedByExtension}`)
  }
  if (profile === "extension" && tags.length > maxExtensionTags) {
    return refuse(index, "Rejected", `the Lambda extension drops a metric with more than ${maxExtensionTags} tags`)
  }
  if (profile === "plain" && isTimer(item) && hasNegativeValue(item)) {
    return refuse(index, "Rejected", `StatsD has no negative values of timers, and ${name} has one`)
  }
  const isInName = format.tagFormat === "influxdb"
  const head = isInName ? `${[name, ...tags.map(toInfluxTag)].join(",")}:` : `${name}:`
  const fields = `${isInName || tags.length === 0 ? "" : `|#${tags.join(",")}`}${format.origin}`
  const longest = Buffer.byteLength(head) + Buffer.byteLength(fields) + maxNumberLength * 3
  if (longest > maxLineSize(format)) return refuseTooLarge(index, longest)
  const lines = new MetricLines(context, index, head, tags, fields)
  return addPoints(lines, item) ? lines.all : refuse(index, "Encoding", `a value of ${name} is not a finite number`)
}

/** Whether the kind is a timer of StatsD, which has no other kind for single values. */
const isTimer = ({ type }: MetricItem): boolean => metricKinds[type] === "summary" || metricKinds[type] === "values"

const hasNegativeValue = ({ points }: MetricItem): boolean =>
  points.some(([, values]) => values.some((value) => typeof value === "number" && value < 0))

/** Returns `key=value`. A colon would end the name, and Telegraf ignores a tag without a key. */
const toInfluxTag = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? `${tag}=true` : `${tag.slice(0, colon)}=${tag.slice(colon + 1).replaceAll(":", "_")}`
}

/** The Agent takes `device:` and `host:` out of the tags again. The last one of a kind counts. */
const tagsOf = (item: MetricItem, format: LineFormat): ReadonlyArray<string> => {
  const tags: Array<string> = []
  for (const tag of item.tags) {
    if (tag !== "") tags.push(replaceTagCharacters(tag))
  }
  if (item.device) tags.push(replaceTagCharacters(`device:${item.device}`))
  if (item.host) tags.push(replaceTagCharacters(`host:${item.host}`))
  return format.tags.length === 0 ? tags : tags.concat(format.tags)
}

/** Lines of one item. */
class MetricLines {
  readonly all: Array<Line> = []
  readonly context: BatchContext
  readonly format: LineFormat
  readonly index: number
  readonly head: string
  readonly fields: string
  private readonly tags: ReadonlyArray<string>

  constructor(context: BatchContext, index: number, head: string, tags: ReadonlyArray<string>, fields: string) {
    this.context = context
    this.format = context.format
    this.index = index
    this.head = head
    this.tags = tags
    this.fields = fields
  }

  /** Returns a key that is equal for all items that the receiver takes for one series, in any order of tags. */
  seriesKey(): string {
    return `${this.head}${this.tags.toSorted().join(",")}`
  }

  add(values: Iterable<string>, type: string, date: number | undefined, packed = this.format.packed): void {
    this.all.push({ head: this.head, values, tail: this.tail(type, date), packed })
  }

  private tail(type: string, date: number | undefined): string {
    return `|${type}${this.fields}${date === undefined ? "" : `|T${date}`}\n`
  }

  /** Servers of StatsD add a gauge with a sign to the last value, so it follows a zero, in the same packet. */
  addGauge(value: number | string, time: number): void {
    const date = this.gaugeDate(time)
    const text = String(value)
    if (this.format.profile === "plain" && text.startsWith("-")) {
      this.add([`0${this.tail("g", date)}${this.head}${text}`], "g", date)
    } else this.add([text], "g", date)
  }

  addCount(value: number | string, time: number, interval: number): void {
    this.add([String(value)], "c", this.countDate(time, interval))
  }

  /** Adds values of a distribution. Only the extension takes a time for them. */
  addDistribution(values: Iterable<string>, time: number): void {
    const { profile } = this.format
    this.add(values, profile === "plain" ? "ms" : "d", profile === "extension" ? this.gaugeDate(time) : undefined)
  }

  /** Dates a gauge, which keeps its last value in any case. The protocol takes times of the past. */
  gaugeDate(time: number): number | undefined {
    const date = Math.min(Math.floor(time), this.context.now)
    return this.format.timestamps === "never" || date < 1 ? undefined : date
  }

  countDate(time: number, interval: number): number | undefined {
    const { now, timestamps } = this.context
    const start = Math.floor(time)
    // The extension rounds down to ten seconds and adds up.
    if (this.format.profile === "extension") return this.gaugeDate(start)
    const isDated = this.format.timestamps === "always" ||
      (this.format.timestamps === "late" && start + interval + lateAfter < now)
    return isDated ? timestamps.allocate(this.index, this.seriesKey(), start, interval, now) : undefined
  }
}

type AddPoint = (lines: MetricLines, item: MetricItem, time: number, values: ReadonlyArray<number | string>) => void

const addSet: AddPoint = (lines, _item, time, values) => {
  const { context: { members }, fields, format, head } = lines
  if (format.sets === "count") return lines.addGauge(members.add(Math.floor(time), lines.seriesKey(), values), time)
  const room = format.packetSize - Buffer.byteLength(head) - Buffer.byteLength(fields) - 3
  lines.add(values.map((value) => encodeMember(String(value), room, format.profile)), "s", undefined, false)
}

/**
 * Adds a sample that stands for more values. The Agent takes the weight of a value as a sample rate. The extension supports no rates, and
 * gets each value as often as its weight.
 */
const addSummary: AddPoint = (lines, item, time, values) => {
  const weight = item.type === "distribution" ? 1 : item.weight
  const type = item.type === "timing" || lines.format.profile === "plain" ? "ms" : "h"
  const recorded = weight > 1 && Number.isFinite(weight) ? Math.round(weight * values.length) : values.length
  if (lines.format.profile === "extension") return lines.addDistribution(repeatSamples(values, recorded), time)
  if (recorded === values.length) return lines.add(values.map(String), type, undefined)
  const groups = new Map<number, Array<string>>()
  values.forEach((value, i) => {
    const times = sampleWeight(i, values.length, recorded)
    const group = groups.get(times)
    if (group === undefined) groups.set(times, [String(value)])
    else group.push(String(value))
  })
  for (const [times, group] of groups) {
    lines.add(group, times === 1 ? type : `${type}|@${weightedRate(times)}`, undefined)
  }
}

/** Functions that add the lines of one point, by the way in which points of its kind become a value. */
const addPoint: { readonly [A in Accumulation]: AddPoint } = {
  sum(lines, { interval }, time, values) {
    for (const value of values) lines.addCount(value, time, interval)
  },
  last(lines, _item, time, values) {
    for (const value of values) lines.addGauge(value, time)
  },
  unique: addSet,
  summary: addSummary,
  values: (lines, _item, time, values) => lines.addDistribution(values.map(String), time)
}

/** Adds all lines of an item. Returns false if a value is neither finite nor the member of a set. */
const addPoints = (lines: MetricLines, item: MetricItem): boolean => {
  const accumulation = metricKinds[item.type]
  for (const [time, values] of item.points) {
    if (accumulation !== "unique" && !values.every(Number.isFinite)) return false
    addPoint[accumulation](lines, item, time, values)
  }
  return true
}
