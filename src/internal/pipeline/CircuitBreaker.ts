import type * as Clock from "effect/Clock"
import { currentMoment, millisSince, type Moment } from "../model/time.js"

/** `"half-open"`: the pause is over, and the next flush shows whether the receiver is back. */
export type BreakerState = "closed" | "open" | "half-open"

/**
 * Leaves a receiver alone that only costs time. After `threshold` flushes in a row that used their time up for nothing it
 * opens, for a pause that doubles with every probe that fails as well.
 */
export interface Breaker {
  readonly state: () => BreakerState
  readonly succeeded: () => void
  readonly wasted: () => void
}

const threshold = 3

/** In milliseconds. */
const firstPause = 30_000
const longestPause = 300_000

export const make = (clock: Clock.Clock): Breaker => {
  let wasted = 0
  let pause: { readonly millis: number; readonly begin: Moment } | undefined
  return {
    state: () => pause === undefined ? "closed" : millisSince(clock, pause.begin) < pause.millis ? "open" : "half-open",
    succeeded() {
      wasted = 0
      pause = undefined
    },
    wasted() {
      wasted++
      if (wasted < threshold) return
      pause = {
        millis: Math.min(longestPause, firstPause * 2 ** (wasted - threshold)),
        begin: currentMoment(clock)
      }
    }
  }
}
