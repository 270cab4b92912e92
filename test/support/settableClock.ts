import { Clock, Effect } from "effect"

/** Clock of the test whose wall time a test can set. Its monotonic time cannot be set. */
export interface SettableClock {
  /** Difference of the wall time from the time of the test, in milliseconds. */
  offset: number
  readonly clock: Clock.Clock
}

/** Makes a clock from the current one. Build a client with it by `Effect.withClock`; `TestClock` still drives its sleeps. */
export const makeSettableClock: Effect.Effect<SettableClock> = Effect.map(Effect.clock, (clock) => {
  const wallTime = () => clock.unsafeCurrentTimeMillis() + settable.offset
  const settable: SettableClock = {
    offset: 0,
    clock: {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      currentTimeMillis: Effect.sync(wallTime),
      currentTimeNanos: clock.currentTimeNanos,
      unsafeCurrentTimeMillis: wallTime,
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      sleep: (duration) => clock.sleep(duration)
    }
  }
  return settable
})
