import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import { vi } from "vitest"
import { nextTurn } from "../support/wait.js"

const start = 1_700_000_000
const minute = 60_000

/** Replaces `Date.now` until the scope closes: it returns `now`, which tests move, and counts its calls. */
const machineClock = Effect.acquireRelease(
  Effect.sync(() => {
    const clock = { now: start * 1000 }
    const spy = vi.spyOn(Date, "now").mockImplementation(() => clock.now)
    return Object.assign(clock, { spy, reads: () => spy.mock.calls.length })
  }),
  ({ spy }) => Effect.sync(() => spy.mockRestore())
)

/** Flushes, and returns the number of points in each bucket, with the bucket's start. */
const bucketCounts = Effect.gen(function*() {
  yield* ThreadStats.flush()
  const memory = yield* Reporter.MemoryReporter
  return (yield* memory.distributions).flatMap(({ points }) =>
    points.map(([time, values]) => [time, values.length] as const)
  )
})

// The machine's clock is under test, so that these tests run on live services; they wait for callbacks only.
describe("coarseClock", () => {
  it.scopedLive("reads the machine's clock once for many points that are recorded together", () =>
    Effect.gen(function*() {
      const clock = yield* machineClock
      const size = yield* ThreadStats.bindDistribution("size")
      const before = clock.reads()
      for (let i = 0; i < 8000; i++) size.unsafeRecord(i)
      assert.isBelow(clock.reads() - before, 8000 / 10)
      assert.deepStrictEqual(yield* bucketCounts, [[start, 8000]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("gives points their own time when the program has yielded to the event loop", () =>
    Effect.gen(function*() {
      const clock = yield* machineClock
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 100 + round; i++) unsafeDistribution("size", i)
        // A frozen process finds its clock advanced when it resumes.
        clock.now += minute
        yield* nextTurn
      }
      unsafeDistribution("size", 1)
      assert.deepStrictEqual(yield* bucketCounts, [
        [start, 100],
        [start + 60, 101],
        [start + 120, 102],
        [start + 180, 1]
      ])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("gives points their own time when two callbacks run in one phase of the event loop", () =>
    Effect.gen(function*() {
      const clock = yield* machineClock
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          setImmediate(() => {
            for (let i = 0; i < 100; i++) unsafeDistribution("size", i)
            clock.now += minute
          })
          setImmediate(() => {
            unsafeDistribution("size", 1)
            resolve()
          })
        })
      )
      assert.deepStrictEqual(yield* bucketCounts, [[start, 100], [start + 60, 1]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("gives the old time to at most 15 points when the program never yields", () =>
    Effect.gen(function*() {
      const clock = yield* machineClock
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let i = 0; i < 100; i++) unsafeDistribution("size", i)
      clock.now += minute
      for (let i = 0; i < 100; i++) unsafeDistribution("size", i)
      const [[, early], [, late]] = (yield* bucketCounts) as [readonly [number, number], readonly [number, number]]
      assert.isAtMost(early, 115)
      assert.strictEqual(early + late, 200)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("reads the machine's clock for every point when few points are recorded together", () =>
    Effect.gen(function*() {
      const clock = yield* machineClock
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let i = 0; i < 16; i++) unsafeDistribution("size", i)
      clock.now += minute
      unsafeDistribution("size", 1)
      assert.deepStrictEqual(yield* bucketCounts, [[start, 16], [start + 60, 1]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("reads a `Clock` of the program for every point", () =>
    Effect.gen(function*() {
      let reads = 0
      const clock = yield* Clock.clockWith((clock) =>
        Effect.succeed<Clock.Clock>({
          ...clock,
          unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
          [Clock.ClockTypeId]: Clock.ClockTypeId,
          unsafeCurrentTimeMillis: () => {
            reads++
            return 0
          }
        })
      )
      const self = yield* ThreadStats.ThreadStats.pipe(
        Effect.provide(ThreadStats.layerTest),
        Effect.withClock(clock),
        Effect.scoped
      )
      const orders = self.bindCounter("orders")
      const before = reads
      for (let i = 0; i < 100; i++) {
        orders.unsafeIncrement()
        self.unsafeGauge("waiting", i)
      }
      assert.isAtLeast(reads - before, 200)
    }))
})
