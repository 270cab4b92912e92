import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import type { Item } from "../model/Delivery.js"
import type { Encoding, Endpoint, EnvelopedEndpoint } from "./endpoints.js"

/** An item, or what a line was written for, and its JSON. */
export interface Entry<A = Item> {
  readonly item: A
  readonly json: string
  /** Of the JSON, in UTF-8. */
  readonly bytes: number
}

/** A body that is ready for the wire and within the endpoint's limits, and what is in it. */
export interface Chunk<A = Item> {
  readonly endpoint: Endpoint
  readonly entries: ReadonlyArray<Entry<A>>
  /** Where it was written line by line: then `entries` are read out of the body, should anybody want them. */
  readonly lines?: Lines<A> | undefined
  readonly body: Uint8Array
  readonly encoding: Encoding
}

/**
 * What the lines of a body were written for, each named once though it may have several lines, which follow each other. How
 * many lines there are, and how old the oldest is, in seconds since the epoch.
 */
export interface Lines<A> {
  readonly owners: ReadonlyArray<A>
  readonly count: number
  readonly oldest: number
}

/** What is in a chunk. */
export const itemsOf = <A>(chunk: Chunk<A>): ReadonlyArray<A> =>
  chunk.lines?.owners ?? chunk.entries.map(({ item }) => item)

/** How many items or lines are in a chunk. */
export const countOf = (chunk: Chunk<unknown>): number => chunk.lines?.count ?? chunk.entries.length

/** An item that fits into no body. */
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

export const encodingOf = ({ compression }: Endpoint, compress: boolean): Encoding =>
  compress ? compression : "identity"

/**
 * Up to here compressing takes about a millisecond, less than a way through the thread pool and back costs; above it
 * the event loop is better left alone.
 */
const syncLimit = 256 * 1024

