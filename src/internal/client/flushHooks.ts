import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { logFrom } from "../runtime/log.js"
import type { Client } from "./Client.js"

/** Hooks that run at the beginning of every flush. */
export interface FlushHooks {
  readonly isEmpty: () => boolean
  readonly register: Client["onFlush"]
  /** Runs all registered hooks. Never fails. */
  readonly runAll: Effect.Effect<void>
}

/** Logs a thrown value. Printing it can throw too. */
const logThrown = (error: unknown): Effect.Effect<void> => {
  try {
    const cause = Cause.die(error)
    return Effect.logWarning(`A flush hook failed: ${Cause.pretty(cause).split("\n", 1)[0]}`, cause)
  } catch {
    return Effect.logWarning("A flush hook failed: it threw a value that cannot be printed")
  }
}

/** Runs one hook and logs a thrown value. Catches it outside of Effect, whose runtime inspects thrown values. */
const runHook = (hook: () => void): Effect.Effect<void> =>
  Effect.suspend(() => {
    try {
      hook()
      return Effect.void
    } catch (error) {
      return logFrom("ThreadStats")(logThrown(error))
    }
  })

/** Creates an empty set of flush hooks. */
export const makeFlushHooks = (): FlushHooks => {
  const hooks = new Set<() => void>()
  return {
    isEmpty: () => hooks.size === 0,
    register: (hook) => {
      // A new function for each registration, because a program may register one function several times.
      const registered = () => hook()
      return Effect.acquireRelease(
        Effect.sync(() => hooks.add(registered)),
        () => Effect.zipRight(Effect.sync(() => hooks.delete(registered)), runHook(registered))
      )
    },
    runAll: Effect.suspend(() => hooks.size === 0 ? Effect.void : Effect.forEach(hooks, runHook, { discard: true }))
  }
}
