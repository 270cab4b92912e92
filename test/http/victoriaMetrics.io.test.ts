import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type { ThreadStatsOptions } from "effect-threadstats/ThreadStatsConfig"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import {
  installed,
  layerRelay,
  layerVictoria,
  notInstalled,
  Relay,
  type Sample,
  Victoria
} from "../support/victoria.js"

// Directly to the stream: the runner hides console output of skipped suites.
if (!installed) process.stderr.write(`${notInstalled}\n`)

/**
 * Attaches a host to every series. This VictoriaMetrics does not clear the memory of earlier requests, and gives a series without
 * a host another one's.
 */
const client = (origin: string, options: ThreadStatsOptions = {}) =>
  ThreadStats.layerHttpClientWith({
    apiUrl: `${origin}/datadog`,
    apiKey: Redacted.make("key"),
    hostname: "web-1",
    attachHost: true,
    constantTags: ["env:test"],
    periodicFlush: false,
    ...options
  }).pipe(Layer.provide(FetchHttpClient.layer), Layer.orDie)

const interval = 10

/** Returns the start of the roll-up interval `ago` seconds ago, in seconds since the epoch. */
const bucket = (ago: number) =>
  Effect.map(Clock.currentTimeMillis, (now) => (Math.floor(now / 1000 / interval) - ago / interval) * interval)

interface Call {
  readonly kind: "increment" | "gauge" | "set" | "histogram" | "timing"
  readonly name: string
  readonly value: number
  readonly tags: ReadonlyArray<string>
  /** Seconds since the epoch; the start of an interval. */
  readonly at: number
}

/** Records every call at a time within its interval. */
const record = (calls: ReadonlyArray<Call>) =>
  Effect.flatMap(ThreadStats.ThreadStats, (stats) =>
    Effect.forEach(
      calls,
      ({ at, kind, name, tags, value }, i) => stats[kind](name, value, { tags, timestamp: at * 1000 + i % 9999 }),
      { discard: true }
    ))

/** Returns the label that VictoriaMetrics stores for a tag. */
const labelOf = (tag: string): readonly [string, string] => {
  const colon = tag.indexOf(":")
  return colon < 0 ? [tag, "no_label_value"] : [tag.slice(0, colon), tag.slice(colon + 1)]
}

const keyOf = (name: string, labels: Readonly<Record<string, string>>, timestamp: number) =>
  JSON.stringify([name, Object.entries(labels).sort(), timestamp])

/** Computes the recorded totals from the calls, by series and interval. */
const totalsOf = (calls: ReadonlyArray<Call>): Map<string, number> => {
  const groups = new Map<string, Array<Call>>()
  for (const call of calls) {
    const key = JSON.stringify([call.kind, call.name, call.tags, call.at])
    groups.set(key, [...groups.get(key) ?? [], call])
  }
  const totals = new Map<string, number>()
  for (const group of groups.values()) {
    const [{ at, kind, name, tags }] = group as [Call]
    const labels = Object.fromEntries([...tags, "env:test", "host:web-1"].map(labelOf))
    const values = group.map(({ value }) => value)
    const setTotal = (suffix: string, total: number) => totals.set(keyOf(`${name}${suffix}`, labels, at), total)
    const sum = values.reduce((a, b) => a + b, 0)
    if (kind === "increment") setTotal("", sum)
    else if (kind === "gauge") setTotal("", values.at(-1)!)
    else if (kind === "set") setTotal("", new Set(values).size)
    else {
      const sorted = values.toSorted((a, b) => a - b)
      setTotal(".min", sorted[0]!)
      setTotal(".max", sorted.at(-1)!)
      setTotal(".count", values.length)
      setTotal(".avg", sum / values.length)
      // The smallest value that is not below p percent of the hundred values.
      assert.strictEqual(values.length, 100)
      for (const p of [75, 85, 95, 99]) setTotal(`.${p}percentile`, sorted[p - 1]!)
    }
  }
  return totals
}

/** Converts the rate that the server stores for a counter, or for the count of a histogram, to a total. */
const totalOf = ({ name, value }: Sample) => /\.(orders|count)$/.test(name) ? value * interval : value

