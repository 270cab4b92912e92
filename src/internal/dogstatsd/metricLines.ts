/** Encodes series and samples in lines of DogStatsD. */
import { replaceTagCharacters } from "../model/tagCharacters.js"
import type { DistributionSeries, SampleSeries } from "../model/wireSeries.js"
import { type Line, type LineFormat, maxLineSize, refuse, type RefusedItem, refuseTooLarge } from "./format.js"
import { sanitizeName } from "./sanitize.js"
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
  const name = sanitizeName(item.metric)
  const tags = tagsOf(item, format)
  if (name === "" || name.startsWith("_e{") || name.startsWith("_sc")) {
    return refuse(index, "Encoding", `${JSON.stringify(item.metric)} is not a valid metric name`)
  }
  if (format.extension && name.startsWith(reservedByExtension)) {
    return refuse(index, "Rejected", `the Lambda extension reserves the name ${reservedByExtension}`)
  }
  if (format.extension && tags.length > maxExtensionTags) {
    return refuse(index, "Rejected", `the Lambda extension drops a metric with more than ${maxExtensionTags} tags`)
  }
  const head = `${name}:`
  const fields = `${tags.length === 0 ? "" : `|#${tags.join(",")}`}${format.origin}`
  const longest = Buffer.byteLength(head) + Buffer.byteLength(fields) + maxNumberLength * 3
  if (longest > maxLineSize(format)) return refuseTooLarge(index, longest)
  const lines = new MetricLines(context, index, head, tags, fields)
  const isValid = item.type === "distribution" ? addDistribution(lines, item) : addSamples(lines, item)
  return isValid ? lines.all : refuse(index, "Encoding", `a value of ${name} is not a finite number`)
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
    const tail = `|${type}${this.fields}${date === undefined ? "" : `|T${date}`}\n`
    this.all.push({ head: this.head, values, tail, packed })
  }

  addGauge(value: number | string, time: number): void {
    this.add([String(value)], "g", this.gaugeDate(time))
  }

  addCount(value: number | string, time: number, interval: number): void {
    this.add([String(value)], "c", this.countDate(time, interval))
  }

  /** Adds values of a distribution. Only the extension takes a time for them. */
  addDistribution(values: Iterable<string>, time: number): void {
    this.add(values, "d", this.format.extension ? this.gaugeDate(time) : undefined)
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
    if (this.format.extension) return this.gaugeDate(start)
    const isDated = this.format.timestamps === "always" ||
      (this.format.timestamps === "late" && start + interval + lateAfter < now)
    return isDated ? timestamps.allocate(this.index, this.seriesKey(), start, interval, now) : undefined
  }
}

/** Returns false if a value is not finite. */
const addDistribution = (lines: MetricLines, { points }: DistributionSeries): boolean => {
  for (const [time, values] of points) {
    if (!values.every((value) => Number.isFinite(value))) return false
    lines.addDistribution(values.map(String), time)
  }
  return true
}

const addSamples = (lines: MetricLines, { interval, points, type, weight }: SampleSeries): boolean => {
  for (const [time, values] of points) {
    if (type !== "set" && !values.every((value) => Number.isFinite(value))) return false
    switch (type) {
      case "counter":
        for (const value of values) lines.addCount(value, time, interval)
        break
      case "gauge":
        for (const value of values) lines.addGauge(value, time)
        break
      case "set":
        addSet(lines, time, values)
        break
      default:
        addHistogram(lines, time, values, weight, type === "timing" ? "ms" : "h")
    }
  }
  return true
}

const addSet = (lines: MetricLines, time: number, values: ReadonlyArray<number | string>): void => {
  const { context: { members }, fields, format, head } = lines
  if (format.extension) return lines.addGauge(members.add(Math.floor(time), lines.seriesKey(), values), time)
  const room = format.packetSize - Buffer.byteLength(head) - Buffer.byteLength(fields) - 3
  lines.add(values.map((value) => encodeMember(String(value), room)), "s", undefined, false)
}

/**
 * Adds a sample that stands for more values. The Agent takes the weight of a value as a sample rate. The extension supports no rates, and
 * gets each value as often as its weight.
 */
const addHistogram = (
  lines: MetricLines,
  time: number,
  values: ReadonlyArray<number | string>,
  weight: number,
  type: string
): void => {
  const recorded = weight > 1 && Number.isFinite(weight) ? Math.round(weight * values.length) : values.length
  if (lines.format.extension) return lines.addDistribution(repeatSamples(values, recorded), time)
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
