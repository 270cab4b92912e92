import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Whether this is the machine's own clock, and not a test's. */
export const isLive = (clock: Clock.Clock): boolean => clock === Context.get(DefaultServices.liveServices, Clock.Clock)

/**
 * The clock, but with sleeps that do not keep the process alive. Another clock than the live one is given back as it is.
 */
export const make = (clock: Clock.Clock): Clock.Clock =>
  isLive(clock)
    ? {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanos: clock.currentTimeNanos,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const timer = setTimeout(() => resume(Effect.void), Math.min(Duration.toMillis(duration), longest))
          timer.unref?.()
          return Effect.sync(() => clearTimeout(timer))
        })
    }
    : clock

/** What a timer can wait for at most, in milliseconds. */
export const longest = 2 ** 31 - 1
