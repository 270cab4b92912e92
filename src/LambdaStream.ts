/**
 * A result of a Lambda function that is sent while it is made, for `Lambda.streamHandler` and `LambdaRuntime.run`.
 *
 * A plain `Stream` of texts or bytes will do as well; this adds the status, headers and cookies of an answer to HTTP.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"

/**
 * What a piece of it may be. Text is sent as UTF-8.
 *
 * @since 0.1.0
 * @category models
 */
export type Chunk = string | Uint8Array

/**
 * The answer to an HTTP request. Without status, headers and cookies the bytes are sent as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamOptions {
  /** Default: 200, by Lambda. */
  readonly statusCode?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly cookies?: ReadonlyArray<string> | undefined
  /** Default: `application/octet-stream`. For an answer with status, headers or cookies, set a header instead. */
  readonly contentType?: string | undefined
}

/**
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("effect-threadstats/LambdaStream")

/**
 * @since 0.1.0
 * @category models
 */
export interface LambdaStream {
  readonly [TypeId]: StreamOptions
  readonly body: Stream.Stream<Chunk, unknown>
}

/**
 * What cannot be sent: a piece that is neither text nor bytes, or metadata that are no JSON.
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaStreamError
  extends /*#__PURE__*/ Data.TaggedError("LambdaStreamError")<{ readonly description: string }>
{
  override get message(): string {
    return this.description
  }
}

/**
 * A result that is sent as it comes. Return it from a handler.
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
 * Whether a result is one of these.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLambdaStream = (value: unknown): value is LambdaStream => Predicate.hasProperty(value, TypeId)

/**
 * The stream that a result is, if it is one: what {@link make} makes, or a `Stream`.
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

/** How Lambda is told that a prelude comes first. Source: AWS, response streaming of the Node.js runtime client. */
const preludeType = "application/vnd.awslambda.http-integration-response"

/**
 * What goes out before the pieces: the content type, and for metadata a prelude of JSON and eight zero bytes.
 *
 * @since 0.1.0
 * @category encoding
 */
export const head = (
  self: LambdaStream
): Effect.Effect<{ readonly contentType: string; readonly prelude: Option.Option<string> }, LambdaStreamError> => {
  const { contentType = "application/octet-stream", cookies, headers, statusCode } = self[TypeId]
  if (statusCode === undefined && headers === undefined && cookies === undefined) {
    return Effect.succeed({ contentType, prelude: Option.none() })
  }
  return Effect.try({
    try: () => ({
      contentType: preludeType,
      prelude: Option.some(`${JSON.stringify({ statusCode, headers, cookies })}${"\0".repeat(8)}`)
    }),
    catch: (error) => new LambdaStreamError({ description: error instanceof Error ? error.message : String(error) })
  })
}

/**
 * Hands every piece to `write`, one after the other.
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
          description: `a stream of texts or bytes held something else (${typeof chunk})`
        })
  )
