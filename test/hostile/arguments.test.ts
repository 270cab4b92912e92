import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { MetricsAggregator, Reporter, ThreadStats } from "effect-threadstats"
import * as hostile from "../support/hostile.js"
import { layerMetricsAggregator } from "../support/layers.js"
import { eventOptions } from "./calls.js"
import { start, sumOf } from "./payload.js"

const { lie } = hostile

describe("ThreadStats arguments", () => {
  it.effect("copies its arguments, so that later changes to them have no effect", () =>
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

  it.effect("accepts frozen arguments and reads each option once", () =>
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
      assert.strictEqual(metrics.pending, 2)
      assert.strictEqual(events.pending, 1)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("reads a bounded number of elements when an array claims to be endless", () =>
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

  it.effect("records an event when its options are a text, and never lists the keys of options", () =>
    Effect.gen(function*() {
      const memory = yield* Reporter.MemoryReporter
      const { unsafeEvent } = yield* ThreadStats.ThreadStats
      let listings = 0
      // The keys of a text are its characters: listing those of a long one takes seconds.
      const text = new Proxy(new String("m".repeat(1000)), {
        ownKeys: (target) => {
          listings++
          return Reflect.ownKeys(target)
        }
      })
      unsafeEvent("title", "text", lie(text))
      unsafeEvent("title", "text", lie("m".repeat(2_000_000)))
      yield* ThreadStats.flush()
      assert.strictEqual(listings, 0)
      assert.strictEqual((yield* memory.events).length, 2)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("keeps sums finite when values overflow, also after a restore", () =>
    Effect.gen(function*() {
      const self = yield* MetricsAggregator.MetricsAggregator
      const record = (value: number) => {
        for (const kind of ["counter", "histogram", "timing", "gauge", "distribution"] as const) {
          for (let i = 0; i < 3; i++) self.unsafeAdd(kind, kind, value, 0)
        }
      }
      record(Number.MAX_VALUE)
      const drained = yield* self.drain({ temporality: "delta", now: 0 })
      record(-Number.MAX_VALUE)
      yield* self.restore(drained)
      const again = yield* self.drain({ temporality: "delta", now: 0 })
      assert.strictEqual(again.length, 5)
      for (const { name, points, values } of again) {
        for (const { suffix, value } of points) assert.isTrue(Number.isFinite(value), `${name}.${suffix}: ${value}`)
        assert.isTrue(values.every(Number.isFinite))
      }
    }).pipe(Effect.provide(layerMetricsAggregator)))
})

describe("ThreadStats.flush", () => {
  it.effect("delivers or keeps every point when its options are hostile", () =>
    Effect.gen(function*() {
      for (const [label, make] of hostile.pool) {
        yield* ThreadStats.increment("jobs")
        for (const options of [make(), { upTo: make() }]) {
          const receipt = yield* Effect.suspend(() => ThreadStats.flush(lie(options)))
          assert.deepStrictEqual(receipt.errors, [], label)
        }
        const { metrics } = yield* ThreadStats.stats
        assert.strictEqual(sumOf(metrics), metrics.received, label)
      }
      assert.strictEqual((yield* ThreadStats.stats).metrics.received, hostile.pool.length)
    }).pipe(Effect.provide(ThreadStats.layerTest)))
})
