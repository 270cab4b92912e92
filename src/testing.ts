/**
 * Test kit for programs that record metrics: a client that delivers to memory, queries of the recorded metrics and events, and
 * expectations of one line each.
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
 * Every query flushes first. Queries return recorded data and not the wire form, which `ThreadStats.layerTest` returns: the sum
 * of a counter, the last value of a gauge, the members of a set, and every value of a histogram, timing or distribution. They
 * cover all roll-up intervals since the layer was built or {@link clear}ed.
 *
 * Names include the namespace. Tags are an array or a record; a series matches if it has all of them, and may have more. An
 * expectation that is not met fails with a message that lists the recording, and with the stack of the line that expected it.
 *
 * The kit needs no test framework. The main entry of the package does not contain it.
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
import { makeOverReporter } from "./internal/client/makeOverReporter.js"
import { withAggregators } from "./internal/client/withAggregators.js"
import * as DropCounters from "./internal/model/DropCounters.js"
import { type Accumulation, isScalar, type Kind, kindsOf, metricKinds } from "./internal/model/metricKinds.js"
import { decodeTags, type Tags } from "./internal/model/tags.js"
import * as Reporter from "./Reporter.js"
import type { DistributionSeries, SampleSeries } from "./Series.js"
import * as ThreadStats from "./ThreadStats.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

/**
 * Recorded values of one series: a kind, name, host and set of tags.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedMetric {
  /** Kind of the metric. */
  readonly kind: Kind
  /** Name, namespace included. */
  readonly name: string
  /** Host of the points. Default: none. */
  readonly host: string | undefined
  /** Tags, with those of the client. */
  readonly tags: ReadonlyArray<string>
  /** Sum of a counter, last value of a gauge, members of a set, or all values of another kind in their order. */
  readonly values: ReadonlyArray<number | string>
  /** Start of the last roll-up interval with a value, in seconds since the epoch. */
  readonly timestamp: number
}

/**
 * All recorded metrics and events.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recording {
  /** Recorded metrics, one for each series. */
  readonly metrics: ReadonlyArray<RecordedMetric>
  /** Recorded events, in their order. */
  readonly events: ReadonlyArray<Event>
  /** Number of dropped points and events, by reason. */
  readonly dropped: { readonly [reason: string]: number }
}

/**
 * Access to the recording of the client of the same layer.
 *
 * @since 0.1.0
 * @category tags
 */
export class Recorded extends /*#__PURE__*/ Context.Tag("effect-threadstats/testing/Recorded")<Recorded, {
  /** Flushes, and returns the recording since the layer was built or cleared. */
  readonly snapshot: Effect.Effect<Recording>
  /** Flushes, and clears the recording. */
  readonly clear: Effect.Effect<void>
  /** Kinds that {@link count} sums: counters, and distributions if the client sends counters as distributions. */
  readonly counterKinds: ReadonlyArray<Kind>
}>() {}

type MetricDraft = { -readonly [K in keyof RecordedMetric]: RecordedMetric[K] }

type Values = RecordedMetric["values"]

/**
 * Functions that add the values of a roll-up interval to those of other intervals, by the way in which points of the kind become a
 * value. `isLast` is true if no other interval is later.
 */
const mergeValues: { readonly [A in Accumulation]: (values: Values, added: Values, isLast: boolean) => Values } = {
  sum: ([sum = 0], [added]) => [Number(sum) + Number(added)],
  last: (values, added, isLast) => isLast ? added : values,
  unique: (values, added) => Array.from(new Set([...values, ...added])),
  summary: (values, added) => values.concat(added),
  values: (values, added) => values.concat(added)
}

/** Merges the roll-up intervals of each series. */
const mergeSeries = (batch: ReadonlyArray<SampleSeries | DistributionSeries>): ReadonlyArray<RecordedMetric> => {
  const entries = new Map<string, MetricDraft>()
  for (const { host = null, metric, points, tags, type } of batch) {
    const key = JSON.stringify([type, metric, host, ...tags.slice().sort()])
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = { kind: type, name: metric, host: host ?? undefined, tags, values: [], timestamp: -Infinity }
      entries.set(key, entry)
    }
    for (const [timestamp, values] of points) {
      entry.values = mergeValues[metricKinds[type]](entry.values, values, timestamp >= entry.timestamp)
      entry.timestamp = Math.max(entry.timestamp, timestamp)
    }
  }
  return Array.from(entries.values())
}

