import type * as Clock from "effect/Clock"
import * as unrefClock from "../runtime/unrefClock.js"

/** After so many readings in one millisecond, the last one stands for as many more points. */
const dense = 16

/**
 * The time of what is recorded now, in milliseconds since the epoch. Reading the machine's clock costs more than recording,
 * and a program that records much at a time gets the same answer again and again: then every 16th point reads it, until the
 * program gives way to others.
 *
 * The microtask that ends it runs before anything else that the event loop has to do: no reading outlives what ran when it was
 * made, so that what comes after waiting, or after the process was frozen, has its own time. A program that records
 * in dense bursts and computes in between, without ever giving way, can be up to 15 points late to notice how long
 * that took. Any other clock than the machine's is read each time.
 */
export const make = (clock: Clock.Clock): () => number => {
  if (!unrefClock.isLive(clock)) return () => clock.unsafeCurrentTimeMillis()
  const settled = Promise.resolve()
  let last = Number.NaN
  let same = 0
  let left = 0
  let isWatched = false
  const end = () => {
    isWatched = false
    same = 0
    left = 0
  }
  const read = (): number => {
    const now = clock.unsafeCurrentTimeMillis()
    if (now !== last) {
      last = now
      same = 0
    } else if (++same >= dense) {
      left = dense - 1
      if (!isWatched) {
        isWatched = true
        void settled.then(end)
      }
    }
    return now
  }
  return () => {
    if (left === 0) return read()
    left--
    return last
  }
}
