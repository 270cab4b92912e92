import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EventsAggregator } from "effect-threadstats"

const event = (title: string) => ({ title, text: "", tags: [] })

describe("EventsAggregator", () => {
  it.effect("hands out events once, in order of recording", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      yield* self.add(event("a"))
      self.unsafeAdd(event("b"))
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 2, dropped: {} })
      assert.deepStrictEqual((yield* self.flush(0)).map(({ title }) => title), ["a", "b"])
      assert.deepStrictEqual(yield* self.flush(0), [])
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 0, dropped: {} })
    }).pipe(Effect.provide(EventsAggregator.layer)))

  it.effect("restores events before those recorded since", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      yield* self.add(event("a"))
      const taken = yield* self.flush(0)
      yield* self.add(event("b"))
      yield* self.restore(taken)
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 2, dropped: {} })
      assert.deepStrictEqual((yield* self.flush(0)).map(({ title }) => title), ["a", "b"])
    }).pipe(Effect.provide(EventsAggregator.layer)))

  it.effect("makes room by dropping the oldest, and says so", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      for (const title of ["a", "b", "c"]) yield* self.add(event(title))
      assert.isFalse(self.isNearlyFull())
      for (const title of ["d", "e"]) yield* self.add(event(title))
      assert.isTrue(self.isNearlyFull())
      const taken = yield* self.flush(0)
      assert.deepStrictEqual(taken.map(({ title }) => title), ["a", "b", "c", "d", "e"])
      yield* self.add(event("f"))
      yield* self.restore(taken)
      assert.deepStrictEqual((yield* self.flush(0)).map(({ title }) => title), ["b", "c", "d", "e", "f"])
      assert.deepStrictEqual(yield* self.stats, { received: 6, held: 0, dropped: { TooManyEvents: 1 } })
      assert.deepStrictEqual(yield* self.takeNews, [{ reason: "TooManyEvents", count: 1, names: ["a"] }])
    }).pipe(Effect.provide(EventsAggregator.layerWith({ maxEvents: 5 }))))

  it.effect("drops what waited until Datadog would refuse it", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      const hour = 3600
      yield* self.add({ ...event("old"), date_happened: 81 * hour })
      yield* self.add({ ...event("edge"), date_happened: 82 * hour })
      assert.deepStrictEqual((yield* self.flush(100 * hour * 1000)).map(({ title }) => title), ["edge"])
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 0, dropped: { Expired: 1 } })
    }).pipe(Effect.provide(EventsAggregator.layer)))

  it.effect("takes no more memory than its limit, the oldest going first", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      const large = (title: string) => ({ title, text: "x".repeat(2000), tags: ["t".repeat(100)] })
      for (const title of ["a", "b", "c"]) yield* self.add(large(title))
      assert.isFalse(self.isNearlyFull())
      yield* self.add(large("d"))
      assert.isTrue(self.isNearlyFull())
      yield* self.add({ ...large("e"), title: "e".repeat(3000) })
      assert.deepStrictEqual(yield* self.stats, { received: 5, held: 3, dropped: { TooManyBytes: 2 } })
      const taken = yield* self.flush(0)
      yield* self.add(large("f"))
      yield* self.restore(taken)
      assert.deepStrictEqual((yield* self.flush(0)).map(({ title }) => title[0]), ["d", "e", "f"])
      assert.isFalse(self.isNearlyFull())
    }).pipe(Effect.provide(EventsAggregator.layerWith({ maxBytes: 12_000 }))))
})
