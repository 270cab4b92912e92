import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"

/**
 * Runs the effect when the process has no work left, and lets it finish before the process exits. Runs it once, because an effect that
 * starts new work each time would keep the process alive forever. (The reference client flushes in an `atexit` hook.)
 */
export const flushBeforeExit = (effect: Effect.Effect<unknown>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const onExit = () => {
      Runtime.runFork(runtime)(effect)
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => globalThis.process?.once?.("beforeExit", onExit)),
      () => Effect.sync(() => globalThis.process?.off?.("beforeExit", onExit))
    )
  })