const make = Effect.gen(function*() {
  const client = yield* ThreadStats.ThreadStats
  const memory = yield* Reporter.MemoryReporter
  const dropped = Effect.map(
    client.stats,
    ({ events, metrics }) => DropCounters.addTotals<string>(metrics.dropped, events.dropped)
  )
  let droppedBeforeClear: Recording["dropped"] = {}
  return Recorded.of({
    counterKinds: client.config.submitAs === "distributions" ? kindsOf("sum", "values") : kindsOf("sum"),
    snapshot: Effect.gen(function*(): Effect.fn.Return<Recording> {
      yield* client.flush()
      return {
        metrics: mergeSeries([...yield* memory.samples, ...yield* memory.distributions]),
        events: yield* memory.events,
        dropped: Object.fromEntries(
          Object.entries(yield* dropped)
            .map(([reason, count = 0]) => [reason, count - (droppedBeforeClear[reason] ?? 0)] as const)
            .filter(([, count]) => count > 0)
        )
      }
    }),
    clear: Effect.gen(function*() {
      yield* client.flush()
      yield* memory.clear
      droppedBeforeClear = { ...yield* dropped } as Recording["dropped"]
    })
  })
})

/** Creates a client with aggregators of its own. It ignores the environment. */
const makeClient = Effect.fnUntraced(function*(options: ThreadStatsConfig.ThreadStatsOptions | undefined) {
  const config = yield* ThreadStatsConfig.make({
    periodicFlush: false,
    sampleSize: 1_000_000,
    acceptedTimestamps: "any",
    ...options
  })
  return yield* withAggregators(config, makeOverReporter(config, { flushesBeforeExit: false }))
}, Effect.withConfigProvider(ConfigProvider.fromMap(new Map())))

/**
 * A client that delivers to memory, and {@link Recorded} for its recording. The client ignores the environment. Only queries and
 * the program itself flush it.
 *
 * Defaults differ from those of other layers: every value of a histogram is kept, and every timestamp is valid, because the clock
 * of a test begins in 1970. With `submitAs: "distributions"`, the default on Lambda, counters, histograms and timings are
 * recorded as distributions.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options?: ThreadStatsConfig.ThreadStatsOptions
): Layer.Layer<ThreadStats.ThreadStats | Recorded, ConfigError> =>
  Layer.effect(Recorded, make).pipe(
    Layer.provideMerge(Layer.scoped(ThreadStats.ThreadStats, makeClient(options))),
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

const snapshot = Effect.flatMap(Recorded, (self) => self.snapshot)

const toTags = (tags: Tags | undefined): ReadonlyArray<string> => {
  const decoded = decodeTags(tags)
  if (typeof decoded === "string") throw new TypeError(`${decoded}: ${JSON.stringify(tags)}`)
  return decoded
}

const hasTags = (tags: ReadonlyArray<string>, required: ReadonlyArray<string>): boolean =>
  required.every((tag) => tags.includes(tag))

const selectMetrics = (
  recording: Recording,
  kinds: ReadonlyArray<Kind>,
  name: string,
  tags: Tags | undefined
): ReadonlyArray<RecordedMetric> => {
  const required = toTags(tags)
  return recording.metrics.filter((metric) =>
    kinds.includes(metric.kind) && metric.name === name && hasTags(metric.tags, required)
  )
}

const sumOf = (metrics: ReadonlyArray<RecordedMetric>): number =>
  metrics.reduce((sum, { values }) => values.reduce<number>((sum, value) => sum + Number(value), sum), 0)

const valuesOf = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number> =>
  metrics.flatMap(({ values }) => values as ReadonlyArray<number>)

const membersOf = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number | string> =>
  Array.from(new Set(metrics.flatMap(({ values }) => values)))

/** Returns the last values of gauges, ordered by time. */
const lastValues = (metrics: ReadonlyArray<RecordedMetric>): ReadonlyArray<number> =>
  valuesOf(metrics.slice().sort((a, b) => a.timestamp - b.timestamp))

