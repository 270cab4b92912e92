/** `"half-open"`: the pause is over, and the next flush shows whether the receiver is back. */
export type BreakerState = "closed" | "open" | "half-open"

/**
 * Leaves a receiver alone that only costs time. After `threshold` flushes in a row that used their time up for nothing it
 * opens, for a pause that doubles with every probe that fails as well.
 */
export interface Breaker {
  readonly state: (now: number) => BreakerState
  readonly succeeded: () => void
  readonly wasted: (now: number) => void
}

const threshold = 3

/** In milliseconds. */
const firstPause = 30_000
const longestPause = 300_000

export const make = (): Breaker => {
  let wasted = 0
  let openUntil = -Infinity
  return {
    state: (now) => wasted < threshold ? "closed" : now < openUntil ? "open" : "half-open",
    succeeded() {
      wasted = 0
    },
    wasted(now) {
      wasted++
      if (wasted >= threshold) openUntil = now + Math.min(longestPause, firstPause * 2 ** (wasted - threshold))
    }
  }
}
