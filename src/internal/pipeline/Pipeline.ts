import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type { Event } from "../../Event.js"
import type { EventsAggregator } from "../../EventsAggregator.js"
import type { AggregatedSeries, DropReason, MetricsAggregator, PointContext } from "../../MetricsAggregator.js"
import type * as Reporter from "../../Reporter.js"
import type { RetainedStore } from "../../RetainedStore.js"
import * as RollUp from "../../RollUp.js"
import type { EventDropReason, FlushCounts, FlushReceipt, MetricDropReason, Stats } from "../../ThreadStats.js"
import type { ThreadStatsConfig } from "../../ThreadStatsConfig.js"
import * as wire from "../http/seriesV1.js"
import * as Ledger from "../model/DropCounters.js"
import { addReceipts, emptyReceipt } from "../model/receipt.js"
import { oneTurn } from "../runtime/eventLoop.js"
import * as Breaker from "./CircuitBreaker.js"
import * as delivery from "./exportBatch.js"
import type { Outlet, Stream } from "./Exporter.js"
import * as Turns from "./FlushCoordinator.js"
import { type Retention, retention } from "./RetentionManager.js"
import * as selfMetrics from "./selfMetrics.js"

const noCounts: FlushCounts = { delivered: 0, pending: 0, dropped: 0 }

/** A flush with nothing to do. */
export const emptyFlush: FlushReceipt = {
  metrics: noCounts,
  events: noCounts,
  payloads: 0,
  bytes: 0,
  retries: 0,
  errors: [],
  skipped: false
}

const none = { received: 0, delivered: 0, pending: 0, dropped: {} }

/** Of a client that has seen nothing. */
export const noStats: Stats = {
  metrics: none,
  events: none,
  series: 0,
  flushes: 0,
  payloads: 0,
  bytes: 0,
  retries: 0,
  breaker: "closed",
  lastError: undefined
}

/** What was dropped before an aggregator saw it. */
export interface PreAggregationDrops {
  readonly received: { metrics: number; events: number }
  readonly metricDrops: Ledger.DropCounters<MetricDropReason>
  readonly eventDrops: Ledger.DropCounters<EventDropReason>
}

/** The way from recording to one reporter, or to all of them. None of it fails. */
export interface Pipeline {
  /** Takes a point, and starts a flush where a limit is near. All times are in milliseconds since the epoch. */
  readonly unsafeAdd: (
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    time: number,
    now: number,
    context: PointContext | undefined
  ) => void
  /** The same for values of one series, each of which is measured when it is recorded; a counter's default is 1. */
  readonly bind: (
    kind: RollUp.Kind,
    name: string,
    context: PointContext | undefined,
    now: () => number
  ) => (value?: RollUp.Value) => void
  /** The same for an event. */
  readonly unsafeAddEvent: (event: Event, now: number) => void
  readonly flush: (flushRequest: Turns.FlushRequest) => Effect.Effect<FlushReceipt>
  /** What a flush would give that has nothing to do, and none to wait for; else undefined. */
  readonly idle: (now: number) => FlushReceipt | undefined
  /** What is to be run on the interval, each by itself. */
  readonly periodic: ReadonlyArray<Effect.Effect<unknown>>
  /** Takes over what an earlier process left. */
  readonly load: Effect.Effect<void>
  readonly stats: Effect.Effect<Stats>
  readonly warm: Effect.Effect<void>
}

/** What every branch is told alike, and the first one warns of. */
const inputFaults: ReadonlySet<DropReason> = new Set<DropReason>([
  "InvalidValue",
  "InvalidName",
  "InvalidHost",
  "InvalidTimestamp",
  "InvalidTags",
  "TagTooLong"
])

/** The part of a flush's time that is for the store, before sending and after it, where there is one. */
const storeShare = 0.1

/** A wish for everything (or for closed buckets) within the time that the settings give a flush. */
export const wish = (
  { flushTimeout }: Pick<ThreadStatsConfig, "flushTimeout">,
  now: number,
  options: {
    readonly upTo?: number | undefined
    readonly last?: boolean | undefined
    readonly timeout?: Duration.Duration | undefined
  } = {}
): Turns.FlushRequest => ({
  upTo: options.upTo,
  deadline: now + Math.min(Duration.toMillis(options.timeout ?? flushTimeout), Duration.toMillis(flushTimeout)),
  isFinal: options.last ?? false
})

