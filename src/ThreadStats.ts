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
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Event } from "./Event.js"
import * as EventsAggregator from "./EventsAggregator.js"
import * as HttpReporter from "./HttpReporter.js"
import { flushBeforeExit } from "./internal/beforeExit.js"
import * as Breaker from "./internal/breaker.js"
import * as makeEvent from "./internal/event.js"
import * as delivery from "./internal/flush.js"
import * as Ledger from "./internal/ledger.js"
import * as limits from "./internal/limits.js"
import * as Retention from "./internal/retention.js"
import * as selfMetrics from "./internal/selfMetrics.js"
import * as wire from "./internal/series.js"
import type { Tags } from "./internal/tags.js"
import { type TimeInput, toMillis, windowFault } from "./internal/time.js"
import * as Turns from "./internal/turns.js"
import * as unrefClock from "./internal/unrefClock.js"
import * as MetricsAggregator from "./MetricsAggregator.js"
import * as Reporter from "./Reporter.js"
import { type Loaded, RetainedStore } from "./RetainedStore.js"
import * as RollUp from "./RollUp.js"
import type { DistributionSeries, SampleSeries, Series } from "./Series.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

export type {
  /**
   * The settings of one event.
   *
   * @since 0.1.0
   * @category models
   */
  EventOptions
} from "./internal/event.js"

export type {
  /**
   * Tags as an array of strings or as a record. Duplicates collapse, empty tags are left out, and the caller's own array
   * or record is never kept.
   *
   * @since 0.1.0
   * @category models
   */
  Tags
} from "./internal/tags.js"

