/** The flush mode "after the response": an extension in the execution environment, and a last flush on SIGTERM. */
import type { ConfigError } from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as ThreadStats from "../../ThreadStats.js"
import { logFrom } from "../runtime/log.js"
import { listen } from "../runtime/sharedListener.js"
import { LambdaExtension } from "./LambdaExtension.js"
import type { LambdaExtensionError } from "./LambdaExtensionError.js"

type ExecutionEnvironment = ManagedRuntime.ManagedRuntime<ThreadStats.ThreadStats, unknown>

/** The parts of an execution environment that flush after the response. */
export interface AfterResponse {
  /** Provides the extension. Logs one warning and provides nothing if Lambda does not register it. */
  readonly layer: Layer.Layer<never>
  /** Makes SIGTERM flush and close the execution environment, if the extension is among its services. */
  readonly installSignalHandler: (environment: ExecutionEnvironment) => Effect.Effect<void>
}

export const make = (
  extension: Layer.Layer<LambdaExtension, LambdaExtensionError | ConfigError>
): AfterResponse => ({
  // The layer is not known to provide the extension, because it may provide nothing.
  layer: Layer.catchAll(extension, (error) =>
    Layer.effectDiscard(
      log(Effect.logWarning(`The Lambda extension could not be registered: ${error}. Flushing before the response`))
    )) as Layer.Layer<never>,
  installSignalHandler: (environment) =>
    Effect.flatMap(
      Effect.serviceOption(LambdaExtension),
      Option.match({
        onNone: () => Effect.void,
        onSome: () => Effect.sync(() => flushOnSignal(environment))
      })
    )
})

const log = /*#__PURE__*/ logFrom("Lambda")

/** Time for the flush after SIGTERM. Lambda kills a process with an internal extension 500 milliseconds after SIGTERM. */
const signalFlushTimeout = /*#__PURE__*/ Duration.millis(350)

/** Time for closing the environment afterwards. Its own last flush could take as long as the client's `flushTimeout`. */
const closeTimeout = /*#__PURE__*/ Duration.millis(100)

/** Flushes everything, closes the environment, and raises the signal again for its default effect. */
const flushOnSignal = (environment: ExecutionEnvironment): void => {
  const stopListening = listen(process, "SIGTERM", () => {
    stopListening()
    const raise = Effect.sync(() => {
      if (process.listenerCount("SIGTERM") === 0) process.kill(process.pid, "SIGTERM")
    })
    ThreadStats.flush({ timeout: signalFlushTimeout }).pipe(
      Effect.zipRight(Effect.timeoutOption(Effect.disconnect(environment.disposeEffect), closeTimeout)),
      Effect.catchAllCause(() => Effect.void),
      Effect.zipRight(raise),
      environment.runFork
    )
  })
}
