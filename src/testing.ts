/**
 * For a program's own tests: a client over memory, and what was recorded with it, to look at or to expect in one line.
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { ThreadStats } from "effect-threadstats"
 * import * as Testing from "effect-threadstats/testing"
 *
 * it.effect("counts the jobs", () =>
 *   Effect.gen(function*() {
 *     yield* ThreadStats.increment("jobs.started", 5, { tags: { queue: "mail" } })
 *     yield* Testing.expectCount("jobs.started", 5, { queue: "mail" })
 *   }).pipe(Effect.provide(Testing.layer)))
 * ```
 *
 * To look is to flush: there is no need to do so before. What is seen is what was recorded, not what would be on the wire
 * (`ThreadStats.layerTest` shows that): the sum of a counter, the last value of a gauge, the members of a set, and every value
 * of a histogram, timing or distribution, in all roll-up intervals since the layer was built or {@link clear}ed.
 *
 * Names are those that would be sent, namespace included. Tags, as an array or a record, are those a series must have; it
 * may have more. An expectation that is not met is a failed effect whose message lists what was recorded, and whose stack is
 * that of the line that expected it.
 *
 * It needs no test framework. It is not part of the package's main entry, which programs load.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Event } from "./Event.js"
import * as EventsAggregator from "./EventsAggregator.js"
import { makeOverReporter } from "./internal/client/makeOverReporter.js"
import * as Ledger from "./internal/model/DropCounters.js"
import { fromInput, type Tags } from "./internal/model/tags.js"
import * as MetricsAggregator from "./MetricsAggregator.js"
import * as Reporter from "./Reporter.js"
import type { Kind } from "./RollUp.js"
import type { DistributionSeries, SampleSeries } from "./Series.js"
import * as ThreadStats from "./ThreadStats.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

/**
 * What was recorded with one kind, name, host and set of tags.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedMetric {
  readonly kind: Kind
  readonly name: string
  readonly host: string | undefined
  readonly tags: ReadonlyArray<string>
  /** Of a counter its sum, of a gauge its last value, of a set its members; of others all values, in order. */
  readonly values: ReadonlyArray<number | string>
  /** Start of the last roll-up interval with a value, in seconds since the epoch. */
  readonly timestamp: number
}

/**
 * Everything that was recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recording {
  readonly metrics: ReadonlyArray<RecordedMetric>
  readonly events: ReadonlyArray<Event>
  /** What was not taken, by reason. */
  readonly dropped: { readonly [reason: string]: number }
}

/**
 * What was recorded with the client of the same layer.
 *
 * @since 0.1.0
 * @category tags
 */
export class Recorded extends /*#__PURE__*/ Context.Tag("effect-threadstats/testing/Recorded")<Recorded, {
  /** Flushes, and gives everything since the layer was built or cleared. */
  readonly look: Effect.Effect<Recording>
  /** Flushes, and forgets everything. */
  readonly clear: Effect.Effect<void>
  /** Which kinds {@link count} adds up: counters, and distributions where counters travel as such. */
  readonly counted: ReadonlyArray<Kind>
}>() {}

type Mutable = { -readonly [K in keyof RecordedMetric]: RecordedMetric[K] }

const add = (entry: Mutable, timestamp: number, values: RecordedMetric["values"]) => {
  switch (entry.kind) {
    case "counter":
      entry.values = [Number(entry.values[0] ?? 0) + Number(values[0])]
      break
    case "gauge":
      if (timestamp >= entry.timestamp) entry.values = values
      break
    case "set":
      entry.values = Array.from(new Set([...entry.values, ...values]))
      break
    default:
      entry.values = entry.values.concat(values)
  }
  entry.timestamp = Math.max(entry.timestamp, timestamp)
}

/** One for each series. */
const merge = (batch: ReadonlyArray<SampleSeries | DistributionSeries>): ReadonlyArray<RecordedMetric> => {
  const entries = new Map<string, Mutable>()
  for (const { host = null, metric, points, tags, type } of batch) {
    const key = JSON.stringify([type, metric, host, ...tags.slice().sort()])
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = { kind: type, name: metric, host: host ?? undefined, tags, values: [], timestamp: -Infinity }
      entries.set(key, entry)
    }
    for (const [timestamp, values] of points) add(entry, timestamp, values)
  }
  return Array.from(entries.values())
}

