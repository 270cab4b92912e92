import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventOptions } from "../model/eventBuilder.js"
import type {
  BoundCounter,
  BoundGauge,
  BoundSet,
  BoundTiming,
  BoundTimingOptions,
  BoundValues,
  InstrumentOptions,
  PointOptions,
  TimerOptions
} from "../model/instruments.js"
import type { Kind } from "../model/metricKinds.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import type { FlushOptions, FlushReceipt, Stats } from "../model/Stats.js"

type RecordValue<Value, Out> = (name: string, value: Value, options?: PointOptions) => Out
type RecordCount<Out> = (name: string, value?: number, options?: PointOptions) => Out
type RecordEvent<Out> = (title: string, text: string, options?: EventOptions) => Out

/** Two operations for each kind, in Effect and outside. Counters have {@link Recorders.increment} and {@link Recorders.decrement}. */
type RecorderOfEachKind =
  & { readonly [K in Exclude<Kind, "counter">]: RecordValue<never, Effect.Effect<void>> }
  & { readonly [K in Exclude<Kind, "counter"> as `unsafe${Capitalize<K>}`]: RecordValue<never, void> }

/** Operations that record one point or event each. */
export interface Recorders extends RecorderOfEachKind {
  /** Sets the current value of a gauge. The client reports the last value of each roll-up interval. */
  readonly gauge: RecordValue<number, Effect.Effect<void>>
  /** Adds to a counter. Default: 1. The client reports a rate per second, or on Lambda a distribution. */
  readonly increment: RecordCount<Effect.Effect<void>>
  /** Subtracts from a counter. Default: 1. */
  readonly decrement: RecordCount<Effect.Effect<void>>
  /** Records one value of a histogram: minimum, maximum, rate, average and percentiles, computed by this process. */
  readonly histogram: RecordValue<number, Effect.Effect<void>>
  /** Records one value of a distribution. Datadog computes its percentiles over all senders. */
  readonly distribution: RecordValue<number, Effect.Effect<void>>
  /** Records a duration, in the unit of your choice. The client reports it like a histogram. */
  readonly timing: RecordValue<number, Effect.Effect<void>>
  /** Adds a member to a set. The client reports the number of different members. */
  readonly set: RecordValue<string | number, Effect.Effect<void>>
  /** Records an event. The client cuts its text to 4000 characters. */
  readonly event: RecordEvent<Effect.Effect<void>>

  /** {@link gauge} for code outside of Effect. */
  readonly unsafeGauge: RecordValue<number, void>
  /** {@link increment} for code outside of Effect. */
  readonly unsafeIncrement: RecordCount<void>
  /** {@link decrement} for code outside of Effect. */
  readonly unsafeDecrement: RecordCount<void>
  /** {@link histogram} for code outside of Effect. */
  readonly unsafeHistogram: RecordValue<number, void>
  /** {@link distribution} for code outside of Effect. */
  readonly unsafeDistribution: RecordValue<number, void>
  /** {@link timing} for code outside of Effect. */
  readonly unsafeTiming: RecordValue<number, void>
  /** {@link set} for code outside of Effect. */
  readonly unsafeSet: RecordValue<string | number, void>
  /** {@link event} for code outside of Effect. */
  readonly unsafeEvent: RecordEvent<void>
}

type InstrumentOfEachKind = {
  readonly [K in Kind as `bind${Capitalize<K>}`]: (name: string, options?: InstrumentOptions) => object
}

/** Operations that bind an instrument to a name, tags and a host. */
export interface Instruments extends InstrumentOfEachKind {
  /**
   * Binds a counter to a name, tags and a host. It counts like {@link Recorders.increment} and {@link Recorders.decrement}, more
   * than twice as fast, because the client validates name, tags and host once. Binding never fails. If Datadog would refuse the name,
   * the tags or the host, the client drops and counts each point. The counter stays valid as long as the client, across flushes.
   */
  readonly bindCounter: (name: string, options?: InstrumentOptions) => BoundCounter
  /** Binds a gauge, like {@link bindCounter}. */
  readonly bindGauge: (name: string, options?: InstrumentOptions) => BoundGauge
  /** Binds a histogram, like {@link bindCounter}. */
  readonly bindHistogram: (name: string, options?: InstrumentOptions) => BoundValues
  /** Binds a distribution, like {@link bindCounter}. */
  readonly bindDistribution: (name: string, options?: InstrumentOptions) => BoundValues
  /** Binds a timing and its timer, like {@link bindCounter}. */
  readonly bindTiming: (name: string, options?: BoundTimingOptions) => BoundTiming
  /** Binds a set, like {@link bindCounter}. */
  readonly bindSet: (name: string, options?: InstrumentOptions) => BoundSet
}

/** Operation that records the duration of an effect. */
export interface Timers {
  /** Runs the effect and records its duration as a timing, whatever its exit. */
  readonly timer: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ) => Effect.Effect<A, E, R>
}

/** Operations that deliver recorded points and events. */
export interface Flushes {
  /**
   * Delivers all recorded points and events. Never fails, and takes `flushTimeout` at most. Points and events that it cannot deliver
   * stay pending for the next flush. One flush runs at a time: calls made meanwhile share the next one and its receipt. If all callers of
   * a flush are interrupted, it ends at once, and its points and events stay pending.
   */
  readonly flush: (options?: FlushOptions) => Effect.Effect<FlushReceipt>
  /** Numbers of the client since its layer was built. */
  readonly stats: Effect.Effect<Stats>
  /**
   * Runs a hook at the beginning of every flush while the scope is open, and once more when the scope closes. Use it to record
   * values that are measured on demand. The hook must not wait. If it throws, the client logs a warning and continues the flush.
   * A combined reporter runs the hook at the beginning of every {@link flush}, and at every flush interval.
   */
  readonly onFlush: (hook: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** Opens the connection of the reporter before the first flush. Never fails. */
  readonly warm: Effect.Effect<void>
}

/** Operations of the `ThreadStats` service. */
export interface Client extends Recorders, Instruments, Timers, Flushes {
  /** Settings of the client, resolved. */
  readonly config: ThreadStatsSettings
}
