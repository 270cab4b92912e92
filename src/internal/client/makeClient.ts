import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { EventsAggregator } from "../../EventsAggregator.js"
import { MetricsAggregator } from "../../MetricsAggregator.js"
import { RetainedStore } from "../../RetainedStore.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import type { FlushOptions } from "../model/Stats.js"
import { toMillis } from "../model/time.js"
import { request } from "../pipeline/FlushCoordinator.js"
import type { Pipeline } from "../pipeline/Pipeline.js"
import type { PipelineServices } from "../pipeline/PipelineOptions.js"
import { emptyFlush, noStats } from "../pipeline/PipelineState.js"
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

/** Reads the options of a flush. Ignores an invalid one, so that a flush sends everything in case of doubt. */
const readFlushOptions = (options: FlushOptions | undefined) => {
  let upTo: number | undefined
  let timeout: Duration.Duration | undefined
  try {
    upTo = options?.upTo === undefined ? undefined : toMillis(options.upTo)
    timeout = options?.timeout === undefined
      ? undefined
      : Option.getOrUndefined(Duration.decodeUnknown(options.timeout))
  } catch {
    // A getter or a proxy among the options threw.
  }
  return { upTo: Number.isNaN(upTo) ? undefined : upTo, timeout }
}

const makeFlush = (
  config: ThreadStatsSettings,
  clock: Clock.Clock,
  pipeline: Pipeline,
  hooks: FlushHooks
): Client["flush"] =>
(options) =>
  Effect.suspend(() => {
    const now = clock.unsafeCurrentTimeMillis()
    // A hook may have something to record when nothing else is pending.
    const idleReceipt = hooks.isEmpty() ? pipeline.idle(now) : undefined
    return idleReceipt === undefined
      ? pipeline.flush(request(config, now, readFlushOptions(options)))
      : Effect.succeed(idleReceipt)
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
): Effect.Effect<Client, E, MetricsAggregator | EventsAggregator | Scope.Scope | R> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    if (config.disabled) return makeDisabled(config, clock)
    const drops = makePreAggregationDrops()
    const hooks = makeFlushHooks()
    const pipeline = yield* makePipeline({
      config,
      clock,
      preAggregation: drops,
      aggregator: yield* MetricsAggregator,
      eventsAggregator: yield* EventsAggregator,
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
