import type * as Clock from "effect/Clock"
import { currentMoment, millisSince, type Moment } from "../model/time.js"

/** `"half-open"`: the pause is over, and the next flush shows whether the receiver is back. */
export type BreakerState = "closed" | "open" | "half-open"

/**
 * Leaves a receiver alone that only costs time. After `threshold` long failures in a row it opens, for a pause that doubles with
 * every probe that fails as well.
 */
export interface Breaker {
  readonly state: () => BreakerState
  readonly recordSuccess: () => void
  /** Records a failure that took long. */
  readonly recordFailure: () => void
}

const threshold = 3

/** In milliseconds. */
const firstPause = 30_000
const longestPause = 300_000

export const make = (clock: Clock.Clock): Breaker => {
  let failures = 0
  let pause: { readonly millis: number; readonly begin: Moment } | undefined
  return {
    state: () => pause === undefined ? "closed" : millisSince(clock, pause.begin) < pause.millis ? "open" : "half-open",
    recordSuccess() {
      failures = 0
      pause = undefined
    },
    recordFailure() {
      failures++
      if (failures < threshold) return
      pause = {
        millis: Math.min(longestPause, firstPause * 2 ** (failures - threshold)),
        begin: currentMoment(clock)
      }
    }
  }
}
