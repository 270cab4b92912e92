/**
 * Client: records metrics and events, times effects, and flushes.
 *
 * Recording is a synchronous write that never fails, throws, blocks or logs. The client rolls points up in process, and the
 * `Reporter` delivers them: every ten seconds, on request, when the layer's scope closes, and before the process exits.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AutoReporter from "./AutoReporter.js"
import * as DogStatsDReporter from "./DogStatsDReporter.js"
import type { PipelineEventsAggregator } from "./EventsAggregator.js"
import * as HttpReporter from "./HttpReporter.js"
import type { Client } from "./internal/client/Client.js"
import { makeAfterFailure } from "./internal/client/makeClient.js"
import { makeOverReporter } from "./internal/client/makeOverReporter.js"
import { withAggregators } from "./internal/client/withAggregators.js"
import { resolve, unwrapOptions } from "./internal/config/settings.js"
import type { EventOptions } from "./internal/model/eventBuilder.js"
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
} from "./internal/model/instruments.js"
import type { FlushOptions, FlushReceipt, Stats } from "./internal/model/Stats.js"
import * as noop from "./internal/reporters/noop.js"
import { useService } from "./internal/runtime/useService.js"
import type { PipelineMetricsAggregator } from "./MetricsAggregator.js"
import * as Reporter from "./Reporter.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

export type {
  /**
   * Options of one event.
   *
   * @since 0.1.0
   * @category models
   */
  EventOptions
} from "./internal/model/eventBuilder.js"

export type {
  /**
   * Tags as an array of strings or as a record, at most 1000. The client collapses duplicates, leaves out empty tags, cuts tags to 200
   * characters, and copies the caller's array or record.
   *
   * @since 0.1.0
   * @category models
   */
  Tags
} from "./internal/model/tags.js"

export type {
  /**
   * Point in time: a `Date`, a `DateTime`, or milliseconds since the epoch.
   *
   * @since 0.1.0
   * @category models
   */
  TimeInput
} from "./internal/model/time.js"

export type {
  /**
   * Counter with a fixed name, tags and host.
   *
   * @since 0.1.0
   * @category models
   */
  BoundCounter,
  /**
   * Gauge with a fixed name, tags and host.
   *
   * @since 0.1.0
   * @category models
   */
  BoundGauge,
  /**
   * Set with a fixed name, tags and host.
   *
   * @since 0.1.0
   * @category models
   */
  BoundSet,
  /**
   * Timing with a fixed name, tags and host.
   *
   * @since 0.1.0
   * @category models
   */
  BoundTiming,
  /**
   * Options of a bound timing.
   *
   * @since 0.1.0
   * @category models
   */
  BoundTimingOptions,
  /**
   * Histogram or distribution with a fixed name, tags and host.
   *
   * @since 0.1.0
   * @category models
   */
  BoundValues,
  /**
   * Options that a bound instrument fixes in addition to its name.
   *
   * @since 0.1.0
   * @category models
   */
  InstrumentOptions,
  /**
   * Options of one recorded point.
   *
   * @since 0.1.0
   * @category models
   */
  PointOptions,
  /**
   * Options of a timer.
   *
   * @since 0.1.0
   * @category models
   */
  TimerOptions
} from "./internal/model/instruments.js"

export type {
  /**
   * Outcome of everything recorded since the layer was built, for points or for events:
   * `received` = `delivered` + `pending` + the sum of `dropped`, at every moment.
   *
   * A combined reporter counts each recorded point once for each of its reporters, here and in a {@link FlushReceipt}.
   *
   * @since 0.1.0
   * @category models
   */
  Counts,
  /**
   * Reason why the client dropped an event.
   *
   * - `InvalidEvent`: the title is empty, or the title, the text or an option has the wrong type or value
   * - `TooOld`, `TooNew`: more than 18 hours before or 2 hours after the time of the call; `TooNew` also at the time of the flush
   * - `InvalidTags`, `InvalidTimestamp`: like points
   * - `TooManyEvents`, `TooManyBytes`: pending events exceeded `maxEvents` or `maxBytes`; the oldest goes first
   * - `Expired`: pending until Datadog would no longer accept it
   * - `Closed`: recorded after the scope of the client had closed
   * - `Refused`: the receiver refused it for good
   * - `Ambiguous`: it may have been delivered, and `delivery: "at-most-once"` forbids a resend
   * - `Corrupt`: the `RetainedStore` returned an unreadable entry of an earlier process
   *
   * @since 0.1.0
   * @category models
   */
  EventDropReason,
  /**
   * Numbers of points or events in one flush.
   *
   * @since 0.1.0
   * @category models
   */
  FlushCounts,
  /**
   * Options of one flush.
   *
   * @since 0.1.0
   * @category models
   */
  FlushOptions,
  /**
   * Result of one flush. Its numbers count recorded points and events, not series.
   *
   * @since 0.1.0
   * @category models
   */
  FlushReceipt,
  /**
   * Reason why the client dropped a point: a reason of the aggregator, or
   *
   * - `NameTooLong`: the name exceeds 200 characters with namespace and suffix
   * - `TooOld`, `TooNew`: more than 1 hour before or 10 minutes after the time of the call; `TooNew` also at the time of the flush
   * - `Refused`: the receiver refused it for good; the warning of that flush names the cause
   * - `Ambiguous`: it may have been delivered, and `delivery: "at-most-once"` forbids a resend
   * - `Corrupt`: the `RetainedStore` returned an unreadable entry of an earlier process
   *
   * @since 0.1.0
   * @category models
   */
  MetricDropReason,
  /**
   * Numbers of a client since its layer was built.
   *
   * @since 0.1.0
   * @category models
   */
  Stats
} from "./internal/model/Stats.js"

