/**
 * Random calls and flushes of clients over DogStatsD. The totals at a model of the receiver must equal the recorded ones.
 * The unit suite connects the clients to the model in process, the io suite over UDP.
 */
import { assert, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { agentFormat, extensionFormat, layerClient, linesIn } from "./encoding.js"
import { makeAgent, makeExtension, seriesKey } from "./receiverModels.js"

/** Settings of the clients over DogStatsD that the simulation varies. */
export interface Delivery {
  readonly profile?: "agent" | "extension"
  readonly lineTimestamps?: "late" | "always" | "never"
}

/** A way from clients to a receiver. */
export interface Connection {
  readonly layerClient: (
    delivery: Delivery,
    options: ThreadStatsConfig.ThreadStatsOptions
  ) => Layer.Layer<ThreadStats.ThreadStats, unknown>
  /** Waits until this number of bytes has arrived in all. Returns the lines that are new since the last call. */
  readonly receive: (bytes: number) => Effect.Effect<ReadonlyArray<string>>
}

/** Connects the clients to the receiver without a socket, by way of the encoder. */
export const connectInProcess: Effect.Effect<Connection> = Effect.sync(() => {
  let packets: Array<Buffer> = []
  return {
    layerClient: ({ profile, lineTimestamps: timestamps = "late" }, options) =>
      layerClient(
        profile === "extension" ? extensionFormat : { ...agentFormat, timestamps },
        (packet) => packets.push(packet),
        options
      ),
    receive: () =>
      Effect.sync(() => {
        const lines = linesIn(packets)
        packets = []
        return lines
      })
  }
})

const random = (seed: number) => {
  let state = seed
  const next = () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
  }
  return {
    upTo: (n: number) => Math.floor(next() * n),
    one: <A>(values: ReadonlyArray<A>): A => values[Math.floor(next() * values.length)]!,
    chance: (p: number) => next() < p
  }
}

const tagLists: ReadonlyArray<ReadonlyArray<string>> = [
  [],
  ["a:1"],
  ["a:1", "b:2"],
  ["b:2", "a:1"],
  ["a b"],
  ["a_b"],
  ["x|y\nz,w"],
  ["größe:名"]
]

const sanitize = (tags: ReadonlyArray<string>) => tags.map((tag) => tag.replace(/[^\p{L}\p{M}\p{N}_\-:/.]/gu, "_"))

const add = <K>(map: Map<K, number>, key: K, value: number) => map.set(key, (map.get(key) ?? 0) + value)

/** A clock that stands still at this time, in seconds. TestClock spends milliseconds on each of its steps. */
const manualClock = (time: { readonly now: number }): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => time.now * 1000,
  unsafeCurrentTimeNanos: () => BigInt(time.now) * 1_000_000_000n,
  currentTimeMillis: Effect.sync(() => time.now * 1000),
  currentTimeNanos: Effect.sync(() => BigInt(time.now) * 1_000_000_000n),
  sleep: () => Effect.never
})

/** Age of the oldest recorded points, in seconds. */
const oldestPoint = 3000