const gaugeKinds = /*#__PURE__*/ kindsOf("last")
const setKinds = /*#__PURE__*/ kindsOf("unique")
const valueKinds = /*#__PURE__*/ kindsOf("summary", "values")

/**
 * The recording: all metrics, events and drops.
 *
 * @since 0.1.0
 * @category accessors
 */
export const recording: Effect.Effect<Recording, never, Recorded> = snapshot

/**
 * Clears the recording.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clear: Effect.Effect<void, never, Recorded> = /*#__PURE__*/ Effect.flatMap(Recorded, (self) => self.clear)

/**
 * The names of all metrics without duplicates, in alphabetical order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const names: Effect.Effect<ReadonlyArray<string>, never, Recorded> = /*#__PURE__*/ Effect.map(
  snapshot,
  ({ metrics }) => Array.from(new Set(metrics.map(({ name }) => name))).sort()
)

/**
 * The sum of a counter over all series that have these tags. Zero if the counter was never recorded.
 *
 * @since 0.1.0
 * @category accessors
 */
export const count = (name: string, tags?: Tags): Effect.Effect<number, never, Recorded> =>
  Effect.flatMap(
    Recorded,
    (self) => Effect.map(self.snapshot, (all) => sumOf(selectMetrics(all, self.counterKinds, name, tags)))
  )

/**
 * The last value of a gauge. If several series have these tags, it is that of the latest roll-up interval.
 *
 * @since 0.1.0
 * @category accessors
 */
export const gauge = (name: string, tags?: Tags): Effect.Effect<number | undefined, never, Recorded> =>
  Effect.map(snapshot, (all) => lastValues(selectMetrics(all, gaugeKinds, name, tags)).at(-1))

/**
 * The values of a histogram, timing or distribution, over all series that have these tags.
 *
 * @since 0.1.0
 * @category accessors
 */
export const values = (name: string, tags?: Tags): Effect.Effect<ReadonlyArray<number>, never, Recorded> =>
  Effect.map(snapshot, (all) => valuesOf(selectMetrics(all, valueKinds, name, tags)))

/**
 * The members of a set without duplicates, over all series that have these tags.
 *
 * @since 0.1.0
 * @category accessors
 */
export const members = (name: string, tags?: Tags): Effect.Effect<ReadonlyArray<number | string>, never, Recorded> =>
  Effect.map(snapshot, (all) => membersOf(selectMetrics(all, setKinds, name, tags)))

/**
 * The events with a title, the events that satisfy a predicate, or all events, in their order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const events = (
  filter?: string | ((event: Event) => boolean)
): Effect.Effect<ReadonlyArray<Event>, never, Recorded> =>
  Effect.map(snapshot, ({ events }) =>
    filter === undefined
      ? events
      : events.filter(typeof filter === "string" ? ({ title }) => title === filter : filter))

const formatName = (name: string, tags: ReadonlyArray<string>): string =>
  tags.length === 0 ? name : `${name} {${tags.join(", ")}}`

const formatValue = (value: unknown): string => {
  const text = value === undefined ? "nothing" : JSON.stringify(value)
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const formatRecording = ({ dropped, events, metrics }: Recording): string =>
  [
    ...metrics.map(({ kind, name, tags, values }) =>
      `${kind} ${formatName(name, tags)} ${formatValue(isScalar(metricKinds[kind]) ? values[0] : values)}`
    ),
    ...events.map(({ tags, title }) => `event ${formatName(formatValue(title), tags)}`),
    ...Object.entries(dropped).map(([reason, count]) => `dropped ${count}: ${reason}`)
  ].map((line) => `\n  ${line}`).join("") || " nothing"

/**
 * Failure of an expectation: the recording differs from it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExpectationError extends /*#__PURE__*/ Data.TaggedError("ExpectationError")<{
  /** Part of the recording that the test expects a value of. */
  readonly subject: string
  readonly expected: unknown
  readonly actual: unknown
  readonly recording: Recording
}> {
  override get message(): string {
    return `expected ${this.subject} to be ${formatValue(this.expected)}, found ${
      formatValue(this.actual)
    }; recorded:` +
      formatRecording(this.recording)
  }
}