/**
 * Client service. Its operations never fail. The `unsafe` operations do the same at once for code outside of Effect, and never throw.
 *
 * @since 0.1.0
 * @category tags
 */
export class ThreadStats extends /*#__PURE__*/ Context.Tag("effect-threadstats/ThreadStats")<ThreadStats, Client>() {}

/** Makes a layer of a client with its own aggregators, over a reporter with the same settings. */
const layerOver = <E, R, E2, R2>(
  settings: Effect.Effect<ThreadStatsConfig.ThreadStatsConfig["Type"], E, R>,
  makeReporter: (
    settings: ThreadStatsConfig.ThreadStatsConfig["Type"]
  ) => Effect.Effect<Reporter.Reporter["Type"], E2, R2>
) =>
  Layer.scoped(
    ThreadStats,
    Effect.flatMap(settings, (config) =>
      withAggregators(
        config,
        Effect.provideServiceEffect(makeOverReporter(config), Reporter.Reporter, makeReporter(config))
      ))
  )

/**
 * Builds a client with its own aggregators that delivers to Datadog over `node:http` and `node:https`. Needs no other layer. Options
 * have precedence over the environment. Fails with a `ConfigError` that names the option or variable whose value is invalid, and
 * without an API key.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options?: ThreadStatsConfig.ThreadStatsOptions): Layer.Layer<ThreadStats, ConfigError> =>
  layerOver(ThreadStatsConfig.make(options), HttpReporter.makeNode)

/**
 * {@link layerWith} with settings from the environment: the main layer on Node.js.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerWith()

/**
 * {@link layerWith} with options that are read from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<ThreadStatsConfig.ThreadStatsOptions>
): Layer.Layer<ThreadStats, ConfigError> => Layer.unwrapEffect(Effect.map(unwrapOptions(options), layerWith))

/**
 * Like {@link layerWith}, but delivers through the `HttpClient` of the context, such as `FetchHttpClient.layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClientWith = (
  options?: ThreadStatsConfig.ThreadStatsOptions
): Layer.Layer<ThreadStats, ConfigError, HttpClient.HttpClient> =>
  layerOver(ThreadStatsConfig.make(options), HttpReporter.make)

/**
 * {@link layerHttpClientWith} with settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<ThreadStats, ConfigError, HttpClient.HttpClient> =
  /*#__PURE__*/ layerHttpClientWith()

/**
 * Options of a client over DogStatsD.
 *
 * @since 0.1.0
 * @category models
 */
export interface DogStatsDOptions extends ThreadStatsConfig.ThreadStatsOptions {
  /** Address and limits of the receiver. Default: from the environment. */
  readonly dogstatsd?: DogStatsDReporter.DogStatsDReporterOptions | undefined
}

/**
 * Builds a client with its own aggregators that delivers over DogStatsD, to a Datadog Agent or to Datadog's Lambda extension. Needs
 * no API key.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDogStatsDWith = (options?: DogStatsDOptions): Layer.Layer<ThreadStats, ConfigError> =>
  layerOver(
    resolve(options, ["dogstatsd"]),
    ({ disabled }) => disabled ? Effect.sync(() => noop.make()) : DogStatsDReporter.make(options?.dogstatsd)
  )

/**
 * {@link layerDogStatsDWith} with settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDogStatsD: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerDogStatsDWith()

/**
 * Builds a client with its own aggregators over the reporter that the environment selects, by the rules of `AutoReporter`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAutoWith = (options?: ThreadStatsConfig.ThreadStatsOptions): Layer.Layer<ThreadStats, ConfigError> =>
  layerOver(ThreadStatsConfig.make(options), AutoReporter.make)

/**
 * {@link layerAutoWith} with settings from the environment. Needs no other layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAuto: Layer.Layer<ThreadStats, ConfigError> = /*#__PURE__*/ layerAutoWith()

