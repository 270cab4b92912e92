/**
 * Replays test vectors of the reference through the public API, and compares the results.
 *
 * A vector describes one client: its settings, the calls made on it, and the batches that each flush gave to the reporter.
 */
import { Array as Arr, Clock, ConfigProvider, Effect, Layer } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import type { Event, Series, ThreadStatsConfig } from "effect-threadstats"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"

type MetricOp = "gauge" | "increment" | "decrement" | "histogram" | "distribution" | "timing" | "set"

interface MetricCall {
  readonly op: MetricOp
  readonly name: string
  readonly value?: number | string
  /** In seconds. */
  readonly timestamp: number
  readonly tags?: ReadonlyArray<string> | null
  readonly host?: string | null
}

interface EventCall {
  readonly op: "event"
  readonly title: string
  readonly text: string
  readonly alertType?: Event.AlertType
  readonly aggregationKey?: string
  readonly sourceTypeName?: string
  /** In seconds. */
  readonly dateHappened?: number
  readonly priority?: Event.Priority
  readonly tags?: ReadonlyArray<string>
  readonly host?: string
}

interface FlushCall {
  readonly op: "flush"
  readonly timestamp: number
}

type Metric = Series.Series | Series.DistributionSeries

interface Flushed {
  readonly metrics: ReadonlyArray<Metric>
  readonly distributions: ReadonlyArray<Metric>
  readonly events: ReadonlyArray<Event.Event>
}

export interface Vector {
  readonly id: number | string
  readonly config: {
    readonly namespace: string
    readonly constantTags: ReadonlyArray<string> | null
    readonly rollUpInterval: number
    readonly device: string | null
    readonly env: { readonly [variable: string]: string }
  }
  readonly calls: ReadonlyArray<MetricCall | EventCall | FlushCall>
  readonly flushes: ReadonlyArray<Flushed>
}

export interface Vectors {
  readonly reference: string
  readonly vectors: ReadonlyArray<Vector>
}

const record = Effect.fnUntraced(function*(call: MetricCall) {
  const client = yield* ThreadStats.ThreadStats
  const options: ThreadStats.PointOptions = {
    timestamp: call.timestamp * 1000,
    ...(call.tags ? { tags: call.tags } : undefined),
    host: call.host
  }
  if (call.op === "set") return yield* client.set(call.name, call.value!, options)
  return yield* client[call.op](call.name, call.value as number, options)
})

const recordEvent = Effect.fnUntraced(function*(call: EventCall) {
  const { dateHappened, op: _, text, title, ...options } = call
  yield* ThreadStats.event(title, text, {
    ...options,
    ...(dateHappened === undefined ? undefined : { dateHappened: dateHappened * 1000 })
  })
})

/**
 * A clock that shows the time it is set to; its sleeps never end. `TestClock` waits for the timers of the machine whenever it is
 * set, which takes a thousand times longer than the calls of a vector.
 */
const makeClock = () => {
  let millis = 0
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => millis,
    unsafeCurrentTimeNanos: () => BigInt(millis) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => millis),
    currentTimeNanos: Effect.sync(() => BigInt(millis) * 1_000_000n),
    sleep: () => Effect.never
  }
  return {
    clock,
    setTime: (next: number) =>
      Effect.sync(() => {
        millis = Math.floor(next)
      })
  }
}

/** Returns the batches that the client gave to its reporter, one element for each flush of the vector. */
export const run = (vector: Vector, temporality: Reporter.Temporality): Effect.Effect<ReadonlyArray<Flushed>> => {
  const options: ThreadStatsConfig.ThreadStatsOptions = {
    namespace: vector.config.namespace,
    constantTags: vector.config.constantTags ?? undefined,
    rollUpInterval: vector.config.rollUpInterval * 1000,
    device: vector.config.device ?? undefined,
    periodicFlush: false,
    acceptedTimestamps: "any"
  }
  const layer = layerReporterWith(options).pipe(
    Layer.provideMerge(Layer.mergeAll(
      layerMetricsAggregatorWith(options),
      layerEventsAggregatorWith(options),
      Reporter.layerMemoryWith({ temporality })
    )),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(vector.config.env))))),
    Layer.orDie
  )
  const { clock, setTime } = makeClock()
  return Effect.gen(function*() {
    const memory = yield* Reporter.MemoryReporter
    const flushes: Array<Flushed> = []
    for (const call of vector.calls) {
      if (call.op === "event") yield* recordEvent(call)
      else {
        yield* setTime(call.timestamp * 1000)
        if (call.op !== "flush") yield* record(call)
        else {
          yield* ThreadStats.flush({ upTo: call.timestamp * 1000 })
          flushes.push({
            metrics: yield* memory.metrics,
            distributions: yield* memory.distributions,
            events: yield* memory.events
          })
          yield* memory.clear
        }
      }
    }
    return flushes
  }).pipe(Effect.provide(layer), Effect.withClock(clock))
}

const close = (a: unknown, b: unknown): boolean =>
  typeof a === "number" && typeof b === "number"
    ? Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b))
    : Array.isArray(a) && Array.isArray(b)
    ? a.length === b.length && a.every((x, i) => close(x, b[i]))
    : a === b

