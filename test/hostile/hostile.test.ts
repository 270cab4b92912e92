import { HttpClient, HttpClientResponse } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  ConfigError,
  ConfigProvider,
  Duration,
  Effect,
  Exit,
  Layer,
  Option,
  Redacted,
  Schema,
  TestClock
} from "effect"
import {
  Event,
  EventsAggregator,
  HttpReporter,
  LocalIntake,
  MetricsAggregator,
  Reporter,
  Series,
  ThreadStats,
  ThreadStatsConfig
} from "effect-threadstats"
import { inspect } from "node:util"
import { inflateSync } from "node:zlib"
import * as hostile from "../support/hostile.js"
import { layerIntake } from "../support/intake.js"

const { lie } = hostile

const key = "h0stile-k3y-0123456789abcdef"
const start = 1_700_000_000_000

const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.held + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

const decodeSeries = Schema.decodeUnknownSync(Series.SeriesPayload)
const decodeDistributions = Schema.decodeUnknownSync(Series.DistributionPayload)
const decodeEvent = Schema.decodeUnknownSync(Event.EventPayload)

/** In seconds: a bucket may begin one roll-up interval before the window does. */
const isPointTime = (time: number, now: number) => time >= now - 3600 - 10 && time <= now + 600
const isEventTime = (time: number, now: number) => time >= now - 18 * 3600 - 1 && time <= now + 2 * 3600

const isShort = (text: unknown, most: number) => typeof text === "string" && text.length <= most

/** What Datadog takes, and takes as it was meant. `now` in seconds. */
const assertValid = (path: string, body: unknown, now: number | undefined) => {
  assert.isTrue(hostile.isInterchangeable(body), `${path}: ${inspect(body, { depth: 6 }).slice(0, 2000)}`)
  if (path.endsWith("/events")) {
    const event = decodeEvent(body)
    assert.isTrue(Number.isInteger(event.date_happened))
    if (now !== undefined) assert.isTrue(isEventTime(event.date_happened!, now))
    assert.isTrue((event.tags ?? []).every((tag) => isShort(tag, 200)))
    assert.isTrue((event.host?.length ?? 0) <= 255)
    return
  }
  const { series } = path.endsWith("/series") ? decodeSeries(body) : decodeDistributions(body)
  assert.isAbove(series.length, 0)
  for (const { host, metric, points, tags } of series) {
    assert.match(metric, /^[A-Za-z]/)
    assert.isTrue(isShort(metric, 200))
    assert.isTrue((tags ?? []).every((tag) => isShort(tag, 200) && tag !== ""))
    assert.isTrue((host?.length ?? 0) <= 255)
    assert.strictEqual(points.length, 1)
    if (now !== undefined) assert.isTrue(points.every(([time]) => isPointTime(time, now)), `${points[0]![0]} at ${now}`)
  }
}

