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
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 2 })
      assert.deepStrictEqual((yield* self.flush).map(({ title }) => title), ["a", "b"])
      assert.deepStrictEqual(yield* self.flush, [])
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 0 })
    }).pipe(Effect.provide(EventsAggregator.layer)))

  it.effect("restores events before those recorded since", () =>
    Effect.gen(function*() {
      const self = yield* EventsAggregator.EventsAggregator
      yield* self.add(event("a"))
      const taken = yield* self.flush
      yield* self.add(event("b"))
      yield* self.restore(taken)
      assert.deepStrictEqual(yield* self.stats, { received: 2, held: 2 })
      assert.deepStrictEqual((yield* self.flush).map(({ title }) => title), ["a", "b"])
    }).pipe(Effect.provide(EventsAggregator.layer)))
})
