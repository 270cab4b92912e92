import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { RetainedStore } from "../../RetainedStore.js"
import { PipelineEventsAggregator } from "../aggregation/EventsAggregator.js"
import { PipelineMetricsAggregator } from "../aggregation/MetricsAggregator.js"
import { disabledSettings } from "../config/settings.js"
import { findUnknownOption } from "../config/unknownOption.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import type { FlushOptions } from "../model/Stats.js"
import { toMillis } from "../model/time.js"
import { emptyFlush } from "../pipeline/flushReceipt.js"
import * as FlushRequest from "../pipeline/FlushRequest.js"
import type { Pipeline } from "../pipeline/Pipeline.js"
import type { PipelineServices } from "../pipeline/PipelineOptions.js"
import { noStats } from "../pipeline/PipelineState.js"
import { logFrom } from "../runtime/log.js"
import type { Client } from "./Client.js"
import { type FlushHooks, makeFlushHooks } from "./flushHooks.js"
import { makeInstruments } from "./instruments.js"
import { makeRecorders } from "./recorders.js"
import { discard, makePreAggregationDrops, makeRecordSink } from "./recordSink.js"
import { scheduleFlushes } from "./scheduledFlushes.js"
import { makeStopwatch, makeTimers } from "./timer.js"

/** Creates a client that records and sends nothing. */
const makeDisabled = (config: ThreadStatsSettings, clock: Clock.Clock): Client => ({
  config,
  ...makeRecorders(discard),
  ...makeInstruments(discard, makeStopwatch(clock, config.timerUnit)),
  timer: (effect) => effect,
  flush: () => Effect.succeed(emptyFlush),
  onFlush: () => Effect.void,
  stats: Effect.succeed(noStats),
  warm: Effect.void
})

/** Creates a disabled client in place of one that could not be built, and logs the error. */
export const makeAfterFailure = (error: unknown): Effect.Effect<Client> =>
  Effect.zipRight(
    logFrom("ThreadStats")(Effect.suspend(() =>
      Effect.logError(
        `The client is disabled, because it could not be built: ${
          Cause.pretty(Cause.fail(error))
        }. It records and sends nothing`
      )
    )),
    Effect.map(Effect.clock, (clock) => makeDisabled(disabledSettings, clock))
  )

const flushOptions: ReadonlyArray<keyof FlushOptions> = ["upTo", "timeout"]

/** Reads the options of a flush. Leaves out an invalid one, and names it, so that a flush sends everything in case of doubt. */
const readFlushOptions = (options: FlushOptions | undefined) => {
  const invalid: Array<string> = []
  const unknown = findUnknownOption(options, flushOptions)
  if (unknown !== undefined) invalid.push(unknown.name)
  const read = <A, B>(name: string, get: () => A | undefined, decode: (value: A) => B | undefined): B | undefined => {
    try {
      const value = get()
      if (value === undefined) return undefined
      const decoded = decode(value)
      if (decoded === undefined) invalid.push(name)
      return decoded
    } catch {
      // A getter or a proxy among the options threw.
      invalid.push(name)
      return undefined
    }
  }
  const upTo = read("upTo", () => options?.upTo, (time) => {
    const millis = toMillis(time)
    return Number.isNaN(millis) ? undefined : millis
  })
  const timeout = read(
    "timeout",
    () => options?.timeout,
    (duration) => Option.getOrUndefined(Duration.decodeUnknown(duration))
  )
  return { upTo, timeout, invalid }
}

const warnOfOptions = (names: ReadonlyArray<string>): Effect.Effect<void> =>
  logFrom("ThreadStats")(Effect.logWarning(
    `Ignored an invalid option of a flush: ${names.join(", ")}. Pass a valid time as upTo and a duration as timeout`
  ))

const makeFlush = (
  config: ThreadStatsSettings,
  clock: Clock.Clock,
  pipeline: Pipeline,
  hooks: FlushHooks
): Client["flush"] =>
(options) =>
  Effect.suspend(() => {
    // A hook may have something to record when nothing else is pending.
    const idleReceipt = hooks.isEmpty() ? pipeline.idle() : undefined
    if (idleReceipt !== undefined) return Effect.succeed(idleReceipt)
    const { invalid, ...requested } = readFlushOptions(options)
    const flush = pipeline.flush(FlushRequest.make(config, clock, requested))
    return invalid.length === 0 ? flush : Effect.zipRight(warnOfOptions(invalid), flush)
  })

/** Options of the constructor that no setting of the client has. */
export interface ClientOptions {
  /** Whether the client flushes before the process exits. Default: `true`. Clients for tests do not. */
  readonly flushesBeforeExit?: boolean | undefined
}

/** Creates a client that sends through the given pipeline, over the aggregators of the context. */
export const makeWithPipeline = <E, R>(
  config: ThreadStatsSettings,
  makePipeline: (services: PipelineServices) => Effect.Effect<Pipeline, E, R>,
  { flushesBeforeExit = true }: ClientOptions = {}
): Effect.Effect<Client, E, PipelineMetricsAggregator | PipelineEventsAggregator | Scope.Scope | R> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    if (config.disabled) return makeDisabled(config, clock)
    const drops = makePreAggregationDrops()
    const hooks = makeFlushHooks()
    const pipeline = yield* makePipeline({
      config,
      clock,
      preAggregation: drops,
      aggregator: yield* PipelineMetricsAggregator,
      eventsAggregator: yield* PipelineEventsAggregator,
      store: yield* Effect.serviceOption(RetainedStore),
      onFlushStart: hooks.runAll
    })
    yield* pipeline.load
    yield* scheduleFlushes({ config, clock, pipeline, flushesBeforeExit })
    const sink = makeRecordSink({ config, clock, pipeline, drops })
    const stopwatch = makeStopwatch(clock, config.timerUnit)
    return {
      config,
      ...makeRecorders(sink),
      ...makeInstruments(sink, stopwatch),
      ...makeTimers(sink, stopwatch),
      flush: makeFlush(config, clock, pipeline, hooks),
      onFlush: hooks.register,
      stats: pipeline.stats,
      warm: pipeline.warm
    }
  })
