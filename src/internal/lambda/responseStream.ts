/** The streamed response of AWS's Node.js runtime. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as LambdaStream from "../../LambdaStream.js"
import { writeChunk } from "./writeChunk.js"

/** The part of Node.js's `Writable` that a response needs. */
export interface ResponseStream {
  /** Writes a chunk. Returns false if the caller should wait for `drain`. */
  readonly write: (chunk: LambdaStream.Chunk) => boolean
  /** Ends the response. */
  readonly end: () => unknown
  /** Adds a listener. */
  readonly on: (event: "error" | "close" | "drain", listener: (error?: unknown) => void) => unknown
  /** Removes a listener. */
  readonly off: (event: "error" | "close" | "drain", listener: (error?: unknown) => void) => unknown
  /** Sets the content type of the response, before the first chunk. */
  readonly setContentType?: ((contentType: string) => void) | undefined
}

/** The response stream closed before the whole response was written. */
export class ResponseClosed extends /*#__PURE__*/ Data.TaggedError("ResponseClosed")<{ readonly cause?: unknown }> {
  override get message(): string {
    return "The response could not be sent in full: its stream was closed"
  }
}

/** Writes to a response with backpressure. */
interface ResponseWriter {
  /** Waits while the stream is full. Fails if the stream closes meanwhile. */
  readonly write: (chunk: LambdaStream.Chunk) => Effect.Effect<void, ResponseClosed>
  /** Fails when the stream closes. */
  readonly closed: Effect.Effect<never, ResponseClosed>
  readonly end: () => void
}

const makeWriter = (response: ResponseStream): Effect.Effect<ResponseWriter, never, Scope.Scope> =>
  Effect.gen(function*() {
    const closed = yield* Deferred.make<never, ResponseClosed>()
    let isEnded = false
    const onClose = (cause?: unknown) => {
      if (!isEnded) Deferred.unsafeDone(closed, new ResponseClosed({ cause }))
    }
    // The listener for `error` stays, because a later error without a listener would end the process.
    response.on("error", onClose)
    response.on("close", onClose)
    yield* Effect.addFinalizer(() => Effect.sync(() => response.off("close", onClose)))

    return {
      write: (chunk) => writeChunk(response, chunk, Deferred.await(closed)),
      closed: Deferred.await(closed),
      end: () => {
        isEnded = true
        response.end()
      }
    }
  })

/** Sends a stream chunk by chunk, or any other result as JSON, and ends the response. */
export const respond = (response: ResponseStream, result: unknown): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const writer = yield* makeWriter(response)
    const stream = LambdaStream.fromResult(result)
    yield* Option.isSome(stream) ? sendStream(response, writer, stream.value) : sendJson(response, writer, result)
    writer.end()
  }).pipe(Effect.scoped)

const sendJson = (response: ResponseStream, { write }: ResponseWriter, result: unknown) =>
  Effect.gen(function*() {
    const json = yield* Effect.try({
      try: () => JSON.stringify(result) ?? "null",
      catch: (error) =>
        new LambdaStream.LambdaStreamError({ description: error instanceof Error ? error.message : String(error) })
    })
    response.setContentType?.("application/json")
    yield* write(json)
  })

const sendStream = (
  response: ResponseStream,
  { closed, write }: ResponseWriter,
  stream: LambdaStream.LambdaStream
) =>
  Effect.gen(function*() {
    const { contentType, prelude } = yield* LambdaStream.head(stream)
    let isStarted = false
    // The first chunk starts the response, so that a failure before it is an error of the invocation.
    const start = Effect.suspend(() => {
      if (isStarted) return Effect.void
      isStarted = true
      response.setContentType?.(contentType)
      return Option.match(prelude, { onNone: () => Effect.void, onSome: write })
    })
    yield* Effect.raceFirst(
      LambdaStream.runForEach(stream, (chunk) => Effect.zipRight(start, write(chunk))),
      closed
    )
    yield* start
  })