/**
 * Builds a disabled client, which records and sends nothing, if the given layer fails, and logs the error once. Use it where a
 * mistake in the settings of metrics must not stop the program, for example in a Lambda handler. Without it a layer fails early.
 *
 * @example
 * ```ts
 * import { ThreadStats } from "effect-threadstats"
 *
 * const client = ThreadStats.layer.pipe(ThreadStats.orDisabled)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const orDisabled = <E, R>(self: Layer.Layer<ThreadStats, E, R>): Layer.Layer<ThreadStats, never, R> =>
  Layer.catchAll(self, (error) => Layer.effect(ThreadStats, makeAfterFailure(error)))

/**
 * Creates a client over a reporter of your own, and the aggregators of `MetricsAggregator.layer` and `EventsAggregator.layer`. All of them
 * share the settings of the `ThreadStatsConfig` service.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  Client,
  never,
  | ThreadStatsConfig.ThreadStatsConfig
  | PipelineMetricsAggregator
  | PipelineEventsAggregator
  | Reporter.Reporter
  | Scope.Scope
> = /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig.ThreadStatsConfig, (settings) => makeOverReporter(settings))

/**
 * Builds a client over a reporter of your own, and the aggregators of `MetricsAggregator.layer` and `EventsAggregator.layer`. All of them
 * share the settings of the `ThreadStatsConfig` service.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import {
 *   EventsAggregator, HttpReporter, LogReporter, MetricsAggregator, Reporter, ThreadStats, ThreadStatsConfig
 * } from "effect-threadstats"
 *
 * const client = ThreadStats.layerReporter.pipe(
 *   Layer.provide(Reporter.combine(HttpReporter.layer, LogReporter.layer)),
 *   Layer.provide([MetricsAggregator.layer, EventsAggregator.layer]),
 *   Layer.provide(ThreadStatsConfig.layerWith({ namespace: "shop" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerReporter: Layer.Layer<
  ThreadStats,
  never,
  | ThreadStatsConfig.ThreadStatsConfig
  | PipelineMetricsAggregator
  | PipelineEventsAggregator
  | Reporter.Reporter
> = /*#__PURE__*/ Layer.scoped(ThreadStats, make)

/**
 * Builds a client for tests over the memory reporter: {@link Reporter.MemoryReporter} returns the delivered series and events. The
 * client reads no environment variables, and flushes only on request and when its scope closes.
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
      Effect.flatMap((config) => withAggregators(config, makeOverReporter(config, { flushesBeforeExit: false })))
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
 * Records with the client of the context, in one fiber operation: a program calls these functions in its inner loops. Stands for
 * `Effect.map(ThreadStats, record)`.
 */
const withClient = (record: (client: Client) => void): Effect.Effect<void, never, ThreadStats> =>
  useService(ThreadStats, record)

/**
 * Sets the current value of a gauge. The client reports the last value of each roll-up interval.
 *
 * @since 0.1.0
 * @category accessors
 */
export const gauge = (name: string, value: number, options?: PointOptions): Effect.Effect<void, never, ThreadStats> =>
  withClient((client) => client.unsafeGauge(name, value, options))

/**
 * Adds to a counter. Default: 1. The client reports a rate per second, or on Lambda a distribution.
 *
 * @since 0.1.0
 * @category accessors
 */
export const increment = (
  name: string,
  value?: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeIncrement(name, value, options))

/**
 * Subtracts from a counter. Default: 1.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decrement = (
  name: string,
  value?: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeDecrement(name, value, options))

/**
 * Records one value of a histogram: minimum, maximum, rate, average and percentiles, computed by this process.
 *
 * @since 0.1.0
 * @category accessors
 */
export const histogram = (
  name: string,
  value: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeHistogram(name, value, options))

/**
 * Records one value of a distribution. Datadog computes its percentiles over all senders.
 *
 * @since 0.1.0
 * @category accessors
 */
export const distribution = (
  name: string,
  value: number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeDistribution(name, value, options))

/**
 * Records a duration, in the unit of your choice. The client reports it like a histogram.
 *
 * @since 0.1.0
 * @category accessors
 */
export const timing = (name: string, value: number, options?: PointOptions): Effect.Effect<void, never, ThreadStats> =>
  withClient((client) => client.unsafeTiming(name, value, options))

/**
 * Adds a member to a set. The client reports the number of different members.
 *
 * @since 0.1.0
 * @category accessors
 */
export const set = (
  name: string,
  value: string | number,
  options?: PointOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeSet(name, value, options))

/**
 * Records an event. The client cuts its text to 4000 characters.
 *
 * @since 0.1.0
 * @category accessors
 */
export const event = (
  title: string,
  text: string,
  options?: EventOptions
): Effect.Effect<void, never, ThreadStats> => withClient((client) => client.unsafeEvent(title, text, options))

