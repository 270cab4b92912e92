import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"

/** Returns whether the clock is the machine's own and not, for example, a test's. */
export const isLive = (clock: Clock.Clock): boolean => clock === Context.get(DefaultServices.liveServices, Clock.Clock)

/** Longest duration of a timer in Node.js, in milliseconds. */
export const longest = 2 ** 31 - 1

/** Returns the machine's clock with sleeps that do not keep the process alive. Returns any other clock unchanged. */
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

/** `Effect.schedule`, but the sleeps between the runs do not keep the process alive. The runs themselves do. */
export const schedule = <A, E, R, B, R2>(
  self: Effect.Effect<A, E, R>,
  policy: Schedule.Schedule<B, unknown, R2>
): Effect.Effect<B, E, R | R2> =>
  Effect.clockWith((clock) => Effect.withClock(Effect.schedule(Effect.withClock(self, clock), policy), make(clock)))
