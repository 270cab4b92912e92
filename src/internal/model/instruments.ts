import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { TimerUnit } from "./settings.js"
import type { Tags } from "./tags.js"
import type { TimeInput } from "./time.js"

/** Options of one recorded point. */
export interface PointOptions {
  /** Time of the measurement. Default: the time of the call. Zero is a valid time. */
  readonly timestamp?: TimeInput | undefined
  /** Tags of the point, in addition to the client's constant tags. Default: none. */
  readonly tags?: Tags | undefined
  /** Host of the point. Default: none. The empty string stands for the client's own host name. */
  readonly host?: string | null | undefined
}

/** Options of a timer. */
export interface TimerOptions<A = unknown, E = unknown> {
  /** Tags of the timing, or a function that derives them from the exit of the timed effect. Default: none. */
  readonly tags?: Tags | ((exit: Exit.Exit<A, E>) => Tags) | undefined
  /** Host of the timing. Default: none. The empty string stands for the client's own host name. */
  readonly host?: string | null | undefined
  /** Unit of the recorded value. Default: the client's `timerUnit`, which defaults to seconds. */
  readonly unit?: TimerUnit | undefined
}

/** Options that a bound instrument fixes in addition to its name. */
export interface InstrumentOptions {
  /** Tags of every point, in addition to the client's constant tags. Default: none. */
  readonly tags?: Tags | undefined
  /** Host of every point. Default: none. The empty string stands for the client's own host name. */
  readonly host?: string | null | undefined
}

/** Options of a bound timing. */
export interface BoundTimingOptions extends InstrumentOptions {
  /** Unit of the values that `timer` records. Default: the client's `timerUnit`, which defaults to seconds. */
  readonly unit?: TimerUnit | undefined
}

/** Counter with a fixed name, tags and host. */
export interface BoundCounter {
  /** Adds to the counter. Default: 1. */
  readonly increment: (value?: number) => Effect.Effect<void>
  /** Subtracts from the counter. Default: 1. */
  readonly decrement: (value?: number) => Effect.Effect<void>
  /** Adds to the counter at once, outside of Effect. Default: 1. */
  readonly unsafeIncrement: (value?: number) => void
  /** Subtracts from the counter at once, outside of Effect. Default: 1. */
  readonly unsafeDecrement: (value?: number) => void
}

/** Gauge with a fixed name, tags and host. */
export interface BoundGauge {
  /** Sets the current value. */
  readonly set: (value: number) => Effect.Effect<void>
  /** Sets the current value at once, outside of Effect. */
  readonly unsafeSet: (value: number) => void
}

/** Histogram or distribution with a fixed name, tags and host. */
export interface BoundValues {
  /** Records one value. */
  readonly record: (value: number) => Effect.Effect<void>
  /** Records one value at once, outside of Effect. */
  readonly unsafeRecord: (value: number) => void
}

/** Timing with a fixed name, tags and host. */
export interface BoundTiming extends BoundValues {
  /** Runs the effect and records its duration, whatever its exit. */
  readonly timer: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Set with a fixed name, tags and host. */
export interface BoundSet {
  /** Adds a member. */
  readonly add: (member: string | number) => Effect.Effect<void>
  /** Adds a member at once, outside of Effect. */
  readonly unsafeAdd: (member: string | number) => void
}