/**
 * Binds a counter to a name, tags and a host. A bound instrument records more than twice as fast as an unbound call, and stays valid
 * across flushes.
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
): Effect.Effect<BoundCounter, never, ThreadStats> =>
  Effect.map(ThreadStats, (client) => client.bindCounter(name, options))

/**
 * Binds a gauge to a name, tags and a host, like {@link bindCounter}.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindGauge = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundGauge, never, ThreadStats> => Effect.map(ThreadStats, (client) => client.bindGauge(name, options))

/**
 * Binds a histogram to a name, tags and a host, like {@link bindCounter}.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindHistogram = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundValues, never, ThreadStats> =>
  Effect.map(ThreadStats, (client) => client.bindHistogram(name, options))

/**
 * Binds a distribution to a name, tags and a host, like {@link bindCounter}.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindDistribution = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundValues, never, ThreadStats> =>
  Effect.map(ThreadStats, (client) => client.bindDistribution(name, options))

/**
 * Binds a timing and its timer to a name, tags and a host, like {@link bindCounter}.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindTiming = (
  name: string,
  options?: BoundTimingOptions
): Effect.Effect<BoundTiming, never, ThreadStats> =>
  Effect.map(ThreadStats, (client) => client.bindTiming(name, options))

/**
 * Binds a set to a name, tags and a host, like {@link bindCounter}.
 *
 * @since 0.1.0
 * @category instruments
 */
export const bindSet = (
  name: string,
  options?: InstrumentOptions
): Effect.Effect<BoundSet, never, ThreadStats> => Effect.map(ThreadStats, (client) => client.bindSet(name, options))

/**
 * Runs an effect and records its duration as a timing, whatever its exit.
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
  /** Returns a function that runs an effect and records its duration as a timing, whatever its exit. */
  <A = unknown, E = unknown>(
    name: string,
    options?: TimerOptions<A, E>
  ): <A1 extends A, E1 extends E, R>(effect: Effect.Effect<A1, E1, R>) => Effect.Effect<A1, E1, R | ThreadStats>
  /** Runs an effect and records its duration as a timing, whatever its exit. */
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ): Effect.Effect<A, E, R | ThreadStats>
} = /*#__PURE__*/ dual(
  (args) => isEffect(args[0]),
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    options?: TimerOptions<A, E>
  ): Effect.Effect<A, E, R | ThreadStats> =>
    Effect.flatMap(ThreadStats, (client) => client.timer(effect, name, options))
)

/** Returns false for a proxy that throws: as a name, it is invalid, and the client drops its points. */
function isEffect(value: unknown): boolean {
  try {
    return Effect.isEffect(value)
  } catch {
    return false
  }
}

/**
 * Decorates a function that returns an effect, so that each call records the duration of its effect. The result keeps the function's name
 * and length. Decorates an effect like {@link timer}. Counterpart of the reference client's decorator.
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
  const addTimer = (effect: Effect.Effect<A, E, unknown>) => timer(effect, name, options)
  if (Effect.isEffect(self)) return addTimer(self as Effect.Effect<A, E, unknown>) as Timed<T>
  const wrapped = (...args: Array<never>) => addTimer(Effect.suspend(() => self(...args)))
  return Object.defineProperties(wrapped, {
    name: { value: self.name, configurable: true },
    length: { value: self.length, configurable: true }
  }) as Timed<T>
}

/**
 * Argument of {@link timed}: an effect, or a function that returns one.
 *
 * @since 0.1.0
 * @category models
 */
export type Timeable<A, E> = Effect.Effect<A, E, unknown> | ((...args: Array<never>) => Effect.Effect<A, E, unknown>)

/**
 * Result of {@link timed}: the argument, with the client as a requirement.
 *
 * @since 0.1.0
 * @category models
 */
export type Timed<T> = T extends (...args: infer Args) => Effect.Effect<infer A, infer E, infer R>
  ? (...args: Args) => Effect.Effect<A, E, R | ThreadStats>
  : T extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, E, R | ThreadStats>
  : never

/**
 * Delivers all recorded points and events. Never fails, and takes `flushTimeout` at most. Points and events that it cannot deliver
 * stay pending for the next flush.
 *
 * @since 0.1.0
 * @category accessors
 */
export const flush = (options?: FlushOptions): Effect.Effect<FlushReceipt, never, ThreadStats> =>
  Effect.flatMap(ThreadStats, (client) => client.flush(options))

/**
 * Returns the numbers of the client since its layer was built.
 *
 * @since 0.1.0
 * @category accessors
 */
export const stats: Effect.Effect<Stats, never, ThreadStats> = /*#__PURE__*/ Effect.flatMap(
  ThreadStats,
  (client) => client.stats
)