const kinds = ["gauge", "increment", "decrement", "histogram", "distribution", "timing", "set"] as const
const unsafeKinds = [
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
const eventOptions = [
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
  readonly of: "metrics" | "events"
  readonly run: Effect.Effect<unknown, unknown, ThreadStats.ThreadStats>
}

/** One call with at least one lie in it. */
const hostileCall = (client: Client, from: hostile.Random, mutations: Array<string>): Call => {
  const honest = from.chance(40)
  const [nameLabel, name] = honest ? ["hostile.name", "hostile.name"] : hostile.draw(from)
  const [valueLabel, value] = from.chance(30)
    ? ["7", 7] as const
    : hostile.draw(from, from.chance(50) ? hostile.numbers : hostile.pool)
  const call = (
    what: string,
    labels: ReadonlyArray<string>,
    of: Call["of"],
    run: () => Effect.Effect<unknown, unknown, ThreadStats.ThreadStats> | void
  ): Call => ({
    label: `${what}(${labels.join("; ")})`,
    of,
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
      const given = from.chance(30) ? { tags } : options
      const effect = from.chance(50) ? Effect.succeed(1) : Effect.fail("expected" as const)
      const body = from.pick([
        () => client.timer(effect, lie(name), lie(given)),
        () => ThreadStats.timer(effect, lie(name), lie(given)),
        () => ThreadStats.timed(lie(name), lie<ThreadStats.TimerOptions>(given))(() => effect)(),
        () => ThreadStats.timed(lie(name), lie<ThreadStats.TimerOptions>(given))(effect)
      ])
      return call(
        "timer",
        [nameLabel, given === options ? label : tagsLabel],
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
        () => client.unsafeEvent(lie(name), lie(honest ? "text" : value), lie(options))
      )
    }
    default: {
      const [label, options] = hostile.options(from, eventOptions, mutations)
      const event = from.chance(50) ? client.event : ThreadStats.event
      return call("event", [nameLabel, label], "events", () => event(lie(name), "text", lie(options)))
    }
  }
}

/** A client over HTTP, to an intake on a real socket. */
const layerClient = Layer.unwrapEffect(
  Effect.map(LocalIntake.LocalIntake, ({ url }) =>
    ThreadStats.layerNodeWith({
      apiUrl: url,
      apiKey: Redacted.make(key),
      constantTags: ["suite:hostile"],
      periodicFlush: false,
      maxEvents: 10_000
    }))
).pipe(
  Layer.provideMerge(layerIntake({ apiKey: Redacted.make(key) })),
  Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
)

const calls = 6000
const batches = 2

/** To run one seed again: HOSTILE_SEED=7 */
const seeds = process.env["HOSTILE_SEED"] === undefined ? [1, 2] : [Number(process.env["HOSTILE_SEED"])]

describe(`hostile calls, ${calls} for each seed`, () => {
  it.effect.each(seeds)(
    "throw nothing, spoil nothing, and are accounted for (seed %i)",
    (seed) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start)
        const intake = yield* LocalIntake.LocalIntake
        const self = yield* ThreadStats.ThreadStats
        const from = hostile.random(seed)
        const mutations: Array<string> = []
        const broken: Array<string> = []
        const made = { metrics: 0, events: 0 }
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
            made[call.of]++
            const exit = yield* Effect.exit(call.run)
            if (Exit.isFailure(exit)) broken.push(`${call.label}: ${Cause.pretty(exit.cause).slice(0, 200)}`)
            if (from.chance(10)) {
              const n = from.int(1000)
              self.unsafeIncrement("valid.count", n, { tags: ["a:b"] })
              self.unsafeDistribution("valid.values", n)
              self.unsafeSet("valid.set", n)
              self.unsafeGauge("valid.gauge", n, { timestamp: start + batch * 10_000 })
              made.metrics += 4
              valid.counted += n
              valid.values.push(n)
              members.add(n)
              valid.gauges[batch] = n
            }
            if (from.chance(1)) {
              self.unsafeEvent(`valid ${made.events}`, "text", { alertType: "info" })
              valid.titles.push(`valid ${made.events}`)
              made.events++
            }
          }
          assert.deepStrictEqual(broken, [])
          assert.deepStrictEqual(mutations, [])

          const held = yield* self.stats
          assert.strictEqual(held.metrics.received, made.metrics)
          assert.strictEqual(held.events.received, made.events)
          assert.strictEqual(sumOf(held.metrics), made.metrics)
          assert.strictEqual(sumOf(held.events), made.events)

          const receipt = yield* self.flush()
          assert.deepStrictEqual(receipt.errors.map(String), [])
          const { events, metrics } = yield* self.stats
          assert.strictEqual(metrics.held, 0)
          assert.strictEqual(events.held, 0)
          assert.strictEqual(sumOf(metrics), made.metrics)
          assert.strictEqual(sumOf(events), made.events)
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
        // what was generated is hostile indeed, and not hostile alone
        for (
          const reason of [
            "InvalidValue",
            "InvalidName",
            "InvalidTags",
            "TagTooLong",
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
        // many values of one interval travel in ascending order, as their order means nothing (docs/parity.md)
        const ascending = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)
        assert.deepStrictEqual(
          ascending(values.flatMap(({ points }) => points.flatMap(([, values]) => values))),
          ascending(valid.values)
        )
        const titles = (yield* intake.events).map(({ title }) => title).filter((title) => title.startsWith("valid "))
        assert.deepStrictEqual(titles.toSorted(), valid.titles.toSorted())
      }).pipe(Effect.provide(layerClient)),
    60_000
  )
})

