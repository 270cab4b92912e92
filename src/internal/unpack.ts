import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { gunzip, inflate } from "node:zlib"
import type { Encoding } from "./endpoints.js"

/** The bytes are not what their encoding says, or more than the limit come out of them. */
export class UnpackError extends Data.TaggedError("UnpackError")<{
  readonly reason: "Corrupt" | "TooLarge"
}> {}

/** Unpacks and stops at the limit, so that a few bytes cannot fill the memory. */
export const unpack = (
  bytes: Uint8Array,
  encoding: Encoding,
  limit: number
): Effect.Effect<Uint8Array, UnpackError> =>
  encoding === "identity"
    ? bytes.byteLength > limit ? Effect.fail(new UnpackError({ reason: "TooLarge" })) : Effect.succeed(bytes)
    : Effect.async((resume) => {
      const method = encoding === "gzip" ? gunzip : inflate
      method(bytes, { maxOutputLength: limit }, (error, unpacked) =>
        resume(
          error === null ? Effect.succeed(unpacked) : Effect.fail(
            new UnpackError({
              reason: "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? "TooLarge" : "Corrupt"
            })
          )
        ))
    })