/** Annotates an effect that logs. A logger that throws does not change how a flush ends. */
export const annotateLogs = <R>(self: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.catchAllCause(
    Effect.annotateLogs(self, { package: "effect-threadstats", module: "ThreadStats" }),
    () => Effect.void
  )

/** One flush at a time; `late` is what comes of one that was not over in time, or died. */
export const makeTurns = (
  run: (wish: Turns.FlushRequest) => Effect.Effect<FlushReceipt>,
  late: FlushReceipt
): Turns.FlushCoordinator<FlushReceipt> =>
  Turns.make({
    run,
    late,
    failed: (cause) => Effect.as(annotateLogs(Effect.logError("A flush ended early", cause)), late)
  })

/** Of what is there already. */
const oneByOne = (items: ReadonlyArray<AggregatedSeries>): () => ReadonlyArray<AggregatedSeries> | undefined => {
  let next = 0
  return () => next < items.length ? [items[next++]!] : undefined
}

/**
 * What is written before everything else in the process has its turn, in values: some two milliseconds' worth. A line is as
 * much work as `lineWork` values.
 */
const sliceWork = 16_000
const lineWork = 8

/** Takes items out and writes them, a slice at a time, and says whether that was all, in time. */
const inSlices = (
  next: () => ReadonlyArray<AggregatedSeries> | undefined,
  { inTime, settle, stream }: {
    readonly stream: (item: AggregatedSeries) => number
    readonly settle: Effect.Effect<void>
    readonly inTime: () => boolean
  }
): Effect.Effect<boolean> => {
  let items: ReadonlyArray<AggregatedSeries> = []
  let at = 0
  const isLast = () => {
    for (let left = sliceWork; left > 0; left -= lineWork) {
      if (at === items.length) {
        const more = next()
        if (more === undefined) return true
        items = more
        at = 0
      }
      left -= stream(items[at++]!)
    }
    return false
  }
  const slice: Effect.Effect<boolean> = Effect.suspend(() =>
    isLast() ? Effect.succeed(true) : inTime() ? again : Effect.succeed(false)
  )
  const again = Effect.zipRight(Effect.zipRight(oneTurn, settle), slice)
  return slice
}

/** What a client has, wherever it sends. */
export interface Shared {
  readonly config: ThreadStatsConfig
  readonly clock: Clock.Clock
  readonly aggregator: MetricsAggregator["Type"]
  readonly eventsAggregator: EventsAggregator["Type"]
  readonly store: Option.Option<RetainedStore["Type"]>
  readonly front: PreAggregationDrops
  /** Run at the beginning of every flush. */
  readonly before: Effect.Effect<void>
}

export interface Options extends Shared {
  readonly outlet: Outlet
  /** Which of several it is, counted from 0. */
  readonly index?: number | undefined
}

/** Drains two aggregators into one outlet, and books what becomes of it. */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Pipeline> {
  const { aggregator, clock, config, eventsAggregator, front, index, outlet } = options
  const runtime = yield* Effect.runtime()
  const metricDrops = Ledger.make<MetricDropReason>()
  const eventDrops = Ledger.make<EventDropReason>()
  const dress = wire.dress(config, Duration.toSeconds(aggregator.rollUpInterval))
  const breaker = Breaker.make()
  const counters = {
    metrics: { delivered: 0, inFlight: 0 },
    events: { delivered: 0, inFlight: 0 }
  }
  /** What could not be read in the store. */
  const lost = { metrics: 0, events: 0 }
  let nextEarlyFlush = -Infinity
  let flushes = 0
  let sent: Reporter.Receipt = emptyReceipt
  let lastError: Reporter.ReporterError | undefined
  let unauthorized = false

  const annotate = index === undefined ? undefined : Effect.annotateLogs("branch", index)
  const log = <R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
    annotateLogs(annotate === undefined ? effect : annotate(effect))

  const warn = Effect.fnUntraced(function*(errors: ReadonlyArray<readonly [Reporter.ReporterError, FlushCounts]>) {
    const news = yield* aggregator.drainWarnings
    const isFirst = index === undefined || index === 0
    const describe = (what: string) => ({ count, names, reason }: Ledger.UnreportedDrops<string>) =>
      `Dropped ${count} ${what}: ${reason} (${names.join(", ")})`
    const warnings = [
      ...[
        ...(isFirst ? news.dropped : news.dropped.filter(({ reason }) => !inputFaults.has(reason))),
        ...front.metricDrops.drainUnreported(),
        ...metricDrops.drainUnreported()
      ].map(describe("points")),
      ...[
        ...(yield* eventsAggregator.drainWarnings),
        ...front.eventDrops.drainUnreported(),
        ...eventDrops.drainUnreported()
      ].map(describe("events")),
      ...(isFirst ? news.conflicts : []).map((name) => `The name ${name} is used with more than one kind of metric`)
    ]
    const storeError = retained?.takeNews()
    if (storeError !== undefined) yield* Effect.logWarning(storeError.message)
    yield* Effect.forEach(warnings, (message) => Effect.logWarning(message), { discard: true })
    for (const [error, counts] of errors) {
      const message = `${error.message}; kept ${counts.pending}, dropped ${counts.dropped}`
      if (error.reason !== "Unauthorized") yield* Effect.logWarning(message)
      else if (unauthorized) yield* Effect.logDebug(message)
      else {
        unauthorized = true
        yield* Effect.logError(message)
      }
    }
  }, log)

  /** Of what may have arrived, whether it is not to be sent again, where it would count twice. */
  const isSpent = <A>(item: A, outcome: delivery.Outcome<A>): boolean =>
    config.delivery === "at-most-once" && outcome.ambiguous.has(item)

  /** Books a batch of rolled-up items: back into the aggregator, dropped, or delivered. */
  const settleMetrics = Effect.fnUntraced(function*(
    items: ReadonlyArray<AggregatedSeries>,
    { addsUp }: Stream,
    outcome: delivery.Outcome<AggregatedSeries>
  ) {
    const back: Array<AggregatedSeries> = []
    let pending = 0
    let dropped = 0
    let delivered = 0
    const drop = (reason: MetricDropReason, { name, recorded }: AggregatedSeries) => {
      dropped += recorded
      metricDrops.count(reason, name, recorded)
    }
    const isAllDelivered = outcome.undelivered.size === 0 && outcome.refused.size === 0
    for (const item of items) {
      const recorded = item.recorded
      counters.metrics.inFlight -= recorded
      if (isAllDelivered) {
        delivered += recorded
      } else if (isSpent(item, outcome) && addsUp(item)) {
        drop("Ambiguous", item)
      } else if (outcome.undelivered.has(item)) {
        back.push(item)
        pending += recorded
      } else if (outcome.refused.has(item)) {
        drop("Refused", item)
      } else {
        delivered += recorded
      }
    }
    counters.metrics.delivered += delivered
    if (back.length > 0) yield* aggregator.restore(back)
    return { delivered, pending, dropped }
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
    return { delivered, pending: back.length, dropped }
  })

  const stats = Effect.gen(function*(): Effect.fn.Return<Stats> {
    const metrics = yield* aggregator.stats
    const events = yield* eventsAggregator.stats
    return {
      metrics: {
        received: metrics.received + front.received.metrics + lost.metrics,
        delivered: counters.metrics.delivered,
        pending: metrics.held + counters.metrics.inFlight,
        dropped: Ledger.addTotals<MetricDropReason>(
          metrics.dropped,
          Ledger.addTotals(front.metricDrops.totals(), metricDrops.totals())
        )
      },
      events: {
        received: events.received + front.received.events + lost.events,
        delivered: counters.events.delivered,
        pending: events.held + counters.events.inFlight,
        dropped: Ledger.addTotals<EventDropReason>(
          events.dropped,
          Ledger.addTotals(front.eventDrops.totals(), eventDrops.totals())
        )
      },
      series: metrics.contexts,
      flushes,
      payloads: sent.payloads,
      bytes: sent.bytes,
      retries: sent.retries,
      breaker: breaker.state(clock.unsafeCurrentTimeMillis()),
      lastError
    }
  })

  const lose = (points: number, events: number) => {
    lost.metrics += points
    lost.events += events
    if (points > 0) metricDrops.count("Corrupt", "in the store", points)
    if (events > 0) eventDrops.count("Corrupt", "in the store", events)
  }

  const store = Option.getOrUndefined(options.store)
  const retained = store?.[retention](store, options, { lose, log })

  const retain = (f: (self: Retention) => Effect.Effect<void>) => retained === undefined ? Effect.void : f(retained)

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

  const flushOnce = ({ deadline, isFinal: last, upTo }: Turns.FlushRequest): Effect.Effect<FlushReceipt> =>
    Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
      const now = clock.unsafeCurrentTimeMillis()
      if (deadline <= now) return emptyFlush
      if (!last && breaker.state(now) === "open") {
        yield* retain((self) => self.afterFlush(false, deadline))
        yield* warn([])
        return { ...emptyFlush, skipped: true }
      }
      yield* options.before
      if (config.selfMetrics) yield* recordSelf(now)
      const taking = { temporality: outlet.temporality, samples: outlet.samples, now, upTo }
      const rolledUp: Array<AggregatedSeries> = []
      const distributed: Array<AggregatedSeries> = []
      const isDistribution = ({ kind }: AggregatedSeries) => RollUp.addsUp(kind, aggregator.counters)
      /** At once, so that it can be given back at every moment. */
      const book = (items: ReadonlyArray<AggregatedSeries>) => {
        for (const item of items) {
          counters.metrics.inFlight += item.recorded
          ;(isDistribution(item) ? distributed : rolledUp).push(item)
        }
        return items
      }
      const drain = Effect.zipWith(
        // with a store, all of it at the moment at which the store is brought up to date
        retained === undefined
          ? Effect.map(aggregator.drainEach(taking), (next) => () => {
            const items = next()
            return items === undefined ? undefined : book(items)
          })
          : Effect.map(aggregator.drain(taking), (items) => oneByOne(book(items))),
        eventsAggregator.drain(now),
        (next, events) => {
          counters.events.inFlight += events.length
          return { next, events }
        }
      )
      const { events, next } = yield* retained?.beforeSending(drain, now + (deadline - now) * storeShare) ?? drain
      const series = outlet.series(dress)
      const distributions = outlet.distributions(dress)
      const stream = (item: AggregatedSeries) => (isDistribution(item) ? distributions : series).write(item)
      const settle = Effect.zipRight(series.settle, distributions.settle)
      const inTime = () => clock.unsafeCurrentTimeMillis() < deadline
      const written = yield* Effect.exit(restore(inSlices(next, { stream, settle, inTime })))
      const isWritten = Exit.isSuccess(written) && written.value
      if (!isWritten) {
        series.close()
        distributions.close()
      }
      if (rolledUp.length === 0 && distributed.length === 0 && events.length === 0 && Exit.isSuccess(written)) {
        yield* retain((self) => self.afterFlush(true, deadline))
        yield* warn([])
        return emptyFlush
      }

      const batchOf = <A>(
        endpoint: string,
        load: delivery.Load<A>,
        settle: (outcome: delivery.Outcome<A>) => Effect.Effect<FlushCounts>
      ) => {
        let outcome: delivery.Outcome<A> | undefined
        return {
          isEmpty: load.batch.length === 0,
          deliver: (limit: Duration.Duration) =>
            Effect.map(delivery.deliver(endpoint, load, limit), (known) => {
              outcome = known
            }),
          end: Effect.suspend(() => {
            const known = outcome ?? (isWritten
              ? delivery.allUndelivered(load.batch, undefined)
              : delivery.allUnsent(load.batch, endpoint, Exit.isSuccess(written)))
            return Effect.map(settle(known), (counts) => ({ counts, receipt: known.receipt, error: known.error }))
          })
        }
      }
      const metricsOf = (endpoint: string, items: ReadonlyArray<AggregatedSeries>, stream: Stream) =>
        batchOf(endpoint, stream.end(items), (outcome) => settleMetrics(items, stream, outcome))
      const batches = [
        metricsOf("series", rolledUp, series),
        metricsOf("distributions", distributed, distributions),
        batchOf<Reporter.Item>(
          "events",
          delivery.loadOf(events, outlet.flushEvents),
          (outcome) => settleEvents(events, outcome)
        )
      ] as const
      const left = deadline - clock.unsafeCurrentTimeMillis()
      const limit = Duration.millis(left * (retained === undefined ? 1 : 1 - storeShare))
      const runs = batches.filter(({ isEmpty }) => !isEmpty).map((batch) => batch.deliver(limit))
      const exit = !Exit.isSuccess(written) ? written : !written.value ? Exit.void : yield* Effect.exit(restore(
        runs.length === 1 ? runs[0]! : Effect.all(runs, { concurrency: "unbounded", discard: true })
      ))

      const ends = [yield* batches[0].end, yield* batches[1].end, yield* batches[2].end] as const
      const receipt = ends.reduce((sum, end) => addReceipts(sum, end.receipt), emptyReceipt)
      const failed = ends.flatMap(({ counts, error }) => error === undefined ? [] : [[error, counts] as const])
      flushes++
      sent = addReceipts(sent, receipt)
      lastError = failed.at(-1)?.[0]
      if (receipt.payloads > 0) {
        unauthorized = false
        breaker.succeeded()
      } else if (failed.length > 0 && Exit.isSuccess(exit)) {
        const end = clock.unsafeCurrentTimeMillis()
        if (end - now >= Duration.toMillis(config.flushTimeout) / 2) breaker.wasted(end)
      }
      yield* retain((self) => self.afterFlush(ends.every(({ counts }) => counts.pending === 0), deadline))
      yield* warn(failed)
      if (Exit.isFailure(exit)) return yield* Effect.failCause(exit.cause)
      return {
        metrics: {
          delivered: ends[0].counts.delivered + ends[1].counts.delivered,
          pending: ends[0].counts.pending + ends[1].counts.pending,
          dropped: ends[0].counts.dropped + ends[1].counts.dropped
        },
        events: ends[2].counts,
        payloads: receipt.payloads,
        bytes: receipt.bytes,
        retries: receipt.retries,
        errors: failed.map(([error]) => error),
        skipped: false
      }
    }))

  const turns = makeTurns(flushOnce, emptyFlush)

  /** Whether something was dropped here, or before, that no warning has named. */
  const hasNews = () =>
    [front.metricDrops, metricDrops, front.eventDrops, eventDrops].some((ledger) => ledger.hasUnreported())

  /** Near a limit, and not again before a whole flush could have run: where that does not help, the limit is what is left. */
  const flushEarly = (now: number) => {
    if (now < nextEarlyFlush) return
    nextEarlyFlush = now + Duration.toMillis(config.flushTimeout)
    Runtime.runFork(runtime)(turns.run(wish(config, now)))
  }

  /** Not cut short when the loop is: the last flush waits for the one in flight. */
  const flushClosed = Effect.suspend(() => {
    const now = clock.unsafeCurrentTimeMillis()
    return turns.runDetached(wish(config, now, { upTo: now }))
  })

  return {
    unsafeAdd(kind, name, value, time, now, context) {
      if (aggregator.unsafeAdd(kind, name, value, time, context)) flushEarly(now)
    },
    bind: (kind, name, context, now) => aggregator.bind(kind, name, context, { now, onHighWaterMark: flushEarly }),
    unsafeAddEvent(event, now) {
      eventsAggregator.unsafeAdd(event)
      if (eventsAggregator.isAboveHighWaterMark()) flushEarly(now)
    },
    flush: turns.run,
    idle: (now) =>
      turns.isIdle() && aggregator.isIdle() && eventsAggregator.isIdle() && !hasNews() && !config.selfMetrics &&
        retained === undefined && breaker.state(now) !== "open"
        ? emptyFlush
        : undefined,
    periodic: [flushClosed],
    load: Effect.suspend(() =>
      retain((self) => self.adopt(clock.unsafeCurrentTimeMillis() + Duration.toMillis(config.flushTimeout)))
    ),
    stats,
    warm: Effect.catchAllCause(
      Effect.withTracerEnabled(outlet.warm, false),
      (cause) => log(Effect.logDebug("Nothing was opened ahead of the first flush", cause))
    )
  }
})
