/** Properties of the aggregator. The unit suite checks a few runs of each, the io suite many. */
import { assert, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer } from "effect"
import { type MetricsAggregator, RollUp, ThreadStatsConfig } from "effect-threadstats"
import { PCGRandom } from "effect/Utils"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { add, drain, minute, now } from "../support/aggregator.js"
import { layerMetricsAggregator, makeMetricsAggregator } from "../support/layers.js"

const runs = (numRuns: number) => ({ fastCheck: { numRuns } })

/** Runs one case, with an aggregator of its own. Without a fiber in a test context, a thousand cases take a second. */
const withAggregator = <A, E>(
  test: Effect.Effect<A, E, MetricsAggregator.MetricsAggregator | PipelineMetricsAggregator>
): A => Effect.runSync(Effect.provide(test, Layer.fresh(layerMetricsAggregator)))

export const identitiesDiffer = (numRuns: number): void =>
  it.prop(
    "keeps two series apart when their name, host or tags differ in any character that the receiver keeps",
    {
      series: fc.uniqueArray(
        fc.record({
          name: fc.stringMatching(/^[a-b][aB._0-9]{0,3}$/),
          host: fc.option(fc.stringMatching(/^[ab:0-9\-]{0,3}$/), { nil: null }),
          tags: fc.uniqueArray(fc.stringMatching(/^[ab:./0-9\-]{0,2}[ab/0-9\-]$/), { maxLength: 2 })
        }),
        {
          minLength: 2,
          maxLength: 12,
          selector: ({ host, name, tags }) => JSON.stringify([name, host, tags.slice().sort()])
        }
      )
    },
    ({ series }) =>
      withAggregator(Effect.gen(function*() {
        for (const { host, name, tags } of series) yield* add("counter", name, 1, { host, tags })
        const items = yield* drain()
        assert.strictEqual(items.length, series.length)
        assert.isTrue(items.every(({ recorded }) => recorded === 1))
      })),
    runs(numRuns)
  )

export const tagOrderIsIrrelevant = (numRuns: number): void =>
  it.prop(
    "adds points of one series together when their tags come in any order",
    {
      series: fc.uniqueArray(
        fc.record({
          name: fc.constantFrom("counted", "measured"),
          host: fc.option(fc.constantFrom("", "a", "b"), { nil: null }),
          tags: fc.uniqueArray(fc.stringMatching(/^[a-c](:[xy]{1,2})?$/), { maxLength: 6 })
        }),
        {
          minLength: 1,
          maxLength: 20,
          selector: ({ host, name, tags }) => JSON.stringify([name, host, tags.slice().sort()])
        }
      ),
      orders: fc.array(fc.infiniteStream(fc.nat(1000)), { minLength: 1, maxLength: 4 })
    },
    ({ orders, series }) =>
      withAggregator(Effect.gen(function*() {
        for (const ranks of orders) {
          for (const { host, name, tags } of series) {
            const ranked = tags.map((tag) => [ranks.next().value as number, tag] as const)
            yield* add("counter", name, 1, { host, tags: ranked.sort(([a], [b]) => a - b).map(([, tag]) => tag) })
          }
        }
        const items = yield* drain()
        const identity = (item: { name: string; host: string | null; tags: ReadonlyArray<string> }) =>
          JSON.stringify([item.name, item.host, item.tags.slice().sort()])
        assert.sameMembers(items.map(identity), series.map(identity))
        assert.isTrue(items.every(({ recorded }) => recorded === orders.length))
      })),
    runs(numRuns)
  )

export const memoryIsExact = (numRuns: number): void =>
  it.prop(
    "counts the bytes of pending series exactly after any points, drains and restored series",
    {
      steps: fc.array(
        fc.record({
          action: fc.constantFrom("add", "drain", "restore", "drain closed buckets"),
          kind: fc.constantFrom<RollUp.Kind>("counter", "gauge", "set", "histogram", "timing", "distribution"),
          name: fc.constantFrom("a", "b", "c"),
          value: fc.integer({ min: 0, max: 50 }),
          bucketsAgo: fc.integer({ min: 0, max: 3 })
        }),
        { maxLength: 60 }
      ),
      temporality: fc.constantFrom("total" as const, "delta" as const)
    },
    ({ steps, temporality }) =>
      withAggregator(Effect.gen(function*() {
        const self = yield* PipelineMetricsAggregator
        let undelivered: ReadonlyArray<MetricsAggregator.AggregatedSeries> = []
        const restoreAll = Effect.suspend(() => {
          const items = undelivered
          undelivered = []
          return self.restore(items)
        })
        for (const { action, bucketsAgo, kind, name, value } of steps) {
          if (action === "add") yield* self.add(kind, name, value, now - bucketsAgo * minute)
          else {
            yield* restoreAll
            if (action === "restore") continue
            undelivered = yield* self.drain({ temporality, now, upTo: action === "drain" ? undefined : now })
          }
        }
        yield* restoreAll
        const { bytes } = yield* self.stats
        const copy = yield* makeMetricsAggregator()
        const snapshots = yield* self.snapshot(new Map())
        yield* copy.load(snapshots.flatMap(({ series = [] }) => series))
        assert.strictEqual((yield* copy.stats).bytes, bytes)
        yield* self.drain({ temporality, now })
        assert.strictEqual((yield* self.stats).bytes, 0)
      })),
    runs(numRuns)
  )

