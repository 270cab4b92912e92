import type { WireItem } from "../model/wireForm.js"

/** Metrics: events cannot be said in a line. */
export type LogItem = Exclude<WireItem, { readonly title: string }>

/**
 * The most bytes of one line: what CloudWatch Logs takes for one event, less what it counts for the event itself. Its quota was
 * 256 KiB until 2025 and is 1 MiB since; whether Lambda passes more than 256 KiB on in one piece is not documented.
 */
export const maxLineBytes = 256 * 1024 - 26

/** Of a number as JSON. */
const longestNumber = 25

/** What the kernel writes to a pipe in one piece, whoever else writes there (PIPE_BUF on Linux). */
const pieceBytes = 4096

/** Whole lines that are written at once. */
export interface Piece {
  readonly text: string
  readonly bytes: number
  /** The items with a line in it, and those with their last line in it. */
  readonly items: ReadonlyArray<LogItem>
  readonly complete: ReadonlyArray<LogItem>
}

interface Frame {
  readonly before: string
  readonly after: string
  readonly bytes: number
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).length

/** The line has no field for them. */
const tagsOf = ({ device, host, tags }: LogItem): ReadonlyArray<string> => [
  ...tags,
  ...(host ? [`host:${host}`] : []),
  ...(device ? [`device:${device}`] : [])
]

/** A line but for its value. */
const frameOf = (item: LogItem, tags: string, timestamp: number): Frame => {
  const before = `{"m":${JSON.stringify(item.metric)},"v":`
  const after = `,"e":${Math.floor(timestamp)},"t":${tags}}\n`
  return { before, after, bytes: bytesOf(before) + bytesOf(after) }
}

/** How often each of `n` values has to be repeated, so that all together stand for `n * weight` of them, rounded once. */
const repeats = (weight: number, i: number): number => Math.round((i + 1) * weight) - Math.round(i * weight)

/**
 * What the receiver, which makes distributions of everything, is told of one point: how much was counted, the last value, how
 * many different members, or each value as often as it was recorded.
 */
function* valuesOf(item: LogItem, point: LogItem["points"][number]): Generator<number> {
  const [, recorded] = point
  if (typeof recorded === "number") {
    yield item.type === "rate" ? recorded * item.interval : recorded
  } else if (item.type === "set") {
    yield recorded.length
  } else {
    const weight = "weight" in item ? item.weight : 1
    for (const [i, value] of recorded.entries()) {
      for (let n = repeats(weight, i); n > 0; n--) yield value as number
    }
  }
}

const framesOf = (item: LogItem): ReadonlyArray<Frame> => {
  const tags = JSON.stringify(tagsOf(item))
  return item.points.map(([timestamp]) => frameOf(item, tags, timestamp))
}

/** Of one character, escaped. */
const longestCharacter = 6

/** Whether its lines can be written at all. */
export const fits = (item: LogItem): boolean => {
  const characters = tagsOf(item).reduce((sum, tag) => sum + tag.length + 3, item.metric.length)
  // exactly only where it matters
  return characters * longestCharacter + 100 <= maxLineBytes ||
    framesOf(item).every(({ bytes }) => bytes + longestNumber <= maxLineBytes)
}

/** All lines of the items, in order, in pieces of no more than 4096 bytes unless a single line is longer. */
export function* pieces(items: ReadonlyArray<LogItem>): Generator<Piece> {
  // one byte is for a line break in front
  const most = pieceBytes - 1
  let text = ""
  let bytes = 0
  let within: Array<LogItem> = []
  let complete: Array<LogItem> = []
  for (const item of items) {
    const frames = framesOf(item)
    for (const [i, point] of item.points.entries()) {
      const frame = frames[i]!
      for (const value of valuesOf(item, point)) {
        const number = String(value)
        const more = frame.bytes + number.length
        if (bytes > 0 && bytes + more > most) {
          yield { text, bytes, items: within, complete }
          text = ""
          bytes = 0
          within = []
          complete = []
        }
        text += frame.before + number + frame.after
        bytes += more
        if (within.at(-1) !== item) within.push(item)
      }
    }
    complete.push(item)
  }
  if (bytes > 0) yield { text, bytes, items: within, complete }
}
