/** The bodies of requests: read, unpacked, parsed and decoded, or refused as Datadog refuses them. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { EventPayload } from "../Event.js"
import type { Endpoint, Limits } from "../internal/http/endpoints.js"
import { eventWindow } from "../internal/model/limits.js"
import type { AcceptedEvent } from "../LocalIntake.js"
import { DistributionPayload, SeriesPayload, SeriesV2Payload } from "../Series.js"
import { canUnpack, unpack } from "./decompress.js"

export class Refusal extends /*#__PURE__*/ Data.TaggedError("Refusal")<{
  readonly status: number
  /** A word for it, for machines. */
  readonly code: string
  readonly reason: string
  readonly contentType?: string
}> {
  get response(): HttpServerResponse.HttpServerResponse {
    return HttpServerResponse.text(JSON.stringify({ errors: [this.reason] }), {
      status: this.status,
      contentType: this.contentType ?? "application/json"
    })
  }
}

export const refuse = (
  status: number,
  code: string,
  reason: string,
  contentType?: string
): Either.Either<never, Refusal> =>
  Either.left(new Refusal({ status, code, reason, ...(contentType === undefined ? {} : { contentType }) }))

export interface Body {
  readonly length: number
  /** `undefined` if there are more than the limit. */
  readonly bytes: Uint8Array | undefined
}

/** Reads to the end, since a client that is still writing would not see the answer, but keeps no more than the limit. */
export const read = (request: HttpServerRequest.HttpServerRequest, limit: number): Effect.Effect<Body> =>
  Effect.suspend(() => {
    let length = 0
    let chunks: Array<Uint8Array> = []
    return Stream.runForEach(request.stream, (chunk) =>
      Effect.sync(() => {
        length += chunk.byteLength
        if (length <= limit) chunks.push(chunk)
        else chunks = []
      })).pipe(
        Effect.ignore,
        Effect.map(() => ({ length, bytes: length <= limit ? Buffer.concat(chunks) : undefined }))
      )
  })

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8", { fatal: true })

/** What a body holds, and how long it is when it is not packed. */
export interface Content {
  readonly value: unknown
  readonly length: number
}

export const parse = (
  endpoint: Endpoint,
  limits: Limits,
  encoding: string,
  body: Body
): Effect.Effect<Content, Refusal> => {
  const name = encoding === "zstd1" ? "zstd" : encoding
  const known = endpoint.encodings.find((candidate) => candidate === name)
  if (known === undefined || !canUnpack(known)) {
    return refuse(400, "UnknownEncoding", `Content-Encoding ${encoding} is not supported here`)
  }
  if (body.bytes === undefined) return refuse(413, "TooLarge", `Payload too large: over ${limits.bytes} bytes`)
  return unpack(body.bytes, known, limits.unpackedBytes).pipe(
    Effect.mapError((error) =>
      error.reason === "TooLarge"
        ? new Refusal({
          status: 413,
          code: "TooLarge",
          reason: `Payload too large: over ${limits.unpackedBytes} bytes unpacked`
        })
        : new Refusal({ status: 400, code: "Corrupt", reason: `Payload is not valid ${known} data` })
    ),
    Effect.flatMap((bytes) =>
      Effect.try({
        try: () => ({ value: JSON.parse(utf8.decode(bytes)) as unknown, length: bytes.byteLength }),
        catch: () => new Refusal({ status: 400, code: "NotJson", reason: "Payload is not valid JSON" })
      })
    )
  )
}

const exactly = { onExcessProperty: "preserve" } as const

const decodeWith = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema, exactly)
  return (body: unknown): Either.Either<A, Refusal> =>
    Either.mapLeft(decode(body), (error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      return new Refusal({
        status: 400,
        code: "WrongForm",
        reason: `Payload is not in the expected format: ${issue!.path.join(".") || "body"}: ${issue!.message}`
      })
    })
}

export const decodeSeries = /*#__PURE__*/ decodeWith(SeriesPayload)
export const decodeSeriesV2 = /*#__PURE__*/ decodeWith(SeriesV2Payload)
export const decodeDistributions = /*#__PURE__*/ decodeWith(DistributionPayload)
const decodeEventPayload = /*#__PURE__*/ decodeWith(EventPayload)

/** Source: a recorded answer of Datadog's, content type included. */
export const decodeEvent = (body: unknown, now: number): Either.Either<AcceptedEvent, Refusal> =>
  Either.flatMap(
    decodeEventPayload(body),
    (event) =>
      event.date_happened !== undefined && event.date_happened * 1000 < now - eventWindow.past
        ? refuse(400, "TooOld", "Event too far in the past", "text/plain")
        : Either.right(event)
  )
