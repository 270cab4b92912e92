import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
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

export interface Options<A extends Item = Item> {
  /** Whether to pack where the endpoint knows how; as Zstandard does it, where it knows that too. */
  readonly compress: boolean | "zstd"
  /** What is written for an item. Default: the item. */
  readonly form?: ((item: A) => unknown) | undefined
}

/** Node.js has it from 22.15 and 23.8 on. */
const zstd = zlib as unknown as {
  readonly zstdCompress?: typeof zlib.deflate
  readonly zstdCompressSync?: typeof zlib.deflateSync
}

export const hasZstd = (): boolean => zstd.zstdCompress !== undefined

const encodingOf = ({ compression, encodings }: Endpoint, compress: Options["compress"]): Encoding =>
  compress === false ? "identity" : compress === "zstd" && encodings.includes(compress) ? compress : compression

/**
 * Up to here compressing takes about a millisecond, less than a way through the thread pool and back costs; above it
 * the event loop is better left alone.
 */
const syncLimit = 256 * 1024

const pack = (bytes: Uint8Array, encoding: Encoding): Effect.Effect<Uint8Array> =>
  bytes.byteLength <= syncLimit
    ? Effect.sync(() => (encoding === "zstd" ? zstd.zstdCompressSync! : zlib.deflateSync)(bytes))
    : Effect.async((resume) => {
      const method = encoding === "zstd" ? zstd.zstdCompress! : zlib.deflate
      method(bytes, (cause, packed) => resume(cause === null ? Effect.succeed(packed) : Effect.die(cause)))
    })

/**
 * JSON for any parser. `JSON.stringify` writes half a surrogate pair as an escape, which many parsers refuse, and with it
 * the whole body (RFC 7493 forbids it); U+FFFD stands for it here.
 */
const stringify = (item: unknown): string => {
  const json = JSON.stringify(item)
  return json.includes("\\ud")
    ? JSON.stringify(item, (_, value) => typeof value === "string" ? Buffer.from(value).toString() : value)
    : json
}

const toEntry = <A extends Item>(item: A, { form }: Options<A>): Entry | Unencodable => {
  try {
    const json = stringify(form === undefined ? item : form(item))
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

/** As many entries as the limit for the bytes they are allows, again and again; an entry that is over it is alone. */
const group = (
  endpoint: Endpoint,
  entries: ReadonlyArray<Entry>,
  encoding: Encoding
): ReadonlyArray<ReadonlyArray<Entry>> => {
  if (endpoint.envelope === undefined) return entries.map((entry) => [entry])
  const { bytes, unpackedBytes } = endpoint.limits
  const limit = encoding === "identity" ? Math.min(bytes, unpackedBytes) : unpackedBytes
  const [before, after] = endpoint.envelope
  const envelope = before.length + after.length
  const groups: Array<Array<Entry>> = []
  let size = Infinity
  for (const entry of entries) {
    if (size + 1 + entry.bytes > limit) {
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
const fit = (endpoint: Endpoint, entries: ReadonlyArray<Entry>, encoding: Encoding): Effect.Effect<Encoded> =>
  Effect.suspend(() => {
    const bytes: Uint8Array = Buffer.from(textOf(endpoint, entries))
    return Effect.flatMap(
      bytes.byteLength > endpoint.limits.unpackedBytes || encoding === "identity"
        ? Effect.succeed(bytes)
        : pack(bytes, encoding),
      (body) =>
        bytes.byteLength <= endpoint.limits.unpackedBytes && body.byteLength <= endpoint.limits.bytes
          ? Effect.succeed({ chunks: [{ endpoint, entries, body, encoding }], unencodable: [] })
          : entries.length === 1
          ? Effect.succeed({ chunks: [], unencodable: [tooLarge(entries[0]!, endpoint)] })
          : Effect.map(
            Effect.forEach(halves(entries), (half) => fit(endpoint, half, encoding)),
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
export const encode = <A extends Item>(
  endpoint: Endpoint,
  items: ReadonlyArray<A>,
  options: Options<A>
): Effect.Effect<Encoded> =>
  Effect.suspend(() => {
    const entries: Array<Entry> = []
    const unencodable: Array<Unencodable> = []
    for (const item of items) {
      const entry = toEntry(item, options)
      if (entry instanceof Unencodable) unencodable.push(entry)
      else entries.push(entry)
    }
    return Effect.map(
      chunk(endpoint, entries, encodingOf(endpoint, options.compress)),
      (packed) => concat([{ chunks: [], unencodable }, packed])
    )
  })

/** Bodies for what is JSON already. */
export const chunk = (endpoint: Endpoint, entries: ReadonlyArray<Entry>, encoding: Encoding): Effect.Effect<Encoded> =>
  Effect.map(Effect.forEach(group(endpoint, entries, encoding), (part) => fit(endpoint, part, encoding)), concat)

/** A chunk of two or more in two halves. */
export const split = ({ encoding, endpoint, entries }: Chunk): Effect.Effect<Encoded> =>
  Effect.map(Effect.forEach(halves(entries), (half) => fit(endpoint, half, encoding)), concat)
