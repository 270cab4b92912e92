/** Encodes metrics in lines of JSON for Datadog's log forwarder. */
import { metricKinds } from "../model/metricKinds.js"
import { toPrintable } from "../model/printableText.js"
import type { WireItem } from "../model/wireForm.js"

/** Metrics. Events have no form as a line. */
export type LogItem = Exclude<WireItem, { readonly title: string }>

/**
 * Maximum size of a line, in bytes: an event of CloudWatch Logs, less the overhead that counts for it. The quota was 256 KiB until 2025,
 * and is 1 MiB since. AWS does not document whether Lambda forwards more than 256 KiB in one event.
 */
export const maxLineBytes = 256 * 1024 - 26

/** Maximum length of a number in JSON. */
const maxNumberLength = 25

/** Size that the kernel writes to a pipe in one piece, even if other processes write to it (`PIPE_BUF` on Linux). */
const atomicPipeBytes = 4096

/** Whole lines that are written at once. */
export interface LineChunk {
  readonly text: string
  readonly bytes: number
  /** Items with a line in this chunk. */
  readonly items: ReadonlyArray<LogItem>
  /** Items whose last line is in this chunk. */
  readonly complete: ReadonlyArray<LogItem>
}

/** A line without its value. */
interface LineTemplate {
  readonly before: string
  readonly after: string
  readonly bytes: number
}

const utf8Size = (text: string): number => new TextEncoder().encode(text).length

/** Returns the tags, and host and device as tags, because a line has no fields for them. */
const tagsOf = ({ device, host, tags }: LogItem): ReadonlyArray<string> => [
  ...tags,
  ...(host ? [`host:${host}`] : []),
  ...(device ? [`device:${device}`] : [])
]

/** Makes one template for each point of the item. */
const makeTemplates = (item: LogItem): ReadonlyArray<LineTemplate> => {
  const tags = toPrintable(JSON.stringify(tagsOf(item)))
  const before = `{"m":${toPrintable(JSON.stringify(item.metric))},"v":`
  return item.points.map(([timestamp]) => {
    const after = `,"e":${Math.floor(timestamp)},"t":${tags}}\n`
    return { before, after, bytes: utf8Size(before) + utf8Size(after) }
  })
}

/** Returns how often to repeat the i-th value, so that `n` values together stand for `n * weight`, rounded once. */
const repetitions = (weight: number, i: number): number => Math.round((i + 1) * weight) - Math.round(i * weight)

/**
 * Returns the values of one point. The forwarder submits each as a value of a distribution: the count of a counter, the last value of a
 * gauge, the number of members of a set, or every recorded value.
 */
function* valuesOf(item: LogItem, [, recorded]: LogItem["points"][number]): Generator<number> {
  if (metricKinds[item.type] === "unique") {
    yield recorded.length
  } else {
    const weight = "weight" in item ? item.weight : 1
    for (const [i, value] of recorded.entries()) {
      for (let n = repetitions(weight, i); n > 0; n--) yield value as number
    }
  }
}

/** Maximum size of an escaped character. */
const maxCharacterSize = 6

/** Whether the item's lines are within the limit. An upper bound spares the exact size for almost all items. */
export const fitsLimit = (item: LogItem): boolean => {
  const characters = tagsOf(item).reduce((sum, tag) => sum + tag.length + 3, item.metric.length)
  return characters * maxCharacterSize + 100 <= maxLineBytes ||
    makeTemplates(item).every(({ bytes }) => bytes + maxNumberLength <= maxLineBytes)
}

/** Returns the lines of the items, in order. A chunk has at most 4096 bytes, unless a single line is longer. */
export function* lineChunks(items: ReadonlyArray<LogItem>): Generator<LineChunk> {
  // The writer may put a line break in front.
  const maxBytes = atomicPipeBytes - 1
  let text = ""
  let bytes = 0
  let chunkItems: Array<LogItem> = []
  let complete: Array<LogItem> = []
  for (const item of items) {
    const templates = makeTemplates(item)
    for (const [i, point] of item.points.entries()) {
      const template = templates[i]!
      for (const value of valuesOf(item, point)) {
        const number = String(value)
        const lineBytes = template.bytes + number.length
        if (bytes > 0 && bytes + lineBytes > maxBytes) {
          yield { text, bytes, items: chunkItems, complete }
          text = ""
          bytes = 0
          chunkItems = []
          complete = []
        }
        text += template.before + number + template.after
        bytes += lineBytes
        if (chunkItems.at(-1) !== item) chunkItems.push(item)
      }
    }
    complete.push(item)
  }
  if (bytes > 0) yield { text, bytes, items: chunkItems, complete }
}
