import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { vi } from "vitest"

export interface Timers {
  /** The number of timers that were started. */
  readonly started: () => number
  /** Those of them that were not cleared. */
  readonly pending: () => ReadonlyArray<NodeJS.Timeout>
}

/**
 * Watches the timers of these durations, in milliseconds, until the scope closes. No other code may use such durations, because
 * timers of other tests and of libraries run in the same process.
 */
export const watchTimers = (isWatched: (millis: number) => boolean): Effect.Effect<Timers, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => ({
        set: vi.spyOn(globalThis, "setTimeout"),
        clear: vi.spyOn(globalThis, "clearTimeout")
      })),
      ({ clear, set }) =>
        Effect.sync(() => {
          set.mockRestore()
          clear.mockRestore()
        })
    ),
    ({ clear, set }) => {
      const started = () =>
        set.mock.results
          .filter((_, index) => isWatched(set.mock.calls[index]![1] ?? 0))
          .map(({ value }) => value as NodeJS.Timeout)
      return {
        started: () => started().length,
        pending: () => started().filter((timer) => !clear.mock.calls.some(([cleared]) => cleared === timer))
      }
    }
  )
