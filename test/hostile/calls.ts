/** Draws calls with arguments that no type admits, and checks their consequences. */
import { Cause, Effect, Exit, TestClock } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { assert } from "vitest"
import * as hostile from "../support/hostile.js"
import { quickClock } from "../support/quickClock.js"
import { assertValid, start, sumOf } from "./payload.js"

const { lie } = hostile

const kinds = ["gauge", "increment", "decrement", "histogram", "distribution", "timing", "set"] as const
export const unsafeKinds = [
  "unsafeGauge",
  "unsafeIncrement",
  "unsafeDecrement",
  "unsafeHistogram",
  "unsafeDistribution",
  "unsafeTiming",
  "unsafeSet"
] as const

const pointOptions = ["tags", "host", "timestamp"]
const timerOptions = ["tags", "host", "unit"]
export const eventOptions = [
  "alertType",
  "aggregationKey",
  "sourceTypeName",
  "dateHappened",
  "priority",
  "relatedEventId",
  "deviceName",
  "tags",
  "host"
]

type Client = ThreadStats.ThreadStats["Type"]

interface Call {
  readonly label: string
  readonly records: "metrics" | "events"
  readonly run: Effect.Effect<unknown, unknown, ThreadStats.ThreadStats>
}

/** Draws a call with at least one argument that its type does not admit. */
const hostileCall = (client: Client, from: hostile.Random, mutations: Array<string>): Call => {
  const hasValidName = from.chance(40)
  const [nameLabel, name] = hasValidName ? ["hostile.name", "hostile.name"] : hostile.draw(from)
  const [valueLabel, value] = from.chance(30)
    ? ["7", 7] as const
    : hostile.draw(from, from.chance(50) ? hostile.numbers : hostile.pool)
  const call = (
    method: string,
    labels: ReadonlyArray<string>,
    records: Call["records"],
    run: () => Effect.Effect<unknown, unknown, ThreadStats.ThreadStats> | void
  ): Call => ({
    label: `${method}(${labels.join("; ")})`,
    records,
    run: Effect.suspend(() => run() ?? Effect.void)
  })
  switch (from.int(8)) {
    case 0:
    case 1:
    case 2: {
      const [label, options] = hostile.options(from, pointOptions, mutations)
      const kind = from.pick(unsafeKinds)
      return call(
        kind,
        [nameLabel, valueLabel, label],
        "metrics",
        () => client[kind](lie(name), lie(value), lie(options))
      )
    }
    case 3: {
      const [label, options] = hostile.options(from, pointOptions, mutations)
      const kind = from.pick(kinds)
      return call(
        kind,
        [nameLabel, valueLabel, label],
        "metrics",
        () => client[kind](lie(name), lie(value), lie(options))
      )
    }
    case 4: {
      const [label, options] = hostile.options(from, pointOptions, mutations)
      const kind = from.pick(kinds)
      const accessor = ThreadStats[kind]
      return call(
        `ThreadStats.${kind}`,
        [nameLabel, valueLabel, label],
        "metrics",
        () => accessor(lie(name), lie(value), lie(options))
      )
    }
    case 5: {
      const [label, options] = hostile.options(from, timerOptions, mutations)
      const [tagsLabel, result] = hostile.draw(from)
      const tags = from.pick([
        () => result,
        () => {
          throw result
        },
        (exit: object) => Object.assign(exit, { tampered: true }) as unknown
      ])
      const timerArgument = from.chance(30) ? { tags } : options
      const effect = from.chance(50) ? Effect.succeed(1) : Effect.fail("expected" as const)
      const body = from.pick([
        () => client.timer(effect, lie(name), lie(timerArgument)),
        () => ThreadStats.timer(effect, lie(name), lie(timerArgument)),
        () => ThreadStats.timed(lie(name), lie<ThreadStats.TimerOptions>(timerArgument))(() => effect)(),
        () => ThreadStats.timed(lie(name), lie<ThreadStats.TimerOptions>(timerArgument))(effect)
      ])
      return call(
        "timer",
        [nameLabel, timerArgument === options ? label : tagsLabel],
        "metrics",
        () =>
          Effect.catchIf(body() as Effect.Effect<unknown, unknown>, (error) => error === "expected", () => Effect.void)
      )
    }
    case 6: {
      const [label, options] = hostile.options(from, eventOptions, mutations)
      return call(
        "unsafeEvent",
        [nameLabel, valueLabel, label],
        "events",
        () => client.unsafeEvent(lie(name), lie(hasValidName ? "text" : value), lie(options))
      )
    }
    default: {
      const [label, options] = hostile.options(from, eventOptions, mutations)
      const event = from.chance(50) ? client.event : ThreadStats.event
      return call("event", [nameLabel, label], "events", () => event(lie(name), "text", lie(options)))
    }
  }
}

export interface Options {
  readonly seed: number
  readonly calls: number
  /** Number of flushes that the calls are divided into. */
  readonly batches: number
}

