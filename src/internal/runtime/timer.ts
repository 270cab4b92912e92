import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import * as unrefClock from "./unrefClock.js"

/**
 * Runs `task` after `millis` milliseconds and returns its cancellation. `task` must not throw. On the machine's clock this is a timer,
 * which costs less than a fiber that sleeps. With `unref` the timer does not keep the process alive.
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
