import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as unrefClock from "./unrefClock.js"

/**
 * Runs `task` after `millis` milliseconds and returns its cancellation. `task` must not throw. On the machine's clock this is a timer of
 * Node.js, which keeps the process alive. It stands for a fiber that sleeps: see the figures of `asyncWithin`.
 */
export const set = (clock: Clock.Clock, millis: number, task: () => void): () => void => {
  if (unrefClock.isLive(clock)) {
    const timer = setTimeout(task, Math.min(millis, unrefClock.longest))
    return () => clearTimeout(timer)
  }
  const fiber = Effect.runFork(Effect.map(clock.sleep(Duration.millis(millis)), task))
  return () => fiber.unsafeInterruptAsFork(FiberId.none)
}
