import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import type { BodyEncoding } from "./endpoints.js"

/** Node.js has Zstandard since 22.15 and 23.8. */
const zstd = zlib as unknown as { readonly zstdDecompress?: typeof zlib.inflate }

const methods = { deflate: zlib.inflate, gzip: zlib.gunzip, zstd: zstd.zstdDecompress }

/** Returns whether this version of Node.js can decompress the encoding. */
export const canDecompress = (encoding: BodyEncoding): boolean =>
  encoding === "identity" || methods[encoding] !== undefined

/** Failure to decompress: the bytes are corrupt, or the result exceeds the limit. */
export class DecompressError extends /*#__PURE__*/ Data.TaggedError("DecompressError")<{
  readonly reason: "Corrupt" | "TooLarge"
}> {}

/**
 * Decompresses bytes of an encoding that {@link canDecompress} accepts. It stops at the limit: a few compressed bytes could fill
 * the memory otherwise.
 */
export const decompress = (
  bytes: Uint8Array,
  encoding: BodyEncoding,
  limit: number
): Effect.Effect<Uint8Array, DecompressError> =>
  encoding === "identity"
    ? bytes.byteLength > limit ? Effect.fail(new DecompressError({ reason: "TooLarge" })) : Effect.succeed(bytes)
    : Effect.async((resume) => {
      methods[encoding]!(bytes, { maxOutputLength: limit }, (error, decompressed) =>
        resume(
          error === null ? Effect.succeed(decompressed) : Effect.fail(
            new DecompressError({
              reason: "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? "TooLarge" : "Corrupt"
            })
          )
        ))
    })