const simulate = Effect.fnUntraced(function*(seed: number, options: {
  readonly connection: Connection
  readonly clients: number
  readonly onLine: (line: string) => void
  /** Time of the test, in seconds. The simulation advances it. */
  readonly clock: { now: number }
  readonly delivery: Delivery
  readonly client?: ThreadStatsConfig.ThreadStatsOptions
  readonly events: boolean
}) {
  const { clock, connection } = options
  const { chance, one, upTo } = random(seed)
  const recorded = {
    counts: new Map<string, number>(),
    histograms: new Map<string, number>(),
    distributions: new Map<string, Array<number>>(),
    sets: new Map<string, Set<string>>(),
    membersByInterval: new Map<string, Map<number, Set<string>>>(),
    gauges: new Map<string, Map<number, number>>(),
    events: 0
  }
  let sentBytes = 0
  const receive = Effect.suspend(() =>
    Effect.map(connection.receive(sentBytes), (lines) => lines.forEach(options.onLine))
  )
  yield* Effect.scoped(Effect.gen(function*() {
    const clients: Array<ThreadStats.ThreadStats["Type"]> = []
    for (let i = 0; i < options.clients; i++) {
      const layer = connection.layerClient(options.delivery, { sampleSize: 5, ...options.client })
      clients.push(Context.get(yield* Layer.build(Layer.fresh(layer)), ThreadStats.ThreadStats))
    }
    for (let step = 0; step < 150; step++) {
      const client = one(clients)
      if (chance(0.15)) {
        clock.now += upTo(one([2, 15, 90]))
      } else if (chance(0.15)) {
        const { bytes, errors } = yield* client.flush(chance(0.3) ? { upTo: clock.now * 1000 } : undefined)
        assert.deepStrictEqual(errors, [])
        sentBytes += bytes
        yield* receive
      } else {
        const tags = one(tagLists)
        const series = (name: string) => seriesKey({ name, tags: sanitize(tags) })
        const time = chance(0.3) ? clock.now - upTo(oldestPoint) : undefined
        const point = { tags, ...(time === undefined ? {} : { timestamp: time * 1000 }) }
        const start = Math.floor((time ?? clock.now) / 10) * 10
        const value = upTo(2000) / 4 - 100
        switch (upTo(7)) {
          case 0:
            client.unsafeIncrement("count", value, point)
            add(recorded.counts, series("count"), value)
            break
          case 1:
            for (let i = upTo(30); i >= 0; i--) {
              client.unsafeHistogram("histogram", value, point)
              add(recorded.histograms, series("histogram"), 1)
            }
            break
          case 2:
            client.unsafeTiming("timing", value, point)
            add(recorded.histograms, series("timing"), 1)
            break
          case 3: {
            client.unsafeDistribution("distribution", value, point)
            const values = recorded.distributions.get(series("distribution")) ?? []
            recorded.distributions.set(series("distribution"), [...values, value])
            break
          }
          case 4: {
            const member = one(["a", "b", "a|b", "a%7cb", "\n", "", "ü"])
            client.unsafeSet("set", member, point)
            const members = recorded.sets.get(series("set")) ?? new Set()
            recorded.sets.set(series("set"), members.add(member))
            const intervals = recorded.membersByInterval.get(series("set")) ?? new Map<number, Set<string>>()
            intervals.set(start, (intervals.get(start) ?? new Set()).add(member))
            recorded.membersByInterval.set(series("set"), intervals)
            break
          }
          case 5: {
            // gauges of several clients overwrite each other in any order
            if (client !== clients[0]) break
            client.unsafeGauge("gauge", value, { ...point, tags: ["a:1"] })
            const key = seriesKey({ name: "gauge", tags: ["a:1"] })
            const points = recorded.gauges.get(key) ?? new Map<number, number>()
            recorded.gauges.set(key, points.set(start, value))
            break
          }
          default:
            if (!options.events) break
            client.unsafeEvent(`event ${step}`, "x|y\nz", { tags })
            recorded.events++
        }
      }
    }
    for (const client of clients) {
      const { bytes, errors } = yield* client.flush()
      assert.deepStrictEqual(errors, [])
      sentBytes += bytes
      const { metrics } = yield* client.stats
      assert.deepInclude(metrics, { pending: 0, dropped: {} })
      assert.strictEqual(metrics.received, metrics.delivered)
    }
  }))
  yield* receive
  return recorded
}, (effect, _, { clock }) => Effect.withClock(effect, manualClock(clock)))

type Recorded = Effect.Effect.Success<ReturnType<typeof simulate>>

const isZero = (value: number) => value === 0
const never = () => false

/** Entries in the order of their keys, without the empty ones. */
const entries = <V>(map: ReadonlyMap<string, V>, isEmpty: (value: V) => boolean = never) =>
  Object.fromEntries(Array.from(map).filter(([, value]) => !isEmpty(value)).sort(([a], [b]) => a < b ? -1 : 1))

const sorted = (values: ReadonlyMap<string, ReadonlyArray<number>>) =>
  entries(new Map(Array.from(values, ([key, list]) => [key, list.toSorted((a, b) => a - b)])))

const sizes = (sets: ReadonlyMap<string, ReadonlySet<unknown>>) =>
  entries(new Map(Array.from(sets, ([key, members]) => [key, members.size])))

const assertAgentTotals = (agent: ReturnType<typeof makeAgent>, recorded: Recorded) => {
  assert.deepStrictEqual(entries(agent.counts(), isZero), entries(recorded.counts, isZero))
  assert.deepStrictEqual(
    entries(new Map(Array.from(agent.histograms, ([key, { count }]) => [key, count]))),
    entries(recorded.histograms)
  )
  assert.deepStrictEqual(sorted(agent.distributions), sorted(recorded.distributions))
  assert.deepStrictEqual(sizes(agent.sets), sizes(recorded.sets))
  assert.deepStrictEqual(entries(agent.gauges), entries(recorded.gauges))
  assert.strictEqual(agent.events.length, recorded.events)
}

