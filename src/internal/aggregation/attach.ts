import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Makes the effect that attaches a client to an aggregator until its scope closes, and returns false if one is attached. */
export const makeAttach = (setClosed: (isClosed: boolean) => void): Effect.Effect<boolean, never, Scope.Scope> => {
  let clients = 0
  return Effect.acquireRelease(
    Effect.sync(() => {
      if (clients === 0) setClosed(false)
      return clients++ === 0
    }),
    () =>
      Effect.sync(() => {
        if (--clients === 0) setClosed(true)
      })
  )
}
