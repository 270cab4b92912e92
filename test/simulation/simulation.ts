/**
 * A whole client on a simulated clock, against an intake that answers late, never, twice, in part, or not at all.
 *
 * Everything that happens is drawn from a seed. Afterwards the intake gets well, and what it holds is compared with what
 * was recorded: counters by the last value of each bucket, as Datadog reads them, distributions and events one by one.
 */
import { Context, Effect, Exit, Fiber, Layer, Logger, LogLevel, Scope, TestClock, TestContext } from "effect"
import { EventsAggregator, MetricsAggregator, Reporter, ThreadStats } from "effect-threadstats"
import type { Event, Series } from "effect-threadstats"
import { PCGRandom } from "effect/Utils"

export interface Outcome {
  readonly seed: number
  readonly points: number
  /** Recorded, but neither delivered nor held nor counted as dropped. */
  readonly lost: number
  /** Arrived more than once, where the client could have known that it had arrived. */
  readonly duplicated: number
  readonly faults: ReadonlyArray<string>
}

/** Never ends; other than `Effect.never` it does not keep the process, also where it cannot be interrupted. */
const silence = Effect.async<never>(() => {})

const start = 1_700_000_000_000
const budget = 5_000

/** What arrived, as Datadog would know it. */
const makeIntake = () => {
  const counters = new Map<string, number>()
  const arrivals = new Map<string, number>()
  /** What was in a request whose answer the client may never have seen. */
  const ambiguous = new Set<string>()
  const keysOf = (item: Reporter.Item): ReadonlyArray<string> =>
    "title" in item
      ? [item.title]
      : item.type === "distribution"
      ? item.points.flatMap(([, values]) => values.map((value) => `${item.metric} ${value}`))
      : []
  return {
    counters,
    arrivals,
    ambiguous,
    accept(batch: ReadonlyArray<Reporter.Item>) {
      for (const item of batch) {
        for (const key of keysOf(item)) arrivals.set(key, (arrivals.get(key) ?? 0) + 1)
        if (!("title" in item) && item.type === "rate") {
          const [timestamp, value] = item.points[0]!
          counters.set(`${item.metric} ${timestamp}`, Math.round(value * 10))
        }
      }
    },
    doubt(batch: ReadonlyArray<Reporter.Item>) {
      for (const item of batch) for (const key of keysOf(item)) ambiguous.add(key)
    }
  }
}

