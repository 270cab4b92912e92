/**
 * The floor of the lifecycle that `docs/architecture.md` describes, with Effect's own pieces and nothing else: a scope, a finalizer that
 * flushes, a fiber for the flush before the deadline, one flush at a time, and a time limit that holds in a finalizer.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { Handler } from "../children/warm.js"

/** Returns a handler that runs a body, and a flush in its finalizer. */
export const makeLifecycle = (
  flush: Effect.Effect<unknown, unknown>,
  body: Effect.Effect<unknown> = Effect.void
): Handler => {
  const runtime = ManagedRuntime.make(Layer.empty)
  const limited = flush.pipe(
    Effect.interruptible,
    Effect.disconnect,
    Effect.timeoutOption("5 seconds"),
    Effect.unsafeMakeSemaphore(1).withPermits(1),
    Effect.ignore
  )
  const program = Effect.scoped(
    Effect.addFinalizer(() => limited).pipe(
      Effect.zipRight(Effect.forkScoped(Effect.delay(limited, "10 minutes"))),
      Effect.zipRight(body),
      Effect.as("done")
    )
  )
  return () => runtime.runPromise(program)
}
