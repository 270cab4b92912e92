import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { listen } from "../runtime/sharedListener.js"

/**
 * Runs the effect when the process has no work left, and lets it finish before the process exits. Runs it once, because an effect that
 * starts new work each time would keep the process alive forever. (The reference client flushes in an `atexit` hook.)
 */
export const flushBeforeExit = (effect: Effect.Effect<unknown>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (globalThis.process?.on === undefined) return
    const runtime = yield* Effect.runtime()
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const stopListening = listen(process, "beforeExit", () => {
          stopListening()
          Runtime.runFork(runtime)(effect)
        })
        return stopListening
      }),
      (stopListening) => Effect.sync(stopListening)
    )
  })
