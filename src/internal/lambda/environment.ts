/** The execution environment of a handler: services that are built once and serve every invocation. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Runtime from "effect/Runtime"
import { ThreadStats } from "../../ThreadStats.js"
import { InitState, makeProvideInitState, warmStart } from "./enhancedMetrics.js"
import { toRejection } from "./lambdaError.js"
import { sharedBy } from "./shared.js"

export interface Environment<R> {
  /** Resolves when the first build is over, whether or not it succeeded. */
  readonly ready: Promise<void>
  /**
   * Runs an invocation's program with services of the invocation. The promise rejects with the program's own error, or that of the
   * build.
   */
  readonly run: <A, E, S>(program: Effect.Effect<A, E, R | S>, services: Context.Context<S>) => Promise<A>
  /** Waits for the current build, and returns its services, or undefined if it failed. */
  readonly built: () => Promise<ManagedRuntime.ManagedRuntime<R, unknown> | undefined>
}

/** Starts to build the services. After a failed build, the next invocation builds them again. */
const make = <R, E>(layer: Layer.Layer<R | ThreadStats, E>): Environment<R | ThreadStats> => {
  const build = async (): Promise<Exit.Exit<ManagedRuntime.ManagedRuntime<R | ThreadStats, E>, E>> => {
    const runtime = ManagedRuntime.make(layer)
    const exit = await runtime.runPromiseExit(Effect.as(warm, runtime))
    if (Exit.isFailure(exit)) await Effect.runPromiseExit(runtime.disposeEffect)
    return exit
  }

  const provideInitState = makeProvideInitState()
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
    run: async (program, services) => {
      const runtime = await (await awaitRuntime()).runtime()
      const withServices = Context.add(services, InitState, warmStart)
      const run = Runtime.runPromise(Runtime.updateContext(runtime, Context.merge(withServices)))
      // A fiber that fails logs its cause, and a logger that throws there would leave the promise pending.
      return valueOrThrow(await run(Effect.exit(provideInitState(program))))
    },
    built: async () => Exit.getOrElse(await current, () => undefined)
  }
}

/** Returns the environment of a layer. Handlers with the same layer share one. */
export const environmentOf: <R, E>(layer: Layer.Layer<R | ThreadStats, E>) => Environment<R | ThreadStats> =
  /*#__PURE__*/ sharedBy("environments", make<any, any>)

const valueOrThrow = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw toRejection(exit.cause)
}

/** Opens the reporter's connection ahead of the first flush. Invocations do not wait for it. */
const warm = /*#__PURE__*/ Effect.flatMap(
  ThreadStats,
  (client) => Effect.forkDaemon(Effect.catchAllCause(client.warm, () => Effect.void))
)
