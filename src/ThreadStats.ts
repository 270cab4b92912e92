/**
 * The client: record metrics and events, time effects, flush.
 *
 * Recording is a plain synchronous write that never fails, throws, blocks or logs. What is recorded is rolled up in
 * process and delivered by the `Reporter`: every ten seconds, when asked to, and when the layer's scope closes.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as DogStatsDReporter from "./DogStatsDReporter.js"
import type { Event } from "./Event.js"
import * as EventsAggregator from "./EventsAggregator.js"
import * as HttpReporter from "./HttpReporter.js"
import * as RecordingClock from "./internal/aggregation/coarseClock.js"
import { BoundRecording, PointRecording, Recorder } from "./internal/aggregation/recordEffect.js"
import * as Ledger from "./internal/model/DropCounters.js"
import * as makeEvent from "./internal/model/eventBuilder.js"
import * as limits from "./internal/model/limits.js"
import type { Tags } from "./internal/model/tags.js"
import { type TimeInput, toMillis, windowFault } from "./internal/model/time.js"
import { flushBeforeExit } from "./internal/pipeline/beforeExit.js"
import type { BreakerState } from "./internal/pipeline/CircuitBreaker.js"
import * as fanOut from "./internal/pipeline/fanOut.js"
import { request as flushRequest } from "./internal/pipeline/FlushCoordinator.js"
import type { Pipeline, PipelineServices } from "./internal/pipeline/Pipeline.js"
import { emptyFlush, noStats, type PreAggregationDrops } from "./internal/pipeline/PipelineState.js"
import * as auto from "./internal/reporters/autoSelect.js"
import * as noop from "./internal/reporters/noop.js"
import { logFrom } from "./internal/runtime/log.js"
import * as alarm from "./internal/runtime/timer.js"
import * as unrefClock from "./internal/runtime/unrefClock.js"
import * as MetricsAggregator from "./MetricsAggregator.js"
import * as Reporter from "./Reporter.js"
import { RetainedStore } from "./RetainedStore.js"
import * as RollUp from "./RollUp.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

export type {
  /**
   * The settings of one event.
   *
   * @since 0.1.0
   * @category models
   */
  EventOptions
} from "./internal/model/eventBuilder.js"

export type {
  /**
   * Tags as an array of strings or as a record. Duplicates collapse, empty tags are left out, and the caller's own array
   * or record is never kept.
   *
   * @since 0.1.0
   * @category models
   */
  Tags
} from "./internal/model/tags.js"

export type {
  /**
   * A moment: a `Date`, a `DateTime`, or milliseconds since the epoch.
   *
   * @since 0.1.0
   * @category models
   */
  TimeInput
} from "./internal/model/time.js"

/**
 * The settings of one recorded point.
 *
 * @since 0.1.0
 * @category models
 */
export interface PointOptions {
  /** When it was measured. Default: now. Zero is a time. */
  readonly timestamp?: TimeInput | undefined
  readonly tags?: Tags | undefined
  /** Default: none. The empty string is the client's own host name. */
  readonly host?: string | null | undefined
}

/**
 * The settings of a timer.
 *
 * @since 0.1.0
 * @category models
 */
export interface TimerOptions<A = unknown, E = unknown> {
  /** Tags, or how to tell them from how the effect ended. */
  readonly tags?: Tags | ((exit: Exit.Exit<A, E>) => Tags) | undefined
  readonly host?: string | null | undefined
  /** Default: the client's `timerUnit`, which is seconds unless set. */
  readonly unit?: ThreadStatsConfig.TimerUnit | undefined
}

/**
 * What a bound instrument is fixed to, besides its name.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstrumentOptions {
  /** Default: none. */
  readonly tags?: Tags | undefined
  /** Default: none. The empty string is the client's own host name. */
  readonly host?: string | null | undefined
}

/**
 * A counter with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundCounter {
  /** Adds to it (default 1). */
  readonly increment: (value?: number) => Effect.Effect<void>
  /** Takes from it (default 1). */
  readonly decrement: (value?: number) => Effect.Effect<void>
  readonly unsafeIncrement: (value?: number) => void
  readonly unsafeDecrement: (value?: number) => void
}

/**
 * A gauge with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundGauge {
  /** What it measures is this now. */
  readonly set: (value: number) => Effect.Effect<void>
  readonly unsafeSet: (value: number) => void
}

/**
 * A histogram or distribution with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundValues {
  /** Takes one of many values. */
  readonly record: (value: number) => Effect.Effect<void>
  readonly unsafeRecord: (value: number) => void
}