export const run = (seed: number): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const random = new PCGRandom(seed)
    const chance = (p: number) => random.number() < p
    const upTo = (n: number) => Math.floor(random.number() * n)
    const intake = makeIntake()
    let well = false

    const answer = (batch: ReadonlyArray<Reporter.Item>): Effect.Effect<Reporter.Receipt, Reporter.ReporterError> => {
      const receipt = { items: batch.length, payloads: 1, bytes: batch.length }
      const accept = Effect.sync(() => {
        intake.accept(batch)
        return receipt
      })
      const fail = (undelivered: ReadonlyArray<Reporter.Item>, accepted: number) =>
        new Reporter.ReporterError({
          reason: "ServerError",
          endpoint: "simulated",
          description: "simulated",
          undelivered,
          refused: [],
          receipt: { items: accepted, payloads: accepted > 0 ? 1 : 0, bytes: accepted }
        })
      if (well) return accept
      switch (upTo(8)) {
        case 0:
          return Effect.fail(fail(batch, 0))
        case 1:
          return Effect.die("simulated defect")
        case 2:
          return silence
        case 3:
          return Effect.uninterruptible(silence)
        case 4: {
          const cut = upTo(batch.length + 1)
          return Effect.suspend(() => {
            intake.accept(batch.slice(0, cut))
            return fail(batch.slice(cut), cut)
          })
        }
        case 5: {
          intake.doubt(batch)
          return Effect.zipRight(Effect.sleep(upTo(8_000)), accept)
        }
        case 6: {
          intake.doubt(batch)
          return Effect.zipRight(accept, silence)
        }
        default:
          // The caller may be interrupted just as this is done.
          intake.doubt(batch)
          return accept
      }
    }

    const reporter = Layer.succeed(Reporter.Reporter, {
      temporality: "total",
      flushMetrics: (batch: ReadonlyArray<Series.Series>) => Effect.suspend(() => answer(batch)),
      flushDistributions: (batch: ReadonlyArray<Series.DistributionSeries>) => Effect.suspend(() => answer(batch)),
      flushEvents: (batch: ReadonlyArray<Event.Event>) => Effect.suspend(() => answer(batch)),
      warm: Effect.void
    })

    yield* TestClock.setTime(start)
    const scope = yield* Scope.make()
    const context = yield* ThreadStats.layer({ flushTimeout: budget }).pipe(
      Layer.provide(Layer.mergeAll(
        reporter,
        Layer.fresh(MetricsAggregator.layerDefault),
        Layer.fresh(EventsAggregator.layer)
      )),
      Layer.orDie,
      Layer.buildWithScope(scope)
    )
    const client = Context.get(context, ThreadStats.ThreadStats)
    const expected = new Map<string, number>()
    const recorded: Array<string> = []
    const faults: Array<string> = []
    let points = 0

    const recordOne = Effect.gen(function*() {
      const now = yield* TestClock.currentTimeMillis
      const time = chance(0.2) ? Math.max(start, now - upTo(120_000)) : now
      const name = `m${upTo(3)}`
      points++
      switch (upTo(3)) {
        case 0: {
          const key = `${name} ${Math.floor(time / 10_000) * 10}`
          const value = 1 + upTo(9)
          expected.set(key, (expected.get(key) ?? 0) + value)
          return client.unsafeIncrement(name, value, { timestamp: time })
        }
        case 1:
          recorded.push(`d${name} ${points}`)
          return client.unsafeDistribution(`d${name}`, points, { timestamp: time })
        default:
          recorded.push(`event ${points}`)
          return client.unsafeEvent(`event ${points}`, "")
      }
    })

    const balance = Effect.map(client.stats, ({ events, metrics }) => {
      for (const [what, counts] of [["metrics", metrics], ["events", events]] as const) {
        const dropped = Object.values(counts.dropped).reduce((a, b) => a + b, 0)
        if (counts.received !== counts.delivered + counts.held + dropped) faults.push(`${what} do not add up`)
      }
      return metrics.held + events.held
    })

    const fibers: Array<Fiber.RuntimeFiber<unknown>> = []
    for (let step = 0; step < 60; step++) {
      const what = random.number()
      if (what < 0.55) { for (let i = upTo(5); i >= 0; i--) yield* recordOne }
      else if (what < 0.7) fibers.push(yield* Effect.fork(client.flush()))
      else if (what < 0.78 && fibers.length > 0) yield* Effect.fork(Fiber.interrupt(fibers[upTo(fibers.length)]!))
      else if (what < 0.98) yield* TestClock.adjust(upTo(6_000))
      else yield* TestClock.adjust(60_000 + upTo(60_000))
      yield* balance
    }

    well = true
    const waits = chance(0.7)
    if (waits) {
      for (let i = 0; i < 8; i++) {
        const flushing = yield* Effect.fork(client.flush())
        yield* TestClock.adjust(budget)
        yield* Fiber.await(flushing)
        if ((yield* balance) === 0) break
        yield* TestClock.adjust("300 seconds")
      }
    }
    const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* TestClock.adjust(budget)
    if ((yield* Fiber.poll(closing))._tag === "None") faults.push("closing took more than the budget")
    yield* TestClock.adjust(budget)
    yield* Fiber.await(closing)
    for (const fiber of fibers) {
      if ((yield* Fiber.poll(fiber))._tag === "None") faults.push("a flush took more than the budget")
    }
    const held = yield* balance
    if (waits && held > 0) faults.push(`${held} are still held by a well intake`)

    const missing = recorded.filter((key) => !intake.arrivals.has(key)).length
    const wrong = Array.from(expected).filter(([key, value]) => intake.counters.get(key) !== value)
    if (held === 0) {
      for (const [key, value] of wrong) faults.push(`${key}: ${intake.counters.get(key)} instead of ${value}`)
    }
    const twice = recorded.filter((key) => (intake.arrivals.get(key) ?? 0) > 1 && !intake.ambiguous.has(key))
    return { seed, points, lost: Math.max(0, missing - held), duplicated: twice.length, faults }
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(TestContext.TestContext))
