import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { TimerUnit } from "../model/settings.js"
import type { Timers } from "./Client.js"
import type { RecordSink } from "./recordSink.js"

/** Measures the durations of effects. */
export interface Stopwatch {
  /** Returns the unit of a timer, or the client's unit if the timer has none. */
  readonly unitOf: (options: { readonly unit?: TimerUnit | undefined } | undefined) => TimerUnit
  /** Runs the effect and passes its duration and its exit to `record`, whatever the exit. */
  readonly measure: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    unit: TimerUnit,
    record: (duration: number, exit: Exit.Exit<A, E>) => void
  ) => Effect.Effect<A, E, R>
}

/** A unit that does not exist makes a duration that is not a number, which is dropped as an invalid value. */
const nanosPerUnit: ReadonlyMap<unknown, number> = /*#__PURE__*/ new Map([["seconds", 1e9], ["milliseconds", 1e6]])

/** Creates a stopwatch that reads the client's clock. */
export const makeStopwatch = (clock: Clock.Clock, defaultUnit: TimerUnit): Stopwatch => ({
  unitOf(options) {
    try {
      return options?.unit ?? defaultUnit
    } catch {
      // A getter among the caller's options must not change the exit of the timed effect.
      return defaultUnit
    }
  },
  measure: (effect, unit, record) =>
    Effect.suspend(() => {
      const start = clock.unsafeCurrentTimeNanos()
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          const nanos = Number(clock.unsafeCurrentTimeNanos() - start)
          record(nanos / (nanosPerUnit.get(unit) ?? Number.NaN), exit)
        }))
    })
})

/** Creates the operation that records the duration of an effect under a name. */
export const makeTimers = ({ point }: Pick<RecordSink, "point">, stopwatch: Stopwatch): Timers => ({
  timer: (effect, name, options) =>
    stopwatch.measure(effect, stopwatch.unitOf(options), (duration, exit) =>
      point("timing", name, duration, {
        // Getters, because the caller's options and tag function may throw: the sink catches and counts that.
        get host() {
          return options?.host
        },
        get tags() {
          const tags = options?.tags
          return typeof tags === "function" ? tags(exit) : tags
        }
      }))
})