/**
 * A timing with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundTiming extends BoundValues {
  /** Runs the effect and records how long it took, however it ends. */
  readonly timer: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/**
 * The settings of a bound timing.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundTimingOptions extends InstrumentOptions {
  /** Of what `timer` records. Default: the client's `timerUnit`, which is seconds unless set. */
  readonly unit?: ThreadStatsConfig.TimerUnit | undefined
}

/**
 * A set with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category models
 */
export interface BoundSet {
  /** Adds a member. */
  readonly add: (member: string | number) => Effect.Effect<void>
  readonly unsafeAdd: (member: string | number) => void
}

/**
 * Why a point was dropped: the aggregator's reasons, and
 *
 * - `NameTooLong`: more than 200 characters with namespace and suffix
 * - `TooOld`, `TooNew`: recorded for more than 1 hour ago or 10 minutes ahead
 * - `Refused`: the receiver will never take it, as the warning of that flush says
 * - `Ambiguous`: it may have arrived, and with `delivery: "at-most-once"` it is not sent again
 * - `Corrupt`: an earlier process left it in the `RetainedStore`, where it could not be read
 *
 * @since 0.1.0
 * @category models
 */
export type MetricDropReason =
  | MetricsAggregator.DropReason
  | "NameTooLong"
  | "TooOld"
  | "TooNew"
  | "Refused"
  | "Ambiguous"
  | "Corrupt"

/**
 * Why an event was dropped.
 *
 * - `InvalidEvent`: no title, or a title, text or option of the wrong type
 * - `TooOld`, `TooNew`: for more than 18 hours ago or 2 hours ahead
 * - `InvalidTags`, `TagTooLong`, `InvalidTimestamp`: as for points
 * - `TooManyEvents`, `Expired`: it could not be delivered, and had to make room or became too old
 * - `Refused`: the receiver will never take it
 * - `Ambiguous`: it may have arrived, and with `delivery: "at-most-once"` it is not sent again
 * - `Corrupt`: an earlier process left it in the `RetainedStore`, where it could not be read
 *
 * @since 0.1.0
 * @category models
 */
export type EventDropReason = makeEvent.EventFault | EventsAggregator.DropReason | "Refused" | "Ambiguous" | "Corrupt"

/**
 * What became of everything recorded since the layer was built:
 * `received` = `delivered` + `held` + the sum of `dropped`, at any moment.
 *
 * With a combined reporter, what is recorded once counts once for each branch, here and in a {@link FlushReceipt}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts<Reason extends string> {
  readonly received: number
  readonly delivered: number
  /** Not delivered yet: in a bucket, or in a flush that is running. */
  readonly held: number
  readonly dropped: { readonly [R in Reason]?: number }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  readonly metrics: Counts<MetricDropReason>
  readonly events: Counts<EventDropReason>
  /** Contexts with something to report. */
  readonly contexts: number
  readonly flushes: number
  /** Payloads that were accepted, and their bytes on the wire. */
  readonly payloads: number
  readonly bytes: number
  /** How often a payload was sent again within a flush. */
  readonly retries: number
  /**
   * `"open"` after three flushes in a row that used half their time or more and delivered nothing: for 30 seconds (then 60,
   * 120, up to 300) a flush tries nothing, costs nothing, and keeps everything. `"half-open"`: the next flush tries again.
   */
  readonly breaker: BreakerState
  /** What the last flush failed with, if it did. */
  readonly lastError: Reporter.ReporterError | undefined
  /**
   * Of a combined reporter, the same for each branch, in order. The numbers above are their sums, `breaker` is the worst
   * one, and `lastError` the first there is.
   */
  readonly branches?: ReadonlyArray<Stats> | undefined
}

/**
 * What one flush did. The numbers are recorded points and events, not series.
 *
 * @since 0.1.0
 * @category models
 */
