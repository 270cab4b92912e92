import type * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"

/**
 * A moment: a `Date`, a `DateTime`, or milliseconds since the epoch, as everywhere in this ecosystem.
 * (The reference takes seconds; what goes on the wire is seconds.)
 */
export type TimeInput = Date | DateTime.DateTime | number

/** Milliseconds since the epoch; `NaN` for what is not a moment. */
export const toMillis = (time: TimeInput): number =>
  typeof time === "number"
    ? time
    : time instanceof Date
    ? time.getTime()
    // by its form: the module is a calendar, time zones and all
    : Predicate.hasProperty(time, "epochMillis") && typeof time.epochMillis === "number"
    ? time.epochMillis
    : Number.NaN

/** `InvalidTimestamp`: no moment. `TooOld`, `TooNew`: outside of what Datadog takes. */
export type WindowFault = "InvalidTimestamp" | "TooOld" | "TooNew"

/** What is wrong with a moment, for a window around now, all in milliseconds. */
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
