import type * as Clock from "effect/Clock"

/**
 * Returns milliseconds of a time that only grows, for durations. `Clock.unsafeCurrentTimeMillis` is the time of day, which jumps when
 * somebody sets the machine's clock.
 */
export const unsafeMonotonicMillis = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6