export interface FlushReceipt {
  readonly metrics: FlushCounts
  readonly events: FlushCounts
  readonly payloads: number
  readonly bytes: number
  readonly retries: number
  readonly errors: ReadonlyArray<Reporter.ReporterError>
  /** Nothing was tried, and everything kept, because the breaker is open ({@link Stats.breaker}). */
  readonly skipped: boolean
  /** Of a combined reporter, the same for each branch, in order. The numbers above are their sums. */
  readonly branches?: ReadonlyArray<FlushReceipt> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FlushCounts {
  readonly delivered: number
  /** Not delivered, and kept for the next flush. */
  readonly kept: number
  /** Refused for good, or not to be sent a second time. */
  readonly dropped: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FlushOptions {
  /** Send only the buckets that end at or before the bucket of this moment. Default: everything, the open one too. */
  readonly upTo?: TimeInput | undefined
  /** The most time it may take, where that is less than `flushTimeout`. What is no duration is ignored. */
  readonly timeout?: Duration.DurationInput | undefined
}

type Record<V, Out> = (name: string, value: V, options?: PointOptions) => Out
type Count<Out> = (name: string, value?: number, options?: PointOptions) => Out
type RecordEvent<Out> = (title: string, text: string, options?: makeEvent.EventOptions) => Out

/**
 * The client. Its operations never fail; the `unsafe` ones are the same for code outside Effect, and never throw.
 *
 * @since 0.1.0
 * @category tags
 */
export class ThreadStats extends /*#__PURE__*/ Context.Tag("effect-threadstats/ThreadStats")<ThreadStats, {
  /** The settings in force. */
  readonly config: ThreadStatsConfig.ThreadStatsSettings

  /** The value of something now; the last one of a roll-up interval is reported. */
  readonly gauge: Record<number, Effect.Effect<void>>
  /** Adds to a counter (default 1), which is reported as a rate per second, or on Lambda as a distribution. */
  readonly increment: Count<Effect.Effect<void>>
  /** Takes from a counter (default 1). */
  readonly decrement: Count<Effect.Effect<void>>
  /** One of many values, reported as minimum, maximum, rate, average and percentiles of this process. */
  readonly histogram: Record<number, Effect.Effect<void>>
  /** One of many values, of which Datadog computes percentiles over all senders. */
  readonly distribution: Record<number, Effect.Effect<void>>
  /** A duration, in the unit of your choice, reported like a histogram. */
  readonly timing: Record<number, Effect.Effect<void>>
  /** A member of a set, which is reported as the number of different members. */
  readonly set: Record<string | number, Effect.Effect<void>>
  /** An event. Over-long texts are cut to 4000 characters. */
  readonly event: RecordEvent<Effect.Effect<void>>

  readonly unsafeGauge: Record<number, void>
  readonly unsafeIncrement: Count<void>
  readonly unsafeDecrement: Count<void>
  readonly unsafeHistogram: Record<number, void>
  readonly unsafeDistribution: Record<number, void>
  readonly unsafeTiming: Record<number, void>
  readonly unsafeSet: Record<string | number, void>
  readonly unsafeEvent: RecordEvent<void>

  /**
   * A counter whose name, tags and host are looked at once, which makes counting more than twice as fast; it counts the same
   * as {@link increment} and {@link decrement}. Binding never fails: what Datadog would refuse is dropped, and counted
   * under its reason, point by point. It holds as long as the client, over any number of flushes.
   */
  readonly bindCounter: (name: string, options?: InstrumentOptions) => BoundCounter
  /** The same for {@link gauge}. */
  readonly bindGauge: (name: string, options?: InstrumentOptions) => BoundGauge
  /** The same for {@link histogram}. */
  readonly bindHistogram: (name: string, options?: InstrumentOptions) => BoundValues
  /** The same for {@link distribution}. */
  readonly bindDistribution: (name: string, options?: InstrumentOptions) => BoundValues
  /** The same for {@link timing} and {@link timer}. */
  readonly bindTiming: (name: string, options?: BoundTimingOptions) => BoundTiming
  /** The same for {@link set}. */
  readonly bindSet: (name: string, options?: InstrumentOptions) => BoundSet

  /** Runs the effect and records how long it took as a timing, however it ends. */
  readonly timer: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ) => Effect.Effect<A, E, R>

  /**
   * Delivers what was recorded. It never fails, and takes at most `flushTimeout`; what could not be delivered is kept
   * for the next flush. One flush runs at a time: who comes while one is under way waits, and then delivers what is left
   * together with all others who waited, and gets the same receipt. A flush whose callers are all interrupted ends at once
   * and keeps what it took.
   */
  readonly flush: (options?: FlushOptions) => Effect.Effect<FlushReceipt>
  readonly stats: Effect.Effect<Stats>
  /**
   * Has something recorded at the beginning of every flush, while the scope is open and once more when it closes: for what
   * is measured only when somebody looks. The function must not wait; what it throws is logged, and changes nothing.
   * With a combined reporter: at the beginning of every {@link flush}, and on the interval.
   */
  readonly onFlush: (record: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** Opens the reporter's connection ahead of the first flush. Never fails. */
  readonly warm: Effect.Effect<void>
}>() {}

type Service = ThreadStats["Type"]

const kinds: ReadonlyArray<RollUp.Kind> = ["counter", "gauge", "set", "histogram", "timing", "distribution"]

/** What is left for a name of each kind, in characters. */
const nameLengths = (config: ThreadStatsConfig.ThreadStatsSettings): { readonly [K in RollUp.Kind]: number } => {
  const prefix = config.namespace === "" ? 0 : config.namespace.length + 1
  return Object.fromEntries(
    kinds.map((kind) => [kind, limits.nameLength - prefix - RollUp.maxSuffixLength(kind, config)])
  ) as { readonly [K in RollUp.Kind]: number }
}

/** What is no number stays as it is, for the aggregator to drop. */
const negate = (value: number): number => typeof value === "number" ? -value : value

type Recorders = Pick<Service, Exclude<keyof Service, "config" | "flush" | "onFlush" | "stats" | "warm">>

const makeRecorders = (options: {
  readonly point: Recorder["point"]
  readonly bind: (
    kind: RollUp.Kind,
    name: string,
    options: InstrumentOptions | undefined
  ) => (value?: RollUp.Value) => void
  readonly event: (title: string, text: string, options: makeEvent.EventOptions | undefined) => void
  readonly clock: Clock.Clock
  readonly timerUnit: ThreadStatsConfig.TimerUnit
}): Recorders => {
  const { bind, clock, event, point } = options
  const recorder = new Recorder(point)
  const elapsed = (start: bigint, unit: ThreadStatsConfig.TimerUnit) =>
    Number(clock.unsafeCurrentTimeNanos() - start) / (unit === "milliseconds" ? 1e6 : 1e9)
  const values = (kind: "histogram" | "distribution" | "timing", name: string, options?: InstrumentOptions) => {
    const unsafeRecord = bind(kind, name, options)
    return { record: (value: number) => new BoundRecording(recorder, unsafeRecord, value), unsafeRecord }
  }
  const unitOf = (timer: { readonly unit?: ThreadStatsConfig.TimerUnit | undefined } | undefined) => {
    try {
      return timer?.unit ?? options.timerUnit
    } catch {
      // a getter of the caller's must not change how the effect ends
      return options.timerUnit
    }
  }
  const recordTime = <A, E>(name: string, start: bigint, exit: Exit.Exit<A, E>, timer: TimerOptions<A, E>) => {
    const time = elapsed(start, unitOf(timer))
    // read where what throws is caught and counted
    point("timing", name, time, {
      get host() {
        return timer?.host
      },
      get tags() {
        const tags = timer?.tags
        return typeof tags === "function" ? tags(exit) : tags
      }
    })
  }
  const record = (kind: RollUp.Kind, name: string, value: RollUp.Value, options: PointOptions | undefined) =>
    new PointRecording(recorder, kind, name, value, options)
  return {
    gauge: (name, value, options) => record("gauge", name, value, options),
    increment: (name, value = 1, options) => record("counter", name, value, options),
    decrement: (name, value = 1, options) => record("counter", name, negate(value), options),
    histogram: (name, value, options) => record("histogram", name, value, options),
    distribution: (name, value, options) => record("distribution", name, value, options),
    timing: (name, value, options) => record("timing", name, value, options),
    set: (name, value, options) => record("set", name, value, options),
    event: (title, text, options) => Effect.sync(() => event(title, text, options)),
    unsafeGauge: (name, value, options) => point("gauge", name, value, options),
    unsafeIncrement: (name, value = 1, options) => point("counter", name, value, options),
    unsafeDecrement: (name, value = 1, options) => point("counter", name, negate(value), options),
    unsafeHistogram: (name, value, options) => point("histogram", name, value, options),
    unsafeDistribution: (name, value, options) => point("distribution", name, value, options),
    unsafeTiming: (name, value, options) => point("timing", name, value, options),
    unsafeSet: (name, value, options) => point("set", name, value, options),
    unsafeEvent: (title, text, options) => event(title, text, options),
    bindCounter(name, options) {
      const unsafeIncrement = bind("counter", name, options)
      const unsafeDecrement = (value = 1) => unsafeIncrement(negate(value))
      return {
        increment: (value) => new BoundRecording(recorder, unsafeIncrement, value),
        decrement: (value) => new BoundRecording(recorder, unsafeDecrement, value),
        unsafeIncrement,
        unsafeDecrement
      }
    },
    bindGauge(name, options) {
      const unsafeSet = bind("gauge", name, options)
      return { set: (value) => new BoundRecording(recorder, unsafeSet, value), unsafeSet }
    },
    bindHistogram: (name, options) => values("histogram", name, options),
    bindDistribution: (name, options) => values("distribution", name, options),
    bindTiming(name, options) {
      const { record, unsafeRecord } = values("timing", name, options)
      const unit = unitOf(options)
      return {
        record,
        unsafeRecord,
        timer: (effect) =>
          Effect.suspend(() => {
            const start = clock.unsafeCurrentTimeNanos()
            return Effect.onExit(effect, () => Effect.sync(() => unsafeRecord(elapsed(start, unit))))
          })
      }
    },
    bindSet(name, options) {
      const unsafeAdd = bind("set", name, options)
      return { add: (value) => new BoundRecording(recorder, unsafeAdd, value), unsafeAdd }
    },
    timer: (effect, name, options = {}) =>
      Effect.suspend(() => {
        const start = clock.unsafeCurrentTimeNanos()
        return Effect.onExit(effect, (exit) => Effect.sync(() => recordTime(name, start, exit, options)))
      })
  }
}

/** Records and sends nothing. */
const makeDisabled = (config: ThreadStatsConfig.ThreadStatsSettings, clock: Clock.Clock): Service => {
  return {
    config,
    ...makeRecorders({
      point: () => {},
      bind: () => () => {},
      event: () => {},
      clock,
      timerUnit: config.timerUnit
    }),
    timer: (effect) => effect,
    flush: () => Effect.succeed(emptyFlush),
    onFlush: () => Effect.void,
    stats: Effect.succeed(noStats),
    warm: Effect.void
  }
}

/**
 * A client for settings that are resolved already.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig = (
  config: ThreadStatsConfig.ThreadStatsSettings
): Effect.Effect<
  Service,
  never,
  MetricsAggregator.MetricsAggregator | EventsAggregator.EventsAggregator | Reporter.Reporter | Scope.Scope
> =>
  makeWithPipeline(
    config,
    (services) => Effect.flatMap(Reporter.Reporter, (reporter) => fanOut.make(services, reporter))
  )

/** Makes a client over a pipeline. */
const makeWithPipeline = <E, R>(
  config: ThreadStatsConfig.ThreadStatsSettings,
  makePipeline: (services: PipelineServices) => Effect.Effect<Pipeline, E, R>
): Effect.Effect<
  Service,
  E,
  MetricsAggregator.MetricsAggregator | EventsAggregator.EventsAggregator | Scope.Scope | R
> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    if (config.disabled) return makeDisabled(config, clock)

    const aggregator = yield* MetricsAggregator.MetricsAggregator
    const eventsAggregator = yield* EventsAggregator.EventsAggregator
    const store = yield* Effect.serviceOption(RetainedStore)

    const readNow = RecordingClock.make(clock)
    const maxNameLength = nameLengths(config)
    const shortest = Math.min(...Object.values(maxNameLength))
    const pointWindow = config.timestamps === "any" ? undefined : limits.pointWindow
    const front: PreAggregationDrops = {
      received: { metrics: 0, events: 0 },
      metricDrops: Ledger.make<MetricDropReason>(),
      eventDrops: Ledger.make<EventDropReason>()
    }
    const watched = new Set<() => void>()

    const look = (record: () => void) =>
      Effect.catchAllCause(
        Effect.sync(record),
        (cause) => logFrom("ThreadStats")(Effect.logWarning("A flush hook failed", cause))
      )

    const lookAtAll = Effect.suspend(() => Effect.forEach(watched, look, { discard: true }))

    const onFlush: Service["onFlush"] = (record) => {
      /** Each registration is one of its own, also of the same function. */
      const own = () => record()
      return Effect.acquireRelease(
        Effect.sync(() => watched.add(own)),
        () => Effect.zipRight(Effect.sync(() => watched.delete(own)), look(own))
      )
    }

    const way = yield* makePipeline({
      config,
      clock,
      preAggregation: front,
      aggregator,
      eventsAggregator,
      store,
      onFlushStart: lookAtAll
    })

    const dropPoint = (reason: MetricDropReason, name: unknown) => {
      front.received.metrics++
      front.metricDrops.count(reason, name)
    }

    const isTooLong = (kind: RollUp.Kind, name: unknown): boolean =>
      typeof name === "string" && name.length > shortest && name.length > maxNameLength[kind]

    const point = (
      kind: RollUp.Kind,
      name: string,
      value: RollUp.Value,
      options: PointOptions | undefined
    ): void => {
      if (isTooLong(kind, name)) return dropPoint("NameTooLong", name)
      const now = readNow()
      if (options === undefined) return way.unsafeAdd(kind, name, value, now, now, undefined)
      try {
        const timestamp = options?.timestamp
        if (timestamp === undefined) return way.unsafeAdd(kind, name, value, now, now, options)
        const time = toMillis(timestamp)
        const fault = windowFault(time, now, pointWindow)
        return fault === undefined
          ? way.unsafeAdd(kind, name, value, time, now, options)
          : dropPoint(fault, name)
      } catch {
        // A getter or a proxy among the options threw.
        dropPoint("InvalidTimestamp", name)
      }
    }

    const bind = (kind: RollUp.Kind, name: string, options: InstrumentOptions | undefined) => {
      if (isTooLong(kind, name)) return () => dropPoint("NameTooLong", name)
      return way.bind(kind, name, options, readNow)
    }

    const event = (title: string, text: string, options: makeEvent.EventOptions = {}): void => {
      const now = clock.unsafeCurrentTimeMillis()
      let made: Event | makeEvent.EventFault
      try {
        made = makeEvent.make(config, now, title, text, options)
      } catch {
        made = "InvalidEvent"
      }
      if (typeof made !== "string") return way.unsafeAddEvent(made, now)
      front.received.events++
      front.eventDrops.count(made, title)
    }

    const flush: Service["flush"] = (options) =>
      Effect.suspend(() => {
        const now = clock.unsafeCurrentTimeMillis()
        const idle = watched.size === 0 ? way.idle(now) : undefined
        if (idle !== undefined) return Effect.succeed(idle)
        let upTo: number | undefined
        let timeout: Duration.Duration | undefined
        try {
          upTo = options?.upTo === undefined ? undefined : toMillis(options.upTo)
          const given = options?.timeout
          if (given !== undefined) timeout = Option.getOrUndefined(Duration.decodeUnknown(given))
        } catch {
          // no moment: everything
        }
        return way.flush(flushRequest(config, now, { upTo, timeout }))
      })

    /** There is no later one, so it tries in any case. */
    const lastFlush = Effect.suspend(() =>
      way.flush(flushRequest(config, clock.unsafeCurrentTimeMillis(), { isFinal: true }))
    )

    yield* way.load

    // The last flush is registered before the loops are forked: finalizers run last-in first-out.
    yield* Effect.addFinalizer(() => lastFlush)
    if (config.periodicFlush && Duration.isFinite(config.flushInterval)) {
      const runtime = yield* Effect.runtime()
      const interval = Duration.toMillis(config.flushInterval)
      for (const effect of way.periodic) {
        const stop = alarm.every(clock, runtime, interval, Effect.interruptible(effect))
        yield* Effect.addFinalizer(() => Effect.sync(stop))
      }
      if (unrefClock.isLive(clock)) yield* flushBeforeExit(lastFlush)
    }

    return {
      config,
      ...makeRecorders({ point, bind, event, clock, timerUnit: config.timerUnit }),
      flush,
      onFlush,
      stats: way.stats,
      warm: way.warm
    }
  })

