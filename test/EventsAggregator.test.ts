import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { EventsAggregator, Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { PipelineEventsAggregator } from "../src/internal/aggregation/EventsAggregator.js"
import { layerEventsAggregator, layerEventsAggregatorWith, layerMetricsAggregator } from "./support/layers.js"

const event = (title: string) => ({ title, text: "", tags: [] })

/** Every operation of the public service, and no other: a test double has these. */
const double: EventsAggregator.EventsAggregator["Type"] = {
  unsafeAdd: () => false,
  add: () => Effect.void,
  drain: () => Effect.succeed([]),
  restore: () => Effect.void,
  stats: Effect.die("not recorded")
}

describe("EventsAggregator", () => {
  it("does not satisfy the requirements of a client, which is a type error", () => {
    const client = ThreadStats.layerReporter.pipe(
      Layer.provide([
        Layer.succeed(EventsAggregator.EventsAggregator, double),
        layerMetricsAggregator,
        Reporter.layerMemory
      ]),
      Layer.provide(ThreadStatsConfig.layerTest)
    )
    expectTypeOf(client).toEqualTypeOf<
      Layer.Layer<ThreadStats.ThreadStats, never, EventsAggregator.PipelineEventsAggregator>
    >()
  })

  it.effect("drains each event once, in order of recording", () =>
    Effect.gen(function*() {
      const aggregator = yield* EventsAggregator.EventsAggregator
      yield* aggregator.add(event("a"))
      aggregator.unsafeAdd(event("b"))
      assert.deepStrictEqual(yield* aggregator.stats, { received: 2, pending: 2, dropped: {} })
      assert.deepStrictEqual((yield* aggregator.drain(0)).map(({ title }) => title), ["a", "b"])
      assert.deepStrictEqual(yield* aggregator.drain(0), [])
      assert.deepStrictEqual(yield* aggregator.stats, { received: 2, pending: 0, dropped: {} })
    }).pipe(Effect.provide(layerEventsAggregator)))

  it.effect("restores events before those recorded since", () =>
    Effect.gen(function*() {
      const aggregator = yield* EventsAggregator.EventsAggregator
      yield* aggregator.add(event("a"))
      const drained = yield* aggregator.drain(0)
      yield* aggregator.add(event("b"))
      yield* aggregator.restore(drained)
      assert.deepStrictEqual(yield* aggregator.stats, { received: 2, pending: 2, dropped: {} })
      assert.deepStrictEqual((yield* aggregator.drain(0)).map(({ title }) => title), ["a", "b"])
    }).pipe(Effect.provide(layerEventsAggregator)))

  it.effect("drops and counts the oldest event when the aggregator holds more than `maxEvents`", () =>
    Effect.gen(function*() {
      const aggregator = yield* PipelineEventsAggregator
      for (const title of ["a", "b", "c"]) assert.isFalse(aggregator.unsafeAdd(event(title)))
      for (const title of ["d", "e"]) assert.isTrue(aggregator.unsafeAdd(event(title)))
      const drained = yield* aggregator.drain(0)
      assert.deepStrictEqual(drained.map(({ title }) => title), ["a", "b", "c", "d", "e"])
      yield* aggregator.add(event("f"))
      yield* aggregator.restore(drained)
      assert.deepStrictEqual((yield* aggregator.drain(0)).map(({ title }) => title), ["b", "c", "d", "e", "f"])
      assert.deepStrictEqual(yield* aggregator.stats, { received: 6, pending: 0, dropped: { TooManyEvents: 1 } })
      assert.deepStrictEqual(yield* aggregator.drainWarnings, [{ reason: "TooManyEvents", count: 1, names: ["a"] }])
    }).pipe(Effect.provide(layerEventsAggregatorWith({ maxEvents: 5 }))))

  it.effect("drops events that have become too old for Datadog when the aggregator is drained", () =>
    Effect.gen(function*() {
      const aggregator = yield* EventsAggregator.EventsAggregator
      const hour = 3600
      yield* aggregator.add({ ...event("old"), date_happened: 81 * hour })
      yield* aggregator.add({ ...event("edge"), date_happened: 82 * hour })
      assert.deepStrictEqual((yield* aggregator.drain(100 * hour * 1000)).map(({ title }) => title), ["edge"])
      assert.deepStrictEqual(yield* aggregator.stats, { received: 2, pending: 0, dropped: { Expired: 1 } })
    }).pipe(Effect.provide(layerEventsAggregator)))

  it.effect("drops and counts the oldest events when the aggregator holds more than `maxBytes`", () =>
    Effect.gen(function*() {
      const aggregator = yield* EventsAggregator.EventsAggregator
      const large = (title: string) => ({ title, text: "x".repeat(2000), tags: ["t".repeat(100)] })
      for (const title of ["a", "b", "c"]) assert.isFalse(aggregator.unsafeAdd(large(title)))
      assert.isTrue(aggregator.unsafeAdd(large("d")))
      yield* aggregator.add({ ...large("e"), title: "e".repeat(3000) })
      assert.deepStrictEqual(yield* aggregator.stats, { received: 5, pending: 3, dropped: { TooManyBytes: 2 } })
      const drained = yield* aggregator.drain(0)
      yield* aggregator.add(large("f"))
      yield* aggregator.restore(drained)
      assert.deepStrictEqual((yield* aggregator.drain(0)).map(({ title }) => title[0]), ["d", "e", "f"])
      assert.isFalse(aggregator.unsafeAdd(large("g")))
    }).pipe(Effect.provide(layerEventsAggregatorWith({ maxBytes: 12_000 }))))
})