const make = Effect.gen(function*() {
  const client = yield* ThreadStats.ThreadStats
  const memory = yield* Reporter.MemoryReporter
  const dropped = Effect.map(
    client.stats,
    ({ events, metrics }) => Ledger.addTotals<string>(metrics.dropped, events.dropped)
  )
  let droppedBefore: Recording["dropped"] = {}
  return Recorded.of({
    counted: client.config.counters === "distributions" ? ["counter", "distribution"] : ["counter"],
    look: Effect.gen(function*(): Effect.fn.Return<Recording> {
      yield* client.flush()
      return {
        metrics: merge([...yield* memory.samples, ...yield* memory.distributions]),
        events: yield* memory.events,
        dropped: Object.fromEntries(
          Object.entries(yield* dropped)
            .map(([reason, count = 0]) => [reason, count - (droppedBefore[reason] ?? 0)] as const)
            .filter(([, count]) => count > 0)
        )
      }
    }),
    clear: Effect.gen(function*() {
      yield* client.flush()
      yield* memory.clear
      droppedBefore = { ...yield* dropped } as Recording["dropped"]
    })
  })
})

/** Aggregators of its own, and no environment. */
const client = Effect.fnUntraced(function*(options: ThreadStatsConfig.Options | undefined) {
  const config = yield* ThreadStatsConfig.make({
    periodicFlush: false,
    sampleSize: 1_000_000,
    timestamps: "any",
    ...options
  })
  const aggregators = Context.make(MetricsAggregator.MetricsAggregator, yield* MetricsAggregator.fromConfig(config))
    .pipe(
      Context.add(EventsAggregator.EventsAggregator, yield* EventsAggregator.fromConfig(config))
    )
  return yield* Effect.provide(makeOverReporter(config, { flushesBeforeExit: false }), aggregators)
}, Effect.withConfigProvider(ConfigProvider.fromMap(new Map())))

/**
 * A client that delivers to memory, and what was recorded with it. The environment plays no part, and nothing is flushed but
 * by a look or the program itself.
 *
 * Unlike elsewhere every value of a histogram is kept, and every time is taken: a test's clock begins in 1970. With
 * `counters: "distributions"`, as on Lambda, counters, histograms and timings are seen as distributions.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options?: ThreadStatsConfig.Options
): Layer.Layer<ThreadStats.ThreadStats | Recorded, ConfigError> =>
  Layer.effect(Recorded, make).pipe(
    Layer.provideMerge(Layer.scoped(ThreadStats.ThreadStats, client(options))),
    Layer.provide(Reporter.layerMemoryWith({ temporality: "delta", samples: true }))
  )

/**
 * {@link layerWith} without options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ThreadStats.ThreadStats | Recorded> = /*#__PURE__*/ Layer.orDie(
  /*#__PURE__*/ layerWith()
)

const look = Effect.flatMap(Recorded, (self) => self.look)

const toTags = (tags: Tags | undefined): ReadonlyArray<string> => {
  const wanted = fromInput(tags)
  if (typeof wanted === "string") throw new TypeError(`${wanted}: ${JSON.stringify(tags)}`)
  return wanted
}

const carries = (tags: ReadonlyArray<string>, wanted: ReadonlyArray<string>) =>
  wanted.every((tag) => tags.includes(tag))

const select = (
  recording: Recording,
  kinds: ReadonlyArray<Kind>,
  name: string,
  tags: Tags | undefined
): ReadonlyArray<RecordedMetric> => {
  const wanted = toTags(tags)
  return recording.metrics.filter((metric) =>
    kinds.includes(metric.kind) && metric.name === name && carries(metric.tags, wanted)
  )
}

const sumOf = (metrics: ReadonlyArray<RecordedMetric>): number =>
  metrics.reduce((sum, { values }) => values.reduce<number>((sum, value) => sum + Number(value), sum), 0)

