/**
 * AWS Lambda without AWS's runtime: one effect that receives invocations from the Runtime API and responds to them, for a
 * container image or a custom runtime.
 *
 * The layer is built once, and every invocation is a {@link lambdaProgram}. The response leaves first, and the last flush
 * follows. Lambda lets the environment run until the runtime requests the next invocation, so the caller does not wait for the
 * flush.
 *
 * It uses `node:http` and requires no HTTP client.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { LambdaRuntimeError } from "./internal/lambda/LambdaRuntimeError.js"
import { nextInvocation, type PendingInvocation, runUntilDeadline } from "./internal/lambda/pendingInvocation.js"
import { decode, orFail, validateFunction } from "./internal/lambda/programOptions.js"
import * as runtimeApi from "./internal/lambda/runtimeApi.js"
import * as runtimeContext from "./internal/lambda/runtimeContext.js"
import { respond, sendInitError, UnmarshalError } from "./internal/lambda/runtimeResponse.js"
import { LambdaContext, lambdaProgram, type ProgramOptions } from "./Lambda.js"
import * as ThreadStats from "./ThreadStats.js"

/**
 * The context of an invocation.
 *
 * @since 0.1.0
 * @category models
 */
export interface RuntimeContext extends runtimeContext.RuntimeContext {}

/**
 * Options of {@link run}.
 *
 * @since 0.1.0
 * @category models
 */
export interface RuntimeOptions<Event, A, E, R, LE> extends Omit<ProgramOptions, "flush"> {
  /**
   * The program of one invocation. Its result is sent as JSON, `undefined` as `null`. A stream of texts or bytes, and the result
   * of `LambdaStream.make`, is sent chunk by chunk. A failure before the first chunk is an error of the invocation. A later
   * failure ends the stream, and the trailers report it to Lambda.
   */
  readonly handler: (
    event: Event,
    context: RuntimeContext
  ) => Effect.Effect<A, E, R> | Stream.Stream<string | Uint8Array, E, R>
  /** The services of the execution environment, built once for all invocations. */
  readonly layer: Layer.Layer<Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats, LE>
  /**
   * Number of invocations that run at a time. Default: `AWS_LAMBDA_MAX_CONCURRENCY`, which Lambda Managed Instances set, else 1.
   * A number above the one of Lambda does no harm.
   */
  readonly concurrency?: number | undefined
}

export {
  /**
   * A request to the Runtime API failed. Lambda replaces the environment when the process ends, so nothing is retried, except
   * on a kept connection that turns out to be closed.
   *
   * - `Connection`: there was no connection, or it broke before a response
   * - `Truncated`: the connection broke during the response
   * - `Refused`: the status means that the environment is beyond repair, or the Runtime API does not define it
   * - `Malformed`: an invocation without an id or a deadline
   *
   * @since 0.1.0
   * @category errors
   */
  LambdaRuntimeError
} from "./internal/lambda/LambdaRuntimeError.js"

const maxConcurrency = (option: number | undefined): Config.Config<number> =>
  (option === undefined
    ? Config.withDefault(Config.integer("AWS_LAMBDA_MAX_CONCURRENCY"), 1)
    : Config.succeed(option)).pipe(
      Config.validate({
        message: "Expected concurrency, or AWS_LAMBDA_MAX_CONCURRENCY, to be a whole number from 1",
        validation: (value) => Number.isSafeInteger(value) && value >= 1
      })
    )

/**
 * Receives invocations and responds to them until it is interrupted.
 *
 * - It builds the layer first. If that fails, it reports the error to Lambda, and fails with the layer's own error.
 * - It responds to a failed invocation with the invocation's own error, as `makeHandler` does, logs it, and continues. An event
 *   that is not JSON (`Runtime.UnmarshalError`) and a result that cannot be sent (`Runtime.MarshalError`,
 *   `Runtime.ResponseTooLarge`) are failures of that invocation too.
 * - The response leaves when the handler's scope is closed. The last flush follows, and then the request for the next
 *   invocation.
 * - An interruption, as `NodeRuntime.runMain` causes on SIGTERM and SIGINT, ends the wait for an invocation at once. A running
 *   invocation continues until its end, or its deadline. Then the layer closes, with its last flush.
 * - It fails with a {@link LambdaRuntimeError} if the Runtime API cannot be used, and with a `ConfigError` if
 *   `AWS_LAMBDA_RUNTIME_API` is missing or an option is not valid.
 *
 * @example
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import * as Effect from "effect/Effect"
 * import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * NodeRuntime.runMain(LambdaRuntime.run({
 *   handler: (event: { readonly orderId: string }) =>
 *     Effect.as(ThreadStats.increment("orders.received"), { accepted: event.orderId }),
 *   layer: ThreadStats.layer
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <Event, A, E, R, LE>(
  options: RuntimeOptions<Event, A, E, R, LE>
): Effect.Effect<never, LambdaRuntimeError | ConfigError | LE> =>
  Effect.gen(function*() {
    yield* orFail(validateFunction(options))
    yield* orFail(decode(options, ["handler", "layer", "concurrency", "flushInterval", "deadlineMargin"]))
    const { deadlineMargin, flushInterval } = options
    const base = yield* runtimeApi.address
    const metadata = yield* runtimeContext.functionMetadata
    const concurrency = yield* maxConcurrency(options.concurrency)
    const api = yield* runtimeApi.make(base)
    const environment = yield* Effect.tapErrorCause(Layer.build(options.layer), (cause) => sendInitError(api, cause))

    const handle = (invocation: PendingInvocation, context: RuntimeContext) =>
      Effect.gen(function*() {
        // With several invocations at a time, the variable could hold the trace of one only.
        if (concurrency === 1) yield* runtimeContext.exposeTraceId(context.traceId)
        const event = yield* Effect.try({
          try: () => JSON.parse(invocation.body) as Event,
          catch: () => new UnmarshalError({ length: invocation.body.length })
        })
        const result = options.handler(event, context)
        return Effect.isEffect(result) ? yield* result as Effect.Effect<A, E, R> : result
      })
    const invoke = (invocation: PendingInvocation) =>
      Effect.flatMap(runtimeContext.makeContext(metadata, invocation), (context) =>
        lambdaProgram(respond(api, invocation, handle(invocation, context)), {
          deadlineMargin,
          flushInterval,
          // The response is a part of this program, so this flush follows it.
          flush: "before-response"
        }).pipe(Effect.provideService(LambdaContext, context))) as Effect.Effect<
          void,
          LambdaRuntimeError,
          Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats
        >
    const loop = Effect.uninterruptibleMask((restore) =>
      restore(nextInvocation(api)).pipe(
        Effect.flatMap((invocation) =>
          runUntilDeadline(invocation, invoke(invocation), restore)
        ),
        Effect.forever
      )
    )

    return yield* Effect.gen(function*() {
      const { warm } = yield* ThreadStats.ThreadStats
      yield* Effect.forkScoped(Effect.catchAllCause(warm, () => Effect.void))
      return yield* Effect.replicateEffect(loop, concurrency, { concurrency: "unbounded", discard: true })
    }).pipe(
      Effect.zipRight(Effect.never),
      Effect.mapInputContext((context: Context.Context<Scope.Scope>) => Context.merge(context, environment))
    )
  }).pipe(Effect.scoped)
