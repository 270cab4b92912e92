/**
 * A streamed result of a Lambda function, for `Lambda.streamHandler` and `LambdaRuntime.run`.
 *
 * Both take a plain `Stream` of texts or bytes too. A `LambdaStream` adds the status, headers and cookies of an HTTP response.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { findUnknownOption } from "./internal/config/unknownOption.js"

/**
 * A part of the result. Text is sent as UTF-8.
 *
 * @since 0.1.0
 * @category models
 */
export type Chunk = string | Uint8Array

/**
 * Options of {@link make}: the HTTP response. Without status, headers and cookies the body is sent without a prelude.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions {
  /** HTTP status, from 100 to 599. Default: 200, set by Lambda. */
  readonly statusCode?: number | undefined
  /** HTTP headers by name. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Values of `Set-Cookie` headers. Default: none. */
  readonly cookies?: ReadonlyArray<string> | undefined
  /**
   * Content type. Default: `application/octet-stream`, or Lambda's own with a status, headers or cookies. A header `content-type`
   * takes precedence.
   */
  readonly contentType?: string | undefined
}

/**
 * The mark of a {@link LambdaStream}.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-threadstats/LambdaStream")

/**
 * A result that is sent chunk by chunk.
 *
 * @since 0.1.0
 * @category models
 */
export interface LambdaStream {
  /** Options of the HTTP response. */
  readonly [TypeId]: StreamOptions
  /** Chunks of the body, in order. */
  readonly body: Stream.Stream<Chunk, unknown>
}

/**
 * The result cannot be sent: a chunk is neither text nor bytes, or an option is not valid.
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaStreamError extends /*#__PURE__*/ Data.TaggedError("LambdaStreamError")<{
  /** Text of the message. */
  readonly description: string
}> {
  override get message(): string {
    return this.description
  }
}

/**
 * Makes a result that is sent chunk by chunk. Return it from a handler. An option that is not valid is an error of the
 * invocation: `Runtime.MarshalError` in the library's own runtime, else a {@link LambdaStreamError}.
 *
 * @example
 * ```ts
 * import * as Stream from "effect/Stream"
 * import * as LambdaStream from "effect-threadstats/LambdaStream"
 *
 * export const page = LambdaStream.make(Stream.make("<p>one</p>", "<p>two</p>"), {
 *   statusCode: 200,
 *   headers: { "content-type": "text/html" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E, R>(
  body: Stream.Stream<Chunk, E, R>,
  options: StreamOptions = {}
): Effect.Effect<LambdaStream, never, R> =>
  Effect.map(Effect.context<R>(), (context) => ({
    [TypeId]: options,
    body: Stream.provideContext(body, context)
  }))

/**
 * Returns whether a result is a {@link LambdaStream}.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLambdaStream = (value: unknown): value is LambdaStream => Predicate.hasProperty(value, TypeId)

/**
 * Returns the stream of a result: of a {@link LambdaStream}, or of a plain `Stream`.
 *
 * @since 0.1.0
 * @category guards
 */
export const fromResult = (value: unknown): Option.Option<LambdaStream> =>
  isLambdaStream(value)
    ? Option.some(value)
    : Predicate.hasProperty(value, Stream.StreamTypeId) && !Effect.isEffect(value)
    ? Option.some({ [TypeId]: {}, body: value as unknown as Stream.Stream<Chunk, unknown> })
    : Option.none()

/** Content type of a response that starts with a prelude. Source: AWS, response streaming of the Node.js runtime client. */
const preludeContentType = "application/vnd.awslambda.http-integration-response"

/**
 * Encodes the head of a response: the content type and, if there is metadata, a prelude of JSON and eight zero bytes.
 *
 * @since 0.1.0
 * @category encoding
 */
export const head = (
  self: LambdaStream
): Effect.Effect<{ readonly contentType: string; readonly prelude: Option.Option<string> }, LambdaStreamError> => {
  const options = self[TypeId]
  const invalid = findInvalidOption(options)
  if (invalid !== undefined) return new LambdaStreamError({ description: `the option ${invalid} is not valid` })
  const { contentType, cookies, headers, statusCode } = options
  if (statusCode === undefined && headers === undefined && cookies === undefined) {
    return Effect.succeed({ contentType: contentType ?? "application/octet-stream", prelude: Option.none() })
  }
  const hasType = contentType === undefined ||
    Object.keys(headers ?? {}).some((name) => name.toLowerCase() === "content-type")
  const allHeaders = hasType ? headers : { ...headers, "content-type": contentType }
  return Effect.try({
    try: () => ({
      contentType: preludeContentType,
      prelude: Option.some(`${JSON.stringify({ statusCode, headers: allHeaders, cookies })}${"\0".repeat(8)}`)
    }),
    catch: (error) => new LambdaStreamError({ description: error instanceof Error ? error.message : String(error) })
  })
}

const names: ReadonlyArray<keyof StreamOptions> = ["statusCode", "headers", "cookies", "contentType"]

/** Returns the name of an option that does not exist, or that Lambda could not turn into a part of an HTTP response. */
const findInvalidOption = (options: unknown): string | undefined => {
  const unknown = findUnknownOption(options, names)
  if (unknown !== undefined) return unknown.name
  const { contentType, cookies, headers, statusCode } = (options ?? {}) as { readonly [name: string]: unknown }
  if (
    statusCode !== undefined && !(Number.isInteger(statusCode) && Number(statusCode) >= 100 && Number(statusCode) < 600)
  ) {
    return "statusCode"
  }
  if (headers !== undefined && !(Predicate.isRecord(headers) && Object.values(headers).every(Predicate.isString))) {
    return "headers"
  }
  if (cookies !== undefined && !(Array.isArray(cookies) && cookies.every(Predicate.isString))) return "cookies"
  return contentType === undefined || Predicate.isString(contentType) ? undefined : "contentType"
}

/**
 * Passes every chunk to `write`, one after the other.
 *
 * @since 0.1.0
 * @category encoding
 */
export const runForEach = <E, R>(
  self: LambdaStream,
  write: (chunk: Chunk) => Effect.Effect<void, E, R>
): Effect.Effect<void, unknown, R> =>
  Stream.runForEach(
    self.body,
    (chunk): Effect.Effect<void, E | LambdaStreamError, R> =>
      typeof chunk === "string" || (chunk as unknown) instanceof Uint8Array
        ? write(chunk)
        : new LambdaStreamError({
          description: `a chunk is neither text nor bytes (${typeof chunk})`
        })
  )
