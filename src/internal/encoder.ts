import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { deflate, deflateSync } from "node:zlib"
import type { Item } from "../Reporter.js"
import type { Encoding, Endpoint } from "./endpoints.js"

/** An item and its JSON. */
export interface Entry {
  readonly item: Item
  readonly json: string
  /** Of the JSON, in UTF-8. */
  readonly bytes: number
}

/** A body that is ready for the wire and within the endpoint's limits, and what is in it. */
export interface Chunk {
  readonly endpoint: Endpoint
  readonly entries: ReadonlyArray<Entry>
  readonly body: Uint8Array
  readonly encoding: Encoding
}

/** An item that fits into no body. */
export class Unencodable extends Data.TaggedError("Unencodable")<{
  readonly item: Item
  readonly reason: "Encoding" | "PayloadTooLarge"
  readonly description: string
  readonly cause?: unknown
}> {}

export interface Encoded {
  readonly chunks: ReadonlyArray<Chunk>
  readonly unencodable: ReadonlyArray<Unencodable>
}

export interface Options {
  /** Whether to pack where the endpoint knows how. */
  readonly compress: boolean
}

/**
 * Up to here compressing takes about a millisecond, less than a way through the thread pool and back costs; above it
 * the event loop is better left alone.
 */
const syncLimit = 256 * 1024

const pack = (bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  bytes.byteLength <= syncLimit
    ? Effect.sync(() => deflateSync(bytes))
    : Effect.async((resume) => {
      deflate(bytes, (cause, packed) => resume(cause === null ? Effect.succeed(packed) : Effect.die(cause)))
    })

/**
 * JSON for any parser. `JSON.stringify` writes half a surrogate pair as an escape, which many parsers refuse, and with it
 * the whole body (RFC 7493 forbids it); U+FFFD stands for it here.
 */
const stringify = (item: Item): string => {
  const json = JSON.stringify(item)
  return json.includes("\\ud")
    ? JSON.stringify(item, (_, value) => typeof value === "string" ? Buffer.from(value).toString() : value)
    : json
}

const toEntry = (item: Item): Entry | Unencodable => {
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

const tooLarge = ({ item }: Entry, endpoint: Endpoint): Unencodable =>
  new Unencodable({
    item,
    reason: "PayloadTooLarge",
    description: `over ${endpoint.limits.bytes} bytes, or ${endpoint.limits.unpackedBytes} unpacked, on its own`
  })

/** As many entries as the unpacked limit allows, again and again; an entry that is over it is alone. */
const group = (endpoint: Endpoint, entries: ReadonlyArray<Entry>): ReadonlyArray<ReadonlyArray<Entry>> => {
  if (endpoint.envelope === undefined) return entries.map((entry) => [entry])
  const [before, after] = endpoint.envelope
  const envelope = before.length + after.length
  const groups: Array<Array<Entry>> = []
  let size = Infinity
  for (const entry of entries) {
    if (size + 1 + entry.bytes > endpoint.limits.unpackedBytes) {
      groups.push([])
      size = envelope - 1
    }
    groups.at(-1)!.push(entry)
    size += 1 + entry.bytes
  }
  return groups
}

const textOf = (endpoint: Endpoint, entries: ReadonlyArray<Entry>): string => {
  const content = entries.map(({ json }) => json).join(",")
  return endpoint.envelope === undefined ? content : `${endpoint.envelope[0]}${content}${endpoint.envelope[1]}`
}

/** Halves what is over a limit, until it fits or is a single entry. */
const fit = (endpoint: Endpoint, entries: ReadonlyArray<Entry>, options: Options): Effect.Effect<Encoded> =>
  Effect.suspend(() => {
    const bytes: Uint8Array = Buffer.from(textOf(endpoint, entries))
    const encoding = options.compress ? endpoint.compression : "identity"
    return Effect.flatMap(
      bytes.byteLength > endpoint.limits.unpackedBytes || encoding === "identity" ? Effect.succeed(bytes) : pack(bytes),
      (body) =>
        bytes.byteLength <= endpoint.limits.unpackedBytes && body.byteLength <= endpoint.limits.bytes
          ? Effect.succeed({ chunks: [{ endpoint, entries, body, encoding }], unencodable: [] })
          : entries.length === 1
          ? Effect.succeed({ chunks: [], unencodable: [tooLarge(entries[0]!, endpoint)] })
          : Effect.map(
            Effect.forEach(halves(entries), (half) => fit(endpoint, half, options)),
            concat
          )
    )
  })

const halves = (entries: ReadonlyArray<Entry>): ReadonlyArray<ReadonlyArray<Entry>> => {
  const middle = entries.length >> 1
  return [entries.slice(0, middle), entries.slice(middle)]
}

const concat = (parts: ReadonlyArray<Encoded>): Encoded => ({
  chunks: parts.flatMap(({ chunks }) => chunks),
  unencodable: parts.flatMap(({ unencodable }) => unencodable)
})

/**
 * Bodies for all items, in order, each within the endpoint's limits by its measured size. Of the endpoint it knows what
 * its data say, and of sending nothing.
 */
export const encode = (endpoint: Endpoint, items: ReadonlyArray<Item>, options: Options): Effect.Effect<Encoded> =>
  Effect.suspend(() => {
    const entries: Array<Entry> = []
    const unencodable: Array<Unencodable> = []
    for (const item of items) {
      const entry = toEntry(item)
      if (entry instanceof Unencodable) unencodable.push(entry)
      else entries.push(entry)
    }
    return Effect.map(chunk(endpoint, entries, options), (packed) => concat([{ chunks: [], unencodable }, packed]))
  })

/** Bodies for what is JSON already. */
export const chunk = (endpoint: Endpoint, entries: ReadonlyArray<Entry>, options: Options): Effect.Effect<Encoded> =>
  Effect.map(Effect.forEach(group(endpoint, entries), (part) => fit(endpoint, part, options)), concat)

/** A chunk of two or more in two halves. */
export const split = ({ endpoint, entries }: Chunk, options: Options): Effect.Effect<Encoded> =>
  Effect.map(Effect.forEach(halves(entries), (half) => fit(endpoint, half, options)), concat)