/**
 * A client with the options given, else what the environment says, else the defaults.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: ThreadStatsConfig.ThreadStatsOptions): Effect.Effect<
  Service,
  ConfigError,
  MetricsAggregator.MetricsAggregator | EventsAggregator.EventsAggregator | Reporter.Reporter | Scope.Scope
> => Effect.flatMap(ThreadStatsConfig.make(options), fromConfig)

/**
 * A client over aggregators and a reporter of your choice. They are told their settings themselves: the roll-up
 * interval, percentiles and aggregates belong to the `MetricsAggregator`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: ThreadStatsConfig.ThreadStatsOptions): Layer.Layer<
  ThreadStats,
  ConfigError,
  MetricsAggregator.MetricsAggregator | EventsAggregator.EventsAggregator | Reporter.Reporter
> => Layer.scoped(ThreadStats, make(options))

/**
 * A client that delivers to Datadog over HTTP, with aggregators of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpWith = (
  options?: ThreadStatsConfig.ThreadStatsOptions
): Layer.Layer<ThreadStats, ConfigError, HttpClient.HttpClient> =>
  Layer.scoped(
    ThreadStats,
    Effect.flatMap(ThreadStatsConfig.make(options), (config) =>
      withAggregators(
        config,
        Effect.provideServiceEffect(fromConfig(config), Reporter.Reporter, HttpReporter.make(config))
      ))
  )

/** Aggregators made here, and not layers: a layer constant would be shared by two clients that are built together. */
const withAggregators = <A, E, R>(config: ThreadStatsConfig.ThreadStatsSettings, self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provideServiceEffect(MetricsAggregator.MetricsAggregator, MetricsAggregator.fromConfig(config)),
    Effect.provideServiceEffect(EventsAggregator.EventsAggregator, EventsAggregator.fromConfig(config))
  )

