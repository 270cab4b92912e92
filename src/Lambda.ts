/**
 * AWS Lambda: every invocation delivers the metrics and events that it records.
 *
 * A function has two lifetimes. The *execution environment* (settings, HTTP client, aggregators) is built once, as a
 * `Layer`, and serves many invocations. The *invocation* is a fresh `Scope`: {@link lambdaProgram} opens it, flushes while it
 * is open, and flushes everything when it closes. {@link makeHandler} combines both into a handler for AWS's Node.js runtime.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AfterResponse, Registration } from "./internal/lambda/afterResponse.js"
import * as enhanced from "./internal/lambda/enhancedMetrics.js"
import { environmentOf } from "./internal/lambda/environment.js"
import * as Invocation from "./internal/lambda/Invocation.js"
import { LambdaContext, requestIdOf } from "./internal/lambda/LambdaContext.js"
import { LambdaExtension } from "./internal/lambda/LambdaExtension.js"
import { decode, handlerOptions, orThrow, validateFunction } from "./internal/lambda/programOptions.js"
import * as responseStream from "./internal/lambda/responseStream.js"
import type * as LambdaStream from "./LambdaStream.js"
import * as ThreadStats from "./ThreadStats.js"

export {
  /**
   * The context object of AWS Lambda: the part that every Node.js runtime provides. The context of `@types/aws-lambda`
   * conforms to it.
   *
   * The service is the invocation that a program belongs to. {@link makeHandler} provides it, and {@link lambdaProgram} reads
   * the deadline from it if it is present.
   *
   * @since 0.1.0
   * @category tags
   */
  LambdaContext
} from "./internal/lambda/LambdaContext.js"

export {
  /**
   * A handler rejects with it if its invocation was interrupted and nothing else failed.
   *
   * @since 0.1.0
   * @category errors
   */
  LambdaInterrupted
} from "./internal/lambda/lambdaError.js"

export {
  /**
   * The response stream closed before the whole response was written, for example because the client disconnected.
   *
   * @since 0.1.0
   * @category errors
   */
  ResponseClosed
} from "./internal/lambda/responseStream.js"

/**
 * The moment of the last flush.
 *
 * - `"before-response"`: before the caller gets the response, which waits for the flush
 * - `LambdaExtension.afterResponse`: after the response, while an extension keeps the execution environment awake
 *
 * @since 0.1.0
 * @category models
 */
export type FlushMode = "before-response" | AfterResponse

/**
 * A handler for AWS's Node.js runtime. It has exactly two parameters, because Node.js 24 refuses handlers with three.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler<Event, A, C = LambdaContext> = (event: Event, context: C) => Promise<A>

/**
 * The part that every handler of this module has in addition to its call.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandlerReady {
  /** Resolves when the first build of the services is over, whether or not it succeeded. It never rejects. */
  readonly ready: Promise<void>
}

/**
 * Options of an invocation.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProgramOptions {
  /**
   * Interval at which closed roll-up buckets are flushed while the invocation runs, of at least 1 millisecond. `Duration.infinity`
   * leaves everything to the last flush. Default: the client's `flushInterval`.
   */
  readonly flushInterval?: Duration.DurationInput | undefined
  /**
   * Time between a flush of everything recorded so far and the moment at which Lambda ends the invocation, whatever the
   * program does. Default: 500 milliseconds. Half of the remaining time is the maximum.
   */
  readonly deadlineMargin?: Duration.DurationInput | undefined
  /**
   * The moment of the last flush. Default: `"before-response"`. `LambdaExtension.afterResponse` requires a `LambdaExtension`
   * among the services, and equals `"before-response"` without one. {@link makeHandler} provides the extension itself.
   */
  readonly flush?: FlushMode | undefined
}

/**
 * Options of {@link makeHandler}.
 *
 * @since 0.1.0
 * @category models
 */
export interface HandlerOptions<Event, A, E, R, LE, C = LambdaContext> extends ProgramOptions {
  /** The program of one invocation. It gets event and context as Lambda passes them. */
  readonly handler: (event: Event, context: C) => Effect.Effect<A, E, R>
  /**
   * The services of the execution environment, built once for all invocations. Handlers with the same layer share one environment,
   * and one client. `Layer.fresh` gives a handler an environment of its own.
   */
  readonly layer: Layer.Layer<Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats, LE>
  /** Records the metrics of Datadog's own Lambda library: pass {@link enhancedMetrics}. Default: none of them. */
  readonly enhancedMetrics?: EnhancedMetrics | undefined
}