const pack = (bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  bytes.byteLength <= syncLimit
    ? Effect.sync(() => zlib.deflateSync(bytes))
    : Effect.async((resume) => {
      zlib.deflate(bytes, (cause, packed) => resume(cause === null ? Effect.succeed(packed) : Effect.die(cause)))
    })

/**
 * JSON for any parser. `JSON.stringify` writes half a surrogate pair as an escape, which many parsers refuse, and with it
 * the whole body (RFC 7493 forbids it); U+FFFD stands for it here.
 */
export const stringify = (item: unknown): string => {
  const json = JSON.stringify(item)
  return json.includes("\\ud")
    ? JSON.stringify(item, (_, value) => typeof value === "string" ? Buffer.from(value).toString() : value)
    : json
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

const tooLarge = <A>({ item }: Entry<A>, endpoint: Endpoint): Unencodable<A> =>
  new Unencodable({
    item,
    reason: "PayloadTooLarge",
    description: `over ${endpoint.limits.bytes} bytes, or ${endpoint.limits.unpackedBytes} unpacked, on its own`
  })

/** How many bytes there may be before packing. */
const limitOf = ({ limits: { bytes, unpackedBytes } }: Endpoint, encoding: Encoding): number =>
  encoding === "identity" ? Math.min(bytes, unpackedBytes) : unpackedBytes

/** Groups entries into bodies: one body for all where the endpoint takes several, else one for each. */
const groupEntries = <A>(
  { envelope }: Endpoint,
  entries: ReadonlyArray<Entry<A>>
): ReadonlyArray<ReadonlyArray<Entry<A>>> =>
  envelope === undefined ? entries.map((entry) => [entry]) : entries.length === 0 ? [] : [entries]

const textOf = (endpoint: Endpoint, entries: ReadonlyArray<Entry<unknown>>): string => {
  const content = entries.map(({ json }) => json).join(",")
  return endpoint.envelope === undefined ? content : `${endpoint.envelope[0]}${content}${endpoint.envelope[1]}`
}

/** Halves what is over a limit, until it fits or is a single entry. */
const fit = <A>(
  endpoint: Endpoint,
  entries: ReadonlyArray<Entry<A>>,
  encoding: Encoding
): Effect.Effect<Encoded<A>> =>
  Effect.suspend(() => {
    const bytes: Uint8Array = Buffer.from(textOf(endpoint, entries))
    return Effect.flatMap(
      bytes.byteLength > endpoint.limits.unpackedBytes || encoding === "identity"
        ? Effect.succeed(bytes)
        : pack(bytes),
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

const halves = <A>(entries: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const middle = entries.length >> 1
  return [entries.slice(0, middle), entries.slice(middle)]
}

const concat = <A>(parts: ReadonlyArray<Encoded<A>>): Encoded<A> => ({
  chunks: parts.flatMap(({ chunks }) => chunks),
  unencodable: parts.flatMap(({ unencodable }) => unencodable)
})

/** Returns bodies for all items, in order, each within the endpoint's limits by its measured size. */
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
      (packed) => concat([{ chunks: [], unencodable }, packed])
    )
  })

/** Returns bodies for entries that are JSON already. */
export const chunk = <A>(
  endpoint: Endpoint,
  entries: ReadonlyArray<Entry<A>>,
  encoding: Encoding
): Effect.Effect<Encoded<A>> =>
  Effect.map(Effect.forEach(groupEntries(endpoint, entries), (part) => fit(endpoint, part, encoding)), concat)

/** A chunk of two or more in two halves. */
export const split = <A>({ encoding, endpoint, entries }: Chunk<A>): Effect.Effect<Encoded<A>> =>
  Effect.map(Effect.forEach(halves(entries), (half) => fit(endpoint, half, encoding)), concat)

/** Text is turned into bytes in pieces of this many characters: a piece ten times as long is no short-lived string any more. */
const pieceLength = 16 * 1024

/** Bytes that may be packed at once are kept in parts of this size, unless a line is longer. */
const firstPartSize = 128 * 1024

/**
 * Bytes are handed to the thread that packs in parts of this size. It is given the next part when the event loop comes
 * round, which is after a slice of writing, so that it must have enough to do until then.
 */
const partSize = 1024 * 1024

/**
 * How hard zlib tries where there is much to pack: for the lines of many series 3 makes a fifth more than 6, in a third of the
 * time.
 */
const level = 3

/** What may wait for that thread, in bytes, before it is to be waited for. */
const maxWaiting = 4 * 1024 * 1024

/** Packs what it is given, as it comes, on a thread of its own. */
class Packer {
  private readonly parts: Array<Uint8Array> = []
  /** What is packed, to be filled again: new memory costs more than what is written to it. */
  private readonly spare: Array<Buffer> = []
  readonly stream: zlib.Deflate
  readonly packed: Promise<Uint8Array>
  constructor() {
    const options = { chunkSize: 64 * 1024, writableHighWaterMark: maxWaiting, level }
    const stream = zlib.createDeflate(options)
    this.stream = stream
    this.packed = new Promise((resolve, reject) => {
      stream.on("data", (part: Uint8Array) => this.parts.push(part))
      stream.once("end", () => resolve(Buffer.concat(this.parts)))
      stream.once("error", reject)
    })
  }

  write(part: Buffer, used: number): void {
    this.stream.write(part.subarray(0, used), () => {
      if (part.length === partSize) this.spare.push(part)
    })
  }

  /** A part to be filled. */
  take(): Buffer | undefined {
    return this.spare.pop()
  }
}

/** A body that is being written. */
class Draft<A> implements Lines<A> {
  readonly owners: Array<A> = []
  /** How many lines there were before the first one of each owner. */
  readonly firsts: Array<number> = []
  private lastOwner: A | undefined
  /** Where each line ends, in bytes. */
  readonly ends: Array<number> = []
  oldest = Infinity
  size: number
  packer: Packer | undefined
  private text: string
  /** How much of it is in parts, which are full, or in the last one, which is being filled. */
  private poured = 0
  private parts: Array<Uint8Array> = []
  private last: Buffer | undefined
  private used = 0
  private readonly encoding: Encoding
  constructor(before: string, encoding: Encoding) {
    this.text = before
    this.size = before.length
    this.encoding = encoding
  }

  get count(): number {
    return this.ends.length
  }

  add(owner: A, time: number, line: string, bytes: number): void {
    if (this.ends.length > 0) {
      this.text += ","
      this.size++
    }
    this.text += line
    this.size += bytes
    if (owner !== this.lastOwner) {
      this.lastOwner = owner
      this.owners.push(owner)
      this.firsts.push(this.ends.length)
    }
    this.ends.push(this.size)
    if (time < this.oldest) this.oldest = time
    if (this.text.length >= pieceLength) this.pour()
  }

  /** What is text yet becomes bytes. */
  private pour(): void {
    const bytes = this.size - this.poured
    if (this.last === undefined || this.used + bytes > this.last.length) {
      this.hand()
      this.last = (bytes <= partSize ? this.packer?.take() : undefined) ??
        Buffer.allocUnsafeSlow(Math.max(bytes, this.packer === undefined ? firstPartSize : partSize))
    }
    // as many bytes as characters: all of them are ASCII
    this.last.write(this.text, this.used, bytes, bytes === this.text.length ? "latin1" : "utf8")
    this.used += bytes
    this.poured = this.size
    this.text = ""
  }

  /** The last part is full, and what is more than is packed at once goes to be packed. */
  private hand(): void {
    const { last, used } = this
    if (last === undefined) return
    this.last = undefined
    this.used = 0
    if (this.encoding !== "identity" && this.poured > syncLimit) {
      this.packer ??= new Packer()
    }
    if (this.packer === undefined) {
      this.parts.push(last.subarray(0, used))
      return
    }
    for (const part of this.parts) this.packer.stream.write(part)
    this.parts = []
    this.packer.write(last, used)
  }

  /** The body, as it travels. */
  end(after: string): Effect.Effect<Uint8Array> {
    this.text += after
    this.size += after.length
    this.pour()
    this.hand()
    const { encoding, packer, parts } = this
    this.parts = []
    if (packer !== undefined) {
      packer.stream.end()
      return Effect.async<Uint8Array>((resume) => {
        packer.packed.then((bytes) => resume(Effect.succeed(bytes)), (error) => resume(Effect.die(error)))
      })
    }
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    return encoding === "identity" ? Effect.succeed(bytes) : pack(bytes)
  }
}

/** A chunk whose entries are read out of its body when they are asked for, which is when something is wrong with it. */
class Written<A> implements Chunk<A> {
  readonly endpoint: Endpoint
  readonly lines: Draft<A>
  readonly body: Uint8Array
  readonly encoding: Encoding
  private read: ReadonlyArray<Entry<A>> | undefined
  constructor(endpoint: Endpoint, lines: Draft<A>, body: Uint8Array, encoding: Encoding) {
    this.endpoint = endpoint
    this.lines = lines
    this.body = body
    this.encoding = encoding
  }

  get entries(): ReadonlyArray<Entry<A>> {
    return this.read ??= this.readAll()
  }

  private readAll(): ReadonlyArray<Entry<A>> {
    const { ends, firsts, owners } = this.lines
    const unpacked = this.encoding === "identity" ? this.body : zlib.inflateSync(this.body)
    const text = Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength)
    let start = this.endpoint.envelope![0].length
    let owner = -1
    return ends.map((end, i) => {
      if (firsts[owner + 1] === i) owner++
      const entry = { item: owners[owner]!, json: text.toString("utf8", start, end), bytes: end - start }
      start = end + 1
      return entry
    })
  }
}

/**
 * Writes bodies line by line, for what is too much to have about as items: the same bodies as {@link encode} makes of all of
 * them together, but that packing has begun when the last line is written.
 */
export interface Writer<A> {
  /** `time` is in seconds since the epoch, and `bytes` is what the line takes in UTF-8. */
  readonly add: (owner: A, time: number, line: string, bytes: number) => void
  /** Waits until packing has caught up, where it is behind. */
  readonly settle: Effect.Effect<void>
  /** No more lines. To be run once. */
  readonly end: Effect.Effect<Encoded<A>>
  /** Gives up what is not ended. */
  readonly close: () => void
}

export const makeWriter = <A>(
  endpoint: EnvelopedEndpoint,
  encoding: Encoding
): Writer<A> => {
  const [before, after] = endpoint.envelope
  const limit = limitOf(endpoint, encoding) - after.length
  const ended: Array<Effect.Effect<Encoded<A>>> = []
  let draft: Draft<A> | undefined

  const endDraft = () => {
    if (draft === undefined) return
    const lines = draft
    draft = undefined
    const body = lines.end(after)
    ended.push(Effect.flatMap(body, (bytes) => {
      const chunk = new Written(endpoint, lines, bytes, encoding)
      const isWithin = lines.size <= endpoint.limits.unpackedBytes && bytes.byteLength <= endpoint.limits.bytes
      return isWithin
        ? Effect.succeed<Encoded<A>>({ chunks: [chunk], unencodable: [] })
        : lines.count === 1
        ? Effect.succeed<Encoded<A>>({ chunks: [], unencodable: [tooLarge(chunk.entries[0]!, endpoint)] })
        : split(chunk)
    }))
  }

  return {
    add(owner, time, line, bytes) {
      if (draft !== undefined && draft.size + 1 + bytes > limit) endDraft()
      draft ??= new Draft(before, encoding)
      draft.add(owner, time, line, bytes)
    },
    settle: Effect.suspend(() => {
      const stream = draft?.packer?.stream
      return stream === undefined || !stream.writableNeedDrain ? Effect.void : Effect.async<void>((resume) => {
        const drained = () => resume(Effect.void)
        stream.once("drain", drained)
        return Effect.sync(() => stream.off("drain", drained))
      })
    }),
    end: Effect.suspend(() => {
      endDraft()
      return Effect.map(Effect.forEach(ended, (body) => body), concat)
    }),
    close() {
      draft?.packer?.stream.destroy()
      draft = undefined
    }
  }
}