/**
 * {@link layerHttpWith} with each option read from a `Config` of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<ThreadStatsConfig.ThreadStatsOptions>
): Layer.Layer<ThreadStats, ConfigError, HttpClient.HttpClient> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layerHttpWith))

/**
 * {@link layerHttpWith} with the settings of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttp: Layer.Layer<ThreadStats, ConfigError, HttpClient.HttpClient> = /*#__PURE__*/ layerHttpWith()

/**
 * {@link layerHttp} over the platform's `fetch`: settings from the environment, nothing to provide.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFetch: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ Layer.provide(
  layerHttp,
  HttpReporter.layerHttpClient
)

/**
 * A client that delivers to Datadog over `node:http` and `node:https`, with aggregators of its own: nothing to provide, and the
 * least to load. On Node.js this is the one to begin with; {@link layerHttpWith} is for an `HttpClient` of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNodeWith = (options?: ThreadStatsConfig.ThreadStatsOptions): Layer.Layer<ThreadStats, ConfigError> =>
  Layer.scoped(
    ThreadStats,
    Effect.flatMap(ThreadStatsConfig.make(options), (config) =>
      withAggregators(
        config,
        Effect.provideServiceEffect(fromConfig(config), Reporter.Reporter, HttpReporter.makeNode(config))
      ))
  )

/**
 * {@link layerNodeWith} with the settings of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNode: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerNodeWith()

/**
 * The settings of a client over DogStatsD.
 *
 * @since 0.1.0
 * @category models
 */
