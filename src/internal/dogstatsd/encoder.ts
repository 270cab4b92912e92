import type { Reason } from "../model/Delivery.js"
import type { Event } from "../model/Event.js"
import type { WireItem } from "../model/wireForm.js"
import type { DistributionSeries, SampleSeries, Series } from "../model/wireSeries.js"

/** What the receiver takes, and what goes with every line. */
export interface Format {
  /** Whether it is the Lambda extension, with its own rules. */
  readonly extension: boolean
  /** Whether values of one series share a line. */
  readonly packed: boolean
  /** Which counts carry the time of their interval; gauges do unless it is `"never"`. */
  readonly timestamps: "late" | "always" | "never"
  /** The most bytes of a packet that holds more than one line. */
  readonly packetSize: number
  /** Tags of every line, sanitised. */
  readonly tags: ReadonlyArray<string>
  /** The fields of every line that say where it comes from: empty, or from the first `|` on. */
  readonly origin: string
}

/** Whole lines of the items from `first` to `last`, each of which may have more lines in the packets next to it. */
export interface Packet {
  readonly _tag: "Packet"
  readonly body: Buffer
  readonly first: number
  readonly last: number
}

/** An item that cannot be said to this receiver. */
export interface Refused {
  readonly _tag: "Refused"
  readonly index: number
  readonly reason: Reason
  readonly description: string
}

/** What the Agent and the extension read at a time, in bytes; a packet of one line may be that long. */
export const bufferSize = 8192

/** Tags above which the extension drops a metric. */
const maxExtensionTags = 100

/** The extension makes these itself, and drops what else comes under the name. */
const extensionsOwn = "aws.lambda.enhanced.invocations"

/** How long after the end of its interval a count is late, in seconds. */
const lateAfter = 60

/** Of no number of ours in decimal: a sign, 17 digits, a point and an exponent. */
const maxNumberLength = 25

/** The length of the Agent's own buckets, in seconds: a count that it adds up is dated with the start of one. */
const agentBucket = 10

/**
 * The seconds that counts were dated with, by the start of their interval. The Agent passes a dated count on as it is, and
 * of two for one second Datadog keeps the last; so each part of an interval has a second of its own.
 *
 * What counts is the interval, not the series: two parts are in two flushes.
 */
export interface Seconds {
  /** The first free second of an interval from this offset on that is over, or none. */
  readonly free: (start: number, interval: number, now: number, offset: number) => number | undefined
  /** The offset from which on seconds are free. */
  readonly offset: (start: number) => number
  readonly use: (start: number, offset: number) => void
}

/** How many intervals are remembered: a day of ten seconds each. */
const rememberedIntervals = 8640

export const makeSeconds = (): Seconds => {
  const used = new Map<number, number>()
  return {
    free: (start, interval, now, offset) => {
      for (let second = start + offset; second < start + interval && second <= now; second++) {
        // the Agent's own points are there
        if (second % agentBucket !== 0) return second
      }
      return undefined
    },
    offset: (start) => used.get(start) ?? 0,
    use: (start, offset) => {
      used.set(start, Math.max(offset, used.get(start) ?? 0))
      if (used.size > rememberedIntervals) used.delete(used.keys().next().value!)
    }
  }
}

/**
 * The members of sets that were sent, by interval and series, for a receiver that takes no sets: it is told how many there
 * are, and keeps the last number of an interval.
 */
export interface Members {
  /** How many different members there are with these. */
  readonly unite: (start: number, series: string, values: ReadonlyArray<number | string>) => number
}

/** How many members are remembered; beyond, a part of an interval is counted on its own. */
const rememberedMembers = 100_000