/**
 * Records the start and the end of every invocation. {@link enhancedMetrics} is the one implementation.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnhancedMetrics {
  /** Records start and end of an invocation around its program. Changes neither. */
  readonly around: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | ThreadStats.ThreadStats>
}

/**
 * Options of {@link streamHandler}.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamHandlerOptions<Event, A, E, R, LE, C = LambdaContext>
  extends Omit<HandlerOptions<Event, A, E, R, LE, C>, "handler">
{
  /**
   * The program of one invocation. A `Stream` of texts or bytes, and the result of `LambdaStream.make`, is sent chunk by chunk.
   * Any other result is sent as JSON, `undefined` as `null`.
   */
  readonly handler: (event: Event, context: C) => Effect.Effect<A, E, R> | Stream.Stream<LambdaStream.Chunk, E, R>
}

/**
 * The response stream of Lambda's Node.js runtime: a part of Node.js's `Writable`, and the content type.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseStream extends responseStream.ResponseStream {}

/**
 * A handler that streams its response. Lambda's Node.js runtime recognizes it by {@link streamingMark}, which a wrapper has
 * to copy.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamHandler<Event, C = LambdaContext> {
  /** Runs an invocation. The promise resolves when the response has ended and everything is flushed. */
  (event: Event, responseStream: ResponseStream, context: C): Promise<void>
  /** The mark of a handler that streams. */
  readonly [streamingMark]: "response"
}

/**
 * The mark of a handler that streams. Source: the Node.js runtime client, `awslambda.streamifyResponse`.
 *
 * @since 0.1.0
 * @category symbols
 */
export const streamingMark: unique symbol = Symbol.for("aws.lambda.runtime.handler.streaming")

/**
 * Runs a program as one invocation: with a `Scope` of its own, periodic flushes while it runs, and a flush at its end.
 *
 * It takes an effect or a handler, a function of event and context. A handler is the form for `LambdaHandler.make` of
 * `@effect-aws/lambda`: its context has the deadline.
 *
 * - It flushes on success, failure, defect and interruption. The outcome stays the program's own, also if the flush fails. A
 *   flush takes at most the client's `flushTimeout`, or the remaining time of the invocation.
 * - Shortly before the deadline it flushes everything recorded so far, also if the program cannot be interrupted. It reads the
 *   deadline from the handler's context, from the service {@link LambdaContext}, or from the context that
 *   `LambdaHandler.fromHttpApi` of `@effect-aws/lambda` provides. If none of them has it on Lambda, the last flush takes at most
 *   one second, and one warning names the reason.
 * - The scope's finalizers run, and its fibers stop, before the last flush, which therefore includes their points.
 * - Inside another `lambdaProgram` of the same client it leaves every flush to the outer one.
 * - Overlapping invocations share the client, and each flushes at its own end.
 *
 * It throws a `TypeError` if an option is not valid.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { lambdaProgram } from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const main = ThreadStats.increment("jobs.started").pipe(
 *   Effect.zipRight(Effect.logInfo("working")),
 *   lambdaProgram({ flushInterval: "30 seconds" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const lambdaProgram: {
  /**
   * Returns a function that runs an effect as one invocation: with a `Scope` of its own, periodic flushes while it runs, and a
   * flush at its end, whatever the outcome. For `pipe`.
   *
   * It throws a `TypeError` if an option is not valid. Without a {@link LambdaContext} on Lambda the last flush takes at most one
   * second.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { lambdaProgram } from "effect-threadstats/Lambda"
   * import * as ThreadStats from "effect-threadstats/ThreadStats"
   *
   * export const main = ThreadStats.increment("jobs.started").pipe(
   *   Effect.zipRight(Effect.logInfo("working")),
   *   lambdaProgram({ flushInterval: "30 seconds" })
   * )
   * ```
   */
  (
    options?: ProgramOptions
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>
  /**
   * Runs an effect as one invocation: with a `Scope` of its own, periodic flushes while it runs, and a flush at its end, whatever
   * the outcome.
   *
   * It throws a `TypeError` if an option is not valid. Without a {@link LambdaContext} on Lambda the last flush takes at most one
   * second.
   */
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: ProgramOptions
  ): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>
  /**
   * Returns a handler that runs every invocation with a `Scope` of its own, periodic flushes while it runs, and a flush at its end,
   * whatever the outcome. It provides the program with the handler's context as {@link LambdaContext}, so that every flush ends
   * before the deadline.
   *
   * It throws a `TypeError` if an option is not valid.
   *
   * @example
   * ```ts
   * import { LambdaHandler } from "@effect-aws/lambda"
   * import * as Effect from "effect/Effect"
   * import { lambdaProgram } from "effect-threadstats/Lambda"
   * import * as ThreadStats from "effect-threadstats/ThreadStats"
   *
   * export const handler = LambdaHandler.make({
   *   handler: lambdaProgram((event: { readonly orderId: string }) =>
   *     Effect.as(ThreadStats.increment("orders.received"), { accepted: event.orderId })
   *   ),
   *   layer: ThreadStats.layer
   * })
   * ```
   */
  <Event, A, E, R, C = LambdaContext>(
    handler: (event: Event, context: C) => Effect.Effect<A, E, R>,
    options?: ProgramOptions
  ): (
    event: Event,
    context: C
  ) => Effect.Effect<A, E, Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats>
} = (first?: unknown, second?: ProgramOptions): any => {
  // `dual` would read the options of the form for `pipe` later than this call.
  if (Effect.isEffect(first)) return runInvocation(first, orThrow(decode(second)))
  if (typeof first !== "function") {
    const settings = orThrow(decode(first))
    return <A, E, R>(effect: Effect.Effect<A, E, R>) => runInvocation(effect, settings)
  }
  const settings = orThrow(decode(second))
  return (event: unknown, context: LambdaContext) =>
    Effect.provideService(
      runInvocation(Effect.suspend((): Effect.Effect<unknown, unknown> => first(event, context)), settings),
      LambdaContext,
      context
    )
}