export interface DogStatsDOptions extends ThreadStatsConfig.ThreadStatsOptions {
  /** Where the receiver is, and what it takes. Default: from the environment. */
  readonly dogstatsd?: DogStatsDReporter.Options | undefined
}

/**
 * A client that delivers to a Datadog Agent, or to Datadog's Lambda extension, over DogStatsD, with aggregators of its own. It
 * needs no API key.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDogStatsDWith = (options?: DogStatsDOptions): Layer.Layer<ThreadStats, ConfigError> =>
  Layer.scoped(
    ThreadStats,
    Effect.flatMap(ThreadStatsConfig.make(options), (config) =>
      withAggregators(
        config,
        Effect.provideServiceEffect(
          fromConfig(config),
          Reporter.Reporter,
          config.disabled
            ? Effect.sync(() => noop.make())
            : DogStatsDReporter.make(options?.dogstatsd)
        )
      ))
  )

/**
 * {@link layerDogStatsDWith} with the settings of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDogStatsD: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerDogStatsDWith()

/**
 * A client over the reporter that the environment asks for, as `Reporter.layerAuto` says, with aggregators of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAutoWith = (options?: ThreadStatsConfig.ThreadStatsOptions): Layer.Layer<ThreadStats, ConfigError> =>
  Layer.scoped(
    ThreadStats,
    Effect.flatMap(ThreadStatsConfig.make(options), (config) =>
      withAggregators(
        config,
        Effect.provideServiceEffect(
          fromConfig(config),
          Reporter.Reporter,
          auto.make(config)
        )
      ))
  )

/**
 * {@link layerAutoWith} with the settings of the environment: nothing to provide.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAuto: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerAutoWith()

/**
 * A client for tests, over the memory reporter: {@link Reporter.MemoryReporter} shows what would have been sent. The
 * environment plays no part, and nothing is flushed unless the test or the end of the scope does.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTestWith = (
  options?: ThreadStatsConfig.ThreadStatsOptions
): Layer.Layer<ThreadStats | Reporter.MemoryReporter, ConfigError> =>
  Layer.scoped(
    ThreadStats,
    ThreadStatsConfig.make({ periodicFlush: false, ...options }).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
      Effect.flatMap((config) => withAggregators(config, fromConfig(config)))
    )
  ).pipe(Layer.provideMerge(Reporter.layerMemoryWith({ temporality: "total" })))

/**
 * {@link layerTestWith} without options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest: Layer.Layer<ThreadStats | Reporter.MemoryReporter> = /*#__PURE__*/ Layer.orDie(
  /*#__PURE__*/ layerTestWith()
)