/** Checks that the server stores the recorded totals and nothing else. It rounds to about 15 digits. */
const assertTotals = (samples: ReadonlyArray<Sample>, calls: ReadonlyArray<Call>) => {
  const expected = totalsOf(calls)
  const got = new Map(samples.map((sample) => [keyOf(sample.name, sample.labels, sample.timestamp), totalOf(sample)]))
  assert.deepStrictEqual([...got.keys()].filter((key) => !expected.has(key)), [], "stored, but not recorded")
  assert.deepStrictEqual([...expected.keys()].filter((key) => !got.has(key)), [], "recorded, but not stored")
  for (const [key, total] of expected) assert.closeTo(got.get(key)!, total, 1e-12 * Math.max(1, Math.abs(total)), key)
}

/** Returns the last value of each series and timestamp, which Datadog would keep. */
const latest = (samples: ReadonlyArray<Sample>): ReadonlyArray<Sample> => {
  const last = new Map<string, { readonly arrival: number; readonly sample: Sample }>()
  for (const { labels: { arrival, ...labels }, ...rest } of samples) {
    const key = keyOf(rest.name, labels, rest.timestamp)
    const before = last.get(key)
    if (before === undefined || before.arrival < Number(arrival)) {
      last.set(key, { arrival: Number(arrival), sample: { ...rest, labels } })
    }
  }
  return Array.from(last.values(), ({ sample }) => sample)
}

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

/** Maps the numbers from 1 to 100 to themselves in another order. */
const shuffled = (n: number) => 1 + n * 37 % 100

/** Returns calls of every kind: one or a few, and a hundred for a histogram. */
const oneOfEach = (at: number): ReadonlyArray<Call> => [
  { kind: "increment", name: "shop.orders", value: 3, tags: ["größe:straße", "名:値", "🚀:é", "urgent"], at },
  { kind: "increment", name: "shop.orders", value: 0.5, tags: ["größe:straße", "名:値", "🚀:é", "urgent"], at },
  { kind: "increment", name: "shop.orders", value: -4, tags: ["url:http://[::1]:80/?a=\"b\\c\""], at },
  { kind: "gauge", name: "shop.queue", value: 7, tags: [], at },
  { kind: "gauge", name: "shop.queue", value: 0.1 + 0.2, tags: [], at },
  { kind: "gauge", name: "shop.depth", value: -1e15, tags: ["level:−1"], at },
  { kind: "gauge", name: "shop.temperature", value: 1e-7, tags: ["空"], at },
  { kind: "gauge", name: "shop.zero", value: 0, tags: [], at },
  ...[1, 2, 2, 3, 1].map((value): Call => ({ kind: "set", name: "shop.visitors", value, tags: ["país:es"], at })),
  ...numbers(100).map((n): Call => ({
    kind: "histogram",
    name: "shop.basket",
    value: shuffled(n),
    tags: ["日本"],
    at
  })),
  ...numbers(100).map((n): Call => ({ kind: "timing", name: "shop.latency", value: n / 8 - 3, tags: [], at }))
]

const manyOrders = (count: number, at: number): ReadonlyArray<Call> =>
  numbers(count).map((item) => ({ kind: "increment", name: "shop.orders", value: item, tags: [`item:№${item}`], at }))

const suite = describe.skipIf(!installed)

/** Sets the test's clock to the time of the server. It stands still, so no limit of the client passes. */
const useServerTime = Effect.flatMap(TestServices.provideLive(Clock.currentTimeMillis), TestClock.setTime)