const runInvocation = <A, E, R>(
  body: Effect.Effect<A, E, R>,
  settings: Invocation.InvocationSettings
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats> =>
  Effect.scoped(Effect.flatMap(
    Invocation.open(settings),
    ({ close, flushWhileOpen, invocation }) =>
      // Added first, so it runs last: after the body's own finalizers and fibers, and whatever the outcome.
      Effect.addFinalizer(() => close).pipe(
        Effect.zipRight(flushWhileOpen),
        Effect.zipRight(Effect.provideService(body, Invocation.Invocation, invocation))
      )
  ))

/**
 * Makes a handler for AWS's Node.js runtime: every invocation is a {@link lambdaProgram}, in an environment that is built once.
 *
 * The environment starts to build when this function is called. At the top level of a module, that is while Lambda
 * initializes the function. It then opens the connection to the intake. If the build fails, the next invocation builds again,
 * and rejects with the reason if that fails too. `ready` resolves when the first attempt is over.
 *
 * With `flush: LambdaExtension.afterResponse` it also registers an internal extension, and flushes pending points on SIGTERM.
 * Lambda takes registrations only during initialization, so the thread waits for the registration: some tens of milliseconds,
 * two seconds at most. If that fails, it logs one warning and flushes before every response. The handlers of a module share the
 * extension. A handler whose context has no `awsRequestId`, such as that of a durable function, flushes before the response.
 *
 * The promise rejects with the program's own error object: the failure, else the defect, else a {@link LambdaInterrupted}.
 * A failure that is an object but not an `Error` becomes an `Error` with its `_tag` as name, its message or JSON as text, and the
 * failure as cause, because AWS's runtime clients report nothing of it.
 *
 * It throws a `TypeError` if an option is not valid.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: (event: { readonly orderId: string }) =>
 *     Effect.as(ThreadStats.increment("orders.received"), { accepted: event.orderId }),
 *   layer: ThreadStats.layer
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeHandler = <Event, A, E, R, LE, C = LambdaContext>(
  options: HandlerOptions<Event, A, E, R, LE, C>
): Handler<Event, A, C> & HandlerReady => {
  const { invoke, ready } = makeInvoke(options)
  const handler = (event: Event, context: C): Promise<A> =>
    invoke(Effect.suspend(() => options.handler(event, context)), context)
  return Object.assign(handler, { ready })
}

/**
 * Makes a handler that streams its response. It equals {@link makeHandler} in every other respect.
 *
 * The response ends before the last flush, so the client has all of it while the invocation goes on. A failure before the end
 * leaves the response open and rejects the promise: Lambda reports the error to the client.
 *
 * @example
 * ```ts
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as LambdaStream from "effect-threadstats/LambdaStream"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 * import * as Stream from "effect/Stream"
 *
 * export const handler = Lambda.streamHandler({
 *   handler: () =>
 *     LambdaStream.make(
 *       Stream.make("<p>one</p>", "<p>two</p>").pipe(Stream.tap(() => ThreadStats.increment("page.parts"))),
 *       { headers: { "content-type": "text/html" } }
 *     ),
 *   layer: ThreadStats.layer
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const streamHandler = <Event, A, E, R, LE, C = LambdaContext>(
  options: StreamHandlerOptions<Event, A, E, R, LE, C>
): StreamHandler<Event, C> & HandlerReady => {
  const { invoke, ready } = makeInvoke(options)
  const handler = (event: Event, response: ResponseStream, context: C): Promise<void> =>
    invoke(
      Effect.suspend((): Effect.Effect<unknown, unknown, R> => {
        const result = options.handler(event, context)
        return Effect.isEffect(result) ?
          result :
          Effect.map(Effect.context<R>(), (services) => Stream.provideContext(result, services))
      }).pipe(Effect.flatMap((result) => responseStream.respond(response, result))),
      context
    )
  return Object.assign(handler, { ready, [streamingMark]: "response" as const })
}

/** Builds the environment of a handler, and runs effects as invocations in it. */
const makeInvoke = <Event, A, E, R, LE, C>(options: Omit<HandlerOptions<Event, A, E, R, LE, C>, "handler">) => {
  orThrow(validateFunction(options))
  const settings = orThrow(decode(options, handlerOptions))
  const around = decodeEnhancedMetrics(options.enhancedMetrics)
  // The extension comes first: Lambda takes no registration once the initialization of the function has ended.
  const registration = typeof options.flush === "object" ? options.flush.register() : undefined
  const environment = environmentOf(options.layer)
  registration?.closeOnSignal(environment.built)

  const run = <B, E2>(
    effect: Effect.Effect<B, E2, R>,
    context: C,
    extension: Context.Tag.Service<LambdaExtension> | undefined
  ): Promise<B> => {
    const program = runInvocation(around(effect), settings) as Effect.Effect<
      B,
      E2,
      Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats | LambdaContext
    >
    const services = Context.make(LambdaContext, context as LambdaContext)
    return environment.run(
      program,
      extension === undefined ? services : Context.add(services, LambdaExtension, extension)
    )
  }
  const runWithExtension = async <B, E2>(
    effect: Effect.Effect<B, E2, R>,
    context: C,
    { current, ready }: Registration
  ): Promise<B> => {
    const requestId = requestIdOf(context)
    // The extension gives a handler a few milliseconds to begin, and the services may take longer to build.
    const end = requestId === undefined ? undefined : current()?.unsafeBegin(requestId)
    try {
      await ready
      return await run(effect, context, current())
    } finally {
      end?.()
    }
  }
  const invoke = <B, E2>(effect: Effect.Effect<B, E2, R>, context: C): Promise<B> =>
    registration === undefined ? run(effect, context, undefined) : runWithExtension(effect, context, registration)
  const ready = registration === undefined
    ? environment.ready
    : Promise.all([registration.ready, environment.ready]).then(() => {})
  return { invoke, ready }
}

/** Callers without types may pass `true` or `false`. */
const decodeEnhancedMetrics = (option: EnhancedMetrics | undefined): EnhancedMetrics["around"] => {
  if (option === undefined || option as unknown === false) return identity
  if (typeof option?.around === "function") return option.around
  throw new TypeError("Invalid option enhancedMetrics: expected the value Lambda.enhancedMetrics")
}

export {
  /**
   * The tags of Datadog's own Lambda library: `region`, `account_id`, `functionname`, `resource`, `executedversion`,
   * `memorysize`, `cold_start`, `proactive_initialization` and `runtime`, as far as they are known. Empty outside an
   * invocation. Your own metrics carry them only if you pass them.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Lambda from "effect-threadstats/Lambda"
   * import * as ThreadStats from "effect-threadstats/ThreadStats"
   *
   * export const received = Effect.flatMap(
   *   Lambda.contextTags,
   *   (tags) => ThreadStats.increment("orders.received", 1, { tags })
   * )
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  contextTags
} from "./internal/lambda/enhancedMetrics.js"

/**
 * Records the metrics of Datadog's own Lambda library, for the option `enhancedMetrics` of a handler: the distributions
 * `aws.lambda.enhanced.invocations`, `.errors` (also for a result with a status of 500 or more) and `.batch_item_failures`,
 * with {@link contextTags} and without a namespace. The Datadog extension counts invocations itself. It is a value so that only
 * functions that use it contain it.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => Effect.as(ThreadStats.increment("orders.received"), "done"),
 *   layer: ThreadStats.layer,
 *   enhancedMetrics: Lambda.enhancedMetrics
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const enhancedMetrics: EnhancedMetrics = { around: enhanced.recordInvocation }

/**
 * Records a distribution. The function has the name that Datadog's Lambda libraries use. Distributions add up across execution
 * environments.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lambdaMetric = (
  name: string,
  value: number,
  options?: ThreadStats.PointOptions
): Effect.Effect<void, never, ThreadStats.ThreadStats> => ThreadStats.distribution(name, value, options)