/**
 * The value of something now.
 *
 * @since 0.1.0
 * @category accessors
 */
export const gauge = (name: string, value: number, options?: PointOptions): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeGauge(name, value, options))

/**
 * Adds to a counter.
 *
 * @since 0.1.0
 * @category accessors
 */
export const increment = (
  name: string,
  value?: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeIncrement(name, value, options))

/**
 * Takes from a counter.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decrement = (
  name: string,
  value?: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeDecrement(name, value, options))

/**
 * One of many values, summed up by this process.
 *
 * @since 0.1.0
 * @category accessors
 */
export const histogram = (
  name: string,
  value: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeHistogram(name, value, options))

/**
 * One of many values, summed up by Datadog over all senders.
 *
 * @since 0.1.0
 * @category accessors
 */
export const distribution = (
  name: string,
  value: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeDistribution(name, value, options))

/**
 * A duration that was measured elsewhere.
 *
 * @since 0.1.0
 * @category accessors
 */
export const timing = (name: string, value: number, options?: PointOptions): Effect.Effect<void, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.unsafeTiming(name, value, options))

/**
 * A member of a set.
 *
 * @since 0.1.0
 * @category accessors
 */
export const set = (
  name: string,
  value: string | number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.unsafeSet(name, value, options))

/**
 * An event.
 *
 * @since 0.1.0
 * @category accessors
 */
