/** The flush mode "after the response": an extension in the execution environment, and a last flush on SIGTERM. */
import type { ConfigError } from "effect/ConfigError"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as ThreadStats from "../../ThreadStats.js"
import { logFrom } from "../runtime/log.js"
import { toRejection, toReport } from "./lambdaError.js"
import { LambdaExtension } from "./LambdaExtension.js"
import type { LambdaExtensionError } from "./LambdaExtensionError.js"
import { sharedBy } from "./shared.js"

type ExecutionEnvironment = ManagedRuntime.ManagedRuntime<ThreadStats.ThreadStats, unknown>

/** The flush mode. The handlers that pass the same value share one extension. */
export interface AfterResponse {
  /** Provides the extension. Logs one warning and provides nothing if Lambda does not register it. */
  readonly layer: Layer.Layer<never>
  /** Returns the extension that the handlers share. The first call registers it. */
  readonly register: () => Registration
}

/** The extension of a process, which every handler and every build of their services shares. */
export interface Registration {
  /** Resolves when Lambda has answered the registration. */
  readonly ready: Promise<void>
  /** Returns the extension, or undefined before Lambda has registered it. */
  readonly current: () => Context.Tag.Service<LambdaExtension> | undefined
  /** Flushes and closes the execution environment on SIGTERM. It is undefined if it could not be built. */
  readonly closeOnSignal: (environment: () => Promise<ExecutionEnvironment | undefined>) => void
}

export const make = (
  extension: Layer.Layer<LambdaExtension, LambdaExtensionError | ConfigError>
): AfterResponse => {
  // The layer is not known to provide the extension, because it may provide nothing.
  const layer = Layer.catchAllCause(extension, (cause) =>
    Layer.effectDiscard(
      logFrom("Lambda")(Effect.logWarning(
        `The Lambda extension could not be registered: ${
          toReport(toRejection(cause)).errorMessage
        }. Flushing before the response. Make the handler while the function initializes, or leave out the option flush`
      ))
    )) as Layer.Layer<never>
  const self: AfterResponse = { layer, register: () => registrationOf(self) }
  return self
}

/**
 * Registers the extension. It outlives the services of a handler: Lambda takes a registration only during initialization, so an
 * extension that closed with a failed build could not return.
 */
const register = ({ layer }: AfterResponse): Registration => {
  const environments = new Set<() => Promise<ExecutionEnvironment | undefined>>()
  let extension: Context.Tag.Service<LambdaExtension> | undefined
  const ready = ManagedRuntime.make(layer).runPromise(
    Effect.map(Effect.serviceOption(LambdaExtension), (registered) => {
      extension = Option.getOrUndefined(registered)
      if (extension !== undefined) listenForSignal(environments)
    })
  )
  return { ready, current: () => extension, closeOnSignal: (environment) => void environments.add(environment) }
}

const registrationOf = /*#__PURE__*/ sharedBy("registrations", register)

/** Time for the flush after SIGTERM. Lambda kills a process with an internal extension 500 milliseconds after SIGTERM. */
const signalFlushTimeout = /*#__PURE__*/ Duration.millis(350)

/** Time for closing the environment afterwards. Its own last flush could take as long as the client's `flushTimeout`. */
const closeTimeout = /*#__PURE__*/ Duration.millis(100)

const flushAndClose = (environment: ExecutionEnvironment): Promise<unknown> =>
  environment.runPromise(
    ThreadStats.flush({ timeout: signalFlushTimeout }).pipe(
      Effect.zipRight(Effect.timeoutOption(Effect.disconnect(environment.disposeEffect), closeTimeout)),
      Effect.catchAllCause(() => Effect.void)
    )
  )

/** On SIGTERM, flushes and closes the environments, and raises the signal again for its default effect. */
const listenForSignal = (environments: ReadonlySet<() => Promise<ExecutionEnvironment | undefined>>): void => {
  process.once("SIGTERM", () => {
    const closed = Array.from(environments, async (built) => {
      const environment = await built()
      if (environment !== undefined) await flushAndClose(environment)
    })
    void Promise.allSettled(closed).then(() => {
      if (process.listenerCount("SIGTERM") === 0) process.kill(process.pid, "SIGTERM")
    })
  })
}
