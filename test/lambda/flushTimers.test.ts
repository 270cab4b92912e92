import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { vi } from "vitest"
import { makeLambdaContext, withLambdaContext } from "./lambdaContext.js"
import {
  deliveredDistributions,
  layerObserved,
  layerOver,
  layerReporting,
  Log,
  note,
  observe
} from "./observedClient.js"

/** Replaces the client's flush within an effect. The function gets the client's own flush. */
const withFlush = (
  flush: (
    options: ThreadStats.FlushOptions | undefined,
    flush: ThreadStats.ThreadStats["Type"]["flush"]
  ) => ReturnType<ThreadStats.ThreadStats["Type"]["flush"]>
) =>
  Effect.provideServiceEffect(
    ThreadStats.ThreadStats,
    Effect.map(ThreadStats.ThreadStats, (client) => ({
      ...client,
      flush: (options?: ThreadStats.FlushOptions) => flush(options, client.flush)
    }))
  )

describe("lambdaProgram periodic flush", () => {
  const bodyOf = (duration: Duration.DurationInput) => Effect.zipRight(Effect.sleep(duration), note("body ends"))

  it.effect("flushes closed buckets at the client's interval, and stops when the invocation ends", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(lambdaProgram(bodyOf("25 seconds")))
      yield* TestClock.adjust("25 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["flush closed", "flush closed", "body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("leaves the open bucket to the last flush", () =>
    Effect.gen(function*() {
      const fiber = yield* ThreadStats.distribution("early", 1).pipe(
        Effect.zipRight(Effect.sleep("12 seconds")),
        Effect.zipRight(ThreadStats.distribution("late", 1)),
        Effect.zipRight(Effect.sleep("10 seconds")),
        lambdaProgram({ flushInterval: "13 seconds" }),
        Effect.fork
      )
      yield* TestClock.adjust("14 seconds")
      assert.deepStrictEqual(yield* deliveredDistributions, ["early = 1"])
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* deliveredDistributions, ["early = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("does not flush before the end when flushInterval is infinite", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(lambdaProgram(bodyOf("1 hour"), { flushInterval: Duration.infinity }))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("continues after a periodic flush that dies", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const client = yield* ThreadStats.ThreadStats
      const fiber = yield* lambdaProgram(bodyOf("25 seconds")).pipe(
        Effect.provideService(
          ThreadStats.ThreadStats,
          observe({ ...client, flush: () => Effect.die("no intake") }, log)
        ),
        Effect.fork
      )
      yield* TestClock.adjust("25 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["flush closed", "flush closed", "body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("stops before the last flush starts, also when the last flush takes longer than the interval", () =>
    Effect.gen(function*() {
      const fiber = yield* lambdaProgram(bodyOf("15 seconds")).pipe(
        withFlush((options, flush) =>
          Effect.zipLeft(flush(options), Effect.sleep(options?.upTo === undefined ? "30 seconds" : 0))
        ),
        Effect.fork
      )
      yield* TestClock.adjust("45 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["flush closed", "body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("finishes a flush that is under way when the invocation ends, and sends its series once", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const reporter = layerReporting((batch) =>
        Effect.sync(() => batches.push(batch.length)).pipe(
          Effect.zipRight(Effect.sleep("2 seconds")),
          Effect.as({ items: batch.length, payloads: 1, bytes: 0, retries: 0 })
        )
      )
      const fiber = yield* Lambda.lambdaMetric("orders", 1).pipe(
        Effect.zipRight(Effect.sleep("11 seconds")),
        lambdaProgram(),
        Effect.provide(layerOver(reporter)),
        Effect.fork
      )
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(batches, [1])
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(batches, [1])
    }))

  it.effect("schedules no next flush when the invocation ends during a periodic flush", () =>
    Effect.gen(function*() {
      const fiber = yield* lambdaProgram(bodyOf("11 seconds")).pipe(
        withFlush((options, flush) =>
          Effect.zipLeft(flush(options), Effect.sleep(options?.upTo === undefined ? 0 : "3 seconds"))
        ),
        Effect.fork
      )
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["flush closed", "body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("stops when the invocation ends in an uninterruptible program", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.uninterruptible(lambdaProgram(bodyOf("15 seconds"))))
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["flush closed", "body ends", "flush all"])
    }).pipe(Effect.provide(layerObserved)))
})

describe("lambdaProgram deadline flush", () => {
  const bodies: { readonly [action: string]: Effect.Effect<void> } = {
    "sleeps": Effect.never,
    "cannot be interrupted": Effect.uninterruptible(Effect.async<never>(() => {})),
    "waits for a promise": Effect.promise(() => new Promise(() => {})),
    "is in a finalizer": Effect.scoped(Effect.addFinalizer(() => Effect.async<never>(() => {})))
  }
  for (const [action, body] of Object.entries(bodies)) {
    it.effect(`flushes everything 500 milliseconds before the deadline when the body ${action}`, () =>
      Effect.gen(function*() {
        yield* Effect.forkDaemon(
          ThreadStats.distribution("orders", 1).pipe(
            Effect.zipRight(body),
            lambdaProgram({ flushInterval: Duration.infinity }),
            withLambdaContext(3000)
          )
        )
        yield* TestClock.adjust(2499)
        assert.deepStrictEqual(yield* deliveredDistributions, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
        assert.deepStrictEqual(yield* Log, ["flush all"])
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("leaves points that are recorded after it to the last flush", () =>
    Effect.gen(function*() {
      const fiber = yield* ThreadStats.distribution("early", 1).pipe(
        Effect.zipRight(Effect.sleep(2900)),
        Effect.zipRight(ThreadStats.distribution("late", 1)),
        lambdaProgram({ flushInterval: Duration.infinity }),
        withLambdaContext(3000),
        Effect.fork
      )
      yield* TestClock.adjust(2600)
      assert.deepStrictEqual(yield* deliveredDistributions, ["early = 1"])
      yield* TestClock.adjust(300)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* deliveredDistributions, ["early = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))

  for (
    const { deadlineMargin, flushedAt, margin, timeout } of [
      { timeout: 3000, margin: "absent", deadlineMargin: undefined, flushedAt: 2500 },
      { timeout: 3000, margin: "1 second", deadlineMargin: "1 second", flushedAt: 2000 },
      { timeout: 600, margin: "absent", deadlineMargin: undefined, flushedAt: 300 },
      { timeout: 3000, margin: "1 hour", deadlineMargin: Duration.hours(1), flushedAt: 1500 }
    ] as const
  ) {
    it.effect(`flushes after ${flushedAt} of ${timeout} milliseconds when deadlineMargin is ${margin}`, () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.never.pipe(
          lambdaProgram({ flushInterval: Duration.infinity, deadlineMargin }),
          withLambdaContext(timeout),
          Effect.fork
        )
        yield* TestClock.adjust(flushedAt - 1)
        assert.deepStrictEqual(yield* Log, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Log, ["flush all"])
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("does not flush when the invocation has ended before", () =>
    Effect.gen(function*() {
      yield* withLambdaContext(3000)(lambdaProgram(lambdaProgram(ThreadStats.distribution("orders", 1))))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes once for nested programs of one client", () =>
    Effect.gen(function*() {
      const options = { flushInterval: Duration.infinity }
      const nested = lambdaProgram(lambdaProgram(Effect.never, options), options)
      yield* Effect.fork(withLambdaContext(3000)(nested))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Log, ["flush all"])
    }).pipe(Effect.provide(layerObserved)))

  for (
    const [context, getRemainingTimeInMillis] of [
      ["has no number for its remaining time", () => Number.NaN],
      ["throws when its remaining time is read", () => {
        throw new TypeError("no time")
      }],
      ["is past its deadline", () => -1]
    ] as const
  ) {
    it.effect(`does not limit the last flush when the LambdaContext ${context}`, () =>
      Effect.gen(function*() {
        const timeouts: Array<unknown> = []
        yield* ThreadStats.distribution("orders", 1).pipe(
          lambdaProgram(),
          withFlush((options, flush) => {
            timeouts.push(options?.timeout)
            return flush(options)
          }),
          withLambdaContext(3000, { getRemainingTimeInMillis })
        )
        assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
        assert.deepStrictEqual(timeouts, [Infinity])
      }).pipe(Effect.provide(layerObserved)))
  }

  /** Start and end of each flush, over a reporter that does not answer before the test is over. */
  const overSilentReporter = (
    test: (
      flushes: ReadonlyArray<readonly [start: number, end: number]>
    ) => Effect.Effect<void, never, ThreadStats.ThreadStats>
  ) => {
    const flushes: Array<readonly [start: number, end: number]> = []
    let isSilent = true
    const reporter = layerReporting((batch) =>
      isSilent ? Effect.async<never>(() => {}) : Effect.succeed({ ...Reporter.emptyReceipt, items: batch.length })
    )
    return test(flushes).pipe(
      withFlush((options, flush) =>
        Effect.gen(function*() {
          const start = yield* Clock.currentTimeMillis
          const receipt = yield* flush(options)
          flushes.push([start, yield* Clock.currentTimeMillis])
          return receipt
        })
      ),
      Effect.zipRight(Effect.sync(() => {
        isSilent = false
      })),
      Effect.provide(layerOver(reporter))
    )
  }

  it.effect("ends the last flush 100 milliseconds before the deadline when the client's flushTimeout is longer", () =>
    overSilentReporter((flushes) =>
      Effect.gen(function*() {
        const fiber = yield* ThreadStats.distribution("orders", 1).pipe(
          Effect.zipRight(Effect.sleep(1400)),
          lambdaProgram({ flushInterval: Duration.infinity }),
          withLambdaContext(3000),
          Effect.fork
        )
        yield* TestClock.adjust(2899)
        assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
        yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(flushes, [[1400, 2900]])
      })
    ))

  it.effect("starts on time when a periodic flush is still under way, since that one ends before", () =>
    overSilentReporter((flushes) =>
      Effect.gen(function*() {
        const fiber = yield* ThreadStats.distribution("orders", 1, { timestamp: -30_000 }).pipe(
          Effect.zipRight(Effect.never),
          lambdaProgram({ flushInterval: "10 seconds" }),
          withLambdaContext(12_000),
          Effect.fork
        )
        yield* TestClock.adjust(11_990)
        assert.deepStrictEqual(flushes, [[10_000, 11_500], [11_500, 11_900]])
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(interruption)
      })
    ))
})

describe("makeHandler flush timers", () => {
  /** Sleeps that were requested of a clock, in milliseconds, and the number of those that were interrupted. */
  const recordSleeps = (clock: Clock.Clock) => {
    const sleeps: Array<number> = []
    const interrupted: Array<number> = []
    const recordingClock: Clock.Clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanos: clock.currentTimeNanos,
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      sleep: (duration) =>
        Effect.suspend(() => {
          const millis = Duration.toMillis(duration)
          sleeps.push(millis)
          return Effect.onInterrupt(clock.sleep(duration), () => Effect.sync(() => interrupted.push(millis)))
        })
    }
    return { sleeps, interrupted, clock: recordingClock }
  }

  it.effect("requests no sleep of the clock for an invocation that ends without an asynchronous step", () =>
    Effect.gen(function*() {
      const { clock, sleeps } = recordSleeps(yield* Effect.clock)
      const handler = Lambda.makeHandler({
        handler: () => Effect.succeed("done"),
        layer: Layer.provideMerge(layerOver(Reporter.layerMemory), Layer.setClock(clock))
      })
      yield* Effect.promise(() => handler.ready)
      const context = yield* makeLambdaContext(60_000)
      assert.strictEqual(yield* Effect.promise(() => handler({}, context)), "done")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(sleeps, [])
    }))

  it.effect("requests one sleep for the interval and one for the deadline, and interrupts both at the end", () =>
    Effect.gen(function*() {
      const { clock, interrupted, sleeps } = recordSleeps(yield* Effect.clock)
      const handler = Lambda.makeHandler({
        handler: () => Effect.as(Effect.promise(() => new Promise(setImmediate)), "done"),
        layer: Layer.provideMerge(layerOver(Reporter.layerMemory), Layer.setClock(clock))
      })
      yield* Effect.promise(() => handler.ready)
      const context = yield* makeLambdaContext(60_000)
      assert.strictEqual(yield* Effect.promise(() => handler({}, context)), "done")
      assert.deepStrictEqual(sleeps, [10_000, 59_500])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(sleeps, [10_000, 59_500])
      assert.deepStrictEqual(interrupted, [10_000, 59_500])
    }))

  it("flushes on the program's own clock, whose pauses keep the process alive", async () => {
    const clocks: Array<Clock.Clock> = []
    const flushed = Effect.runSync(Deferred.make<void>())
    const layer = Layer.effect(
      ThreadStats.ThreadStats,
      Effect.map(ThreadStats.ThreadStats, (client): ThreadStats.ThreadStats["Type"] => ({
        ...client,
        flush: (options) =>
          Effect.clock.pipe(
            Effect.map((clock) => clocks.push(clock)),
            Effect.zipRight(Deferred.succeed(flushed, undefined)),
            Effect.zipRight(client.flush(options))
          )
      }))
    ).pipe(Layer.provide(layerOver(Reporter.layerMemory)))
    const handler = Lambda.makeHandler({
      handler: () => Effect.zipRight(Deferred.await(flushed), Effect.clock),
      layer,
      flushInterval: 1
    })
    const clock = await handler({}, await Effect.runPromise(makeLambdaContext(60_000)))
    assert.isAtLeast(clocks.length, 2)
    for (const used of clocks) assert.strictEqual(used, clock)
  })

  it("holds the process with the timer of the deadline alone, and clears each timer at the end of the invocation", async () => {
    const setTimeoutSpy = vi.spyOn(globalThis, "setTimeout")
    const clearTimeoutSpy = vi.spyOn(globalThis, "clearTimeout")
    try {
      const timers = () =>
        setTimeoutSpy.mock.results.flatMap(({ value }, i) =>
          (setTimeoutSpy.mock.calls[i]![1] ?? 0) >= 1000 ? [value as NodeJS.Timeout] : []
        )
      let holding: ReadonlyArray<boolean> = []
      const handler = Lambda.makeHandler({
        handler: () =>
          Effect.promise(() =>
            new Promise<void>((resolve) =>
              setImmediate(() => {
                holding = timers().map((timer) => timer.hasRef())
                resolve()
              })
            )
          ),
        layer: layerOver(Reporter.layerMemory)
      })
      await handler.ready
      await handler({}, await Effect.runPromise(makeLambdaContext(60_000)))
      // The interval's timer comes first.
      assert.deepStrictEqual(holding, [false, true])
      assert.lengthOf(timers(), 2)
      assert.includeMembers(clearTimeoutSpy.mock.calls.map(([timer]) => timer), timers())
    } finally {
      setTimeoutSpy.mockRestore()
      clearTimeoutSpy.mockRestore()
    }
  })
})
