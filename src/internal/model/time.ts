import type * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"

/** A moment: a `Date`, a `DateTime`, or milliseconds since the epoch. The reference takes seconds. */
export type TimeInput = Date | DateTime.DateTime | number

/** Returns milliseconds since the epoch, and `NaN` for an invalid input. */
export const toMillis = (time: TimeInput): number =>
  typeof time === "number"
    ? time
    : time instanceof Date
    ? time.getTime()
    // A check by structure. Importing `DateTime` would load a calendar and its time zones.
    : Predicate.hasProperty(time, "epochMillis") && typeof time.epochMillis === "number"
    ? time.epochMillis
    : Number.NaN

/**
 * Reason for which Datadog would refuse a time.
 *
 * - `InvalidTimestamp`: not a finite number
 * - `TooOld`, `TooNew`: outside of the window that Datadog accepts
 */
export type WindowFault = "InvalidTimestamp" | "TooOld" | "TooNew"

/** Validates a time against a window around `now`, in milliseconds. Without a window any finite time is valid. */
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