const tagSet = (tags: ReadonlyArray<string> | null | undefined) => Array.from(new Set(tags ?? [])).sort()

const identity = (item: Metric): string =>
  JSON.stringify([
    item.metric,
    item.type,
    item.host ?? null,
    item.device ?? null,
    tagSet(item.tags),
    item.interval,
    item.points.map(([timestamp]) => timestamp)
  ])

const grouped = (items: ReadonlyArray<Metric>) => new Map(Object.entries(Arr.groupBy(items, identity)))

const compareMetrics = (expected: ReadonlyArray<Metric>, actual: ReadonlyArray<Metric>): ReadonlyArray<string> => {
  const right = grouped(actual)
  const faults: Array<string> = []
  for (const [key, items] of grouped(expected)) {
    const found = right.get(key) ?? []
    right.delete(key)
    for (let i = 0; i < Math.max(items.length, found.length); i++) {
      if (!close(items[i]?.points, found[i]?.points)) {
        faults.push(`${key}: expected ${JSON.stringify(items[i]?.points)}, got ${JSON.stringify(found[i]?.points)}`)
      }
    }
  }
  for (const [key, items] of right) faults.push(`${key}: not expected, ${items.length} times`)
  return faults
}

/**
 * Compares events. Deliberate difference (`docs/parity.md`): an event without a date gets the time of its recording, which
 * `recordedAt` has for each event. Everything else must be equal.
 */
const compareEvents = (
  expected: ReadonlyArray<Event.Event>,
  actual: ReadonlyArray<Event.Event>,
  recordedAt: ReadonlyArray<number>
): ReadonlyArray<string> => {
  const form = (event: Event.Event | undefined, recorded: number) =>
    event === undefined ? "none" : JSON.stringify(
      Object.entries({ ...event, tags: tagSet(event.tags), date_happened: event.date_happened ?? recorded })
        .filter(([, value]) => value !== null && value !== undefined)
        .sort(([a], [b]) => a < b ? -1 : 1)
    )
  return Array.from({ length: Math.max(expected.length, actual.length) }, (_, i) => {
    const wanted = form(expected[i], recordedAt[i] ?? Number.NaN)
    const got = form(actual[i], Number.NaN)
    return wanted === got ? [] : [`event ${i}: expected ${wanted}, got ${got}`]
  }).flat()
}

/** Returns the recording times of the events of every flush, in whole seconds. */
const eventTimes = (vector: Vector): ReadonlyArray<ReadonlyArray<number>> => {
  const flushes: Array<Array<number>> = []
  let now = 0
  let times: Array<number> = []
  for (const call of vector.calls) {
    if (call.op === "event") times.push(Math.floor(now))
    else {
      now = call.timestamp
      if (call.op === "flush") {
        flushes.push(times)
        times = []
      }
    }
  }
  return flushes
}

/** Describes every difference between the reference and this client. The list is empty if they agree. */
export const compare = (vector: Vector, actual: ReadonlyArray<Flushed>): ReadonlyArray<string> => {
  const times = eventTimes(vector)
  return vector.flushes.flatMap((expected, i) => {
    const got = actual[i]
    if (got === undefined) return [`flush ${i} is missing`]
    return [
      ...compareMetrics(expected.metrics, got.metrics),
      ...compareMetrics(expected.distributions, got.distributions),
      ...compareEvents(expected.events, got.events, times[i] ?? [])
    ].map((fault) => `vector ${vector.id}, flush ${i}: ${fault}`)
  })
}

/**
 * Returns true if a call records into a bucket and series that an earlier flush has drained. The reference then sends the new
 * points alone, which overwrite the first ones; a client with temporality `delta` does the same. A client with temporality `total`
 * sends the total again, which is a deliberate difference.
 */
export const reopens = (vector: Vector): boolean => {
  const width = vector.config.rollUpInterval
  const start = (time: number) => Math.floor(time / width) * width
  const open = new Map<string, number>()
  const sent = new Set<string>()
  for (const call of vector.calls) {
    if (call.op === "event") continue
    if (call.op === "flush") {
      for (const [key, bucket] of open) {
        if (bucket < start(call.timestamp)) {
          sent.add(key)
          open.delete(key)
        }
      }
    } else if (call.op !== "distribution") {
      const bucket = start(call.timestamp)
      const key = JSON.stringify([bucket, call.name, call.host ?? null, tagSet(call.tags)])
      if (sent.has(key)) return true
      open.set(key, bucket)
    }
  }
  return false
}

/** Compares both temporalities with the reference; temporality `delta` alone if the vector {@link reopens} a bucket. */
export const check = (vector: Vector): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(
      reopens(vector) ? ["delta" as const] : ["delta" as const, "total" as const],
      (temporality) =>
        Effect.map(run(vector, temporality), (actual) =>
          compare(vector, actual).map((fault) => `${temporality}: ${fault}`)),
      { concurrency: "unbounded" }
    ),
    (faults) =>
      faults.flat()
  )

/** Counts the points that the reference reported for the vector. */
export const points = (vector: Vector): number =>
  vector.flushes
    .flatMap(({ distributions, metrics }) => [...metrics, ...distributions])
    .reduce((sum, item) => sum + item.points.length, 0)
