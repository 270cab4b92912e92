import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import type { Encoding } from "../internal/http/endpoints.js"

/** Node.js has it from 22.15 and 23.8 on. */
const zstd = zlib as unknown as { readonly zstdDecompress?: typeof zlib.inflate }

const methods = { deflate: zlib.inflate, gzip: zlib.gunzip, zstd: zstd.zstdDecompress }

/** Whether this Node.js knows how. */
export const canUnpack = (encoding: Encoding): boolean => encoding === "identity" || methods[encoding] !== undefined

/** The bytes are not what their encoding says, or more than the limit come out of them. */
export class UnpackError extends /*#__PURE__*/ Data.TaggedError("UnpackError")<{
  readonly reason: "Corrupt" | "TooLarge"
}> {}

/** Unpacks what it {@link canUnpack}, and stops at the limit, so that a few bytes cannot fill the memory. */
export const unpack = (
  bytes: Uint8Array,
  encoding: Encoding,
  limit: number
): Effect.Effect<Uint8Array, UnpackError> =>
  encoding === "identity"
    ? bytes.byteLength > limit ? Effect.fail(new UnpackError({ reason: "TooLarge" })) : Effect.succeed(bytes)
    : Effect.async((resume) => {
      methods[encoding]!(bytes, { maxOutputLength: limit }, (error, unpacked) =>
        resume(
          error === null ? Effect.succeed(unpacked) : Effect.fail(
            new UnpackError({
              reason: "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? "TooLarge" : "Corrupt"
            })
          )
        ))
    })
