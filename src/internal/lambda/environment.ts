/** The execution environment of a handler: services that are built once and serve every invocation. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { ThreadStats } from "../../ThreadStats.js"
import type { AfterResponse } from "./afterResponse.js"
import { toRejection } from "./lambdaError.js"

export interface Environment<R> {
  /** Resolves when the first build is over, whether or not it succeeded. */
  readonly ready: Promise<void>
  /** Runs an invocation's program. The promise rejects with the program's own error, or that of the build. */
  readonly run: <A, E>(program: Effect.Effect<A, E, R>) => Promise<A>
}

/** Starts to build the services. After a failed build, the next invocation builds them again. */
export const make = <R, E>(
  services: Layer.Layer<R | ThreadStats, E>,
  afterResponse: AfterResponse | undefined
): Environment<R | ThreadStats> => {
  // The extension comes first: Lambda takes no registration once the initialization of the function has ended.
  const layer = afterResponse === undefined ? services : Layer.provideMerge(services, afterResponse.layer)

  const build = async (): Promise<Exit.Exit<ManagedRuntime.ManagedRuntime<R | ThreadStats, E>, E>> => {
    const runtime = ManagedRuntime.make(layer)
    const exit = await runtime.runPromiseExit(
      warm.pipe(
        Effect.zipRight(afterResponse === undefined ? Effect.void : afterResponse.installSignalHandler(runtime)),
        Effect.as(runtime)
      )
    )
    if (Exit.isFailure(exit)) await Effect.runPromiseExit(runtime.disposeEffect)
    return exit
  }

  let current = build()
  const awaitRuntime = async () => {
    const awaited = current
    const exit = await awaited
    if (Exit.isSuccess(exit)) return exit.value
    // Invocations that awaited the same build share the next one.
    if (current === awaited) current = build()
    return valueOrThrow(await current)
  }

  return {
    ready: current.then(() => {}),
    run: async (program) => {
      const runtime = await awaitRuntime()
      // A fiber that fails logs its cause, and a logger that throws there would leave the promise pending.
      return valueOrThrow(await runtime.runPromise(Effect.exit(program)))
    }
  }
}

const valueOrThrow = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw toRejection(exit.cause)
}

/** Opens the reporter's connection ahead of the first flush. Invocations do not wait for it. */
const warm = /*#__PURE__*/ Effect.flatMap(
  ThreadStats,
  (client) => Effect.forkDaemon(Effect.catchAllCause(client.warm, () => Effect.void))
)
