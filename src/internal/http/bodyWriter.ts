import * as Effect from "effect/Effect"
import { type Chunk, concat, type Encoded, type Entry, split, tooLarge } from "./chunker.js"
import { compressBody, type CompressedBody, Compressor, decompressBody, partSize, syncLimit } from "./compression.js"
import type { Encoding, Endpoint, EnvelopedEndpoint } from "./endpoints.js"

/** Length in characters of the text that becomes bytes at once. A text ten times as long would live too long for the young generation of the heap. */
const textLength = 16 * 1024

/** Size in bytes of the buffers of a body that may be compressed at once, unless a line is longer. */
const firstPartSize = 128 * 1024

/** Body while its lines are written. */
class BodyBuilder<A> {
  /** Items of the lines. Lines of one item follow each other. */
  readonly items: Array<A> = []
  /** Number of lines before the first line of each item. */
  readonly lineOffsets: Array<number> = []
  /** Position of the end of each line, in bytes. */
  readonly lineEnds: Array<number> = []
  /** Time of the oldest line, in seconds since the epoch. */
  oldest = Infinity
  /** Size in bytes, before compression. */
  size: number
  compressor: Compressor | undefined
  private lastItem: A | undefined
  /** Lines that are not bytes yet. */
  private text: string
  /** Number of bytes in full parts and in the buffer. */
  private flushed = 0
  private parts: Array<Uint8Array> = []
  private buffer: Buffer | undefined
  private used = 0
  private readonly endpoint: Endpoint
  private readonly encoding: Encoding

  constructor(endpoint: EnvelopedEndpoint, encoding: Encoding) {
    this.endpoint = endpoint
    this.encoding = encoding
    this.text = endpoint.envelope[0]
    this.size = this.text.length
  }

  add(item: A, time: number, line: string, bytes: number): void {
    if (this.lineEnds.length > 0) {
      this.text += ","
      this.size++
    }
    this.text += line
    this.size += bytes
    if (item !== this.lastItem) {
      this.lastItem = item
      this.items.push(item)
      this.lineOffsets.push(this.lineEnds.length)
    }
    this.lineEnds.push(this.size)
    if (time < this.oldest) this.oldest = time
    if (this.text.length >= textLength) this.flushText(this.compressor === undefined ? firstPartSize : partSize)
  }

  /** Moves the text into the buffer, or into a new one of at least this size. */
  private flushText(newSize: number): void {
    const bytes = this.size - this.flushed
    if (this.buffer === undefined || this.used + bytes > this.buffer.length) {
      this.flushPart()
      this.buffer = (bytes <= partSize ? this.compressor?.takeBuffer() : undefined) ??
        Buffer.allocUnsafeSlow(Math.max(bytes, newSize))
    }
    // A text with as many bytes as characters is ASCII.
    this.buffer.write(this.text, this.used, bytes, bytes === this.text.length ? "latin1" : "utf8")
    this.used += bytes
    this.flushed = this.size
    this.text = ""
  }

  /** Ends the part in the buffer. Passes it to a compressor if the body is too large to be compressed at once. */
  private flushPart(): void {
    const { buffer, used } = this
    if (buffer === undefined) return
    this.buffer = undefined
    this.used = 0
    if (this.encoding !== "identity" && this.flushed > syncLimit) {
      this.compressor ??= new Compressor()
    }
    if (this.compressor === undefined) {
      this.parts.push(buffer.subarray(0, used))
      return
    }
    for (const part of this.parts) this.compressor.write(part)
    this.parts = []
    this.compressor.writeBuffer(buffer, used)
  }

  /** Ends the body at once, and returns the effect that waits for it in the form in which it is sent. */
  unsafeEnd(after: string): Effect.Effect<CompressedBody> {
    this.text += after
    this.size += after.length
    const { endpoint, encoding } = this
    // Most bodies are a short text. They need no buffer of the size of a part.
    if (this.flushed === 0) return compressBody(Buffer.from(this.text), encoding, endpoint.limits.bytes)
    this.flushText(0)
    this.flushPart()
    const { compressor, parts } = this
    this.parts = []
    return compressor === undefined
      ? compressBody(parts.length === 1 ? parts[0]! : Buffer.concat(parts), encoding, endpoint.limits.bytes)
      : Effect.map(compressor.unsafeEnd(), (body) => ({ body, encoding }))
  }
}