export const event = (
  title: string,
  text: string,
  options?: makeEvent.EventOptions
): Effect.Effect<void, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.unsafeEvent(title, text, options))

/**
 * A counter with a fixed name, tags and host, to be counted with again and again: the fast way to record.
 *
 * @since 0.1.0
 * @category instruments
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ThreadStats } from "effect-threadstats"
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* ThreadStats.bindCounter("orders", { tags: { region: "eu" } })
 *   yield* orders.increment()
 *   orders.unsafeIncrement(2)
 * })
 * ```
 */
export const bindCounter = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundCounter, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.bindCounter(name, options))

/**
 * A gauge with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindGauge = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundGauge, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.bindGauge(name, options))

/**
 * A histogram with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindHistogram = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundValues, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.bindHistogram(name, options))

/**
 * A distribution with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindDistribution = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundValues, never, ThreadStats> =>
  Effect.map(ThreadStats, (self) => self.bindDistribution(name, options))

/**
 * A timing with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindTiming = (
  name: string,
  options?: BoundTimingOptions
): Effect.Effect<BoundTiming, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.bindTiming(name, options))

/**
 * A set with a fixed name, tags and host.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindSet = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundSet, never, ThreadStats> => Effect.map(ThreadStats, (self) => self.bindSet(name, options))

/**
 * Runs an effect and records how long it took, however it ends.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ThreadStats } from "effect-threadstats"
 *
 * const query = Effect.succeed("rows").pipe(ThreadStats.timer("db.query.time", { unit: "milliseconds" }))
 * ```
 */
export const timer: {
  <A = unknown, E = unknown>(
    name: string,
    options?: TimerOptions<A, E>
  ): <A1 extends A, E1 extends E, R>(effect: Effect.Effect<A1, E1, R>) => Effect.Effect<A1, E1, R | ThreadStats>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ): Effect.Effect<A, E, R | ThreadStats>
} = /*#__PURE__*/ dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ): Effect.Effect<A, E, R | ThreadStats> => Effect.flatMap(ThreadStats, (self) => self.timer(effect, name, options))
)

/**
 * As the reference's decorator: makes a function that returns an effect into one whose effects are timed, each call on
 * its own. An effect is timed as {@link timer} does.
 *
 * @since 0.1.0
 * @category combinators
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ThreadStats } from "effect-threadstats"
 *
 * const greet = ThreadStats.timed("greet.time")((name: string) => Effect.succeed(`Hello, ${name}`))
 * ```
 */
export const timed = <A = unknown, E = unknown>(
  name: string,
  options?: TimerOptions<A, E>
): <T extends Timeable<A, E>>(self: T) => Timed<T> =>
<T extends Timeable<A, E>>(self: T) => {
  const around = (effect: Effect.Effect<A, E, unknown>) => timer(effect, name, options)
  const wrapped = Effect.isEffect(self)
    ? around(self as Effect.Effect<A, E, unknown>)
    : (...args: Array<never>) => around(Effect.suspend(() => self(...args)))
  return wrapped as Timed<T>
}

/**
 * What {@link timed} takes: an effect, or a function that returns one.
 *
 * @since 0.1.0
 * @category models
 */
export type Timeable<A, E> = Effect.Effect<A, E, unknown> | ((...args: Array<never>) => Effect.Effect<A, E, unknown>)

/**
 * What {@link timed} gives back: the same, with a client required.
 *
 * @since 0.1.0
 * @category models
 */
export type Timed<T> = T extends (...args: infer Args) => Effect.Effect<infer A, infer E, infer R>
  ? (...args: Args) => Effect.Effect<A, E, R | ThreadStats>
  : T extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, E, R | ThreadStats>
  : never

/**
 * Delivers what was recorded.
 *
 * @since 0.1.0
 * @category accessors
 */
export const flush = (options?: FlushOptions): Effect.Effect<FlushReceipt, never, ThreadStats> =>
  Effect.flatMap(ThreadStats, (self) => self.flush(options))

/**
 * What became of everything recorded so far.
 *
 * @since 0.1.0
 * @category accessors
 */
export const stats: Effect.Effect<Stats, never, ThreadStats> = /*#__PURE__*/ Effect.flatMap(
  ThreadStats,
  (self) => self.stats
)