/**
 * Records increments of counters, and delivers or restores each drain. The receiver keeps the last value of a timestamp
 * if the temporality is `total`, and adds values up if it is `delta`.
 */
export const pointsNeverUndercut = (numRuns: number): void =>
  it.prop(
    "never sends a point below an earlier point of its series and timestamp, and delivers every increment",
    {
      steps: fc.array(
        fc.record({
          action: fc.constantFrom("add", "add", "add", "deliver", "fail", "fail in part"),
          name: fc.constantFrom("a", "b"),
          value: fc.integer({ min: 0, max: 50 }),
          bucketsAgo: fc.integer({ min: 0, max: 2 })
        }),
        { minLength: 5, maxLength: 60 }
      ),
      temporality: fc.constantFrom("total" as const, "delta" as const)
    },
    ({ steps, temporality }) =>
      withAggregator(Effect.gen(function*() {
        const self = yield* makeMetricsAggregator({ maxSeries: 100, submitAs: "series" })
        const recorded = new Map<string, number>()
        const received = new Map<string, number>()
        const deliver = (items: ReadonlyArray<MetricsAggregator.AggregatedSeries>) => {
          for (const { name, points, timestamp } of items) {
            const key = `${name} ${timestamp}`
            const before = received.get(key) ?? 0
            const value = Math.round(points[0]!.value * 10)
            if (temporality === "total") assert.isAtLeast(value, before, key)
            received.set(key, temporality === "total" ? value : before + value)
          }
        }
        const start = Math.floor(now / 10_000) * 10
        for (const { action, bucketsAgo, name, value } of steps) {
          if (action === "add") {
            const key = `${name} ${start - 10 * bucketsAgo}`
            recorded.set(key, (recorded.get(key) ?? 0) + value)
            yield* self.add("counter", name, value, now - 10_000 * bucketsAgo)
            continue
          }
          const items = yield* self.drain({ temporality, now })
          const isDelivered = (_: unknown, i: number) =>
            action === "deliver" || (action === "fail in part" && i % 2 === 1)
          deliver(items.filter(isDelivered))
          yield* self.restore(items.filter((item, i) => !isDelivered(item, i)))
        }
        deliver(yield* self.drain({ temporality, now }))
        assert.deepStrictEqual(new Map([...received].sort()), new Map([...recorded].sort()))
        assert.deepInclude(yield* self.stats, { pending: 0, dropped: {} })
      })),
    runs(numRuns)
  )

const filledDistribution = (values: ReadonlyArray<number>): RollUp.RollUp => {
  const rollUp = RollUp.factory({ ...ThreadStatsConfig.defaults, random: new PCGRandom(7) })("distribution")
  for (const value of values) rollUp.add(value)
  return rollUp
}

export const olderValuesComeFirst = (numRuns: number): void => {
  it.prop("merges older values of a distribution before its own, in parts of at most 8192", {
    first: fc.integer({ min: 1, max: 20_000 }),
    steps: fc.array(
      fc.record({
        action: fc.constantFrom("add", "merge"),
        count: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 8190, max: 8194 }), fc.nat(30_000))
      }),
      { maxLength: 10 }
    )
  }, ({ first, steps }) => {
    let next = 0
    const nextValues = (count: number) => Array.from({ length: count }, () => next++)
    let expected = nextValues(first)
    const rollUp = filledDistribution(expected)
    for (const { action, count } of steps) {
      if (action === "add") {
        const values = nextValues(count)
        for (const value of values) rollUp.add(value)
        expected = expected.concat(values)
      } else {
        const values = nextValues(count)
        const older = filledDistribution(values)
        rollUp.mergeOlder(older)
        assert.deepStrictEqual(older.values(), values)
        expected = values.concat(expected)
      }
      assert.strictEqual(rollUp.valueCount(), expected.length)
      assert.strictEqual(rollUp.bytes(), 8 * expected.length)
    }
    assert.deepStrictEqual(rollUp.values(), expected)
    const sizes = rollUp.split().map((part) => part.valueCount())
    assert.isTrue(sizes.every((size) => size > 0 && size <= 8192))
    assert.deepStrictEqual(rollUp.split().flatMap((part) => part.values()), expected)
  }, runs(numRuns))
}