export const makeMembers = (): Members => {
  const intervals = new Map<number, Map<string, Set<number | string>>>()
  let size = 0
  return {
    unite: (start, series, values) => {
      let interval = intervals.get(start)
      if (interval === undefined) {
        interval = new Map()
        intervals.set(start, interval)
      }
      let known = interval.get(series)
      if (known === undefined) {
        known = new Set()
        interval.set(series, known)
      }
      const before = known.size
      for (const value of values) known.add(value)
      size += known.size - before
      const count = known.size
      while (size > rememberedMembers) {
        const oldest = Math.min(...intervals.keys())
        for (const members of intervals.get(oldest)!.values()) size -= members.size
        intervals.delete(oldest)
      }
      return count
    }
  }
}

/** What it takes to write a batch: the receiver's rules, what was sent before, and the time in seconds. */
export interface Context {
  readonly format: Format
  readonly seconds: Seconds
  readonly members: Members
  readonly now: number
}

export interface Encoded {
  readonly packets: Iterable<Packet | Refused>
  /** To be told of what was sent, or may have been, once all of a batch is done. */
  readonly sent: (index: number) => void
}

/** One or more values of an item, of which as many as fit go between `head` and `tail` where `packs` allows it. */
interface Line {
  readonly head: string
  readonly values: Iterable<string>
  readonly tail: string
  readonly packs: boolean
}

/** Packets for a batch, made as they are asked for. */
export const encode = (batch: ReadonlyArray<WireItem>, context: Context): Encoded => {
  const dates: Dates = { taken: new Map(), used: [] }
  return {
    packets: pack(batch, context, dates),
    sent: (index) => {
      for (const [start, offset] of dates.used[index] ?? []) context.seconds.use(start, offset)
    }
  }
}

/** What of the seconds this batch has taken: by series and interval, and by item. */
interface Dates {
  readonly taken: Map<string, number>
  readonly used: Array<Array<readonly [start: number, offset: number]> | undefined>
}

function* pack(batch: ReadonlyArray<WireItem>, context: Context, dates: Dates): Generator<Packet | Refused> {
  const { packetSize } = context.format
  const lineSize = Math.max(packetSize, bufferSize)
  let text = ""
  let size = 0
  let first = 0
  let last = 0
  const take = (): Packet => {
    const body = Buffer.from(text)
    text = ""
    size = 0
    return { _tag: "Packet", body, first, last }
  }
  for (let index = 0; index < batch.length; index++) {
    const lines = linesOf(batch[index]!, index, context, dates)
    if ("_tag" in lines) {
      yield lines
      continue
    }
    for (const { head, packs, tail, values } of lines) {
      const headSize = Buffer.byteLength(head)
      const tailSize = Buffer.byteLength(tail)
      let open = false
      for (const value of values) {
        const valueSize = Buffer.byteLength(value)
        if (open && packs && size + 1 + valueSize + tailSize <= packetSize) {
          text += `:${value}`
          size += 1 + valueSize
          continue
        }
        if (open) {
          text += tail
          size += tailSize
          open = false
        }
        const whole = headSize + valueSize + tailSize
        if (size > 0 && size + whole > packetSize) yield take()
        if (whole > lineSize) {
          yield tooLarge(index, whole)
          break
        }
        if (size === 0) first = index
        last = index
        text += head + value
        size += headSize + valueSize
        open = true
      }
      if (open) {
        text += tail
        size += tailSize
      }
    }
  }
  if (size > 0) yield take()
}

const refused = (index: number, reason: Reason, description: string): Refused => ({
  _tag: "Refused",
  index,
  reason,
  description
})

const tooLarge = (index: number, bytes: number): Refused =>
  refused(index, "PayloadTooLarge", `a line of ${bytes} bytes is more than the receiver reads`)