suite(installed ? "VictoriaMetrics" : `VictoriaMetrics (${notInstalled})`, () => {
  for (const compress of [true, false]) {
    it.effect(
      `stores every recorded total once when compression is ${compress ? "on" : "off"}`,
      () =>
        Effect.gen(function*() {
          yield* useServerTime
          const { origin, samples } = yield* Victoria
          const [older, old, open] = yield* Effect.all([bucket(600), bucket(60), bucket(0)])
          const rounds = [
            [...oneOfEach(older), ...manyOrders(1200, older)],
            [...oneOfEach(old), ...manyOrders(1200, open)],
            manyOrders(50, old)
          ]
          const receipts = yield* Effect.forEach(rounds, (calls) => Effect.zipRight(record(calls), ThreadStats.flush()))
            .pipe(
              // The last flush of the layer delivers these.
              Effect.zipLeft(record(oneOfEach(open))),
              Effect.provide(client(origin, { compress }))
            )
          for (const [i, receipt] of receipts.entries()) {
            assert.deepStrictEqual(receipt.errors, [])
            assert.deepStrictEqual(receipt.metrics, { delivered: rounds[i]!.length, pending: 0, dropped: 0 })
          }
          const calls = [...rounds.flat(), ...oneOfEach(open)]
          const stored = yield* samples
          assert.strictEqual(stored.length, totalsOf(calls).size)
          assertTotals(stored, calls)
        }).pipe(Effect.provide(layerVictoria))
    )
  }

  it.effect(
    "stores the totals when flushes fail, when an answer is lost, and when points fall into an interval that was sent",
    () =>
      Effect.gen(function*() {
        yield* useServerTime
        const { samples } = yield* Victoria
        const { origin, script } = yield* Relay
        const [old, open] = yield* Effect.all([bucket(120), bucket(0)])
        const rare: Call = { kind: "increment", name: "rare.orders", value: 1, tags: [], at: open }
        const level: Call = { kind: "gauge", name: "rare.level", value: 1, tags: [], at: open }
        const rounds = [old, open].flatMap((at) => {
          const all = oneOfEach(at)
          const cut = all.length - 160
          return [
            [...all.slice(0, cut), ...manyOrders(600, at), rare, level],
            [...all.slice(cut, -50), ...manyOrders(300, at), { ...rare, value: 10 }, { ...level, value: 3 }],
            [...all.slice(-50), ...manyOrders(900, at), { ...rare, value: 100 }, { ...level, value: 2 }]
          ]
        })
        const faults = ["NotArrived", "AnswerLost", undefined, undefined, "AnswerLost", undefined] as const
        yield* Effect.gen(function*() {
          let kept = 0
          for (const [i, calls] of rounds.entries()) {
            const fault = faults[i]
            if (fault !== undefined) yield* script([fault])
            yield* record(calls)
            const receipt = yield* ThreadStats.flush()
            kept += calls.length
            if (fault === undefined) {
              assert.deepStrictEqual(receipt.errors, [])
              assert.deepStrictEqual(receipt.metrics, { delivered: kept, pending: 0, dropped: 0 })
              kept = 0
            } else {
              assert.deepStrictEqual(receipt.errors.map(({ reason, status }) => [reason, status]), [[
                "ServerError",
                503
              ]])
              assert.deepStrictEqual(receipt.metrics, { delivered: 0, pending: kept, dropped: 0 })
            }
          }
        }).pipe(Effect.provide(client(origin)))

        const stored = yield* samples
        assertTotals(latest(stored), rounds.flat())
        // The totals in the order of their arrival.
        const history = (name: string) =>
          stored.filter((sample) => sample.name === name)
            .sort((a, b) => Number(a.labels["arrival"]) - Number(b.labels["arrival"]))
            .map((sample) => Math.round(totalOf(sample)))
        assert.deepStrictEqual(history("rare.orders"), [11, 111, 112, 122, 222])
        assert.deepStrictEqual(history("rare.level"), [3, 2, 1, 3, 2])
      }).pipe(Effect.provide(Layer.provideMerge(layerRelay, layerVictoria)))
  )

  it.effect(
    "stores series, and refuses distributions and events, which the client drops and counts",
    () =>
      Effect.gen(function*() {
        yield* useServerTime
        const { origin, samples } = yield* Victoria
        const at = yield* bucket(0)
        yield* Effect.gen(function*() {
          yield* record(oneOfEach(at))
          yield* ThreadStats.distribution("shop.price", 9)
          yield* ThreadStats.event("Deployed", "version 42")
          const { errors, events, metrics } = yield* ThreadStats.flush()
          assert.deepStrictEqual(metrics, { delivered: oneOfEach(at).length, pending: 0, dropped: 1 })
          assert.deepStrictEqual(events, { delivered: 0, pending: 0, dropped: 1 })
          assert.sameDeepMembers(
            errors.map(({ endpoint, reason, status }) => [endpoint, reason, status]),
            ["distribution_points", "events"].map((route) => [`${origin}/datadog/api/v1/${route}`, "Rejected", 400])
          )
          for (const { message } of errors) assert.include(message, "unsupported path requested")
          const stats = yield* ThreadStats.stats
          assert.deepInclude(stats.metrics, { pending: 0, dropped: { Refused: 1 } })
          assert.deepInclude(stats.events, { pending: 0, dropped: { Refused: 1 } })
        }).pipe(Effect.provide(client(origin)))
        assertTotals(yield* samples, oneOfEach(at))
      }).pipe(Effect.provide(layerVictoria))
  )
})
