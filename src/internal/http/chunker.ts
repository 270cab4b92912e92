import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Item } from "../model/Delivery.js"
import { compressBody, encodingOf } from "./compression.js"
import type { Encoding, Endpoint } from "./endpoints.js"
import { stringify } from "./json.js"

/** Item, or the item that a line was written for, and its JSON. */
export interface Entry<A = Item> {
  readonly item: A
  readonly json: string
  /** Size of the JSON in UTF-8, in bytes. */
  readonly bytes: number
}

/** Body that is ready to be sent, within the endpoint's limits, and its content. */
export interface Chunk<A = Item> {
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly encoding: Encoding
  /** Items of the body. Those of a body that was written line by line are named once, also if they have several lines. */
  readonly items: ReadonlyArray<A>
  /** Number of lines, or of items. */
  readonly count: number
  /** Time of the oldest line, in seconds since the epoch. Undefined for a body that was not written line by line. */
  readonly oldest: number | undefined
  /** Lines of the body. Those of a body that was written line by line are read out of it when they are first needed. */
  readonly entries: ReadonlyArray<Entry<A>>
}

/** Item that fits into no body. */
export class Unencodable<A = Item> extends /*#__PURE__*/ Data.TaggedError("Unencodable")<{
  readonly item: unknown
  readonly reason: "Encoding" | "PayloadTooLarge"
  readonly description: string
  readonly cause?: unknown
}> {
  declare readonly item: A
}

export interface Encoded<A = Item> {
  readonly chunks: ReadonlyArray<Chunk<A>>
  readonly unencodable: ReadonlyArray<Unencodable<A>>
}

export const concat = <A>(parts: ReadonlyArray<Encoded<A>>): Encoded<A> =>
  parts.length === 1 ? parts[0]! : {
    chunks: parts.flatMap(({ chunks }) => chunks),
    unencodable: parts.flatMap(({ unencodable }) => unencodable)
  }

const toEntry = <A extends Item>(item: A): Entry<A> | Unencodable<A> => {
  try {
    const json = stringify(item)
    return { item, json, bytes: Buffer.byteLength(json) }
  } catch (cause) {
    return new Unencodable({
      item,
      reason: "Encoding",
      description: cause instanceof Error ? cause.message : "the item is not JSON",
      cause
    })
  }
}

export const tooLarge = <A>({ item }: Entry<A>, { limits }: Endpoint): Unencodable<A> =>
  new Unencodable({
    item,
    reason: "PayloadTooLarge",
    description: `over ${limits.bytes} bytes, or ${limits.unpackedBytes} unpacked, on its own`
  })

/** Groups entries into bodies: one body for all if the endpoint accepts several, else one for each. */
const groupEntries = <A>(
  { envelope }: Endpoint,
  entries: ReadonlyArray<Entry<A>>
): ReadonlyArray<ReadonlyArray<Entry<A>>> =>
  envelope === undefined ? entries.map((entry) => [entry]) : entries.length === 0 ? [] : [entries]

const toText = ({ envelope }: Endpoint, entries: ReadonlyArray<Entry<unknown>>): string => {
  const content = entries.map(({ json }) => json).join(",")
  return envelope === undefined ? content : `${envelope[0]}${content}${envelope[1]}`
}

const halves = <A>(entries: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const middle = entries.length >> 1
  return [entries.slice(0, middle), entries.slice(middle)]
}

/** Makes one body of the entries. If the body exceeds a limit, halves them until each body fits or has a single entry. */
const splitToLimits = <A>(
  endpoint: Endpoint,
  entries: ReadonlyArray<Entry<A>>,
  requested: Encoding
): Effect.Effect<Encoded<A>> =>
  Effect.suspend(() => {
    const { limits } = endpoint
    const bytes: Uint8Array = Buffer.from(toText(endpoint, entries))
    const isTooLong = bytes.byteLength > limits.unpackedBytes
    return Effect.flatMap(
      compressBody(bytes, isTooLong ? "identity" : requested, limits.bytes),
      ({ body, encoding }): Effect.Effect<Encoded<A>> => {
        if (!isTooLong && body.byteLength <= limits.bytes) {
          const items = entries.map(({ item }) => item)
          const chunk = { endpoint, body, encoding, items, count: items.length, oldest: undefined, entries }
          return Effect.succeed({ chunks: [chunk], unencodable: [] })
        }
        return entries.length === 1
          ? Effect.succeed({ chunks: [], unencodable: [tooLarge(entries[0]!, endpoint)] })
          : splitEntries(endpoint, entries, requested)
      }
    )
  })

const splitEntries = <A>(endpoint: Endpoint, entries: ReadonlyArray<Entry<A>>, encoding: Encoding) =>
  Effect.map(Effect.forEach(halves(entries), (half) => splitToLimits(endpoint, half, encoding)), concat)

/** Returns bodies for entries, which are JSON already. */
export const chunk = <A>(
  endpoint: Endpoint,
  entries: ReadonlyArray<Entry<A>>,
  encoding: Encoding
): Effect.Effect<Encoded<A>> =>
  Effect.map(
    Effect.forEach(groupEntries(endpoint, entries), (group) => splitToLimits(endpoint, group, encoding)),
    concat
  )

/** Splits two or more entries into two halves. */
export const split = <A>(
  { encoding, endpoint, entries }: Pick<Chunk<A>, "encoding" | "endpoint" | "entries">
): Effect.Effect<Encoded<A>> => splitEntries(endpoint, entries, encoding)

/** Returns bodies for all items, in order, each within the endpoint's limits. */
export const encode = <A extends Item>(
  endpoint: Endpoint,
  items: ReadonlyArray<A>,
  compress: boolean
): Effect.Effect<Encoded<A>> =>
  Effect.suspend(() => {
    const entries: Array<Entry<A>> = []
    const unencodable: Array<Unencodable<A>> = []
    for (const item of items) {
      const entry = toEntry(item)
      if (entry instanceof Unencodable) unencodable.push(entry)
      else entries.push(entry)
    }
    return Effect.map(
      chunk(endpoint, entries, encodingOf(endpoint, compress)),
      (encoded) => concat([{ chunks: [], unencodable }, encoded])
    )
  })