const linesOf = (item: WireItem, index: number, context: Context, dates: Dates): ReadonlyArray<Line> | Refused => {
  if ("title" in item) return eventLines(item, index, context.format)
  const { format } = context
  const name = sanitizeName(item.metric)
  if (name === "" || name.startsWith("_e{") || name.startsWith("_sc")) {
    return refused(index, "Encoding", `${JSON.stringify(item.metric)} is no name of a metric`)
  }
  if (format.extension && name.startsWith(extensionsOwn)) {
    return refused(index, "Rejected", `the Lambda extension makes ${extensionsOwn} itself`)
  }
  const tags = tagsOf(item, format)
  if (format.extension && tags.length > maxExtensionTags) {
    return refused(index, "Rejected", `the Lambda extension drops a metric with more than ${maxExtensionTags} tags`)
  }
  const head = `${name}:`
  const fields = `${tags.length === 0 ? "" : `|#${tags.join(",")}`}${format.origin}`
  const longest = Buffer.byteLength(head) + Buffer.byteLength(fields) + maxNumberLength * 3
  if (longest > Math.max(format.packetSize, bufferSize)) return tooLarge(index, longest)
  const lines: Array<Line> = []
  const write: Write = {
    head,
    fields,
    series: () => `${head}${tags.toSorted().join(",")}`,
    index,
    context,
    dates,
    line: (values, type, date, packs = format.packed) => {
      lines.push({
        head,
        values,
        tail: `|${type}${fields}${date === undefined ? "" : `|T${date}`}\n`,
        packs
      })
    }
  }
  const isWritten = item.type === "distribution"
    ? writeDistribution(write, item)
    : "weight" in item
    ? writeSamples(write, item)
    : writeSeries(write, item)
  return isWritten ? lines : refused(index, "Encoding", `a value of ${name} is no finite number`)
}

/** The lines of one item, as they are written. */
interface Write {
  readonly head: string
  readonly fields: string
  /** The same for all that the receiver takes for one series, whatever the order of its tags. */
  readonly series: () => string
  readonly index: number
  readonly context: Context
  readonly dates: Dates
  readonly line: (values: Iterable<string>, type: string, date: number | undefined, packs?: boolean) => void
}

/** A gauge keeps its last value wherever it goes, so that its time can do no harm. */
const gaugeDate = ({ context: { format, now } }: Write, time: number): number | undefined => {
  // the protocol takes times of the past
  const date = Math.min(Math.floor(time), now)
  return format.timestamps === "never" || date < 1 ? undefined : date
}

const countDate = (write: Write, time: number, interval: number): number | undefined => {
  const { dates, index, series } = write
  const { format, now, seconds } = write.context
  const start = Math.floor(time)
  // the extension rounds down to ten seconds and adds up
  if (format.extension) return gaugeDate(write, start)
  const isDated = format.timestamps === "always" ||
    (format.timestamps === "late" && start + interval + lateAfter < now)
  if (!isDated) return undefined
  const key = `${start} ${series()}`
  const date = seconds.free(start, interval, now, dates.taken.get(key) ?? seconds.offset(start))
  if (date === undefined || date < 1) return undefined
  const next = date - start + 1
  dates.taken.set(key, next)
  ;(dates.used[index] ??= []).push([start, next])
  return date
}

const writeSeries = (write: Write, { interval, points, type }: Series): boolean => {
  for (const [time, value] of points) {
    if (!Number.isFinite(value)) return false
    if (type === "gauge") {
      write.line([String(value)], "g", gaugeDate(write, time))
    } else {
      const count = type === "rate" ? totalOf(value, interval) : value
      write.line([String(count)], "c", countDate(write, time, interval))
    }
  }
  return true
}

/** What a rate was made of, without the noise that dividing and multiplying leave. */
const totalOf = (rate: number, interval: number): number => {
  const total = rate * interval
  const short = Number(total.toPrecision(15))
  const best = short / interval === rate ? short : total
  return Number.isFinite(best) ? best : Math.sign(rate) * Number.MAX_VALUE
}

const writeDistribution = (write: Write, { points }: DistributionSeries): boolean => {
  for (const [time, values] of points) {
    if (!values.every((value) => Number.isFinite(value))) return false
    writeValues(write, time, values.map(String))
  }
  return true
}