export type {
  /**
   * A moment: a `Date`, a `DateTime`, or milliseconds since the epoch.
   *
   * @since 0.1.0
   * @category models
   */
  TimeInput
} from "./internal/time.js"

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
  readonly breaker: Breaker.BreakerState
  /** What the last flush failed with, if it did. */
  readonly lastError: Reporter.ReporterError | undefined
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
export class ThreadStats extends Context.Tag("effect-threadstats/ThreadStats")<ThreadStats, {
  /** The settings in force. */
  readonly config: ThreadStatsConfig.ThreadStatsConfig

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
   */
  readonly onFlush: (record: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** Opens the reporter's connection ahead of the first flush. Never fails. */
  readonly warm: Effect.Effect<void>
}>() {}

type Service = ThreadStats["Type"]

const noCounts: FlushCounts = { delivered: 0, kept: 0, dropped: 0 }
const emptyFlush: FlushReceipt = {
  metrics: noCounts,
  events: noCounts,
  payloads: 0,
  bytes: 0,
  retries: 0,
  errors: [],
  skipped: false
}

/** The part of a flush's time that is for the store, before sending and after it, where there is one. */
const storeShare = 0.1

const kinds: ReadonlyArray<RollUp.Kind> = ["counter", "gauge", "set", "histogram", "timing", "distribution"]

/** What is left for a name of each kind, in characters. */
const nameLengths = (config: ThreadStatsConfig.ThreadStatsConfig): { readonly [K in RollUp.Kind]: number } => {
  const prefix = config.namespace === "" ? 0 : config.namespace.length + 1
  return Object.fromEntries(
    kinds.map((kind) => [kind, limits.nameLength - prefix - RollUp.maxSuffixLength(kind, config)])
  ) as { readonly [K in RollUp.Kind]: number }
}

/** What is no number stays as it is, for the aggregator to drop. */
const negate = (value: number): number => typeof value === "number" ? -value : value

type Recorders = Pick<Service, Exclude<keyof Service, "config" | "flush" | "onFlush" | "stats" | "warm">>

const makeRecorders = (options: {
  readonly point: (kind: RollUp.Kind, name: string, value: RollUp.Value, options: PointOptions | undefined) => void
  readonly event: (title: string, text: string, options: makeEvent.EventOptions | undefined) => void
  readonly clock: Clock.Clock
  readonly timerUnit: ThreadStatsConfig.TimerUnit
}): Recorders => {
  const { clock, event, point } = options
  const recordTime = <A, E>(name: string, start: bigint, exit: Exit.Exit<A, E>, timer: TimerOptions<A, E>) => {
    const elapsed = Number(clock.unsafeCurrentTimeNanos() - start)
    let unit = options.timerUnit
    try {
      unit = timer?.unit ?? unit
    } catch {
      // a getter of the caller's must not change how the effect ends
    }
    // read where what throws is caught and counted
    point("timing", name, elapsed / (unit === "milliseconds" ? 1e6 : 1e9), {
      get host() {
        return timer?.host
      },
      get tags() {
        const tags = timer?.tags
        return typeof tags === "function" ? tags(exit) : tags
      }
    })
  }
  return {
    gauge: (name, value, options) => Effect.sync(() => point("gauge", name, value, options)),
    increment: (name, value = 1, options) => Effect.sync(() => point("counter", name, value, options)),
    decrement: (name, value = 1, options) => Effect.sync(() => point("counter", name, negate(value), options)),
    histogram: (name, value, options) => Effect.sync(() => point("histogram", name, value, options)),
    distribution: (name, value, options) => Effect.sync(() => point("distribution", name, value, options)),
    timing: (name, value, options) => Effect.sync(() => point("timing", name, value, options)),
    set: (name, value, options) => Effect.sync(() => point("set", name, value, options)),
    event: (title, text, options) => Effect.sync(() => event(title, text, options)),
    unsafeGauge: (name, value, options) => point("gauge", name, value, options),
    unsafeIncrement: (name, value = 1, options) => point("counter", name, value, options),
    unsafeDecrement: (name, value = 1, options) => point("counter", name, negate(value), options),
    unsafeHistogram: (name, value, options) => point("histogram", name, value, options),
    unsafeDistribution: (name, value, options) => point("distribution", name, value, options),
    unsafeTiming: (name, value, options) => point("timing", name, value, options),
    unsafeSet: (name, value, options) => point("set", name, value, options),
    unsafeEvent: (title, text, options) => event(title, text, options),
    timer: (effect, name, options = {}) =>
      Effect.suspend(() => {
        const start = clock.unsafeCurrentTimeNanos()
        return Effect.onExit(effect, (exit) => Effect.sync(() => recordTime(name, start, exit, options)))
      })
  }
}

const none = { received: 0, delivered: 0, held: 0, dropped: {} }
const noStats: Stats = {
  metrics: none,
  events: none,
  contexts: 0,
  flushes: 0,
  payloads: 0,
  bytes: 0,
  retries: 0,
  breaker: "closed",
  lastError: undefined
}

/** Records and sends nothing. */
const makeDisabled = (config: ThreadStatsConfig.ThreadStatsConfig, clock: Clock.Clock): Service => {
  return {
    config,
    ...makeRecorders({ point: () => {}, event: () => {}, clock, timerUnit: config.timerUnit }),
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
  config: ThreadStatsConfig.ThreadStatsConfig
): Effect.Effect<
  Service,
  never,
  MetricsAggregator.MetricsAggregator | EventsAggregator.EventsAggregator | Reporter.Reporter | Scope.Scope
> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    if (config.disabled) return makeDisabled(config, clock)

    const aggregator = yield* MetricsAggregator.MetricsAggregator
    const eventsAggregator = yield* EventsAggregator.EventsAggregator
    const reporter = yield* Reporter.Reporter
    const store = yield* Effect.serviceOption(RetainedStore)

    const runtime = yield* Effect.runtime()
    const maxNameLength = nameLengths(config)
    const metricDrops = Ledger.make<MetricDropReason>()
    const eventDrops = Ledger.make<EventDropReason>()
    const pointWindow = config.timestamps === "any" ? undefined : limits.pointWindow
    const dress = wire.dress(config, Duration.toSeconds(aggregator.rollUpInterval))
    const isRepeatable = config.delivery === "at-least-once"
      ? undefined
      : ({ kind }: MetricsAggregator.Retained) =>
        kind === "gauge" || (reporter.temporality === "total" && !RollUp.addsUp(kind, aggregator.counters))
    /** As the reporter takes them: all of a batch are points, or all are samples. */
    const flushSeries = (reporter.flushSamples ?? reporter.flushMetrics) as (
      batch: ReadonlyArray<Series | SampleSeries>
    ) => Effect.Effect<Reporter.Receipt, Reporter.ReporterError>
    const breaker = Breaker.make()
    const counters = {
      metrics: { delivered: 0, inFlight: 0 },
      events: { delivered: 0, inFlight: 0 }
    }
    /** What was dropped before an aggregator saw it. */
    const early = { metrics: 0, events: 0 }
    let nextEarlyFlush = -Infinity
    let flushes = 0
    let sent: Reporter.Receipt = Reporter.emptyReceipt
    let lastError: Reporter.ReporterError | undefined
    let unauthorized = false

    const dropPoint = (reason: MetricDropReason, name: unknown) => {
      early.metrics++
      metricDrops.count(reason, name)
    }

    const record = (
      kind: RollUp.Kind,
      name: string,
      value: RollUp.Value,
      options: PointOptions | undefined
    ): void => {
      if (typeof name === "string" && name.length > maxNameLength[kind]) return dropPoint("NameTooLong", name)
      const now = clock.unsafeCurrentTimeMillis()
      if (options === undefined) return aggregator.unsafeAdd(kind, name, value, now)
      try {
        const timestamp = options?.timestamp
        if (timestamp === undefined) return aggregator.unsafeAdd(kind, name, value, now, options)
        const time = toMillis(timestamp)
        const fault = windowFault(time, now, pointWindow)
        return fault === undefined
          ? aggregator.unsafeAdd(kind, name, value, time, options)
          : dropPoint(fault, name)
      } catch {
        // A getter or a proxy among the options threw.
        dropPoint("InvalidTimestamp", name)
      }
    }

    const recordEvent = (title: string, text: string, options: makeEvent.EventOptions = {}): void => {
      let made: Event | makeEvent.EventFault
      try {
        made = makeEvent.make(config, clock.unsafeCurrentTimeMillis(), title, text, options)
      } catch {
        made = "InvalidEvent"
      }
      if (typeof made !== "string") return eventsAggregator.unsafeAdd(made)
      early.events++
      eventDrops.count(made, title)
    }

    /** Near a limit, and not again before a whole flush could have run: where that does not help, the limit is what is left. */
    const flushEarly = () => {
      const now = clock.unsafeCurrentTimeMillis()
      if (now < nextEarlyFlush) return
      nextEarlyFlush = now + Duration.toMillis(config.flushTimeout)
      Runtime.runFork(runtime)(flush())
    }

    const point: typeof record = (kind, name, value, options) => {
      record(kind, name, value, options)
      if (aggregator.isNearlyFull()) flushEarly()
    }

    const event: typeof recordEvent = (title, text, options) => {
      recordEvent(title, text, options)
      if (eventsAggregator.isNearlyFull()) flushEarly()
    }

    const log = Effect.annotateLogs({ package: "effect-threadstats", module: "ThreadStats" })

    const warn = Effect.fnUntraced(function*(errors: ReadonlyArray<readonly [Reporter.ReporterError, FlushCounts]>) {
      const news = yield* aggregator.takeNews
      const describe = (what: string) => ({ count, names, reason }: Ledger.News<string>) =>
        `Dropped ${count} ${what}: ${reason} (${names.join(", ")})`
      const warnings = [
        ...[...news.dropped, ...metricDrops.takeNews()].map(describe("points")),
        ...[...(yield* eventsAggregator.takeNews), ...eventDrops.takeNews()].map(describe("events")),
        ...news.conflicts.map((name) => `The name ${name} is used with more than one kind of metric`)
      ]
      const storeError = Option.getOrUndefined(retention)?.takeNews()
      if (storeError !== undefined) yield* Effect.logWarning(storeError.message)
      yield* Effect.forEach(warnings, (message) => Effect.logWarning(message), { discard: true })
      for (const [error, counts] of errors) {
        const message = `${error.message}; kept ${counts.kept}, dropped ${counts.dropped}`
        if (error.reason !== "Unauthorized") yield* Effect.logWarning(message)
        else if (unauthorized) yield* Effect.logDebug(message)
        else {
          unauthorized = true
          yield* Effect.logError(message)
        }
      }
    }, log)

    /** Whether an item is not to be sent again: it may have arrived, and would count twice. */
    const isSpent = (item: Reporter.Item, outcome: delivery.Outcome): boolean =>
      config.delivery === "at-most-once" && outcome.ambiguous.has(item) &&
      ("title" in item || item.type === "distribution" || (reporter.temporality === "delta" && item.type !== "gauge"))

    /** Books a batch of rolled-up items: back into the aggregator, dropped, or delivered. */
    const settleMetrics = Effect.fnUntraced(function*(
      items: ReadonlyArray<MetricsAggregator.RolledUp>,
      parts: ReadonlyArray<ReadonlyArray<Reporter.Item>>,
      outcome: delivery.Outcome
    ) {
      const back: Array<MetricsAggregator.RolledUp> = []
      let kept = 0
      let dropped = 0
      let delivered = 0
      items.forEach((item, i) => {
        counters.metrics.inFlight -= item.recorded
        if (parts[i]!.some((part) => isSpent(part, outcome))) {
          dropped += item.recorded
          metricDrops.count("Ambiguous", item.name, item.recorded)
        } else if (parts[i]!.some((part) => outcome.undelivered.has(part))) {
          back.push(item)
          kept += item.recorded
        } else if (parts[i]!.some((part) => outcome.refused.has(part))) {
          dropped += item.recorded
          metricDrops.count("Refused", item.name, item.recorded)
        } else {
          delivered += item.recorded
        }
      })
      counters.metrics.delivered += delivered
      if (back.length > 0) yield* aggregator.restore(back)
      return { delivered, kept, dropped }
    })

    const settleEvents = Effect.fnUntraced(function*(events: ReadonlyArray<Event>, outcome: delivery.Outcome) {
      const back: Array<Event> = []
      let dropped = 0
      for (const event of events) {
        const spent = isSpent(event, outcome)
        if (!spent && outcome.undelivered.has(event)) {
          back.push(event)
        } else if (spent || outcome.refused.has(event)) {
          dropped++
          eventDrops.count(spent ? "Ambiguous" : "Refused", event.title)
        }
      }
      const delivered = events.length - back.length - dropped
      counters.events.inFlight -= events.length
      counters.events.delivered += delivered
      if (back.length > 0) yield* eventsAggregator.restore(back)
      return { delivered, kept: back.length, dropped }
    })

    const stats = Effect.gen(function*(): Effect.fn.Return<Stats> {
      const metrics = yield* aggregator.stats
      const events = yield* eventsAggregator.stats
      return {
        metrics: {
          received: metrics.received + early.metrics,
          delivered: counters.metrics.delivered,
          held: metrics.held + counters.metrics.inFlight,
          dropped: Ledger.addTotals<MetricDropReason>(metrics.dropped, metricDrops.totals())
        },
        events: {
          received: events.received + early.events,
          delivered: counters.events.delivered,
          held: events.held + counters.events.inFlight,
          dropped: Ledger.addTotals<EventDropReason>(events.dropped, eventDrops.totals())
        },
        contexts: metrics.contexts,
        flushes,
        payloads: sent.payloads,
        bytes: sent.bytes,
        retries: sent.retries,
        breaker: breaker.state(clock.unsafeCurrentTimeMillis()),
        lastError
      }
    })

    const onLoaded = ({ lost, skipped }: Loaded) =>
      Effect.suspend(() => {
        early.metrics += lost.points
        early.events += lost.events
        if (lost.points > 0) metricDrops.count("Corrupt", "in the store", lost.points)
        if (lost.events > 0) eventDrops.count("Corrupt", "in the store", lost.events)
        return skipped > 0 ? log(Effect.logWarning(`Skipped ${skipped} unreadable entries of the store`)) : Effect.void
      })

    const retention = Option.map(store, (self) =>
      Retention.make(self, aggregator, eventsAggregator, { isRepeatable, onLoaded }))

    const retain = (f: (self: Retention.Retention) => Effect.Effect<void>) =>
      Option.match(retention, {
        onNone: () =>
          Effect.void,
        onSome: f
      })

    const watched = new Set<() => void>()

    const look = (record: () => void) =>
      Effect.catchAllCause(
        Effect.sync(record),
        (cause) => log(Effect.logWarning("What was to be recorded at a flush could not be", cause))
      )

    const onFlush: Service["onFlush"] = (record) => {
      /** Each registration is one of its own, also of the same function. */
      const own = () => record()
      return Effect.acquireRelease(
        Effect.sync(() => watched.add(own)),
        () => Effect.zipRight(Effect.sync(() => watched.delete(own)), look(own))
      )
    }

    /** The numbers that were reported last, and how many points that took. */
    let reported: { readonly stats: Stats; readonly points: number } = { stats: noStats, points: 0 }

    /** Only with something else to report, or the reports would be all that is ever reported. */
    const recordSelf = (now: number) =>
      Effect.map(stats, (current) => {
        const received = current.metrics.received + current.events.received
        if (received === reported.stats.metrics.received + reported.stats.events.received + reported.points) return
        const points = selfMetrics.pointsOf(reported.stats, current)
        for (const { kind, name, tags, value } of points) aggregator.unsafeAdd(kind, name, value, now, { tags })
        reported = { stats: current, points: points.length }
      })

    const flushOnce = ({ deadline, last, upTo }: Turns.Wish): Effect.Effect<FlushReceipt> =>
      Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
        const now = clock.unsafeCurrentTimeMillis()
        if (deadline <= now) return emptyFlush
        if (!last && breaker.state(now) === "open") {
          yield* retain((self) => self.afterFlush(false, deadline))
          yield* warn([])
          return { ...emptyFlush, skipped: true }
        }
        for (const record of watched) yield* look(record)
        if (config.selfMetrics) yield* recordSelf(now)
        const drain = Effect.zipWith(
          aggregator.flush({
            temporality: reporter.temporality,
            samples: reporter.flushSamples !== undefined,
            now,
            upTo
          }),
          eventsAggregator.flush(now),
          (items, events) => {
            for (const { recorded } of items) counters.metrics.inFlight += recorded
            counters.events.inFlight += events.length
            return { items, events }
          }
        )
        const { events, items } = yield* Option.match(retention, {
          onNone: () => drain,
          onSome: (self) => self.beforeSending(drain, now + (deadline - now) * storeShare)
        })
        if (items.length === 0 && events.length === 0) {
          yield* retain((self) => self.afterFlush(true, deadline))
          yield* warn([])
          return emptyFlush
        }

        const rolledUp: Array<MetricsAggregator.RolledUp> = []
        const distributed: Array<MetricsAggregator.RolledUp> = []
        for (const item of items) {
          ;(RollUp.addsUp(item.kind, aggregator.counters) ? distributed : rolledUp).push(item)
        }
        const series: ReadonlyArray<ReadonlyArray<Series | SampleSeries>> = rolledUp.map((item) =>
          item.samples === undefined ? wire.toSeries(dress, item) : [wire.toSamples(dress, item)]
        )
        const distributions = distributed.map((item) => [wire.toDistribution(dress, item)])

        const batches = [series.flat(), distributions.flat(), events] as const
        const outcomes: [delivery.Outcome, delivery.Outcome, delivery.Outcome] = [
          delivery.allUndelivered(batches[0], undefined),
          delivery.allUndelivered(batches[1], undefined),
          delivery.allUndelivered(batches[2], undefined)
        ]
        const run = <I extends Reporter.Item>(
          index: 0 | 1 | 2,
          endpoint: string,
          batch: ReadonlyArray<I>,
          report: (batch: ReadonlyArray<I>) => Effect.Effect<Reporter.Receipt, Reporter.ReporterError>
        ) =>
          Effect.map(delivery.deliver(endpoint, batch, report, limit), (outcome) => {
            outcomes[index] = outcome
          })
        const left = deadline - clock.unsafeCurrentTimeMillis()
        const limit = Duration.millis(left * (Option.isSome(retention) ? 1 - storeShare : 1))
        const exit = yield* Effect.exit(restore(Effect.all([
          run(0, "series", batches[0], flushSeries),
          run<DistributionSeries>(1, "distributions", batches[1], reporter.flushDistributions),
          run<Event>(2, "events", batches[2], reporter.flushEvents)
        ], { concurrency: "unbounded", discard: true })))

        const counts = [
          yield* settleMetrics(rolledUp, series, outcomes[0]),
          yield* settleMetrics(distributed, distributions, outcomes[1]),
          yield* settleEvents(events, outcomes[2])
        ] as const
        const receipt = outcomes.reduce(
          (sum, outcome) => Reporter.addReceipts(sum, outcome.receipt),
          Reporter.emptyReceipt
        )
        const failed = outcomes.flatMap(({ error }, i) => error === undefined ? [] : [[error, counts[i]!] as const])
        flushes++
        sent = Reporter.addReceipts(sent, receipt)
        lastError = failed.at(-1)?.[0]
        if (receipt.payloads > 0) {
          unauthorized = false
          breaker.succeeded()
        } else if (failed.length > 0 && Exit.isSuccess(exit)) {
          const end = clock.unsafeCurrentTimeMillis()
          if (end - now >= Duration.toMillis(config.flushTimeout) / 2) breaker.wasted(end)
        }
        yield* retain((self) => self.afterFlush(counts.every(({ kept }) => kept === 0), deadline))
        yield* warn(failed)
        if (Exit.isFailure(exit)) return yield* Effect.failCause(exit.cause)
        return {
          metrics: {
            delivered: counts[0].delivered + counts[1].delivered,
            kept: counts[0].kept + counts[1].kept,
            dropped: counts[0].dropped + counts[1].dropped
          },
          events: counts[2],
          payloads: receipt.payloads,
          bytes: receipt.bytes,
          retries: receipt.retries,
          errors: failed.map(([error]) => error),
          skipped: false
        }
      }))

    const turns = Turns.make({
      run: flushOnce,
      late: emptyFlush,
      failed: (cause) => Effect.as(log(Effect.logError("A flush ended early", cause)), emptyFlush)
    })

    const wish = (upTo: number | undefined, last = false, timeout = config.flushTimeout): Turns.Wish => ({
      upTo,
      deadline: clock.unsafeCurrentTimeMillis() +
        Math.min(Duration.toMillis(timeout), Duration.toMillis(config.flushTimeout)),
      last
    })

    const flush: Service["flush"] = (options) =>
      Effect.suspend(() => {
        let upTo: number | undefined
        let timeout: Duration.Duration | undefined
        try {
          upTo = options?.upTo === undefined ? undefined : toMillis(options.upTo)
          timeout = Option.getOrUndefined(Duration.decodeUnknown(options?.timeout))
        } catch {
          // no moment: everything
        }
        return turns.take(wish(upTo, false, timeout))
      })

    /** There is no later one, so it tries in any case. */
    const lastFlush = Effect.suspend(() => turns.take(wish(undefined, true)))

    /** On the interval, and not cut short when the loop is: the last flush waits for the one in flight. */
    const flushClosed = Effect.suspend(() => turns.takeUncut(wish(clock.unsafeCurrentTimeMillis())))

    yield* retain((self) => self.adopt(clock.unsafeCurrentTimeMillis() + Duration.toMillis(config.flushTimeout)))

    // The last flush is registered before the loop is forked: finalizers run last-in first-out.
    yield* Effect.addFinalizer(() => lastFlush)
    if (config.periodicFlush && Duration.isFinite(config.flushInterval)) {
      yield* flushClosed.pipe(
        Effect.withClock(clock),
        Effect.schedule(Schedule.spaced(config.flushInterval)),
        Effect.withClock(unrefClock.make(clock)),
        Effect.forkScoped,
        Effect.interruptible
      )
      if (unrefClock.isLive(clock)) yield* flushBeforeExit(lastFlush)
    }

    return {
      config,
      ...makeRecorders({ point, event, clock, timerUnit: config.timerUnit }),
      flush,
      onFlush,
      stats,
      warm: Effect.ignoreLogged(Effect.withTracerEnabled(reporter.warm, false))
    }
  })

/**
 * A client with the options given, else what the environment says, else the defaults.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: ThreadStatsConfig.Options): Effect.Effect<
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
export const layer = (options?: ThreadStatsConfig.Options): Layer.Layer<
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
  options?: ThreadStatsConfig.Options
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
const withAggregators = <A, E, R>(config: ThreadStatsConfig.ThreadStatsConfig, self: Effect.Effect<A, E, R>) =>
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
  options: Config.Config.Wrap<ThreadStatsConfig.Options>
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
 * A client for tests, over the memory reporter: {@link Reporter.MemoryReporter} shows what would have been sent. The
 * environment plays no part, and nothing is flushed unless the test or the end of the scope does.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTestWith = (
  options?: ThreadStatsConfig.Options
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
} = dual(
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
