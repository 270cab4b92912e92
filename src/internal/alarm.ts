import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import * as unrefClock from "./unrefClock.js"

/**
 * Runs `task`, which must not throw, once the clock has gone on for `millis` milliseconds, and gives how to call that off. By
 * the machine's own clock that is a timer, which costs less than a fiber that sleeps; with `unref` one that does not keep
 * the process alive.
 */
export const set = (
  clock: Clock.Clock,
  runtime: Runtime.Runtime<never>,
  millis: number,
  task: () => void,
  options: { readonly unref: boolean }
): () => void => {
  if (unrefClock.isLive(clock)) {
    const timer = setTimeout(task, Math.min(millis, unrefClock.longest))
    if (options.unref) timer.unref?.()
    return () => clearTimeout(timer)
  }
  const fiber = Runtime.runFork(runtime)(Effect.interruptible(Effect.map(clock.sleep(Duration.millis(millis)), task)))
  return () => fiber.unsafeInterruptAsFork(FiberId.none)
}
