import type * as Clock from "effect/Clock"
import * as unrefClock from "./unrefClock.js"

/** Number of equal readings after which the last one stands for as many more points. */
const readingsBeforeReuse = 16

/**
 * Returns a function that reads the time of a point, in milliseconds since the epoch. It stands for
 * `Clock.unsafeCurrentTimeMillis`, which takes 25 of the 49 ns of a point through a bound counter, and 17 of 112 ns of an
 * unsafe call with tags.
 *
 * A program that records many points at once gets the same time again and again. After 16 equal readings, the last one
 * stands for up to 15 more points, or until a microtask runs. The microtask runs before anything that the event loop calls
 * next, so a point after a wait or a freeze never gets an old time. Test clocks are read for every point.
 */
export const make = (clock: Clock.Clock): () => number => {
  if (!unrefClock.isLive(clock)) return () => clock.unsafeCurrentTimeMillis()
  const settled = Promise.resolve()
  let last = Number.NaN
  let equalReadings = 0
  let reuses = 0
  let isResetScheduled = false
  const reset = () => {
    isResetScheduled = false
    equalReadings = 0
    reuses = 0
  }
  const read = (): number => {
    const now = clock.unsafeCurrentTimeMillis()
    if (now !== last) {
      last = now
      equalReadings = 0
    } else if (++equalReadings >= readingsBeforeReuse) {
      reuses = readingsBeforeReuse - 1
      if (!isResetScheduled) {
        isResetScheduled = true
        void settled.then(reset)
      }
    }
    return now
  }
  return () => {
    if (reuses === 0) return read()
    reuses--
    return last
  }
}
