/** The only places where a test may wait for real time, each with the reason why nothing announces the event. */
import * as Effect from "effect/Effect"

/**
 * Waits until the condition holds. It polls because the operating system announces none of these events to the test: a packet on
 * its way, a process that stops, a file that appears. The test's own time limit bounds it.
 */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    let timer: NodeJS.Timeout | undefined
    const poll = () => {
      if (holds()) return resume(Effect.void)
      timer = setTimeout(poll, 2)
    }
    poll()
    return Effect.sync(() => clearTimeout(timer))
  })

/** {@link eventually}, for a condition that takes an effect to find out. */
export const eventuallyEffect = <E, R>(holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.asVoid(Effect.repeat(
    Effect.zipLeft(
      holds,
      Effect.async<void>((resume) => {
        const timer = setTimeout(() => resume(Effect.void), 2)
        return Effect.sync(() => clearTimeout(timer))
      })
    ),
    { until: (isTrue) => isTrue }
  ))

/** Lets pending I/O callbacks and immediates run: one turn of the event loop. It waits for no duration. */
export const nextTurn: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})