describe("the caller's values", () => {
  it.effect("are not kept: what becomes of them after the call changes nothing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const memory = yield* Reporter.MemoryReporter
      const self = yield* ThreadStats.ThreadStats
      const array = ["a:1", "b:2"]
      const record: { [key: string]: string } = { c: "3" }
      const timestamp = new Date(start)
      const options = { tags: array, timestamp, host: "h" }
      self.unsafeGauge("array", 1, options)
      self.unsafeDistribution("record", 1, { tags: record })
      self.unsafeEvent("event", "text", { tags: array, dateHappened: timestamp })
      array[0] = "changed"
      array.length = 1
      record["c"] = "changed"
      record["d"] = "new"
      timestamp.setTime(0)
      Object.assign(options, { tags: ["other"], host: "other" })
      yield* self.flush()
      const [series] = yield* memory.metrics
      assert.deepInclude(series, { host: "h", tags: ["a:1", "b:2"], points: [[start / 1000, 1]] })
      assert.deepStrictEqual((yield* memory.distributions)[0]?.tags, ["c:3"])
      assert.deepInclude((yield* memory.events)[0], { tags: ["a:1", "b:2"], date_happened: start / 1000 })
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("may be frozen, and are each looked at once, so that they cannot change their mind", () =>
    Effect.gen(function*() {
      const self = yield* ThreadStats.ThreadStats
      const reads = new Map<PropertyKey, number>()
      const counted = <A extends object>(target: A): A =>
        new Proxy(Object.freeze(target), {
          get: (object, name) => {
            reads.set(name, (reads.get(name) ?? 0) + 1)
            return Reflect.get(object, name)
          }
        })
      self.unsafeGauge(
        "g",
        1,
        counted({ tags: Object.freeze(["a"]), host: "h", timestamp: Object.freeze(new Date(0)) })
      )
      yield* self.timer(Effect.void, "t", counted({ tags: Object.freeze(["a"]), host: "h", unit: "seconds" as const }))
      for (const name of ["tags", "host"]) assert.strictEqual(reads.get(name), 2, name)
      for (const name of ["timestamp", "unit"]) assert.strictEqual(reads.get(name), 1, name)
      reads.clear()
      self.unsafeEvent("e", "text", counted(Object.fromEntries(eventOptions.map((name) => [name, undefined]))))
      for (const name of eventOptions) assert.strictEqual(reads.get(name), 1, name)
      const { events, metrics } = yield* self.stats
      assert.strictEqual(metrics.held, 2)
      assert.strictEqual(events.held, 1)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("cannot hold a call up: an array is as long as it says, but nobody reads ten thousand tags", () =>
    Effect.gen(function*() {
      const self = yield* ThreadStats.ThreadStats
      let reads = 0
      const endless = new Proxy([], {
        get: (_, name) => {
          reads++
          return name === "length" ? 1_000_000 : ""
        }
      })
      self.unsafeGauge("g", 1, { tags: endless })
      assert.isBelow(reads, 100_000)
      assert.strictEqual(sumOf((yield* self.stats).metrics), 1)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("cannot hold an event up: options that are a long text are none, and are not taken to pieces", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const { unsafeEvent } = yield* ThreadStats.ThreadStats
      const long = "m".repeat(2_000_000)
      const before = process.cpuUsage()
      for (let i = 0; i < 10; i++) unsafeEvent("title", "text", lie(long))
      assert.isBelow(process.cpuUsage(before).user / 1000, 1000)
      yield* ThreadStats.flush()
      assert.strictEqual((yield* memory.events).length, 10)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("overflow into the largest number, also where an interval is put together again", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      const record = (value: number) => {
        for (const kind of ["counter", "histogram", "timing", "gauge", "distribution"] as const) {
          for (let i = 0; i < 3; i++) self.unsafeAdd(kind, kind, value, 0)
        }
      }
      record(Number.MAX_VALUE)
      const taken = yield* self.flush({ temporality: "delta", now: 0 })
      record(-Number.MAX_VALUE)
      yield* self.restore(taken)
      const again = yield* self.flush({ temporality: "delta", now: 0 })
      assert.strictEqual(again.length, 5)
      for (const { name, points, values } of again) {
        for (const { suffix, value } of points) assert.isTrue(Number.isFinite(value), `${name}.${suffix}: ${value}`)
        assert.isTrue(values.every(Number.isFinite))
      }
    }).pipe(Effect.provide(MetricsAggregator.layerDefault)))
})

describe("a flush", () => {
  it.effect.each(hostile.pool)("up to %s is a flush all the same", ([, make]) =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs")
      for (const options of [make(), { upTo: make() }]) {
        const receipt = yield* Effect.suspend(() => ThreadStats.flush(lie(options)))
        assert.deepStrictEqual(receipt.errors, [])
      }
      const { metrics } = yield* ThreadStats.stats
      assert.strictEqual(sumOf(metrics), 1)
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})

interface Sent {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Takes everything, and remembers it. */
const recordingClient = (sent: Array<Sent>) =>
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      const { body } = request.body as HttpBody.Uint8Array
      const text = new TextDecoder("utf-8", { fatal: true }).decode(
        request.headers["content-encoding"] === "deflate" ? inflateSync(body) : body
      )
      assert.match(url.protocol, /^https?:$/)
      assert.strictEqual(url.username + url.password + url.search + url.hash, "")
      sent.push({ path: url.pathname, headers: { ...request.headers }, body: JSON.parse(text) })
      return HttpClientResponse.fromWeb(
        request as HttpClientRequest.HttpClientRequest,
        new Response("{}", { status: 202 })
      )
    })
  )

const seen = new Set<string>()

/** A client with these settings records, flushes, sends nothing that is invalid, and adds up. */
const works = Effect.fnUntraced(function*(config: ThreadStatsConfig.ThreadStatsConfig) {
  // one look at equal settings is enough
  const known = inspect({ ...config, key: Option.map(config.apiKey, Redacted.value) }, {
    depth: 4,
    maxStringLength: 300
  })
  if (seen.has(known)) return
  seen.add(known)
  const sent: Array<Sent> = []
  const now = start / 1000
  yield* TestClock.setTime(start)
  const exit = yield* Effect.gen(function*() {
    const self = yield* ThreadStats.fromConfig({ ...config, periodicFlush: false })
    for (const kind of unsafeKinds) self[kind]("name", 1, { tags: ["a:b"], host: "" })
    self.unsafeEvent("title", "text")
    yield* self.timer(Effect.void, "timer")
    const before = yield* self.stats
    assert.strictEqual(before.metrics.received, config.disabled ? 0 : 8)
    assert.strictEqual(before.events.received, config.disabled ? 0 : 1)
    const receipt = yield* self.flush()
    const { events, metrics } = yield* self.stats
    assert.strictEqual(sumOf(metrics), metrics.received)
    assert.strictEqual(sumOf(events), events.received)
    assert.isTrue(
      Object.keys({ ...metrics.dropped, ...events.dropped }).every((reason) => reason.startsWith("TooMany"))
    )
    // one that may take no time at all keeps everything
    for (const { reason } of receipt.errors) assert.strictEqual(reason, "Timeout")
    if (Duration.toMillis(Duration.min(config.flushTimeout, config.requestTimeout)) >= 2) {
      assert.deepStrictEqual(receipt.errors, [])
      assert.strictEqual(metrics.held + events.held, 0)
    }
  }).pipe(
    Effect.provideServiceEffect(MetricsAggregator.MetricsAggregator, MetricsAggregator.fromConfig(config)),
    Effect.provideServiceEffect(EventsAggregator.EventsAggregator, EventsAggregator.fromConfig(config)),
    Effect.provideServiceEffect(Reporter.Reporter, HttpReporter.make(config)),
    Effect.provideService(HttpClient.HttpClient, recordingClient(sent)),
    Effect.scoped,
    Effect.exit
  )
  if (Exit.isFailure(exit)) assert.fail(Cause.pretty(exit.cause))
  for (const { body, headers, path } of sent) {
    assertValid(path.slice(path.indexOf("/api/v1/")), body, now)
    assert.deepStrictEqual(
      Object.keys(headers).filter((name) =>
        !["dd-api-key", "user-agent", "content-encoding", "content-type", "content-length"].includes(name)
      ),
      []
    )
    for (const value of Object.values(headers)) assert.match(value, /^[\t -~]*$/)
  }
})

/** Resolves, and then works; or fails with a `ConfigError` that names who is to blame, and shows no key. */
const resolvesOrTells = Effect.fnUntraced(function*(
  name: string,
  options: unknown,
  env: Readonly<Record<string, string>>,
  secrets: ReadonlyArray<string> = []
) {
  const exit = yield* Effect.suspend(() => ThreadStatsConfig.make(lie(options))).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))),
    Effect.exit
  )
  if (Exit.isSuccess(exit)) return yield* works(exit.value)
  assert.isTrue(Cause.isFailType(exit.cause), Cause.pretty(exit.cause).slice(0, 500))
  if (!Cause.isFailType(exit.cause)) return
  const error: unknown = exit.cause.error
  assert.isTrue(ConfigError.isConfigError(error))
  const message = String(error)
  assert.include(message, name)
  for (const text of [message, inspect(error), JSON.stringify(error)]) {
    for (const secret of [key, ...secrets]) assert.notInclude(text, secret)
  }
})

describe("a hostile environment", () => {
  it.effect.each(ThreadStatsConfig.variables.map(({ name }) => name))(
    "%s: works, or is named",
    (name) =>
      Effect.gen(function*() {
        const secret = name.endsWith("API_KEY")
        for (const text of hostile.texts) {
          yield* resolvesOrTells(
            name,
            secret ? {} : { apiKey: Redacted.make(key) },
            { [name]: text },
            secret && text.trim().length > 3 ? [text] : []
          ).pipe((use) => secret && text.trim() === "" ? Effect.void : use)
        }
      }),
    30_000
  )

  it.effect("shows nothing of an address with credentials", () =>
    Effect.gen(function*() {
      for (const name of ["DD_SITE", "DATADOG_HOST"]) {
        for (const text of ["https://user:hunter2@example.com", "user:hunter2@example.com", "u:hunter2@[::1"]) {
          yield* resolvesOrTells(name, { apiKey: Redacted.make(key) }, { [name]: text }, ["hunter2"])
        }
      }
    }))

  it.effect("takes time in proportion to what it holds", () =>
    Effect.gen(function*() {
      const long = 50_000
      const texts: ReadonlyArray<readonly [string, string]> = [
        ["DD_THREADSTATS_NAMESPACE", `a${".".repeat(long)}x`],
        ["DATADOG_HOST", `http://a${"/".repeat(long)}x`],
        ["DD_SITE", `a${"/".repeat(long)}\nx`],
        ["DATADOG_TAGS", Array.from({ length: long / 5 }, (_, i) => `t${i}`).join(",")],
        ["DD_THREADSTATS_PERCENTILES", Array.from({ length: long / 25 }, (_, i) => `0.${i + 10_000}`).join(",")]
      ]
      for (const [name, text] of texts) {
        const before = performance.now()
        yield* Effect.exit(
          ThreadStatsConfig.make().pipe(
            Effect.withConfigProvider(ConfigProvider.fromMap(new Map([[name, text]])))
          )
        )
        assert.isBelow(performance.now() - before, 500, name)
      }
    }), 120_000)
})

const everyOption: { readonly [K in keyof ThreadStatsConfig.Options]-?: true } = {
  namespace: true,
  host: true,
  attachHost: true,
  device: true,
  constantTags: true,
  env: true,
  service: true,
  version: true,
  rollUpInterval: true,
  flushInterval: true,
  periodicFlush: true,
  flushTimeout: true,
  counters: true,
  requestTimeout: true,
  disabled: true,
  compress: true,
  series: true,
  units: true,
  percentiles: true,
  aggregates: true,
  sampleSize: true,
  maxContexts: true,
  maxValues: true,
  maxEvents: true,
  maxBytes: true,
  delivery: true,
  selfMetrics: true,
  timerUnit: true,
  timestamps: true,
  site: true,
  apiUrl: true,
  apiKey: true
}

const optionNames = Object.keys(everyOption)

describe("hostile options", () => {
  const env = { DD_API_KEY: key }

  it.effect.each(optionNames)("%s: works, or is named", (name) =>
    Effect.gen(function*() {
      for (const [label, make] of hostile.pool) {
        yield* Effect.suspend(() => resolvesOrTells(name, { [name]: make() }, env)).pipe(
          Effect.catchAllDefect((defect) => Effect.die(`${label}: ${String(defect)}`))
        )
      }
      const thrower = Object.defineProperty({}, name, {
        get: () => {
          throw new Error(key)
        }
      })
      yield* resolvesOrTells(name, thrower, env)
    }), 30_000)

  it.effect("percentiles and aggregates: what is in an array is looked at, holes too", () =>
    Effect.gen(function*() {
      for (const [, make] of hostile.pool) {
        yield* resolvesOrTells("percentiles", { percentiles: [0.5, make()] }, env)
        yield* resolvesOrTells("aggregates", { aggregates: ["min", make()] }, env)
        yield* resolvesOrTells("constantTags", { constantTags: ["min", make()] }, env)
      }
      yield* resolvesOrTells("percentiles", { percentiles: [, 0.5] }, env)
      yield* resolvesOrTells("aggregates", { aggregates: [, "min"] }, env)
    }))

  it.effect("apiKey: whatever is redacted", () =>
    Effect.gen(function*() {
      for (const [, make] of hostile.pool) yield* resolvesOrTells("apiKey", { apiKey: Redacted.make(make()) }, env)
      for (const text of ["s3cret\r\nX-Injected: 1", "s3cret key", "s3cret\0", "s3cret\ud800", "s3crét"]) {
        yield* resolvesOrTells("apiKey", { apiKey: Redacted.make(text) }, {}, [text, "s3cr"])
      }
    }))

  it.effect("options that are none", () =>
    Effect.gen(function*() {
      for (const [, make] of hostile.pool) yield* resolvesOrTells("", make(), env)
    }))
})
