/** What a handler does that flushes after its response. */
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { LambdaExtension, LambdaExtensionError } from "../../LambdaExtension.js"
import * as ThreadStats from "../../ThreadStats.js"

type Extension = Context.Tag.Service<LambdaExtension>

export interface AfterResponse {
  /** The service for an environment; where none can be registered there is a warning, and everything is flushed before the response. */
  readonly given: Effect.Effect<Context.Context<never>, never, Scope.Scope>
  /** At the end of an invocation, among these services. */
  readonly flush: (
    flush: Effect.Effect<void>,
    services: Context.Context<never>,
    requestId: string
  ) => Effect.Effect<void>
  /** Sees to it that nothing is left behind when the environment is shut down. */
  readonly guard: (runtime: Runtime.Runtime<ThreadStats.ThreadStats>, dispose: Effect.Effect<void>) => void
}

export const make = (
  tag: Context.Tag<LambdaExtension, Extension>,
  extension: Effect.Effect<Extension, LambdaExtensionError | ConfigError, Scope.Scope>
): AfterResponse => ({
  given: Effect.matchEffect(extension, {
    onFailure: (error) => Effect.as(log(Effect.logWarning(`Flushing before the response: ${error}`)), Context.empty()),
    onSuccess: (service) => Effect.succeed(Context.make(tag, service) as Context.Context<never>)
  }),
  flush: (flush, services, requestId) => {
    const extension = Option.getOrUndefined(Context.getOption(services, tag))
    return extension === undefined
      ? flush
      : Effect.flatMap(extension.isAlive, (isAlive) => isAlive ? extension.afterResponse(requestId, flush) : flush)
  },
  guard: (runtime, dispose) => {
    if (Option.isSome(Context.getOption(runtime.context, tag))) flushOnSignal(runtime, dispose)
  }
})

const log = /*#__PURE__*/ Effect.annotateLogs({ package: "effect-threadstats", module: "Lambda" })

/** With an internal extension, Lambda gives the process 500 milliseconds between SIGTERM and SIGKILL. */
const signalTime = /*#__PURE__*/ Duration.millis(350)

/** Limit for closing the environment after that. Its last flush could take as long as the client's `flushTimeout`. */
const closeTime = /*#__PURE__*/ Duration.millis(100)

/** Flushes everything, closes the environment, and raises the signal again for its default effect. */
const flushOnSignal = (runtime: Runtime.Runtime<ThreadStats.ThreadStats>, dispose: Effect.Effect<void>): void => {
  process.once("SIGTERM", () => {
    const raise = Effect.sync(() => {
      if (process.listenerCount("SIGTERM") === 0) process.kill(process.pid, "SIGTERM")
    })
    ThreadStats.flush({ timeout: signalTime }).pipe(
      Effect.zipRight(Effect.timeoutOption(Effect.disconnect(dispose), closeTime)),
      Effect.catchAllCause(() => Effect.void),
      Effect.zipRight(raise),
      Runtime.runFork(runtime)
    )
  })
}