/** Checks the recording. A failure has the stack of the caller, which the report of the test shows. */
const expectThat = <A>(
  caller: (...args: Array<never>) => unknown,
  check: (recording: Recording, counterKinds: ReadonlyArray<Kind>) => {
    readonly subject: string
    readonly expected: unknown
    readonly actual: A
    readonly isMet: boolean
  }
): Effect.Effect<A, ExpectationError, Recorded> => {
  const origin = { stack: "" }
  Error.captureStackTrace?.(origin, caller)
  return Effect.flatMap(Recorded, (self) =>
    Effect.flatMap(self.snapshot, (recording) => {
      const { actual, expected, isMet, subject } = check(recording, self.counterKinds)
      if (isMet) return Effect.succeed(actual)
      const error = new ExpectationError({ subject, expected, actual, recording })
      error.stack = `${error.name}: ${error.message}${origin.stack.slice(Math.max(0, origin.stack.indexOf("\n")))}`
      return Effect.fail(error)
    }))
}

const hasSameMembers = (a: ReadonlyArray<number | string>, b: ReadonlyArray<number | string>): boolean => {
  const sorted = (values: ReadonlyArray<number | string>) => values.map((value) => JSON.stringify(value)).sort()
  const [left, right] = [sorted(a), sorted(b)]
  return left.length === right.length && left.every((value, i) => value === right[i])
}

/**
 * Expects the value of {@link count}.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectCount = (
  name: string,
  expected: number,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expectThat(expectCount, (all, counterKinds) => {
    const actual = sumOf(selectMetrics(all, counterKinds, name, tags))
    return {
      subject: `the count of ${formatName(name, toTags(tags))}`,
      expected,
      actual,
      isMet: actual === expected
    }
  })

/**
 * Expects that a gauge was recorded, and that all its series with these tags have this last value.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectGauge = (
  name: string,
  expected: number,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expectThat(expectGauge, (all) => {
    const found = lastValues(selectMetrics(all, gaugeKinds, name, tags))
    return {
      subject: `the gauge ${formatName(name, toTags(tags))}`,
      expected,
      actual: found.length > 1 ? found : found[0],
      isMet: found.length > 0 && found.every((value) => value === expected)
    }
  })

/**
 * Expects the values of {@link values}, in any order.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectValues = (
  name: string,
  expected: ReadonlyArray<number>,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expectThat(expectValues, (all) => {
    const actual = valuesOf(selectMetrics(all, valueKinds, name, tags))
    return {
      subject: `the values of ${formatName(name, toTags(tags))}`,
      expected,
      actual,
      isMet: hasSameMembers(actual, expected)
    }
  })

/**
 * Expects the members of {@link members}, in any order.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectMembers = (
  name: string,
  expected: ReadonlyArray<number | string>,
  tags?: Tags
): Effect.Effect<void, ExpectationError, Recorded> =>
  expectThat(expectMembers, (all) => {
    const actual = membersOf(selectMetrics(all, setKinds, name, tags))
    return {
      subject: `the members of ${formatName(name, toTags(tags))}`,
      expected,
      actual,
      isMet: hasSameMembers(actual, expected)
    }
  })

/**
 * Expects an event with this title and these tags, and returns the first one.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectEvent = (title: string, tags?: Tags): Effect.Effect<Event, ExpectationError, Recorded> =>
  Effect.map(
    expectThat(expectEvent, ({ events }) => {
      const required = toTags(tags)
      const actual = events.find((event) => event.title === title && hasTags(event.tags, required))
      return {
        subject: `the event ${formatName(formatValue(title), required)}`,
        expected: "recorded",
        actual,
        isMet: actual !== undefined
      }
    }),
    (event) => event!
  )

/**
 * Expects that no metric of this name was recorded. Without a name it expects an empty recording without drops.
 *
 * @since 0.1.0
 * @category assertions
 */
export const expectNone = (name?: string): Effect.Effect<void, ExpectationError, Recorded> =>
  expectThat(expectNone, ({ dropped, events, metrics }) => {
    const found = [
      ...metrics.filter((metric) => name === undefined || metric.name === name).map((metric) => metric.name),
      ...name === undefined ? [...events.map(({ title }) => title), ...Object.keys(dropped)] : []
    ]
    return {
      subject: name === undefined ? "the recording" : `the metrics with the name ${name}`,
      expected: [],
      actual: found,
      isMet: found.length === 0
    }
  })
