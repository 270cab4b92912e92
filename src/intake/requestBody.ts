/** Bodies of requests: read, decompressed, parsed and decoded, or refused like Datadog refuses them. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { eventWindow } from "../internal/model/datadogLimits.js"
import { DistributionPayload, SeriesPayload, SeriesV2Payload } from "../Series.js"
import { measureJson } from "./budget.js"
import { canDecompress, decompress } from "./decompress.js"
import type { BodyLimits, IntakeEndpoint } from "./endpoints.js"
import { EventFromWire, ServiceChecksFromWire } from "./eventPayload.js"
import { cutToLine } from "./verdict.js"

/** An error answer to a request. */
export class Refusal extends /*#__PURE__*/ Data.TaggedError("Refusal")<{
  readonly status: number
  /** Code of the verdict. */
  readonly code: string
  readonly reason: string
  readonly contentType?: string
}> {}

/** Returns the refusal as the error of an `Either`. */
export const refuse = (
  status: number,
  code: string,
  reason: string,
  contentType?: string
): Either.Either<never, Refusal> =>
  Either.left(
    new Refusal({ status, code, reason: cutToLine(reason), ...(contentType === undefined ? {} : { contentType }) })
  )

/** Returns the response of a refusal: the errors as JSON, under the content type that Datadog sends. */
export const refusalResponse = ({ contentType, reason, status }: Refusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify({ errors: [reason] }), {
    status,
    contentType: contentType ?? "application/json"
  })

/** Body as it is on the wire. */
export interface RawBody {
  readonly length: number
  /** `undefined` if the body exceeds the limit. */
  readonly bytes: Uint8Array | undefined
}

/** Reads a body to its end and keeps the bytes up to the limit. A client that is still writing would miss an early answer. */
export const readBody = (request: HttpServerRequest.HttpServerRequest, limit: number): Effect.Effect<RawBody> =>
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

/** JSON value of a body, and the length of its text in bytes. */
export interface ParsedBody {
  readonly value: unknown
  readonly length: number
  /** Estimated memory of the value, in bytes. */
  readonly memory: number
}

/**
 * Maximum number of levels of a JSON value. No payload of Datadog has ten, and `JSON.stringify` exceeds the stack at a few
 * thousand.
 */
const maxDepth = 64

/** Measures a JSON value, and refuses one with too many levels. */
const checkDepth = (value: unknown, length: number): Either.Either<ParsedBody, Refusal> => {
  const { bytes, depth } = measureJson(value, maxDepth)
  return depth > maxDepth
    ? refuse(400, "TooDeep", `Payload is nested deeper than ${maxDepth} levels`)
    : Either.right({ value, length, memory: bytes })
}

/** Headers of a request that describe its body, in lower case and without parameters. */
export interface BodyHeaders {
  readonly contentType: string
  readonly encoding: string
}

/** Reads the headers that describe a body. */
export const readBodyHeaders = ({ headers }: Pick<HttpServerRequest.HttpServerRequest, "headers">): BodyHeaders => ({
  contentType: (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase(),
  encoding: (headers["content-encoding"] ?? "identity").trim().toLowerCase()
})

/** Decompresses and parses a body, within the limits of its endpoint. */
export const parseBody = (
  endpoint: IntakeEndpoint,
  limits: BodyLimits,
  { contentType, encoding }: BodyHeaders,
  body: RawBody
): Effect.Effect<ParsedBody, Refusal> => {
  // The API reference has the name zstd1; clients send zstd.
  const isProtobuf = endpoint.protobuf !== undefined && contentType === "application/x-protobuf"
  const format = isProtobuf ? { code: "NotProtobuf", name: "protobuf" } : { code: "NotJson", name: "JSON" }
  const parse = isProtobuf ? endpoint.protobuf! : (bytes: Uint8Array): unknown => JSON.parse(utf8.decode(bytes))
  const name = encoding === "zstd1" ? "zstd" : encoding
  const known = endpoint.encodings.find((candidate) => candidate === name)
  if (known === undefined || !canDecompress(known)) {
    return refuse(400, "UnknownEncoding", `Content-Encoding ${encoding} is not supported`)
  }
  if (body.bytes === undefined) return refuse(413, "TooLarge", `Payload too large: over ${limits.bytes} bytes`)
  return decompress(body.bytes, known, limits.unpackedBytes).pipe(
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
        try: () => ({ value: parse(bytes), length: bytes.byteLength }),
        catch: () => new Refusal({ status: 400, code: format.code, reason: `Payload is not valid ${format.name}` })
      })
    ),
    Effect.flatMap(({ length, value }) => checkDepth(value, length))
  )
}

const decodeWith = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema, { onExcessProperty: "preserve" })
  return (body: unknown): Either.Either<A, Refusal> =>
    Either.mapLeft(decode(body), (error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      return new Refusal({
        status: 400,
        code: "WrongForm",
        reason: cutToLine(
          `Payload is not in the expected format: ${issue!.path.join(".") || "body"}: ${issue!.message}`
        )
      })
    })
}

export const decodeSeries = /*#__PURE__*/ decodeWith(SeriesPayload)
export const decodeSeriesV2 = /*#__PURE__*/ decodeWith(SeriesV2Payload)
export const decodeDistributions = /*#__PURE__*/ decodeWith(DistributionPayload)
const decodeEventPayload = /*#__PURE__*/ decodeWith(EventFromWire)

/** Decodes one service check or a list. */
export const decodeServiceChecks = /*#__PURE__*/ decodeWith(ServiceChecksFromWire)

/**
 * Decodes an event, and refuses one that is too old. Source of the text and content type of that refusal: a recorded answer of
 * Datadog.
 */
export const decodeEvent = (body: unknown, now: number): Either.Either<typeof EventFromWire.Type, Refusal> =>
  Either.flatMap(
    decodeEventPayload(body),
    (event) =>
      typeof event.date_happened === "number" && event.date_happened * 1000 < now - eventWindow.past
        ? refuse(400, "TooOld", "Event too far in the past", "text/plain")
        : Either.right(event)
  )
