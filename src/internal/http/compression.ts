import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import type { Encoding, Endpoint } from "./endpoints.js"

/** Body as it is sent. */
export interface CompressedBody {
  readonly body: Uint8Array
  readonly encoding: Encoding
}

/** Returns the encoding of an endpoint's bodies. */
export const encodingOf = ({ compression }: Endpoint, compress: boolean): Encoding =>
  compress ? compression : "identity"

/**
 * Size in bytes below which a body is sent as it is: its request fits into one network packet either way.
 */
export const compressionThreshold = 1024

/**
 * Size in bytes up to which a body is compressed at once, in about a millisecond. A larger body is compressed on a thread of
 * zlib, so that the event loop stays free.
 */
export const syncLimit = 256 * 1024

/** Compresses a body, if it is large enough or exceeds the limit of `maxBytes` otherwise. */
export const compressBody = (
  bytes: Uint8Array,
  encoding: Encoding,
  maxBytes: number
): Effect.Effect<CompressedBody> => {
  const size = bytes.byteLength
  if (encoding === "identity" || (size < compressionThreshold && size <= maxBytes)) {
    return Effect.succeed({ body: bytes, encoding: "identity" })
  }
  if (size <= syncLimit) return Effect.sync(() => ({ body: zlib.deflateSync(bytes), encoding }))
  return Effect.async((resume) => {
    zlib.deflate(
      bytes,
      (cause, body) => resume(cause === null ? Effect.succeed({ body, encoding }) : Effect.die(cause))
    )
  })
}

/** Returns the bytes of a body before compression. */
export const decompressBody = ({ body, encoding }: CompressedBody): Buffer => {
  const bytes = encoding === "identity" ? body : zlib.inflateSync(body)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Size in bytes of the parts that a {@link Compressor} receives. It receives the next part after a slice of writing, and must be
 * busy until then.
 */
export const partSize = 1024 * 1024

/** Compression level for the lines of many series. Level 6 makes bodies a sixth smaller, in three times the time. */
const level = 3

/** Number of bytes that may wait for the thread of zlib before the writer has to wait. */
const maxWaitingBytes = 4 * 1024 * 1024

/** Compresses a body part by part, on a thread of zlib. */
export class Compressor {
  private readonly compressed: Array<Uint8Array> = []
  /** Buffers of compressed parts, for new parts: allocating memory costs more than filling it. */
  private readonly bufferPool: Array<Buffer> = []
  private readonly stream: zlib.Deflate
  private readonly result: Promise<Uint8Array>

  constructor() {
    const options = { chunkSize: 64 * 1024, writableHighWaterMark: maxWaitingBytes, level }
    const stream = zlib.createDeflate(options)
    this.stream = stream
    this.result = new Promise((resolve, reject) => {
      stream.on("data", (part: Uint8Array) => this.compressed.push(part))
      stream.once("end", () => resolve(Buffer.concat(this.compressed)))
      stream.once("error", reject)
    })
  }

  write(part: Uint8Array): void {
    this.stream.write(part)
  }

  /** Writes the first bytes of a buffer from {@link takeBuffer}, or of another one of the same size, and reuses the buffer. */
  writeBuffer(buffer: Buffer, used: number): void {
    this.stream.write(buffer.subarray(0, used), () => {
      if (buffer.length === partSize) this.bufferPool.push(buffer)
    })
  }

  /** Returns a buffer of {@link partSize} that is free. */
  takeBuffer(): Buffer | undefined {
    return this.bufferPool.pop()
  }

  /** Waits until compression has caught up, if it is behind. */
  get settle(): Effect.Effect<void> {
    const { stream } = this
    return Effect.async<void>((resume) => {
      if (!stream.writableNeedDrain) return resume(Effect.void)
      const drained = () => resume(Effect.void)
      stream.once("drain", drained)
      return Effect.sync(() => stream.off("drain", drained))
    })
  }

  /** Ends the body at once, and returns the effect that waits for its compression. */
  unsafeEnd(): Effect.Effect<Uint8Array> {
    this.stream.end()
    return Effect.promise(() => this.result)
  }

  close(): void {
    this.stream.destroy()
  }
}
