import type * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"

/** Point in time: a `Date`, a `DateTime`, or milliseconds since the epoch. (The reference client takes seconds.) */
export type TimeInput = Date | DateTime.DateTime | number

/** Returns milliseconds since the epoch, or `NaN` for any other value. A `DateTime` is recognized by its property, without its module. */
export const toMillis = (time: TimeInput): number =>
  typeof time === "number"
    ? time
    : time instanceof Date
    ? time.getTime()
    : Predicate.hasProperty(time, "epochMillis") && typeof time.epochMillis === "number"
    ? time.epochMillis
    : Number.NaN

/** `InvalidTimestamp`: not a time. `TooOld`, `TooNew`: outside of the window that Datadog accepts. */
export type WindowFault = "InvalidTimestamp" | "TooOld" | "TooNew"

/** Returns the first fault of a time, for a window around now. All times are in milliseconds. */
export const windowFault = (
  time: number,
  now: number,
  window: { readonly past: number; readonly future: number } | undefined
): WindowFault | undefined =>
  !Number.isFinite(time)
    ? "InvalidTimestamp"
    : window === undefined
    ? undefined
    : time < now - window.past
    ? "TooOld"
    : time > now + window.future
    ? "TooNew"
    : undefined

/** Returns a time in milliseconds from the monotonic clock, which nobody sets. Only the difference of two times has a meaning. */
export const monotonicMillis = (clock: Clock.Clock): number =>
  // Whole milliseconds: a bigint divided as a floating-point number is off by fractions of a microsecond.
  Math.round(Number(clock.unsafeCurrentTimeNanos() / 1000n) / 1000)

/** One moment on the wall clock and on the monotonic clock, in milliseconds. */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

export const currentMoment = (clock: Clock.Clock): Moment => ({
  wall: clock.unsafeCurrentTimeMillis(),
  monotonic: monotonicMillis(clock)
})

/**
 * Returns the milliseconds since a moment by the clock that advanced most. The wall clock can be set back, and the monotonic
 * clock may stop while the machine sleeps, so a pause measured by one of them may never end.
 */
export const millisSince = (clock: Clock.Clock, { monotonic, wall }: Moment): number =>
  Math.max(clock.unsafeCurrentTimeMillis() - wall, monotonicMillis(clock) - monotonic)