const valuesOf = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number> =>
  metrics.flatMap(({ values }) => values as ReadonlyArray<number>)

const membersOf = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number | string> =>
  Array.from(new Set(metrics.flatMap(({ values }) => values)))

/** Of different series with that name and those tags, the last values; the latest one is last. */
const standsOf = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number> =>
  valuesOf(metrics.slice().sort((a, b) => a.timestamp - b.timestamp))

const many: ReadonlyArray<Kind> = ["histogram", "timing", "distribution"]

/**
 * Everything that was recorded.
 *
 * @since 0.1.0
 * @category accessors
 */
export const recording: Effect.Effect<Recording, never, Recorded> = look

/**
 * Forgets what was recorded so far.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clear: Effect.Effect<void, never, Recorded> = /*#__PURE__*/ Effect.flatMap(Recorded, (self) => self.clear)

/**
 * The names of all metrics, each once, in alphabetical order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const names: Effect.Effect<ReadonlyArray<string>, never, Recorded> = /*#__PURE__*/ Effect.map(
  look,
  ({ metrics }) => Array.from(new Set(metrics.map(({ name }) => name))).sort()
)

/**
 * What a counter counted, over all its tags that include these. Zero for one that was never used.
 *
 * @since 0.1.0
 * @category accessors
 */
export const count = (name: string, tags?: Tags): Effect.Effect<number, never, Recorded> =>
  Effect.flatMap(Recorded, (self) => Effect.map(self.look, (all) => sumOf(select(all, self.counted, name, tags))))

/**
 * The last value of a gauge; of several with these tags, the one that was recorded in the latest roll-up interval.
 *
 * @since 0.1.0
 * @category accessors
 */
export const gauge = (name: string, tags?: Tags): Effect.Effect<number | undefined, never, Recorded> =>
  Effect.map(look, (all) => standsOf(select(all, ["gauge"], name, tags)).at(-1))

/**
 * The values of a histogram, timing or distribution, over all its tags that include these.
 *
 * @since 0.1.0
 * @category accessors
 */
export const values = (name: string, tags?: Tags): Effect.Effect<ReadonlyArray<number>, never, Recorded> =>
  Effect.map(look, (all) => valuesOf(select(all, many, name, tags)))

/**
 * The different members of a set, over all its tags that include these.
 *
 * @since 0.1.0
 * @category accessors
 */
export const members = (name: string, tags?: Tags): Effect.Effect<ReadonlyArray<number | string>, never, Recorded> =>
  Effect.map(look, (all) => membersOf(select(all, ["set"], name, tags)))

/**
 * The events with this title, or for which this holds, or all; in order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const events = (
  filter?: string | ((event: Event) => boolean)
): Effect.Effect<ReadonlyArray<Event>, never, Recorded> =>
  Effect.map(look, ({ events }) =>
    filter === undefined
      ? events
      : events.filter(typeof filter === "string" ? ({ title }) => title === filter : filter))

const withTags = (name: string, tags: ReadonlyArray<string>): string =>
  tags.length === 0 ? name : `${name} {${tags.join(", ")}}`

const shown = (value: unknown): string => {
  const text = value === undefined ? "nothing" : JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const describe = ({ dropped, events, metrics }: Recording): string =>
  [
    ...metrics.map(({ kind, name, tags, values }) =>
      `${kind} ${withTags(name, tags)} ${shown(kind === "counter" || kind === "gauge" ? values[0] : values)}`
    ),
    ...events.map(({ tags, title }) => `event ${withTags(shown(title), tags)}`),
    ...Object.entries(dropped).map(([reason, count]) => `dropped ${count}: ${reason}`)
  ].map((line) => `\n  ${line}`).join("") || " nothing"

/**
 * Something else was recorded than a test expected.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExpectationError extends /*#__PURE__*/ Data.TaggedError("ExpectationError")<{
  /** What the test looked at. */
  readonly subject: string
  readonly expected: unknown
  readonly actual: unknown
  readonly recording: Recording
}> {
  override get message(): string {
    return `expected ${this.subject} to be ${shown(this.expected)}, found ${shown(this.actual)}; recorded was` +
      describe(this.recording)
  }
}

