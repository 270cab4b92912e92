import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { deflate, deflateSync } from "node:zlib"
import type { Encoding, Endpoint } from "./endpoints.js"

/** A body that is ready for the wire. */
export interface Payload {
  readonly endpoint: Endpoint
  readonly body: Uint8Array
  readonly encoding: Encoding
}

export class EncodingError extends Data.TaggedError("EncodingError")<{
  readonly cause: unknown
}> {}

/**
 * Up to here compressing takes about a millisecond, less than a way through the thread pool and back costs; above it
 * the event loop is better left alone.
 */
const syncLimit = 256 * 1024

const pack = (bytes: Uint8Array): Effect.Effect<Uint8Array, EncodingError> =>
  bytes.byteLength <= syncLimit
    ? Effect.sync(() => deflateSync(bytes))
    : Effect.async((resume) => {
      deflate(bytes, (cause, packed) =>
        resume(cause === null ? Effect.succeed(packed) : Effect.fail(new EncodingError({ cause }))))
    })

/** JSON, in zlib's format where both the endpoint and the setting say so. */
export const encode = (
  endpoint: Endpoint,
  content: unknown,
  options: { readonly compress: boolean }
): Effect.Effect<Payload, EncodingError> => {
  const json = Effect.try({
    try: (): Uint8Array => Buffer.from(JSON.stringify(content)),
    catch: (cause) => new EncodingError({ cause })
  })
  return options.compress && endpoint.compression === "deflate"
    ? Effect.map(Effect.flatMap(json, pack), (body): Payload => ({ endpoint, body, encoding: "deflate" }))
    : Effect.map(json, (body): Payload => ({ endpoint, body, encoding: "identity" }))
}