/** Chunk whose entries are read out of its body when they are first needed, which is after a failure. */
class WrittenChunk<A> implements Chunk<A> {
  readonly endpoint: EnvelopedEndpoint
  readonly body: Uint8Array
  readonly encoding: Encoding
  private readonly lines: BodyBuilder<A>
  private read: ReadonlyArray<Entry<A>> | undefined

  constructor(endpoint: EnvelopedEndpoint, lines: BodyBuilder<A>, { body, encoding }: CompressedBody) {
    this.endpoint = endpoint
    this.lines = lines
    this.body = body
    this.encoding = encoding
  }

  get items(): ReadonlyArray<A> {
    return this.lines.items
  }

  get count(): number {
    return this.lines.lineEnds.length
  }

  get oldest(): number {
    return this.lines.oldest
  }

  get entries(): ReadonlyArray<Entry<A>> {
    return this.read ??= this.readEntries()
  }

  private readEntries(): ReadonlyArray<Entry<A>> {
    const { items, lineEnds, lineOffsets } = this.lines
    const bytes = decompressBody(this)
    let start = this.endpoint.envelope[0].length
    let index = -1
    return lineEnds.map((end, line) => {
      if (lineOffsets[index + 1] === line) index++
      const entry = { item: items[index]!, json: bytes.toString("utf8", start, end), bytes: end - start }
      start = end + 1
      return entry
    })
  }
}

/**
 * Writes bodies line by line, for batches that are too large to be copied. The bodies equal those of the chunker for the whole batch.
 * Compression of a large body begins before its last line is written.
 */
export interface BodyWriter<A> {
  /** Adds a line. `time` is in seconds since the epoch. `bytes` is the size of the line in UTF-8. */
  readonly add: (item: A, time: number, line: string, bytes: number) => void
  /** Waits until compression has caught up, if it is behind. */
  readonly settle: Effect.Effect<void>
  /** Ends the last body and returns all bodies. Runs once. */
  readonly end: Effect.Effect<Encoded<A>>
  /** Discards the body that is not ended. */
  readonly close: () => void
}

/** Limit in bytes of a body before compression. */
const uncompressedLimit = ({ limits: { bytes, unpackedBytes } }: Endpoint, encoding: Encoding): number =>
  encoding === "identity" ? Math.min(bytes, unpackedBytes) : unpackedBytes

export const makeBodyWriter = <A>(endpoint: EnvelopedEndpoint, encoding: Encoding): BodyWriter<A> => {
  const { envelope: [, after], limits } = endpoint
  const limit = uncompressedLimit(endpoint, encoding) - after.length
  const ended: Array<Effect.Effect<Encoded<A>>> = []
  let current: BodyBuilder<A> | undefined

  const endBody = () => {
    if (current === undefined) return
    const lines = current
    current = undefined
    ended.push(Effect.flatMap(lines.unsafeEnd(after), (body): Effect.Effect<Encoded<A>> => {
      const chunk = new WrittenChunk(endpoint, lines, body)
      if (lines.size <= limits.unpackedBytes && chunk.body.byteLength <= limits.bytes) {
        return Effect.succeed({ chunks: [chunk], unencodable: [] })
      }
      return chunk.count === 1
        ? Effect.succeed({ chunks: [], unencodable: [tooLarge(chunk.entries[0]!, endpoint)] })
        : split({ endpoint, entries: chunk.entries, encoding })
    }))
  }

  return {
    add(item, time, line, bytes) {
      if (current !== undefined && current.size + 1 + bytes > limit) endBody()
      current ??= new BodyBuilder(endpoint, encoding)
      current.add(item, time, line, bytes)
    },
    settle: Effect.suspend(() => current?.compressor?.settle ?? Effect.void),
    end: Effect.suspend(() => {
      endBody()
      return ended.length === 1 ? ended[0]! : Effect.map(Effect.all(ended), concat)
    }),
    close() {
      current?.compressor?.close()
      current = undefined
    }
  }
}