/**
 * Makes hostile calls among valid ones. Fails if a call fails, if it changes its arguments, if a point or event is missing from
 * the counters, or if the intake does not accept every payload and hold all valid data.
 */
export const checkHostileCalls = Effect.fnUntraced(function*({ batches, calls, seed }: Options) {
  yield* quickClock
  yield* TestClock.setTime(start)
  const intake = yield* LocalIntake.LocalIntake
  const self = yield* ThreadStats.ThreadStats
  const from = hostile.random(seed)
  const mutations: Array<string> = []
  const broken: Array<string> = []
  const recorded = { metrics: 0, events: 0 }
  const valid = {
    counted: 0,
    values: [] as Array<number>,
    titles: [] as Array<string>,
    gauges: [] as Array<number>
  }

  for (let batch = 0; batch < batches; batch++) {
    const members = new Set<number>()
    for (let i = 0; i < calls / batches; i++) {
      const call = hostileCall(self, from, mutations)
      recorded[call.records]++
      const exit = yield* Effect.exit(call.run)
      if (Exit.isFailure(exit)) broken.push(`${call.label}: ${Cause.pretty(exit.cause).slice(0, 200)}`)
      if (from.chance(10)) {
        const n = from.int(1000)
        self.unsafeIncrement("valid.count", n, { tags: ["a:b"] })
        self.unsafeDistribution("valid.values", n)
        self.unsafeSet("valid.set", n)
        self.unsafeGauge("valid.gauge", n, { timestamp: start + batch * 10_000 })
        recorded.metrics += 4
        valid.counted += n
        valid.values.push(n)
        members.add(n)
        valid.gauges[batch] = n
      }
      if (from.chance(1)) {
        self.unsafeEvent(`valid ${recorded.events}`, "text", { alertType: "info" })
        valid.titles.push(`valid ${recorded.events}`)
        recorded.events++
      }
    }
    assert.deepStrictEqual(broken, [])
    assert.deepStrictEqual(mutations, [])

    const pending = yield* self.stats
    assert.strictEqual(pending.metrics.received, recorded.metrics)
    assert.strictEqual(pending.events.received, recorded.events)
    assert.strictEqual(sumOf(pending.metrics), recorded.metrics)
    assert.strictEqual(sumOf(pending.events), recorded.events)

    const receipt = yield* self.flush()
    assert.deepStrictEqual(receipt.errors.map(String), [])
    const { events, metrics } = yield* self.stats
    assert.strictEqual(metrics.pending, 0)
    assert.strictEqual(events.pending, 0)
    assert.strictEqual(sumOf(metrics), recorded.metrics)
    assert.strictEqual(sumOf(events), recorded.events)
    const set = (yield* intake.series).findLast(({ metric }) => metric === "valid.set")
    assert.strictEqual(set?.points[0]?.[1], members.size)
    yield* TestClock.adjust("10 seconds")
  }

  const requests = yield* intake.requests
  for (const { body, path, reason, receivedAt, status } of requests) {
    assert.strictEqual(status, 202, reason)
    assertValid(path, body, receivedAt / 1000)
  }
  const stats = yield* self.stats
  assert.isUndefined(stats.metrics.dropped.Refused)
  assert.isUndefined(stats.events.dropped.Refused)
  // The generator draws input for every drop reason, and valid input beside it.
  for (
    const reason of [
      "InvalidValue",
      "InvalidName",
      "InvalidTags",
      "InvalidHost",
      "InvalidTimestamp",
      "NameTooLong",
      "TooOld",
      "TooNew"
    ] as const
  ) {
    assert.isAbove(stats.metrics.dropped[reason] ?? 0, 0, reason)
  }
  assert.isAbove(stats.events.dropped.InvalidEvent ?? 0, 0)
  assert.isAbove(stats.metrics.delivered, 4 * valid.values.length)
  assert.isAbove(stats.events.delivered, valid.titles.length)

  const named = (name: string) =>
    Effect.map(
      intake.series,
      (all) => all.filter(({ metric }) => metric === name).map(({ points }) => points[0]![1])
    )
  const counted = yield* named("valid.count")
  assert.strictEqual(counted.length, batches)
  assert.closeTo(counted.reduce((sum, rate) => sum + rate * 10, 0), valid.counted, 1e-6)
  assert.deepStrictEqual(yield* named("valid.gauge"), valid.gauges)
  const values = (yield* intake.distributions).filter(({ metric }) => metric === "valid.values")
  // Values of one interval are sent in ascending order (docs/parity.md).
  const ascending = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)
  assert.deepStrictEqual(
    ascending(values.flatMap(({ points }) => points.flatMap(([, values]) => values))),
    ascending(valid.values)
  )
  const titles = (yield* intake.events).map(({ title }) => title).filter((title) => title.startsWith("valid "))
  assert.deepStrictEqual(titles.toSorted(), valid.titles.toSorted())
})