/** Distributions, and what is told as one: only the extension takes their time. */
const writeValues = (write: Write, time: number, values: Iterable<string>) => {
  write.line(values, "d", write.context.format.extension ? gaugeDate(write, time) : undefined)
}

const writeSamples = (write: Write, { interval, points, type, weight }: SampleSeries): boolean => {
  for (const [time, values] of points) {
    if (type !== "set" && !values.every((value) => Number.isFinite(value))) return false
    switch (type) {
      case "counter":
        for (const value of values) write.line([String(value)], "c", countDate(write, time, interval))
        break
      case "gauge":
        for (const value of values) write.line([String(value)], "g", gaugeDate(write, time))
        break
      case "set":
        writeSet(write, time, values)
        break
      default:
        writeWeighted(write, time, values, weight, type === "timing" ? "ms" : "h")
    }
  }
  return true
}

const writeSet = (write: Write, time: number, values: ReadonlyArray<number | string>) => {
  const { context: { format, members }, fields, head, series } = write
  if (format.extension) {
    const start = Math.floor(time)
    write.line([String(members.unite(start, series(), values))], "g", gaugeDate(write, time))
  } else {
    const room = format.packetSize - Buffer.byteLength(head) - Buffer.byteLength(fields) - 3
    write.line(values.map((value) => memberOf(String(value), room)), "s", undefined, false)
  }
}

/**
 * Values that stand for more than were kept. The Agent takes a weight as `@rate`, and counts one over it, rounded down:
 * so every value has a whole weight, and together they have the number that was recorded. The extension knows no rate, and is
 * sent each value as often as it stands for.
 */
const writeWeighted = (
  write: Write,
  time: number,
  values: ReadonlyArray<number | string>,
  weight: number,
  type: string
) => {
  const { format } = write.context
  const recorded = weight > 1 && Number.isFinite(weight) ? Math.round(weight * values.length) : values.length
  if (format.extension) return writeValues(write, time, repeated(values, recorded))
  if (recorded === values.length) return write.line(values.map(String), type, undefined)
  const groups = new Map<number, Array<string>>()
  values.forEach((value, i) => {
    const times = timesOf(i, values.length, recorded)
    const group = groups.get(times)
    if (group === undefined) groups.set(times, [String(value)])
    else group.push(String(value))
  })
  for (const [times, group] of groups) {
    write.line(group, times === 1 ? type : `${type}|@${rateOf(times)}`, undefined, format.packed)
  }
}

/** How often the i-th of `kept` values counts, so that all of them count `recorded` times. */
const timesOf = (i: number, kept: number, recorded: number): number =>
  Math.floor(((i + 1) * recorded) / kept) - Math.floor((i * recorded) / kept)

/** Made as they are asked for: there can be millions. */
function* repeated(values: ReadonlyArray<number | string>, recorded: number): Generator<string> {
  for (let i = 0; i < values.length; i++) {
    const value = String(values[i])
    for (let times = timesOf(i, values.length, recorded); times > 0; times--) yield value
  }
}

/** A rate of which the inverse, rounded down, is this many. */
const rateOf = (times: number): number => {
  const rate = 1 / times
  return Math.floor(1 / rate) === times ? rate : rate * (1 - Number.EPSILON)
}

const eventLines = (event: Event, index: number, format: Format): ReadonlyArray<Line> | Refused => {
  if (format.extension) return refused(index, "Rejected", "the Lambda extension takes no events")
  const title = escapeText(event.title)
  if (title === "") return refused(index, "Encoding", "an event without a title")
  const tags = event.tags.map(sanitizeTag).filter((tag) => tag !== "").concat(
    event.device_name === undefined ? [] : sanitizeTag(`device:${event.device_name}`),
    format.tags
  )
  const rest = [
    event.date_happened === undefined ? "" : `|d:${Math.floor(event.date_happened)}`,
    field("h", event.host),
    field("k", event.aggregation_key),
    field("p", event.priority),
    field("s", event.source_type_name),
    alertTypes.has(event.alert_type) ? `|t:${event.alert_type}` : "",
    tags.length === 0 ? "" : `|#${tags.join(",")}`,
    format.origin
  ].join("")
  const titleSize = Buffer.byteLength(title)
  const others = `_e{${titleSize},99999}:${title}|${rest}\n`
  const room = Math.max(format.packetSize, bufferSize) - Buffer.byteLength(others)
  if (room < 0) return tooLarge(index, Buffer.byteLength(others))
  const text = cutTo(escapeText(event.text), room)
  return [{
    head: `_e{${titleSize},${Buffer.byteLength(text)}}:${title}|${text}`,
    values: [""],
    tail: `${rest}\n`,
    packs: false
  }]
}

