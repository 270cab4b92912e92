/**
 * An internal extension of AWS Lambda: the response of an invocation leaves at once, and the extension keeps the execution
 * environment awake until the remaining work of that invocation has ended.
 *
 * Lambda freezes an environment when its runtime and every extension have requested their next event. This extension lives in
 * the function's own process and requests its next event when the work has ended. The caller has the response by then. The
 * time is billed and counts against the function's timeout.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { isMainThread } from "node:worker_threads"
import { variable } from "./internal/config/environment.js"
import * as Internal from "./internal/lambda/afterResponse.js"
import { decodeExtensionOptions } from "./internal/lambda/extensionOptions.js"
import * as extensionsApi from "./internal/lambda/extensionsApi.js"
import * as ExtensionWork from "./internal/lambda/extensionWork.js"
import { LambdaExtension } from "./internal/lambda/LambdaExtension.js"
import type { LambdaExtensionError } from "./internal/lambda/LambdaExtensionError.js"
import { orFail, orThrow } from "./internal/lambda/programOptions.js"
import * as runtimeApi from "./internal/lambda/runtimeApi.js"
import { logFrom } from "./internal/runtime/log.js"
import * as unrefClock from "./internal/runtime/unrefClock.js"

export {
  /**
   * Runs work after the response.
   *
   * @since 0.1.0
   * @category tags
   */
  LambdaExtension
} from "./internal/lambda/LambdaExtension.js"

export {
  /**
   * The extension is not available.
   *
   * - `Unsupported`: a Lambda Managed Instance, which sends no event for an invocation; a worker thread; or the registration
   *   could not start a thread
   * - `Connection`: there was no connection, or it broke before a response
   * - `Truncated`: the connection broke during the response
   * - `TimedOut`: there was no response to the registration within two seconds
   * - `Refused`: the response reports an error, for example because the registration came too late
   * - `Malformed`: a registration without an identifier, or an event that is not an invocation
   *
   * @since 0.1.0
   * @category errors
   */
  LambdaExtensionError
} from "./internal/lambda/LambdaExtensionError.js"

/**
 * Options of the extension.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExtensionOptions {
  /** Name of the extension, unique within a function: up to 128 visible ASCII characters. Default: `effect-threadstats`. */
  readonly name?: string | undefined
  /**
   * Whether the registration blocks the thread, usually for tens of milliseconds and for two seconds at most. Default: `true`.
   *
   * Lambda takes registrations until the runtime requests the first invocation. AWS's runtime does so as soon as the function's
   * module is loaded, so a registration still under way may come too late. `false` is for programs that wait for the
   * registration: with a top-level `await`, or in a runtime loop of their own.
   */
  readonly blocking?: boolean | undefined
}

/**
 * Registers the extension and receives its events. Closing the scope interrupts running work. From then on the extension
 * releases every invocation at once, because an extension cannot be deregistered. It does not keep the process alive.
 *
 * Fails with a {@link LambdaExtensionError} if the extension is not available, and with a `ConfigError` if an option is not valid
 * or, outside Lambda, `AWS_LAMBDA_RUNTIME_API` is missing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: ExtensionOptions
) => Effect.Effect<Context.Tag.Service<LambdaExtension>, LambdaExtensionError | ConfigError, Scope.Scope> = Effect
  .fnUntraced(function*(options?: ExtensionOptions) {
    const { blocking, name } = yield* orFail(decodeExtensionOptions(options))
    const base = yield* runtimeApi.address
    if (Option.isSome(yield* variable("AWS_LAMBDA_MAX_CONCURRENCY"))) {
      return yield* unsupported("Lambda Managed Instances send no event for an invocation")
    }
    // The main thread may answer an invocation without the extension, which would then hold the environment until the deadline.
    if (!isMainThread) return yield* unsupported("invocations are not answered from a worker thread")

    const clock = unrefClock.make(yield* Effect.clock)
    const send = runtimeApi.makeRequestUnref(base)
    const identifier = yield* Effect.withClock(extensionsApi.register(base, send, { name, blocking }), clock)
    const work = ExtensionWork.make(clock)
    yield* Effect.addFinalizer(() => Effect.zipRight(work.stop, work.close))

    // The loop outlives the scope: Lambda goes on to wait for the extension's next request.
    yield* extensionsApi.nextEvent(send, identifier).pipe(
      Effect.flatMap(work.holdEvent),
      Effect.forever,
      Effect.catchAll((error) => Effect.flatMap(work.stop, (wasAlive) => wasAlive ? logStop(error) : Effect.void)),
      Effect.withClock(clock),
      Effect.interruptible,
      Effect.forkDaemon
    )
    return work.service
  })

const unsupported = (description: string) => extensionsApi.makeError("register", "Unsupported", description)

const logStop = (error: LambdaExtensionError) =>
  logFrom("LambdaExtension")(Effect.logWarning(
    `The Lambda extension stopped: ${error.message}. Later invocations flush before their response`
  ))

/**
 * Provides the extension with options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options?: ExtensionOptions
): Layer.Layer<LambdaExtension, LambdaExtensionError | ConfigError> => Layer.scoped(LambdaExtension, make(options))

/**
 * Provides the extension with its default options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<LambdaExtension, LambdaExtensionError | ConfigError> = /*#__PURE__*/ layerWith()

/**
 * The flush mode "after the response", for the option `flush` of a handler or an invocation. {@link afterResponseWith}
 * makes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AfterResponse extends Internal.AfterResponse {}

/**
 * Flushes after the response. A handler registers an extension with these options for it, and the handlers with the same value
 * share one. It is a value so that only functions that use it contain it. It throws a `TypeError` if an option is not valid.
 *
 * @since 0.1.0
 * @category constructors
 */
export const afterResponseWith = (options?: ExtensionOptions): AfterResponse => {
  orThrow(decodeExtensionOptions(options))
  return Internal.make(layerWith(options))
}

/**
 * Flushes after the response, with an extension of the name `effect-threadstats`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as LambdaExtension from "effect-threadstats/LambdaExtension"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => Effect.as(ThreadStats.increment("orders.received"), "done"),
 *   layer: ThreadStats.layer,
 *   flush: LambdaExtension.afterResponse
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const afterResponse: AfterResponse = /*#__PURE__*/ afterResponseWith()
