import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import type { SeriesType } from "../model/AggregatedSeries.js"
import { enrichHost, type Enrichment, enrichName } from "../model/Enrichment.js"
import { appendConstantTags } from "../model/tags.js"
import type { BodyWriter } from "./bodyWriter.js"
import { stringify } from "./json.js"

/** From so many values on sorting saves more, in packing, than it takes. */
const worthSorting = 50

/** A distribution's values as they travel: their order means nothing to the receiver, and in order they pack far better. */
export const wireValues = (values: ReadonlyArray<number>): ReadonlyArray<number> =>
  values.length < worthSorting ? values : Array.from(Float64Array.from(values).sort())

/** Syntax of a line: the text before and after its value, the part of its series, and the part of its metric. */
export interface Syntax {
  readonly before: (metric: string, type: SeriesType | "distribution", timestamp: number) => string
  readonly after: (type: SeriesType | "distribution") => string
  readonly series: (self: Enrichment, host: string | null, tags: ReadonlyArray<string>) => string
  readonly end: (metric: string) => string
}

/** Text that is in JSON as it is, which is nearly all that names and tags are made of. */
const isPlain = /^[ !#-[\]-~]*$/

export const quote = (text: string): string => isPlain.test(text) ? `"${text}"` : stringify(text)

export const quoteAll = (texts: ReadonlyArray<string>): string => {
  for (const text of texts) {
    if (!isPlain.test(text)) return `[${texts.map(quote).join()}]`
  }
  return texts.length === 0 ? "[]" : `["${texts.join("\",\"")}"]`
}

/** Syntax of v1: the same text as `JSON.stringify` of the items. */
export const syntax: Syntax = {
  before: (metric, _, timestamp) => `{"metric":${quote(metric)},"points":[[${timestamp},`,
  after: (type) => `]],"type":"${type}"`,
  series: ({ device, interval }, host, tags) => {
    const from = host === null ? "" : `,"host":${quote(host)}`
    const on = device === undefined ? "" : `,"device":${quote(device)}`
    return `${from}${on},"tags":${quoteAll(tags)},"interval":${interval}`
  },
  end: () => "}"
}

/** Parts that all lines of one metric and time share. */
interface Head {
  readonly suffix: string
  readonly type: SeriesType | "distribution"
  readonly timestamp: number
  readonly before: string
  readonly bytes: number
  /** Text around the part of the series after the value, and the number of that pair of texts. */
  readonly after: string
  readonly end: string
  readonly pair: number
}

const numberText = (value: number): string => Number.isFinite(value) ? `${value}` : "null"

/** Returns a function that writes aggregated series as lines, equal to the JSON of their wire forms. */
export const lineWriter = (
  self: Enrichment,
  { after, before, series, end }: Syntax,
  writer: BodyWriter<AggregatedSeries>
) => {
  /** By the place of a point among those of its item. */
  const byName = new Map<string, Array<Head>>()
  const pairs = new Map<string, number>()
  /** Text after the value in the lines of the current item, by pair, and its size in bytes. */
  const tails: Array<string | undefined> = []
  const tailBytes: Array<number> = []

  const headOf = (
    heads: Array<Head>,
    i: number,
    name: string,
    suffix: string,
    type: Head["type"],
    timestamp: number
  ) => {
    const known = heads[i]
    if (known?.timestamp === timestamp && known.suffix === suffix && known.type === type) return known
    const metric = suffix === "" ? enrichName(self, name) : `${enrichName(self, name)}.${suffix}`
    const parts = { before: before(metric, type, timestamp), after: after(type), end: end(metric) }
    const key = JSON.stringify([parts.after, parts.end])
    const pair = pairs.get(key) ?? pairs.size
    pairs.set(key, pair)
    const head = { suffix, type, timestamp, ...parts, bytes: Buffer.byteLength(parts.before), pair }
    return heads[i] = head
  }

  const add = (item: AggregatedSeries, { after, before, bytes, end, pair }: Head, shared: string, value: string) => {
    let tail = tails[pair]
    if (tail === undefined) {
      // asking for its bytes also makes it one piece
      tail = tails[pair] = after + shared + end
      tailBytes[pair] = Buffer.byteLength(tail)
    }
    writer.add(item, item.timestamp, before + value + tail, bytes + value.length + tailBytes[pair]!)
  }

  return (item: AggregatedSeries, isDistribution: boolean): void => {
    const { name, timestamp } = item
    let heads = byName.get(name)
    if (heads === undefined) byName.set(name, heads = [])
    const shared = series(self, enrichHost(self, item.host), appendConstantTags(item.tags, self.tags))
    for (let i = 0; i < tails.length; i++) tails[i] = undefined
    if (isDistribution) {
      const values = wireValues(item.values)
      add(item, headOf(heads, 0, name, "", "distribution", timestamp), shared, JSON.stringify(values))
      return
    }
    const points = item.points
    for (let i = 0; i < points.length; i++) {
      const { suffix, type, value } = points[i]!
      add(item, headOf(heads, i, name, suffix, type, timestamp), shared, numberText(value))
    }
  }
}
