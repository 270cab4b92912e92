import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as ApiKey from "effect-threadstats/ApiKey"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { createHook } from "node:async_hooks"
import { Writable } from "node:stream"
import { inspect } from "node:util"
import { vi } from "vitest"
import { layerObserved, layerOver, Log, note, observe } from "./lambda/observed.js"
import { layerIntake } from "./support/intake.js"

const delivered = Effect.flatMap(Reporter.MemoryReporter, (memory) => memory.distributions).pipe(
  Effect.map((batch) =>
    batch.map((series) => `${[series.metric, ...series.tags].join(" ")} = ${series.points.flatMap(([, v]) => v)}`)
  )
)

const noReporter = Effect.provide(Reporter.Reporter, Reporter.layerNoop)

describe("lambdaProgram", () => {
  it.effect("flushes what a program recorded, and gives its result", () =>
    Effect.gen(function*() {
      const result = yield* lambdaProgram(Effect.as(Lambda.lambdaMetric("orders", 12, { tags: ["shop:eu"] }), "done"))
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* Log, ["flush"])
      assert.deepStrictEqual(yield* delivered, ["orders shop:eu = 12"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("is a combinator, with and without options", () =>
    Effect.gen(function*() {
      const body = Effect.succeed(1)
      assert.strictEqual(yield* lambdaProgram(body), 1)
      assert.strictEqual(yield* body.pipe(lambdaProgram()), 1)
      assert.strictEqual(yield* body.pipe(lambdaProgram({ flushInterval: "1 second" })), 1)
      assert.strictEqual(yield* lambdaProgram(body, { flushInterval: "1 second" }), 1)
      assert.deepStrictEqual(yield* Log, ["flush", "flush", "flush", "flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes what was recorded before the invocation", () =>
    Effect.gen(function*() {
      yield* ThreadStats.distribution("init", 1)
      yield* lambdaProgram(Effect.void)
      assert.deepStrictEqual(yield* delivered, ["init = 1"])
    }).pipe(Effect.provide(layerObserved)))

  for (
    const [how, body] of [
      ["failure", Effect.fail("no stock")],
      ["defect", Effect.die(new Error("bug"))],
      ["interruption of its own", Effect.interrupt]
    ] as const
  ) {
    it.effect(`flushes on ${how}, which stays what it is`, () =>
      Effect.gen(function*() {
        const plain = yield* Effect.exit(body)
        const exit = yield* Effect.exit(lambdaProgram(Effect.zipRight(ThreadStats.distribution("orders", 1), body)))
        assert.deepStrictEqual(exit, plain)
        assert.deepStrictEqual(yield* delivered, ["orders = 1"])
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("flushes when its fiber is interrupted", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const fiber = yield* ThreadStats.distribution("orders", 1).pipe(
        Effect.zipRight(Deferred.succeed(started, undefined)),
        Effect.zipRight(Effect.never),
        lambdaProgram(),
        Effect.fork
      )
      yield* Deferred.await(started)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      assert.deepStrictEqual(yield* delivered, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("lets an uninterruptible body finish, then flushes", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.sleep("1 second")),
        Effect.zipRight(ThreadStats.distribution("orders", 1)),
        Effect.uninterruptible,
        lambdaProgram(),
        Effect.fork
      )
      yield* Deferred.await(started)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("999 millis")
      assert.isTrue((yield* Fiber.poll(fiber))._tag === "None")
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(yield* delivered, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("does not change whether its body can be interrupted", () =>
    Effect.gen(function*() {
      const isInterruptible = Effect.checkInterruptible(Effect.succeed)
      assert.isTrue(yield* lambdaProgram(isInterruptible))
      assert.isFalse(yield* Effect.uninterruptible(lambdaProgram(isInterruptible)))
    }).pipe(Effect.provide(layerObserved)))

  it.effect("gives its body a scope of its own, whose finalizers run before the flush", () =>
    Effect.gen(function*() {
      yield* lambdaProgram(Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.zipRight(note("finalizer"), ThreadStats.distribution("closed", 1)))
        yield* note("body")
      }))
      assert.deepStrictEqual(yield* Log, ["body", "finalizer", "flush"])
      assert.deepStrictEqual(yield* delivered, ["closed = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("leaves the services of its fiber as they were, for its finalizers and for what comes after it", () =>
    Effect.gen(function*() {
      const services = Effect.context<never>()
      const before = yield* services
      let closing: unknown
      yield* Effect.scope.pipe(
        Effect.flatMap((scope) =>
          Scope.addFinalizer(
            scope,
            Effect.map(services, (now) => {
              closing = now
            })
          )
        ),
        lambdaProgram()
      )
      assert.strictEqual(closing, before)
      assert.strictEqual(yield* services, before)
    }).pipe(Effect.provide(layerObserved)))

  it.effect("stops scoped fibers before the flush, so that their last words are in it", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const worker = Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.zipRight(note("stopped"), ThreadStats.distribution("worker", 1)))
      )
      yield* lambdaProgram(Effect.zipRight(Effect.forkScoped(worker), Deferred.await(started)))
      assert.deepStrictEqual(yield* Log, ["stopped", "flush"])
      assert.deepStrictEqual(yield* delivered, ["worker = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes although a finalizer of the body dies", () =>
    Effect.gen(function*() {
      const body = Effect.addFinalizer(() => Effect.die("finalizer"))
      assert.deepStrictEqual(yield* Effect.exit(lambdaProgram(body)), yield* Effect.exit(Effect.scoped(body)))
      assert.deepStrictEqual(yield* Log, ["flush"])
    }).pipe(Effect.provide(layerObserved)))
})

describe("the periodic flush", () => {
  const bodyOf = (duration: Duration.DurationInput) => Effect.zipRight(Effect.sleep(duration), note("end"))

  it.effect("sends closed buckets on the client's interval, and stops with the invocation", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(lambdaProgram(bodyOf("25 seconds")))
      yield* TestClock.adjust("25 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["tick", "tick", "end", "flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("leaves the open bucket to the end", () =>
    Effect.gen(function*() {
      const fiber = yield* ThreadStats.distribution("early", 1).pipe(
        Effect.zipRight(Effect.sleep("12 seconds")),
        Effect.zipRight(ThreadStats.distribution("late", 1)),
        Effect.zipRight(Effect.sleep("10 seconds")),
        lambdaProgram({ flushInterval: "13 seconds" }),
        Effect.fork
      )
      yield* TestClock.adjust("14 seconds")
      assert.deepStrictEqual(yield* delivered, ["early = 1"])
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* delivered, ["early = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("takes the client's own interval for one that is no duration", () =>
    Effect.gen(function*() {
      const body = Effect.zipRight(Lambda.lambdaMetric("a", 1), Effect.sleep("11 seconds"))
      const fiber = yield* Effect.fork(lambdaProgram(body, { flushInterval: "soon" as Duration.DurationInput }))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* delivered, ["a = 1"])
      yield* TestClock.adjust("1 seconds")
      yield* fiber
    }).pipe(Effect.provide(layerObserved)))

  for (const flushInterval of [Duration.infinity, 0]) {
    it.effect(`does not exist with an interval of ${flushInterval}`, () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(lambdaProgram(bodyOf("1 hour"), { flushInterval }))
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(yield* Log, ["end", "flush"])
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("goes on after a flush that failed", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const client = observe(
        { ...(yield* ThreadStats.ThreadStats), flush: () => Effect.die("no intake") },
        log,
        "broken "
      )
      const fiber = yield* lambdaProgram(bodyOf("25 seconds")).pipe(
        Effect.provideService(ThreadStats.ThreadStats, client),
        Effect.fork
      )
      yield* TestClock.adjust("25 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["broken tick", "broken tick", "end", "broken flush"])
    }).pipe(Effect.provide(layerObserved)))

  /** A client whose last flush takes half a minute. */
  const slow = Effect.map(ThreadStats.ThreadStats, (client) => ({
    ...client,
    flush: (options?: ThreadStats.FlushOptions) =>
      Effect.zipLeft(client.flush(options), Effect.sleep(options?.upTo === undefined ? "30 seconds" : 0))
  }))

  it.effect("is over before the last flush begins", () =>
    Effect.gen(function*() {
      const fiber = yield* lambdaProgram(bodyOf("15 seconds")).pipe(
        Effect.provideServiceEffect(ThreadStats.ThreadStats, slow),
        Effect.fork
      )
      yield* TestClock.adjust("45 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["tick", "end", "flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("would not be, were the flush registered after it was forked", () =>
    Effect.gen(function*() {
      const client = yield* slow
      const scope = yield* Scope.make()
      yield* client.flush({ upTo: 0 }).pipe(Effect.schedule(Schedule.spaced("10 seconds")), Effect.forkIn(scope))
      yield* Scope.addFinalizer(scope, client.flush())
      const fiber = yield* bodyOf("15 seconds").pipe(
        Effect.zipRight(Scope.close(scope, Exit.void)),
        Effect.fork
      )
      yield* TestClock.adjust("45 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["tick", "end", "flush", "tick", "tick", "tick"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("is not cut short, so that nothing is sent twice", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const reporter = Layer.succeed(Reporter.Reporter, {
        ...yield* noReporter,
        flushDistributions: (batch) =>
          Effect.sync(() => batches.push(batch.length)).pipe(
            Effect.zipRight(Effect.sleep("2 seconds")),
            Effect.as({ items: batch.length, payloads: 1, bytes: 0, retries: 0 })
          )
      })
      const fiber = yield* Lambda.lambdaMetric("orders", 1).pipe(
        Effect.zipRight(Effect.sleep("11 seconds")),
        lambdaProgram(),
        Effect.provide(layerOver(reporter)),
        Effect.fork
      )
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(batches, [1])
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(batches, [1])
    }))

  it.effect("begins no further one where the invocation ended while it was at it", () =>
    Effect.gen(function*() {
      const slowTick = Effect.map(ThreadStats.ThreadStats, (client) => ({
        ...client,
        flush: (options?: ThreadStats.FlushOptions) =>
          Effect.zipLeft(client.flush(options), Effect.sleep(options?.upTo === undefined ? 0 : "3 seconds"))
      }))
      const fiber = yield* lambdaProgram(bodyOf("11 seconds")).pipe(
        Effect.provideServiceEffect(ThreadStats.ThreadStats, slowTick),
        Effect.fork
      )
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["tick", "end", "flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("stops also where the whole program is uninterruptible", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.uninterruptible(lambdaProgram(bodyOf("15 seconds"))))
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["tick", "end", "flush"])
    }).pipe(Effect.provide(layerObserved)))
})

/** An invocation that Lambda ends `timeout` milliseconds from now. */
const contextFor = (timeout: number, more: Partial<Lambda.LambdaContext> = {}) =>
  Effect.clockWith((clock) =>
    Effect.sync((): Lambda.LambdaContext => {
      const deadline = clock.unsafeCurrentTimeMillis() + timeout
      return {
        functionName: "orders",
        functionVersion: "$LATEST",
        invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        memoryLimitInMB: "128",
        awsRequestId: "request",
        getRemainingTimeInMillis: () => deadline - clock.unsafeCurrentTimeMillis(),
        ...more
      }
    })
  )

const invoked = (timeout: number, more?: Partial<Lambda.LambdaContext>) =>
  Effect.provideServiceEffect(Lambda.LambdaContext, contextFor(timeout, more))

describe("near its deadline, an invocation", () => {
  const bodies: { readonly [what: string]: Effect.Effect<void> } = {
    "sleeps": Effect.never,
    "cannot be interrupted": Effect.uninterruptible(Effect.async<never>(() => {})),
    "waits for a promise": Effect.promise(() => new Promise(() => {})),
    "holds all it has in a finalizer": Effect.scoped(Effect.addFinalizer(() => Effect.async<never>(() => {})))
  }
  for (const [what, body] of Object.entries(bodies)) {
    it.effect(`is flushed although it ${what}`, () =>
      Effect.gen(function*() {
        yield* Effect.forkDaemon(
          ThreadStats.distribution("orders", 1).pipe(
            Effect.zipRight(body),
            lambdaProgram({ flushInterval: Duration.infinity }),
            invoked(3000)
          )
        )
        yield* TestClock.adjust(2499)
        assert.deepStrictEqual(yield* delivered, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* delivered, ["orders = 1"])
        assert.deepStrictEqual(yield* Log, ["flush"])
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("has what it records afterwards flushed at its end, as far as it gets there", () =>
    Effect.gen(function*() {
      const fiber = yield* ThreadStats.distribution("early", 1).pipe(
        Effect.zipRight(Effect.sleep(2900)),
        Effect.zipRight(ThreadStats.distribution("late", 1)),
        lambdaProgram({ flushInterval: 0 }),
        invoked(3000),
        Effect.fork
      )
      yield* TestClock.adjust(2600)
      assert.deepStrictEqual(yield* delivered, ["early = 1"])
      yield* TestClock.adjust(300)
      yield* fiber
      assert.deepStrictEqual(yield* delivered, ["early = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("is flushed by the margin that was asked for, or half of its time where that is less", () =>
    Effect.gen(function*() {
      for (
        const [timeout, deadlineMargin, at] of [
          [3000, undefined, 2500],
          [3000, "1 second", 2000],
          [600, undefined, 300],
          [3000, "an hour", 2500],
          [3000, Duration.hours(1), 1500]
        ] as const
      ) {
        const log: Array<string> = []
        const client = observe(yield* ThreadStats.ThreadStats, log)
        const fiber = yield* Effect.never.pipe(
          lambdaProgram({ flushInterval: 0, deadlineMargin: deadlineMargin as Duration.DurationInput | undefined }),
          Effect.provideService(ThreadStats.ThreadStats, client),
          invoked(timeout),
          Effect.fork
        )
        yield* TestClock.adjust(at - 1)
        assert.deepStrictEqual(log, [])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(log, ["flush"])
        yield* Fiber.interrupt(fiber)
      }
    }).pipe(Effect.provide(layerObserved)))

  it.effect("is not flushed twice when it ends in time, nor is one that is inside another", () =>
    Effect.gen(function*() {
      yield* invoked(3000)(lambdaProgram(lambdaProgram(ThreadStats.distribution("orders", 1))))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Log, ["flush"])
      yield* invoked(3000)(
        Effect.fork(lambdaProgram(lambdaProgram(Effect.never, { flushInterval: 0 }), { flushInterval: 0 }))
      )
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Log, ["flush", "flush"])
    }).pipe(Effect.provide(layerObserved)))

  for (
    const [what, remaining] of [
      ["says nothing of use", () => Number.NaN],
      ["throws", () => {
        throw new TypeError("no time")
      }],
      ["is past its deadline, which is not enforced", () => -1]
    ] as const
  ) {
    it.effect(`is flushed at its end as ever where its context ${what}`, () =>
      Effect.gen(function*() {
        const budgets: Array<unknown> = []
        const client = yield* ThreadStats.ThreadStats
        yield* ThreadStats.distribution("orders", 1).pipe(
          lambdaProgram(),
          Effect.provideService(ThreadStats.ThreadStats, {
            ...client,
            flush: (options) => {
              budgets.push(options?.timeout)
              return client.flush(options)
            }
          }),
          invoked(3000, { getRemainingTimeInMillis: remaining })
        )
        assert.deepStrictEqual(yield* delivered, ["orders = 1"])
        assert.deepStrictEqual(budgets, [Infinity])
      }).pipe(Effect.provide(layerObserved)))
  }

  /** When each flush began and ended, over an intake that never answers until it is told to. */
  const overDeaf = (
    test: (
      flushes: ReadonlyArray<readonly [from: number, to: number]>
    ) => Effect.Effect<void, never, ThreadStats.ThreadStats>
  ) =>
    Effect.gen(function*() {
      const flushes: Array<readonly [from: number, to: number]> = []
      let isDeaf = true
      const deaf = Layer.succeed(Reporter.Reporter, {
        ...yield* noReporter,
        flushDistributions: (batch) =>
          isDeaf ? Effect.async<never>(() => {}) : Effect.succeed({ ...Reporter.emptyReceipt, items: batch.length })
      })
      yield* Effect.gen(function*() {
        const client = yield* ThreadStats.ThreadStats
        yield* Effect.provideService(test(flushes), ThreadStats.ThreadStats, {
          ...client,
          flush: (options) =>
            Effect.gen(function*() {
              const from = yield* TestClock.currentTimeMillis
              const receipt = yield* client.flush(options)
              flushes.push([from, yield* TestClock.currentTimeMillis])
              return receipt
            })
        })
        isDeaf = false
      }).pipe(Effect.provide(layerOver(deaf)))
    })

  it.effect("is flushed within what is left of its time, however much the client may take", () =>
    overDeaf((flushes) =>
      Effect.gen(function*() {
        const fiber = yield* ThreadStats.distribution("orders", 1).pipe(
          Effect.zipRight(Effect.sleep(1400)),
          lambdaProgram({ flushInterval: 0 }),
          invoked(3000),
          Effect.fork
        )
        yield* TestClock.adjust(2899)
        assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
        yield* TestClock.adjust(1)
        yield* fiber
        assert.deepStrictEqual(flushes, [[1400, 2900]])
      })
    ))

  it.effect("has no periodic flush that is still at it when the watcher begins", () =>
    overDeaf((flushes) =>
      Effect.gen(function*() {
        const fiber = yield* ThreadStats.distribution("orders", 1, { timestamp: -30_000 }).pipe(
          Effect.zipRight(Effect.never),
          lambdaProgram({ flushInterval: "10 seconds" }),
          invoked(12_000),
          Effect.fork
        )
        yield* TestClock.adjust(11_990)
        assert.deepStrictEqual(flushes, [[10_000, 11_500], [11_500, 11_900]])
        const interrupted = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("5 seconds")
        yield* interrupted
      })
    ))
})

describe("the flush after the response", () => {
  /** What was left for after the response, and how far the extension is. */
  const extension = (isAlive = true) => {
    const left: Array<readonly [requestId: string, work: Effect.Effect<void>]> = []
    return {
      left,
      service: LambdaExtension.LambdaExtension.of({
        isAlive: Effect.succeed(isAlive),
        afterResponse: (requestId, work) => Effect.sync(() => left.push([requestId, work]))
      })
    }
  }
  const options = { flush: LambdaExtension.afterResponse, flushInterval: 0 } as const

  it.effect("is handed to the extension, and the program has its result before it", () =>
    Effect.gen(function*() {
      const { left, service } = extension()
      const result = yield* ThreadStats.distribution("orders", 1).pipe(
        Effect.as("done"),
        lambdaProgram(options),
        Effect.provideService(LambdaExtension.LambdaExtension, service),
        invoked(3000)
      )
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* delivered, [])
      assert.deepStrictEqual(left.map(([requestId]) => requestId), ["request"])
      yield* left[0]![1]
      assert.deepStrictEqual(yield* delivered, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("is before the response where it was not asked for, or there is no extension to do it", () =>
    Effect.gen(function*() {
      const dead = extension(false)
      const alive = extension()
      const program = ThreadStats.distribution("orders", 1)
      yield* invoked(3000)(lambdaProgram(program, options))
      yield* lambdaProgram(program, options).pipe(
        Effect.provideService(LambdaExtension.LambdaExtension, dead.service),
        invoked(3000)
      )
      yield* lambdaProgram(program).pipe(
        Effect.provideService(LambdaExtension.LambdaExtension, alive.service),
        invoked(3000)
      )
      yield* lambdaProgram(program, options).pipe(
        Effect.provideService(LambdaExtension.LambdaExtension, alive.service)
      )
      assert.deepStrictEqual(yield* delivered, ["orders = 1", "orders = 1", "orders = 1", "orders = 1"])
      assert.deepStrictEqual([dead.left, alive.left], [[], []])
    }).pipe(Effect.provide(layerObserved)))

  it("falls back with one warning where no extension can be registered", async () => {
    const printed = vi.spyOn(console, "log").mockImplementation(() => {})
    const log: Array<string> = []
    try {
      const handler = Lambda.makeHandler({
        handler: (event: string) => Effect.sync(() => log.push(event)),
        layer: Layer.effect(
          ThreadStats.ThreadStats,
          Effect.map(ThreadStats.ThreadStats, (client) => observe(client, log))
        ).pipe(Layer.provide(layerOver(Reporter.layerNoop))),
        flush: LambdaExtension.afterResponse
      })
      await handler.ready
      const context = await Effect.runPromise(contextFor(10_000))
      await handler("a", context)
      await handler("b", context)
      assert.deepStrictEqual(log, ["a", "flush", "b", "flush"])
      const lines = printed.mock.calls.map((call) => call.join(" "))
      assert.strictEqual(lines.filter((line) => line.includes("Flushing before the response")).length, 1)
      assert.include(lines[0], "AWS_LAMBDA_RUNTIME_API")
    } finally {
      printed.mockRestore()
    }
  })
})

describe("two environments that count ten each", () => {
  const counted = (options: ThreadStatsConfig.Options) =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const environment = Effect.gen(function*() {
        for (let i = 0; i < 5; i++) yield* ThreadStats.increment("orders", 2)
        for (let i = 0; i < 3; i++) yield* ThreadStats.histogram("lines", 4)
      }).pipe(
        lambdaProgram(),
        Effect.provide(Layer.provide(
          ThreadStats.layerHttpWith({ apiUrl: intake.url, apiKey: Redacted.make("key"), ...options }),
          HttpReporter.layerHttpClient
        ))
      )
      yield* Effect.all([environment, environment], { concurrency: "unbounded" })
      return [yield* intake.total("orders"), yield* intake.total("lines"), yield* intake.total("lines.count")]
    }).pipe(
      Effect.provide(layerIntake()),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_FUNCTION_NAME", "orders"]])))
    )

  it.effect("show twenty at Datadog", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* counted({}), [20, 24, 0])
    }))

  it.effect("show ten as series, which overwrite each other, unless a tag tells them apart", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* counted({ counters: "series" }), [10, 0, 3])
    }))
})

describe("streamHandler", () => {
  /** A response as the runtime client offers it, and what happened to it. */
  const makeResponse = (
    log: Array<string>,
    options: { readonly highWaterMark?: number; readonly slow?: boolean } = {}
  ) => {
    let text = ""
    const response = Object.assign(
      new Writable({
        ...options,
        write(chunk, _, done) {
          text += String(chunk)
          log.push(`write ${String(chunk).replaceAll("\0", "0")}`)
          if (options.slow === true) setTimeout(done, 2)
          else done()
        },
        final(done) {
          log.push("end")
          done()
        }
      }),
      { setContentType: (type: string) => log.push(type), text: () => text }
    )
    return response
  }

  const made = <E>(
    log: Array<string>,
    handler: () =>
      | Effect.Effect<unknown, E, ThreadStats.ThreadStats>
      | Stream.Stream<LambdaStream.Chunk, E, ThreadStats.ThreadStats>
  ) =>
    Lambda.streamHandler({
      handler: (_: unknown) => handler(),
      layer: Layer.effect(
        ThreadStats.ThreadStats,
        Effect.map(ThreadStats.ThreadStats, (client) => observe(client, log))
      )
        .pipe(Layer.provide(layerOver(Reporter.layerNoop)))
    })

  const context = {} as Lambda.LambdaContext

  it("carries the mark and the three parameters by which the runtime knows it", () => {
    const handler = made([], () => Effect.void)
    assert.strictEqual(Reflect.get(handler, Symbol.for("aws.lambda.runtime.handler.streaming")), "response")
    assert.strictEqual(handler.length, 3)
  })

  it("sends a stream as it comes, ends it, and flushes then", async () => {
    const log: Array<string> = []
    const handler = made(log, () =>
      Stream.make("a", "b").pipe(
        Stream.concat(Stream.make(new TextEncoder().encode("é"))),
        Stream.tap(() => ThreadStats.increment("parts")),
        Stream.ensuring(Effect.sync(() => log.push("closed")))
      ))
    const response = makeResponse(log)
    await handler({}, response, context)
    assert.deepStrictEqual(log, ["application/octet-stream", "write a", "write b", "write é", "closed", "end", "flush"])
    assert.strictEqual(response.listenerCount("close"), 0)
  })

  it("puts metadata before the first piece, also before none", async () => {
    for (const pieces of [["x"], []]) {
      const log: Array<string> = []
      const handler = made(
        log,
        () => LambdaStream.make(Stream.fromIterable(pieces), { statusCode: 201, headers: { a: "b" }, cookies: ["c=d"] })
      )
      await handler({}, makeResponse(log), context)
      assert.deepStrictEqual(log, [
        "application/vnd.awslambda.http-integration-response",
        `write {"statusCode":201,"headers":{"a":"b"},"cookies":["c=d"]}00000000`,
        ...pieces.map((piece) => `write ${piece}`),
        "end",
        "flush"
      ])
    }
  })

  it("sends what is no stream as JSON", async () => {
    for (const [result, json] of [[{ ok: true }, `{"ok":true}`], [undefined, "null"]] as const) {
      const log: Array<string> = []
      await made(log, () => Effect.succeed(result))({}, makeResponse(log), context)
      assert.deepStrictEqual(log, ["application/json", `write ${json}`, "end", "flush"])
    }
  })

  it("makes no more than the response takes", async () => {
    const log: Array<string> = []
    const handler = made(
      log,
      () =>
        Stream.make("a", "b", "c").pipe(
          Stream.rechunk(1),
          Stream.tap((piece) => Effect.sync(() => log.push(`make ${piece}`)))
        )
    )
    await handler({}, makeResponse(log, { highWaterMark: 1, slow: true }), context)
    assert.deepStrictEqual(log.filter((entry) => entry.includes(" ")), [
      "make a",
      "write a",
      "make b",
      "write b",
      "make c",
      "write c"
    ])
  })

  it("leaves the response open where the program fails, and rejects with its own error", async () => {
    const error = new TypeError("no more")
    for (
      const program of [
        () => Stream.concat(Stream.make("a"), Stream.fail(error)),
        () => Stream.concat(Stream.make("a"), Stream.die(error)),
        () => Effect.fail(error)
      ]
    ) {
      const log: Array<string> = []
      const response = makeResponse(log)
      const rejected = await made(log, program)({}, response, context).catch((reason: unknown) => reason)
      assert.strictEqual(rejected, error)
      assert.isFalse(response.writableEnded)
      assert.strictEqual(log.at(-1), "flush")
    }
  })

  it("names what cannot be sent", async () => {
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (
      const program of [
        () => Stream.make(1 as unknown as string),
        () => LambdaStream.make(Stream.empty, { statusCode: 1n as unknown as number }),
        () => Effect.succeed(cycle)
      ]
    ) {
      const log: Array<string> = []
      const rejected = await made(log, program)({}, makeResponse(log), context).catch((reason: unknown) => reason)
      assert.instanceOf(rejected, LambdaStream.LambdaStreamError)
      assert.strictEqual(log.at(-1), "flush")
    }
  })

  it("stops when the client goes away, and still flushes", async () => {
    const log: Array<string> = []
    const response = makeResponse(log)
    const handler = made(log, () =>
      Stream.concat(Stream.make("a"), Stream.never).pipe(
        Stream.tap(() => Effect.sync(() => setImmediate(() => response.destroy(new Error("gone"))))),
        Stream.ensuring(Effect.sync(() => log.push("stopped")))
      ))
    const rejected = await handler({}, response, context).catch((reason: unknown) => reason)
    assert.instanceOf(rejected, Lambda.ResponseClosed)
    assert.deepStrictEqual(log, ["application/octet-stream", "write a", "stopped", "flush"])
  })
})

describe("LambdaContext", () => {
  it("is there for the program, whose layer need not provide it", async () => {
    const handler = Lambda.makeHandler({
      handler: () => Effect.map(Lambda.LambdaContext, ({ awsRequestId }) => awsRequestId),
      layer: layerOver(Reporter.layerNoop)
    })
    assert.strictEqual(await handler({}, { ...await Effect.runPromise(contextFor(1000)), awsRequestId: "r-1" }), "r-1")
  })

  it.effect("gives the tags of Datadog's own library, as far as they are known", () =>
    Effect.gen(function*() {
      const major = process.versions.node.split(".")[0]
      const runtime = ["18", "20", "22", "24"].includes(major!) ? [`runtime:nodejs${major}.x`] : []
      const arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
      const common = ["region:eu-west-1", "account_id:123456789012", "functionname:orders"]
      const tagsFor = (more: Partial<Lambda.LambdaContext>) => invoked(1000, more)(Lambda.contextTags)
      assert.deepStrictEqual(yield* Lambda.contextTags, [])
      assert.deepStrictEqual(yield* tagsFor({}), [...common, "resource:orders", "memorysize:128", ...runtime])
      assert.deepStrictEqual(yield* tagsFor({ invokedFunctionArn: `${arn}:live`, functionVersion: "7" }), [
        ...common,
        "resource:orders:live",
        "executedversion:7",
        "memorysize:128",
        ...runtime
      ])
      assert.deepStrictEqual(yield* tagsFor({ invokedFunctionArn: `${arn}:7` }), [
        ...common,
        "resource:orders:7",
        "memorysize:128",
        ...runtime
      ])
      assert.deepStrictEqual(yield* tagsFor({ invokedFunctionArn: `${arn}:$LATEST` }), [
        ...common,
        "resource:orders:LATEST",
        "memorysize:128",
        ...runtime
      ])
      assert.deepStrictEqual(yield* tagsFor({ invokedFunctionArn: "local" }), ["memorysize:128", ...runtime])
    }))

  const recorded = (clock: Clock.Clock, enhancedMetrics?: Lambda.EnhancedMetrics) => {
    const all: Array<string> = []
    const layer = Layer.effect(
      ThreadStats.ThreadStats,
      Effect.map(ThreadStats.ThreadStats, (client): ThreadStats.ThreadStats["Type"] => ({
        ...client,
        unsafeDistribution: (name, value, options) => {
          const tags = (options?.tags ?? []) as ReadonlyArray<string>
          const start = tags.filter((tag) => /^(cold_start|proactive)/.test(tag)).join(" ")
          all.push([name, value, start].join(" "))
          assert.include(["user", ...tags], name === "user" ? "user" : "functionname:orders")
        }
      }))
    ).pipe(Layer.provide(layerOver(Reporter.layerNoop)), Layer.provideMerge(Layer.setClock(clock)))
    const handler = Lambda.makeHandler({
      handler: (event: () => Effect.Effect<unknown, string, ThreadStats.ThreadStats>) => event(),
      layer,
      enhancedMetrics
    })
    return { all, handler }
  }

  it("comes with enhanced metrics where they are asked for, and not on the user's own", async () => {
    const clock = Clock.make()
    const { all, handler } = recorded(clock, Lambda.enhancedMetrics)
    const context = await Effect.runPromise(contextFor(10_000))
    const user = Effect.map(ThreadStats.ThreadStats, (client) => client.unsafeDistribution("user", 1))
    await handler(() => user, context)
    await handler(() => Effect.fail("no"), context).catch(() => {})
    await handler(() => Effect.succeed({ statusCode: 503 }), context)
    await handler(() => Effect.succeed({ statusCode: 404 }), context)
    const partial = { batchItemFailures: [{ itemIdentifier: "a" }, { itemIdentifier: "b" }] }
    assert.strictEqual(await handler(() => Effect.succeed(partial), context), partial)
    assert.deepStrictEqual(all, [
      "aws.lambda.enhanced.invocations 1 cold_start:true",
      "user 1 ",
      ...[
        "invocations 1",
        "errors 1",
        "invocations 1",
        "errors 1",
        "invocations 1",
        "invocations 1",
        "batch_item_failures 2"
      ].map((line) => `aws.lambda.enhanced.${line} cold_start:false`)
    ])
  })

  it("tells an environment that was there long before it was needed, and says nothing unless asked", async () => {
    const real = Clock.make()
    const late = { ...real, unsafeCurrentTimeMillis: () => real.unsafeCurrentTimeMillis() + 10_001 }
    const context = await Effect.runPromise(contextFor(10_000))
    const early = recorded(late, Lambda.enhancedMetrics)
    await early.handler(() => Effect.void, context)
    await early.handler(() => Effect.void, context)
    assert.deepStrictEqual(early.all, [
      "aws.lambda.enhanced.invocations 1 cold_start:false proactive_initialization:true",
      "aws.lambda.enhanced.invocations 1 cold_start:false"
    ])
    const silent = recorded(real)
    await silent.handler(() => Effect.void, context)
    assert.deepStrictEqual(silent.all, [])
  })

  it.effect("keeps Datadog's own names out of the namespace", () =>
    Effect.gen(function*() {
      yield* ThreadStats.distribution("aws.lambda.enhanced.invocations", 1)
      yield* ThreadStats.distribution("aws.lambda", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(yield* delivered, ["aws.lambda.enhanced.invocations = 1", "shop.aws.lambda = 1"])
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ namespace: "shop" }))))
})

describe("nested programs", () => {
  it.effect("leave the flush, and the periodic one, to the outermost", () =>
    Effect.gen(function*() {
      const inner = Effect.gen(function*() {
        yield* Effect.addFinalizer(() => note("inner finalizer"))
        yield* Effect.sleep("15 seconds")
        yield* Lambda.lambdaMetric("inner", 10)
      })
      const outer = Effect.gen(function*() {
        yield* lambdaProgram(lambdaProgram(inner))
        yield* note("inner ended")
        yield* Lambda.lambdaMetric("outer", 30)
      })
      const fiber = yield* Effect.fork(lambdaProgram(outer))
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* Log, ["tick", "inner finalizer", "inner ended", "flush"])
      assert.deepStrictEqual(yield* delivered, ["inner = 10", "outer = 30"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("keep a failure that the outer one handles away from the flush", () =>
    Effect.gen(function*() {
      const inner = lambdaProgram(Effect.fail("inner"))
      assert.strictEqual(yield* lambdaProgram(Effect.catchAll(inner, (error) => Effect.succeed(error))), "inner")
      assert.deepStrictEqual(yield* Log, ["flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("with different clients flush each its own, however they alternate", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const client = yield* ThreadStats.ThreadStats
      const on = (name: string) => {
        const observed = observe({ ...client, flush: () => Effect.succeed({} as never) }, log, `${name} `)
        return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.provideService(lambdaProgram(effect), ThreadStats.ThreadStats, observed)
      }
      const a = on("a")
      const b = on("b")
      yield* note("innermost").pipe(a, b, a)
      assert.deepStrictEqual(log, ["innermost", "b flush", "a flush"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flush for themselves when they outlive the outer one", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const inner = lambdaProgram(Effect.zipRight(Deferred.await(gate), ThreadStats.distribution("inner", 1)))
      const early = yield* lambdaProgram(Effect.forkDaemon(inner))
      const late = yield* lambdaProgram(
        Effect.forkDaemon(Effect.zipRight(Deferred.await(gate), lambdaProgram(ThreadStats.distribution("late", 1))))
      )
      assert.deepStrictEqual(yield* Log, ["flush", "flush"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(early)
      yield* Fiber.join(late)
      assert.deepStrictEqual(yield* Log, ["flush", "flush", "flush", "flush"])
      assert.deepStrictEqual((yield* delivered).toSorted(), ["inner = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))
})

describe("overlapping programs", () => {
  it.effect("keep their tags apart, and each is flushed by its own end", () =>
    Effect.gen(function*() {
      const invocation = (id: string, turns: ReadonlyArray<Duration.DurationInput>) =>
        lambdaProgram(Effect.gen(function*() {
          yield* Effect.addFinalizer(() => note(`${id} closed`))
          for (const turn of turns) {
            yield* Lambda.lambdaMetric("turn", 1, { tags: { id } })
            yield* Effect.sleep(turn)
          }
          return id
        }))
      const a = yield* Effect.fork(invocation("a", ["1 second", "1 second"]))
      const b = yield* Effect.fork(invocation("b", ["1500 millis", "1500 millis", "1 second"]))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(a), "a")
      assert.deepStrictEqual(yield* Log, ["a closed", "flush"])
      assert.deepStrictEqual(yield* delivered, ["turn id:a = 1,1", "turn id:b = 1,1"])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(b), "b")
      assert.deepStrictEqual(yield* Log, ["a closed", "flush", "b closed", "flush"])
      assert.deepStrictEqual(yield* delivered, ["turn id:a = 1,1", "turn id:b = 1,1", "turn id:b = 1"])
    }).pipe(Effect.provide(layerObserved)))

  /** An intake that takes 200 ms, and when it was asked. */
  const slowly = Effect.gen(function*() {
    const calls: Array<readonly [at: number, names: ReadonlyArray<string>]> = []
    const reporter = Layer.succeed(Reporter.Reporter, {
      ...yield* noReporter,
      flushDistributions: (batch) =>
        Effect.flatMap(TestClock.currentTimeMillis, (now) => {
          calls.push([now, batch.map(({ metric }) => metric)])
          return Effect.delay(
            Effect.succeed({ ...Reporter.emptyReceipt, items: batch.length, payloads: 1 }),
            "200 millis"
          )
        })
    })
    return { calls, layer: layerOver(reporter) }
  })

  it.effect("that end together, all 64 of them, are flushed together, and nothing twice", () =>
    Effect.gen(function*() {
      const { calls, layer } = yield* slowly
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forEach(
          Array.from({ length: 64 }, (_, i) => `m${i}`),
          (name) =>
            ThreadStats.distribution(name, 1).pipe(
              Effect.zipRight(Effect.sleep("1 second")),
              lambdaProgram(),
              invoked(3000)
            ),
          { concurrency: "unbounded" }
        ).pipe(Effect.fork)
        yield* TestClock.adjust("1200 millis")
        yield* fiber
        assert.deepStrictEqual(calls.map(([at, names]) => [at, names.length]), [[1000, 64]])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("that never stop overlapping do not put the flush off", () =>
    Effect.gen(function*() {
      const { calls, layer } = yield* slowly
      yield* Effect.gen(function*() {
        const invocation = (name: string) =>
          ThreadStats.distribution(name, 1).pipe(
            Effect.zipRight(Effect.sleep("1 second")),
            lambdaProgram(),
            invoked(3000)
          )
        const fibers: Array<Fiber.RuntimeFiber<void>> = []
        for (let i = 0; i < 50; i++) {
          fibers.push(yield* Effect.fork(invocation(`m${i}`)))
          yield* TestClock.adjust("100 millis")
        }
        for (let i = 0; i < 36; i++) assert.strictEqual((yield* Fiber.poll(fibers[i]!))._tag, "Some", `m${i}`)
        yield* TestClock.adjust("2 seconds")
        for (const fiber of fibers) yield* fiber
        const sent = calls.flatMap(([at, names]) => names.map((name) => [name, at] as const))
        assert.strictEqual(sent.length, 50)
        for (const [name, at] of sent) assert.isAtMost(at, Number(name.slice(1)) * 100 + 1200, name)
      }).pipe(Effect.provide(layer))
    }))
})

describe("a reporter that", () => {
  const refuse = (batch: ReadonlyArray<Reporter.Item>) =>
    new Reporter.ReporterError({
      reason: "ServerError",
      endpoint: "test",
      description: "down",
      undelivered: batch,
      refused: [],
      ambiguous: [],
      receipt: Reporter.emptyReceipt
    })
  const behaviours: ReadonlyArray<
    readonly [string, (batch: ReadonlyArray<Reporter.Item>) => Effect.Effect<Reporter.Receipt, Reporter.ReporterError>]
  > = [
    ["fails", refuse],
    ["dies", () => Effect.die(new Error("flush blew up"))],
    ["throws", () => {
      throw new Error("flush blew up")
    }],
    ["interrupts itself", () => Effect.interrupt],
    ["never comes back", () => Effect.never],
    ["never comes back, and cannot be interrupted", () => Effect.uninterruptible(Effect.never)]
  ]
  const outcomes: ReadonlyArray<readonly [string, Effect.Effect<string, string>]> = [
    ["result", Effect.succeed("result")],
    ["failure", Effect.fail("failure")],
    ["defect", Effect.die("defect")],
    ["interruption", Effect.interrupt]
  ]
  for (const [behaviour, report] of behaviours) {
    for (const [outcome, body] of outcomes) {
      it.effect(`${behaviour} does not change a ${outcome}, and costs no more than the flush timeout`, () =>
        Effect.gen(function*() {
          const reporter = Layer.succeed(Reporter.Reporter, {
            ...yield* noReporter,
            flushDistributions: report
          })
          const ended = yield* Deferred.make<{
            readonly exit: Exit.Exit<string, string>
            readonly plain: Exit.Exit<string, string>
            readonly stats: ThreadStats.Stats
          }>()
          const fiber = yield* Effect.gen(function*() {
            const plain = yield* Effect.exit(body)
            const exit = yield* Effect.exit(lambdaProgram(Effect.zipRight(Lambda.lambdaMetric("orders", 1), body)))
            yield* Deferred.succeed(ended, { exit, plain, stats: yield* ThreadStats.stats })
          }).pipe(Effect.provide(layerOver(reporter)), Effect.fork)
          yield* TestClock.adjust("5 seconds")
          assert.isTrue(yield* Deferred.isDone(ended))
          const { exit, plain, stats } = yield* Deferred.await(ended)
          assert.deepStrictEqual(exit, plain)
          assert.deepInclude(stats.metrics, { received: 1, delivered: 0, held: 1 })
          // the layer's own last flush
          yield* TestClock.adjust("5 seconds")
          yield* Fiber.join(fiber)
        }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
    }
  }
})

describe("makeHandler", () => {
  const context = {} as Lambda.LambdaContext
  const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(() => assert.fail("did not reject"), (error) => error)

  /** A client whose life is noted, and which notes its flushes. */
  const layerNoted = (log: Array<string>) =>
    Layer.scoped(
      ThreadStats.ThreadStats,
      Effect.gen(function*() {
        log.push("build")
        yield* Effect.addFinalizer(() => Effect.sync(() => log.push("close")))
        const client = observe(yield* ThreadStats.ThreadStats, log)
        return { ...client, warm: Effect.sync(() => log.push("warm")) }
      })
    ).pipe(Layer.provide(layerOver(Reporter.layerNoop)))

  it("has two parameters, and gives event and context to the program untouched", async () => {
    const handler = Lambda.makeHandler({
      handler: (...all: [event: unknown, context: unknown]) => Effect.succeed(all),
      layer: layerOver(Reporter.layerNoop)
    })
    assert.strictEqual(handler.length, 2)
    const event = Object.freeze({ id: 1 })
    const frozen = Object.freeze({ callbackWaitsForEmptyEventLoop: true })
    const all = await handler(event, frozen)
    assert.strictEqual(all[0], event)
    assert.strictEqual(all[1], frozen)
    assert.deepStrictEqual(await handler(event, undefined), [event, undefined])
  })

  it("builds its environment once, before the event loop comes round, and warms it", async () => {
    const log: Array<string> = []
    const handler = Lambda.makeHandler({
      handler: (event: string) => Effect.sync(() => log.push(event)),
      layer: layerNoted(log)
    })
    await new Promise(setImmediate)
    assert.deepStrictEqual(log, ["build", "warm"])
    await handler("first", context)
    await handler("second", context)
    assert.deepStrictEqual(log, ["build", "warm", "first", "flush", "second", "flush"])
  })

  it("asks for no secret before the first invocation, and once for all of them", async () => {
    const seen: Array<string> = []
    let asked = 0
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        seen.push(`${new URL(request.url).pathname} ${request.headers["dd-api-key"] ?? "without a key"}`)
        return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
      })
    )
    const source = Effect.sync(() => {
      asked++
      return Redacted.make("secret")
    })
    const handler = Lambda.makeHandler({
      handler: () => ThreadStats.distribution("orders", 1),
      layer: ThreadStats.layerHttpWith({ apiUrl: "http://intake", periodicFlush: false }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, client), ApiKey.layer(source)])
      )
    })
    await handler.ready
    await vi.waitFor(() => assert.lengthOf(seen, 1))
    assert.strictEqual(asked, 0)
    await handler(undefined, context)
    await handler(undefined, context)
    assert.strictEqual(asked, 1)
    const posted = "/api/v1/distribution_points secret"
    assert.deepStrictEqual(seen, ["/api/v1/validate without a key", posted, posted])
  })

  it("gives each invocation a scope of its own, and passes the program's options on", async () => {
    const log: Array<string> = []
    const handler = Lambda.makeHandler({
      handler: (event: string) =>
        Effect.addFinalizer(() => Effect.sync(() => log.push(`${event} closed`))).pipe(
          Effect.zipRight(Effect.async<void>((resume) => {
            const waiting = setInterval(() => {
              if (log.filter((entry) => entry === "tick").length < 2) return
              clearInterval(waiting)
              resume(Effect.void)
            }, 1)
          }))
        ),
      layer: layerNoted(log),
      flushInterval: "5 millis"
    })
    await handler("a", context)
    assert.deepStrictEqual(log.filter((entry) => entry !== "tick"), ["build", "warm", "a closed", "flush"])
    assert.strictEqual(log.at(-1), "flush")
  })

  it("refuses at the start what is no way to record enhanced metrics", async () => {
    const options = { handler: () => Effect.void, layer: layerOver(Reporter.layerMemory) }
    const wrong = { ...options, enhancedMetrics: true as never }
    assert.throws(() => Lambda.makeHandler(wrong), TypeError, "Lambda.enhancedMetrics")
    assert.throws(() => Lambda.streamHandler(wrong), TypeError, "Lambda.enhancedMetrics")
    for (const enhancedMetrics of [undefined, false as never, Lambda.enhancedMetrics]) {
      assert.isUndefined(await Lambda.makeHandler({ ...options, enhancedMetrics })("", context))
    }
  })

  it("begins an invocation with its services, and sets none while it runs", async () => {
    const handler = Lambda.makeHandler({
      handler: () =>
        Effect.withFiberRuntime<[number, boolean]>((fiber) => {
          const [latest, ...before] = fiber.getFiberRefs().locals.get(FiberRef.currentContext) ?? []
          return Effect.succeed([before.length, latest?.[1] === fiber.currentContext])
        }),
      layer: layerOver(Reporter.layerMemory)
    })
    // the first one, and a warm one: neither carries the services that the layer was built with
    assert.deepStrictEqual(await handler("", context), [0, true])
    assert.deepStrictEqual(await handler("", context), [0, true])
  })

  it("takes one fiber and no timer for an invocation that ends at once, and two timers for one that does not", async () => {
    const handler = Lambda.makeHandler({
      handler: (event: Effect.Effect<string>) => event,
      layer: layerOver(Reporter.layerMemory)
    })
    await handler.ready
    const lasting = await Effect.runPromise(contextFor(60_000))
    await handler(Effect.succeed("first"), lasting)
    const timers: Array<NodeJS.Timeout> = []
    const hook = createHook({
      init: (_, type, __, resource) => {
        if (type === "Timeout") timers.push(resource as NodeJS.Timeout)
      }
    })
    const fibers = async (event: Effect.Effect<string>) => {
      const before = FiberId.unsafeMake().id
      await handler(event, lasting)
      return FiberId.unsafeMake().id - before - 1
    }
    hook.enable()
    try {
      assert.strictEqual(await fibers(Effect.succeed("done")), 1)
      assert.deepStrictEqual(timers, [])
      let holding: ReadonlyArray<boolean> = []
      const lasts = Effect.promise(() =>
        new Promise<string>((resume) =>
          setImmediate(() => {
            holding = timers.map((timer) => timer.hasRef())
            resume("done")
          })
        )
      )
      assert.strictEqual(await fibers(lasts), 1)
      assert.lengthOf(timers, 2)
      assert.deepStrictEqual(holding, [false, false])
      for (const timer of timers) assert.include(inspect(timer), "_destroyed: true")
    } finally {
      hook.disable()
    }
  })

  it("is not held up by a warm that does not come back, dies or throws", async () => {
    for (const warm of [Effect.never, Effect.die("warm"), Effect.interrupt]) {
      const layer = Layer.effect(
        ThreadStats.ThreadStats,
        Effect.map(ThreadStats.ThreadStats, (client) => ({ ...client, warm }))
      ).pipe(Layer.provide(layerOver(Reporter.layerNoop)))
      assert.strictEqual(await Lambda.makeHandler({ handler: () => Effect.succeed(1), layer })(undefined, context), 1)
    }
  })

  it("runs overlapping invocations side by side", async () => {
    const gate = Effect.runSync(Deferred.make<void>())
    const handler = Lambda.makeHandler({
      handler: (event: string) =>
        event === "opens"
          ? Effect.as(Deferred.succeed(gate, undefined), event)
          : Effect.as(Deferred.await(gate), event),
      layer: layerOver(Reporter.layerNoop)
    })
    assert.deepStrictEqual(await Promise.all([handler("waits", context), handler("opens", context)]), [
      "waits",
      "opens"
    ])
  })

  class OrderError extends Data.TaggedError("OrderError")<{ readonly orderId: string }> {
    override get message() {
      return `no order ${this.orderId}`
    }
  }

  const failing = (program: () => Effect.Effect<never, unknown>, log: Array<string>) =>
    Lambda.makeHandler({ handler: program, layer: layerNoted(log) })

  for (
    const [how, error, program] of (() => {
      const typed = new OrderError({ orderId: "o-1" })
      const defect = new TypeError("bug")
      const plain = { code: 7 }
      return [
        ["a typed failure", typed, () => Effect.fail(typed)],
        ["a failure of a span", typed, () => Effect.withSpan(Effect.fail(typed), "span")],
        ["a defect", defect, () => Effect.die(defect)],
        ["a handler that throws", defect, () => {
          throw defect
        }],
        ["a failure that is no Error", plain, () => Effect.fail(plain)],
        [
          "a failure, before what its finalizers died of",
          typed,
          () => Effect.ensuring(Effect.fail(typed), Effect.die(defect))
        ]
      ] as ReadonlyArray<readonly [string, unknown, () => Effect.Effect<never, unknown>]>
    })()
  ) {
    it(`rejects with ${how}: the very object, after the flush`, async () => {
      const log: Array<string> = []
      const stack = error instanceof Error ? error.stack : undefined
      const rejection = await rejectionOf(failing(program, log)(undefined, context))
      assert.strictEqual(rejection, error)
      if (rejection instanceof Error) assert.strictEqual(rejection.stack, stack)
      assert.strictEqual(log.at(-1), "flush")
    })
  }

  it("rejects with a named error when all that happened is interruption", async () => {
    const error = await rejectionOf(failing(() => Effect.interrupt, [])(undefined, context))
    assert.instanceOf(error, Lambda.LambdaInterrupted)
    assert.strictEqual(error.name, "LambdaInterrupted")
    assert.strictEqual(error.message, "the invocation was interrupted before it had a result")
  })

  it("makes an Error of a ConfigError, which is none", async () => {
    const program = Effect.withConfigProvider(Config.string("SHOP"), ConfigProvider.fromMap(new Map()))
    const failed = await rejectionOf(failing(() => Effect.flatMap(program, Effect.die), [])(undefined, context))
    const died = await rejectionOf(
      failing(() => Effect.flatMap(Effect.orDie(program), Effect.die), [])(undefined, context)
    )
    for (const error of [failed, died]) {
      assert.instanceOf(error, Error)
      assert.strictEqual(error.name, "ConfigError")
      assert.include(error.message, "SHOP")
      assert.isTrue(ConfigError.isConfigError(error.cause))
    }
  })

  it("builds again after a build that failed, for the next invocation, and rejects with the reason", async () => {
    const log: Array<string> = []
    const reasons = [new Error("at load"), new Error("first"), new Error("second")]
    let builds = 0
    const flaky = Layer.effectDiscard(Effect.suspend(() => {
      const reason = reasons[builds++]
      return reason === undefined ? Effect.void : Effect.fail(reason)
    }))
    const handler = Lambda.makeHandler({
      handler: () => Effect.succeed("well"),
      layer: Layer.provideMerge(flaky, layerNoted(log))
    })
    await new Promise(setImmediate)
    assert.strictEqual(builds, 1)
    assert.strictEqual(await rejectionOf(handler(undefined, context)), reasons[1])
    assert.strictEqual(await rejectionOf(handler(undefined, context)), reasons[2])
    assert.strictEqual(await handler(undefined, context), "well")
    assert.strictEqual(await handler(undefined, context), "well")
    assert.strictEqual(builds, 4)
    // what a failed build had opened is closed
    assert.deepStrictEqual(
      log,
      ["build", "close", "build", "close", "build", "close", "build", "warm", "flush", "flush"]
    )
  })

  it("builds once more, and not twice, for invocations that wait for a build that fails", async () => {
    let builds = 0
    const gate = Effect.runSync(Deferred.make<void>())
    const flaky = Layer.effectDiscard(
      Effect.suspend(() => ++builds === 1 ? Effect.zipRight(Deferred.await(gate), Effect.fail("at load")) : Effect.void)
    )
    const handler = Lambda.makeHandler({
      handler: (event: number) => Effect.succeed(event),
      layer: Layer.merge(layerOver(Reporter.layerNoop), flaky)
    })
    const both = Promise.all([handler(1, context), handler(2, context)])
    Effect.runSync(Deferred.succeed(gate, undefined))
    assert.deepStrictEqual(await both, [1, 2])
    assert.strictEqual(builds, 2)
  })

  it("rejects with a defect of the build", async () => {
    const bug = new Error("layer bug")
    const handler = Lambda.makeHandler({ handler: () => Effect.void, layer: Layer.die(bug) })
    assert.strictEqual(await rejectionOf(handler(undefined, context)), bug)
  })

  it("fits the types of aws-lambda", () => {
    const handler = Lambda.makeHandler({
      handler: (event: import("aws-lambda").SQSEvent, context) =>
        Effect.succeed({
          batchItemFailures: event.Records.slice(0, context.getRemainingTimeInMillis() > 0 ? 0 : 1)
            .map((record) => ({ itemIdentifier: record.messageId }))
        }),
      layer: ThreadStats.layerTest
    })
    const forAws: import("aws-lambda").SQSHandler = handler
    const withAwsContext: import("aws-lambda").Handler<string, string> = Lambda.makeHandler({
      handler: (event: string, context: import("aws-lambda").Context) => Effect.succeed(event + context.logStreamName),
      layer: ThreadStats.layerTest
    })
    assert.strictEqual(forAws.length, 2)
    assert.strictEqual(withAwsContext.length, 2)
  })
})