/** The ones that the Agent knows; the others of Datadog's API are shown as `info`, as an event without any is. */
const alertTypes: ReadonlySet<unknown> = /*#__PURE__*/ new Set(["error", "warning", "info", "success"])

const field = (key: string, value: string | undefined): string =>
  value === undefined || value === "" ? "" : `|${key}:${value.replace(breaking, "_")}`

/** What ends a field, a line or more than that, wherever it stands: separators and control characters. */
const breaking = /[|\u0000-\u001f\u007f]/g

/** Line feeds as the Agent turns back; other line ends become line feeds. */
const escapeText = (text: string): string => text.replace(/\r\n|\r|\n/g, "\\n")

/** No more than this many bytes of UTF-8, and no part of a character or of an escape. */
const cutTo = (text: string, bytes: number): string => {
  const buffer = Buffer.from(text)
  if (buffer.byteLength <= bytes) return text
  let end = bytes
  while (end > 0 && (buffer[end]! & 0xc0) === 0x80) end--
  const cut = buffer.toString("utf8", 0, end)
  return cut.endsWith("\\") && buffer[end] === 0x6e ? cut.slice(0, -1) : cut
}

const inName = /[:|\u0000-\u001f\u007f]/g

const sanitizeName = (name: string): string => name.replace(inName, "_")

/**
 * What Datadog keeps in a tag, as the reference does it: letters and digits of any script, and `_ - : / .`; all else
 * becomes `_`.
 */
const notInTag = /[^\p{L}\p{N}_\-:/.]/gu

export const sanitizeTag = (tag: string): string => tag.replace(notInTag, "_")

const tagsOf = (item: Series | DistributionSeries | SampleSeries, format: Format): ReadonlyArray<string> => {
  const tags: Array<string> = []
  for (const tag of item.tags) {
    if (tag !== "") tags.push(sanitizeTag(tag))
  }
  // the Agent takes these two out again, and the last one of a kind counts
  if (item.device) tags.push(sanitizeTag(`device:${item.device}`))
  if (item.host) tags.push(sanitizeTag(`host:${item.host}`))
  return format.tags.length === 0 ? tags : tags.concat(format.tags)
}

/**
 * A member of a set, of which only counts whether it is the same as another: escaped so that two different ones stay
 * different, and where it is longer than there is room, a digest of it.
 */
const memberOf = (member: string, room: number): string => {
  const escaped = member === "" ? "%" : member === "%" ? "%25" : member.replace(inMember, escapeOne)
  return Buffer.byteLength(escaped) <= room ? escaped : digest(escaped)
}

const inMember = /[|\u0000-\u001f\u007f]|%(?=[0-9A-Fa-f]{2})|[\ud800-\udfff]/gu

/** In hexadecimal; a surrogate here is a lone one, which UTF-8 does not know. */
const escapeOne = (character: string): string => {
  const code = character.charCodeAt(0)
  return code < 256 ? `%${code.toString(16).padStart(2, "0")}` : `%ff${code.toString(16)}`
}

const digest = (text: string): string => {
  let a = 0x811c9dc5
  let b = 0x1000193
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
    b ^= b >>> 13
  }
  return `%${text.length.toString(16)}%${(a >>> 0).toString(16)}%${(b >>> 0).toString(16)}`
}
