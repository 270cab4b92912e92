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

/**
 * Runs the effect again and again, each time so many milliseconds after the last one has ended, and gives how to call that
 * off: a run that is under way then goes on. None holds the process.
 */
export const every = (
  clock: Clock.Clock,
  runtime: Runtime.Runtime<never>,
  millis: number,
  effect: Effect.Effect<unknown>
): () => void => {
  let isOver = false
  let off: () => void
  const wait = () => {
    if (isOver) return
    off = set(clock, runtime, millis, () => Runtime.runFork(runtime)(effect).addObserver(wait), { unref: true })
  }
  wait()
  return () => {
    isOver = true
    off()
  }
}
