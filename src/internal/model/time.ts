import * as DateTime from "effect/DateTime"

/** Point in time: a `Date`, a `DateTime`, or milliseconds since the epoch. (The reference client takes seconds.) */
export type TimeInput = Date | DateTime.DateTime | number

/** Returns milliseconds since the epoch, or `NaN` for any other value. */
export const toMillis = (time: TimeInput): number =>
  typeof time === "number"
    ? time
    : time instanceof Date
    ? time.getTime()
    : DateTime.isDateTime(time)
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
