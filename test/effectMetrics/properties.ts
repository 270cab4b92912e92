/** Properties of the report of Effect's metrics. The unit suite checks a few runs of each, the io suite many. */
import { assert, it } from "@effect/vitest"
import * as EffectMetrics from "effect-threadstats/EffectMetrics"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as TestClock from "effect/TestClock"
import { bucketsOf, layerRecorded, only, sumOf } from "../support/effectMetrics.js"
import * as Scripted from "../support/scripted.js"
import { nextTurn } from "../support/wait.js"

let run = 0

const nextPrefix = (name: string): string => `${name}.${run++}.`

export const histogramsKeepCounts = (numRuns: number): void =>
  it.effect.prop("keeps the count of every bucket and the sum of any values", {
    boundaries: FastCheck.uniqueArray(FastCheck.integer({ min: -50, max: 50 }), { maxLength: 8 }),
    batches: FastCheck.array(
      FastCheck.array(FastCheck.integer({ min: -640, max: 640 }).map((i) => i / 8), { maxLength: 30 }),
      { minLength: 1, maxLength: 4 }
    )
  }, ({ batches, boundaries }) => {
    const name = nextPrefix("hp")
    const limits = MetricBoundaries.fromIterable(boundaries)
    const sorted = limits.values.slice().sort((a, b) => a - b)
    return Effect.gen(function*() {
      const histogram = Metric.histogram(name, limits)
      for (const batch of batches) {
        for (const value of batch) yield* Metric.update(histogram, value)
        const values = yield* Testing.values(name)
        yield* Testing.clear
        assert.deepStrictEqual(bucketsOf(values, sorted), bucketsOf(batch, sorted))
        assert.approximately(sumOf(values), sumOf(batch), 1e-6)
      }
      // Vitest's worker reports to its main process between the runs.
      yield* nextTurn
    }).pipe(Effect.provide(layerRecorded(only(name))))
  }, { fastCheck: { numRuns } })

const step = FastCheck.oneof(
  FastCheck.record({ action: FastCheck.constant("count"), by: FastCheck.integer({ min: -20, max: 50 }) }),
  FastCheck.record({ action: FastCheck.constant("add"), by: FastCheck.integer({ min: 0, max: 50 }) }),
  FastCheck.record({ action: FastCheck.constant("observe"), by: FastCheck.integer({ min: -5, max: 50 }) }),
  FastCheck.record({ action: FastCheck.constant("word"), by: FastCheck.integer({ min: 0, max: 3 }) }),
  FastCheck.record({ action: FastCheck.constant("sleep"), by: FastCheck.integer({ min: 1, max: 15 }) }),
  FastCheck.record({ action: FastCheck.constantFrom("flush", "fail", "part"), by: FastCheck.constant(0) })
)

export const deliveredEqualsRegistry = (numRuns: number): void =>
  it.effect.prop("delivers values that equal the registry after any flushes that succeed, fail or fail in part", {
    temporality: FastCheck.constantFrom("total" as const, "delta" as const),
    steps: FastCheck.array(step, { minLength: 5, maxLength: 60 })
  }, ({ steps, temporality }) => {
    const prefix = nextPrefix("p")
    const reporter = Scripted.make(temporality)
    const arrived: Array<Scripted.Call> = []
    const answer = (outcome: string) => (call: Scripted.Call) => {
      const undelivered = call.batch.filter((_, i) => outcome === "fail" || (outcome === "part" && i % 2 === 0))
      const batch = call.batch.filter((item) => !undelivered.includes(item))
      arrived.push({ endpoint: call.endpoint, batch })
      return undelivered.length === 0 ? Scripted.accept(batch) : Scripted.fail("ServerError", { undelivered })
    }
    const counter = Metric.counter(`${prefix}count`)
    const incremental = Metric.counter(`${prefix}add`, { incremental: true, bigint: true })
    const histogram = Metric.histogram(`${prefix}observe`, MetricBoundaries.fromIterable([0, 10, 20, 40]))
    const words = Metric.frequency(`${prefix}word`)
    const counts = () => {
      const points = new Map<string, number>()
      for (const { batch, endpoint } of arrived) {
        if (endpoint !== "series") continue
        for (const item of batch) {
          if (!("points" in item) || item.type !== "rate") continue
          const key = (timestamp: number) => JSON.stringify([item.metric, item.tags, timestamp])
          for (const [timestamp, value] of item.points) {
            const before = temporality === "total" ? 0 : points.get(key(timestamp)) ?? 0
            points.set(key(timestamp), before + (value as number) * 10)
          }
        }
      }
      const sums: Record<string, number> = {}
      for (const [key, value] of points) {
        const [metric, [tag = ""]] = JSON.parse(key)
        const name = `${metric.slice(prefix.length)}${tag}`
        sums[name] = Math.round((sums[name] ?? 0) + value)
      }
      return sums
    }
    return Effect.gen(function*() {
      for (const { action, by } of steps) {
        switch (action) {
          case "count":
            yield* Metric.update(counter, by)
            break
          case "add":
            yield* Metric.update(incremental, BigInt(by))
            break
          case "observe":
            yield* Metric.update(histogram, by)
            break
          case "word":
            yield* Metric.update(words, `w${by}`)
            break
          case "sleep":
            yield* TestClock.adjust(by * 1000)
            break
          default:
            reporter.answer = answer(action)
            yield* ThreadStats.flush()
        }
      }
      reporter.answer = answer("flush")
      yield* ThreadStats.flush()
      const { occurrences } = yield* Metric.value(words)
      const expected: Record<string, number> = {
        count: (yield* Metric.value(counter)).count,
        add: Number((yield* Metric.value(incremental)).count),
        ...Object.fromEntries(Array.from(occurrences, ([word, count]) => [`wordkey:${word}`, count]))
      }
      const found = counts()
      for (const name of new Set([...Object.keys(expected), ...Object.keys(found)])) {
        assert.strictEqual(found[name] ?? 0, expected[name] ?? 0, name)
      }
      const values = arrived.flatMap(({ batch, endpoint }) =>
        endpoint === "distributions"
          ? batch.flatMap((item) => "points" in item ? item.points.flatMap(([, v]) => v) : [])
          : []
      ) as ReadonlyArray<number>
      const observed = yield* Metric.value(histogram)
      assert.lengthOf(values, observed.count)
      assert.approximately(sumOf(values), observed.sum, 1e-6)
      assert.deepStrictEqual(
        observed.buckets.map(([boundary]) => values.filter((value) => value <= boundary).length),
        observed.buckets.map(([, count]) => count)
      )
    }).pipe(
      Effect.provide(
        EffectMetrics.layerWith(only(prefix)).pipe(
          Layer.provideMerge(Scripted.client(reporter, { submitAs: "series" }))
        )
      )
    )
  }, { fastCheck: { numRuns } })