const assertExtensionTotals = (
  extension: ReturnType<typeof makeExtension>,
  recorded: Recorded,
  counters: "series" | "distributions"
) => {
  assert.deepStrictEqual(extension.dropped, [])
  const valuesOf = (name: string) =>
    new Map(
      Array.from(extension.distributions)
        .filter(([series]) => series.startsWith(`["${name}"`))
        .map(([series, times]) => [series, Array.from(times.values()).flat()] as const)
    )
  const sums = new Map(
    Array.from(valuesOf("count"), ([series, list]) => [series, list.reduce((a, b) => a + b, 0)])
  )
  assert.deepStrictEqual(
    entries(counters === "series" ? extension.counts : sums, isZero),
    entries(recorded.counts, isZero)
  )
  assert.deepStrictEqual(
    entries(new Map([...valuesOf("histogram"), ...valuesOf("timing")].map(([series, { length }]) => [series, length]))),
    entries(recorded.histograms)
  )
  assert.deepStrictEqual(sorted(valuesOf("distribution")), sorted(recorded.distributions))
  assert.deepStrictEqual(
    entries(new Map(Array.from(extension.gauges).filter(([series]) => series.startsWith("[\"set\"")))),
    entries(
      new Map(Array.from(recorded.membersByInterval, ([series, intervals]) => [
        series,
        new Map(Array.from(intervals, ([time, members]) => [time, members.size]))
      ]))
    )
  )
  const key = seriesKey({ name: "gauge", tags: ["a:1"] })
  assert.deepStrictEqual(extension.gauges.get(key), recorded.gauges.get(key))
}

/** Registers the simulations. Each test gets a connection of its own. */
export const simulations = (
  seeds: number,
  connect: Effect.Effect<Connection, never, Scope.Scope>
) => {
  const start = 1_700_000_003
  const all = Array.from({ length: seeds }, (_, i) => i + 1)

  for (const timestamps of ["late", "always", "never"] as const) {
    it.scoped.each(all)(
      `gives an Agent the totals that one client recorded, with points of the past (timestamps: "${timestamps}", seed %i)`,
      (seed) =>
        Effect.gen(function*() {
          const clock = { now: start }
          const agent = makeAgent(() => clock.now)
          const recorded = yield* simulate(seed, {
            connection: yield* connect,
            clients: 1,
            onLine: agent.receive,
            clock,
            delivery: { lineTimestamps: timestamps },
            events: true
          })
          // an Agent dates a gauge without a time when it arrives
          assertAgentTotals(agent, timestamps === "never" ? { ...recorded, gauges: agent.gauges } : recorded)
        })
    )
  }

  it.scoped.each(all)(
    "gives an Agent the totals that three clients with the same tags recorded (seed %i)",
    (seed) =>
      Effect.gen(function*() {
        const clock = { now: start }
        const agent = makeAgent(() => clock.now)
        const recorded = yield* simulate(seed, {
          connection: yield* connect,
          clients: 3,
          onLine: agent.receive,
          clock,
          // dated counts of several clients overwrite each other
          delivery: { lineTimestamps: "never" },
          events: true
        })
        assertAgentTotals(agent, { ...recorded, gauges: agent.gauges })
      })
  )

  it.scoped("adds up the counts of three clients that flush in time, without a time in any line", () => {
    const clock = { now: start }
    return Effect.gen(function*() {
      const connection = yield* connect
      let bytes = 0
      const agent = makeAgent(() => clock.now)
      const lines: Array<string> = []
      const receive = Effect.suspend(() =>
        Effect.map(connection.receive(bytes), (received) => {
          lines.push(...received)
          received.forEach(agent.receive)
        })
      )
      const clients = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.map(Layer.build(Layer.fresh(connection.layerClient({}, {}))), Context.get(ThreadStats.ThreadStats))
      )
      let recorded = 0
      for (let step = 0; step < 60; step++) {
        clock.now += 7
        for (const client of clients) {
          client.unsafeIncrement("count", step)
          recorded += step
          if (step % 2 === 0) bytes += (yield* client.flush({ upTo: clock.now * 1000 })).bytes
        }
        yield* receive
      }
      for (const client of clients) bytes += (yield* client.flush()).bytes
      yield* receive
      assert.deepStrictEqual(Array.from(agent.counts().values()), [recorded])
      assert.isFalse(lines.some((line) => line.includes("|T")))
    }).pipe(Effect.withClock(manualClock(clock)))
  })

  for (const counters of ["series", "distributions"] as const) {
    it.scoped.each(all)(
      `gives the Lambda extension the totals that were recorded (counters: "${counters}", seed %i)`,
      (seed) =>
        Effect.gen(function*() {
          const clock = { now: start }
          const extension = makeExtension(() => clock.now)
          const recorded = yield* simulate(seed, {
            connection: yield* connect,
            clients: 1,
            onLine: extension.receive,
            clock,
            delivery: { profile: "extension" },
            client: { submitAs: counters },
            events: false
          })
          assertExtensionTotals(extension, recorded, counters)
        })
    )
  }
}
