/** Compares the machine's clock with the dates of the responses. Datadog drops points of a wrong time without an error. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { pointWindow } from "../model/datadogLimits.js"
import { monotonicMillis } from "../model/time.js"
import { logFrom } from "../runtime/log.js"
import { dateOf, type HttpResponse } from "./httpResponse.js"

/** Time between two comparisons while the clock is right, in milliseconds. */
const pause = 60_000

const log = logFrom("HttpReporter")

const describe = (skew: number): string => {
  const minutes = Duration.minutes(Math.round(Math.abs(skew) / 60_000))
  const limit = skew > 0
    ? "Datadog drops points more than 10 minutes ahead"
    : "Datadog drops points more than 1 hour old"
  return `The machine's clock is ${Duration.format(minutes)} ${
    skew > 0 ? "ahead of" : "behind"
  } the receiver's: ${limit}. Set the clock`
}

/**
 * Returns a function that logs a warning when the difference exceeds the times that Datadog accepts, and a message when it no longer
 * does: once each. It returns undefined if there is nothing to log.
 */
export const makeClockCheck = (acceptedTimestamps: "window" | "any" | undefined) => {
  const behind = acceptedTimestamps === "any" ? Infinity : pointWindow.past
  let isWrong = false
  let nextCheck = -Infinity
  return ({ headers }: HttpResponse, clock: Clock.Clock): Effect.Effect<void> | undefined => {
    const monotonic = monotonicMillis(clock)
    if (!isWrong && monotonic < nextCheck) return undefined
    nextCheck = monotonic + pause
    const date = dateOf(headers)
    if (date === undefined) return undefined
    const skew = clock.unsafeCurrentTimeMillis() - date
    const wasWrong = isWrong
    isWrong = skew > pointWindow.future || -skew > behind
    if (isWrong === wasWrong) return undefined
    return log(
      isWrong
        ? Effect.logWarning(describe(skew))
        : Effect.logInfo("The machine's clock agrees with the receiver's again")
    )
  }
}