/** Looks, and fails with the stack of the line that expected, for the test's report to show. */
const expecting = <A>(
  caller: (...args: Array<never>) => unknown,
  check: (recording: Recording, counted: ReadonlyArray<Kind>) => {
    readonly subject: string
    readonly expected: unknown
    readonly actual: A
    readonly isMet: boolean
  }
): Effect.Effect<A, ExpectationError, Recorded> => {
  const here = { stack: "" }
  Error.captureStackTrace?.(here, caller)
  return Effect.flatMap(Recorded, (self) =>
    Effect.flatMap(self.look, (recording) => {
      const { actual, expected, isMet, subject } = check(recording, self.counted)
      if (isMet) return Effect.succeed(actual)
      const error = new ExpectationError({ subject, expected, actual, recording })
      error.stack = `${error.name}: ${error.message}${here.stack.slice(Math.max(0, here.stack.indexOf("\n")))}`
      return Effect.fail(error)
    }))
}

const sameMembers = (a: ReadonlyArray<number | string>, b: ReadonlyArray<number | string>): boolean => {
  const sorted = (values: ReadonlyArray<number | string>) => values.map((value) => JSON.stringify(value)).sort()
  const [left, right] = [sorted(a), sorted(b)]
  return left.length === right.length && left.every((value, i) => value === right[i])
}

/**
 * Fails unless {@link count} gives this.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectCount = (
  name: string,
  expected: number,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expecting(expectCount, (all, counted) => {
    const actual = sumOf(select(all, counted, name, tags))
    return { subject: `the count of ${withTags(name, toTags(tags))}`, expected, actual, isMet: actual === expected }
  })

/**
 * Fails unless there is such a gauge, and all with these tags have this last value.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectGauge = (
  name: string,
  expected: number,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expecting(expectGauge, (all) => {
    const found = standsOf(select(all, ["gauge"], name, tags))
    return {
      subject: `the gauge ${withTags(name, toTags(tags))}`,
      expected,
      actual: found.length > 1 ? found : found[0],
      isMet: found.length > 0 && found.every((value) => value === expected)
    }
  })

/**
 * Fails unless {@link values} gives these, in any order.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectValues = (
  name: string,
  expected: ReadonlyArray<number>,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expecting(expectValues, (all) => {
    const actual = valuesOf(select(all, many, name, tags))
    return {
      subject: `the values of ${withTags(name, toTags(tags))}`,
      expected,
      actual,
      isMet: sameMembers(actual, expected)
    }
  })

/**
 * Fails unless {@link members} gives these, in any order.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectMembers = (
  name: string,
  expected: ReadonlyArray<number | string>,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expecting(expectMembers, (all) => {
    const actual = membersOf(select(all, ["set"], name, tags))
    return {
      subject: `the members of ${withTags(name, toTags(tags))}`,
      expected,
      actual,
      isMet: sameMembers(actual, expected)
    }
  })

/**
 * Fails unless there is an event with this title and these tags, and gives the first one.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectEvent = (title: string, tags?: Tags): Effect.Effect<Event, ExpectationError, Recorded> =>
  Effect.map(
    expecting(expectEvent, ({ events }) => {
      const wanted = toTags(tags)
      const actual = events.find((event) => event.title === title && carries(event.tags, wanted))
      return {
        subject: `the event ${withTags(shown(title), wanted)}`,
        expected: "recorded",
        actual,
        isMet: actual !== undefined
      }
    }),
    (event) => event!
  )

/**
 * Fails if a metric of this name was recorded; without a name, if any metric or event was, or was dropped.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectNone = (name?: string): Effect.Effect<void, ExpectationError, Recorded> =>
  expecting(expectNone, ({ dropped, events, metrics }) => {
    const found = [
      ...metrics.filter((metric) => name === undefined || metric.name === name).map((metric) => metric.name),
      ...name === undefined ? [...events.map(({ title }) => title), ...Object.keys(dropped)] : []
    ]
    return {
      subject: name === undefined ? "all that was recorded" : `what was recorded as ${name}`,
      expected: [],
      actual: found,
      isMet: found.length === 0
    }
  })
