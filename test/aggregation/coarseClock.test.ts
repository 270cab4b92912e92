import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import { beforeAll } from "vitest"
import { bundle, node } from "../support/childProcess.js"

/** The machine's clock, until the test is over: it stands still, is set by hand, and counts how often it is read. */
const machine = Effect.acquireRelease(
  Effect.sync(() => {
    const real = Date.now
    const self = { now: 1_700_000_000_000, reads: 0, real }
    Date.now = () => {
      self.reads++
      return self.now
    }
    return self
  }),
  ({ real }) =>
    Effect.sync(() => {
      Date.now = real
    })
)

const later = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** How many points there are in each bucket, by its start. */
const counted = Effect.gen(function*() {
  yield* ThreadStats.flush()
  const memory = yield* Reporter.MemoryReporter
  return (yield* memory.distributions).flatMap(({ points }) =>
    points.map(([time, values]) => [time, values.length] as const)
  )
})

const old = 1_700_000_000
const minute = 60_000

describe("the time of what is recorded", () => {
  it.scopedLive("is read once for many points that are recorded together", () =>
    Effect.gen(function*() {
      const clock = yield* machine
      const size = yield* ThreadStats.bindDistribution("size")
      const before = clock.reads
      for (let i = 0; i < 8000; i++) size.unsafeRecord(i)
      assert.isBelow(clock.reads - before, 8000 / 10)
      assert.deepStrictEqual(yield* counted, [[old, 8000]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("is the time then for whatever comes after the program has given way", () =>
    Effect.gen(function*() {
      const clock = yield* machine
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 100 + round; i++) unsafeDistribution("size", i)
        // a process that is frozen is one whose clock is further on when it goes on
        clock.now += minute
        yield* later
      }
      unsafeDistribution("size", 1)
      assert.deepStrictEqual(yield* counted, [[old, 100], [old + 60, 101], [old + 120, 102], [old + 180, 1]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("is the time then between two callbacks, without a turn of the event loop", () =>
    Effect.gen(function*() {
      const clock = yield* machine
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          // both are due in the same phase of the loop
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
      assert.deepStrictEqual(yield* counted, [[old, 100], [old + 60, 1]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("is at most 15 points late where the program never gives way", () =>
    Effect.gen(function*() {
      const clock = yield* machine
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let i = 0; i < 100; i++) unsafeDistribution("size", i)
      clock.now += minute
      for (let i = 0; i < 100; i++) unsafeDistribution("size", i)
      const [[, early], [, late]] = (yield* counted) as [readonly [number, number], readonly [number, number]]
      assert.isAtMost(early, 115)
      assert.strictEqual(early + late, 200)
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.scopedLive("is read each time where little is recorded at once", () =>
    Effect.gen(function*() {
      const clock = yield* machine
      const { unsafeDistribution } = yield* ThreadStats.ThreadStats
      for (let i = 0; i < 16; i++) unsafeDistribution("size", i)
      clock.now += minute
      unsafeDistribution("size", 1)
      assert.deepStrictEqual(yield* counted, [[old, 16], [old + 60, 1]])
    }).pipe(Effect.provide(ThreadStats.layerTest)))

  it.effect("is read each time from a clock of the program's own", () =>
    Effect.gen(function*() {
      let reads = 0
      const own = yield* Clock.clockWith((clock) =>
        Effect.succeed<Clock.Clock>({
          ...clock,
          [Clock.ClockTypeId]: Clock.ClockTypeId,
          unsafeCurrentTimeMillis: () => {
            reads++
            return 0
          }
        })
      )
      const self = yield* ThreadStats.ThreadStats.pipe(
        Effect.provide(ThreadStats.layerTest),
        Effect.withClock(own),
        Effect.scoped
      )
      const orders = self.bindCounter("orders")
      const before = reads
      for (let i = 0; i < 100; i++) {
        orders.unsafeIncrement()
        self.unsafeGauge("waiting", i)
      }
      assert.strictEqual(reads - before, 200)
    }))
})

interface Recorded {
  readonly began: number
  readonly after: number
  /** How many points there are in each second. */
  readonly points: ReadonlyArray<readonly [number, number]>
}

describe.concurrent("a process that is frozen between two bursts", () => {
  let program: string
  beforeAll(async () => {
    program = await bundle("test/aggregation/recordingChild.ts")
  })

  for (const where of ["main", "worker"]) {
    it.scopedLive(`has the time then for what it records after the thaw (${where} thread)`, () =>
      Effect.gen(function*() {
        const child = yield* node([program, where], {})
        assert.strictEqual(yield* child.line, "\"recorded\"")
        yield* child.kill("SIGSTOP")
        yield* child.write("next")
        yield* Effect.sleep("2200 millis")
        yield* child.kill("SIGCONT")
        const { after, began, points }: Recorded = JSON.parse(yield* child.line)
        assert.isAtLeast(after - began, 2)
        const late = points.filter(([time]) => time >= after)
        assert.strictEqual(late.reduce((sum, [, count]) => sum + count, 0), 1)
        // the burst itself may go over a second
        const early = points.filter(([time]) => time < after && time <= began + 1)
        assert.strictEqual(early.reduce((sum, [, count]) => sum + count, 0), 1000)
      }))
  }
})
