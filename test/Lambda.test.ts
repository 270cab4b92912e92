import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { emptyLambdaContext, makeLambdaContext } from "./lambda/lambdaContext.js"
import { deliveredDistributions, layerNoting, layerObserved, layerOver, Log, note } from "./lambda/observedClient.js"
import { layerInProcess } from "./support/intake.js"

describe("lambdaProgram", () => {
  it.effect("flushes the open bucket when the effect succeeds, and returns its result", () =>
    Effect.gen(function*() {
      const result = yield* lambdaProgram(Effect.as(Lambda.lambdaMetric("orders", 12, { tags: ["shop:eu"] }), "done"))
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* Log, ["flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders shop:eu = 12"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("accepts the effect as an argument or in a pipe, with and without options", () =>
    Effect.gen(function*() {
      const effect = Effect.succeed(1)
      assert.strictEqual(yield* lambdaProgram(effect), 1)
      assert.strictEqual(yield* effect.pipe(lambdaProgram()), 1)
      assert.strictEqual(yield* effect.pipe(lambdaProgram({ flushInterval: "1 second" })), 1)
      assert.strictEqual(yield* lambdaProgram(effect, { flushInterval: "1 second" }), 1)
      assert.deepStrictEqual(yield* Log, ["flush all", "flush all", "flush all", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes points that were recorded before the invocation", () =>
    Effect.gen(function*() {
      yield* ThreadStats.distribution("initialization", 1)
      yield* lambdaProgram(Effect.void)
      assert.deepStrictEqual(yield* deliveredDistributions, ["initialization = 1"])
    }).pipe(Effect.provide(layerObserved)))

  for (
    const [outcome, effect] of [
      ["failure", Effect.fail("out of stock")],
      ["defect", Effect.die(new Error("defect of the program"))],
      ["interruption", Effect.interrupt]
    ] as const
  ) {
    it.effect(`flushes the open bucket when the effect ends with a ${outcome}, and keeps that outcome`, () =>
      Effect.gen(function*() {
        const expected = yield* Effect.exit(effect)
        const exit = yield* Effect.exit(lambdaProgram(Effect.zipRight(ThreadStats.distribution("orders", 1), effect)))
        assert.deepStrictEqual(exit, expected)
        assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
      }).pipe(Effect.provide(layerObserved)))
  }

  it.effect("flushes the open bucket when its fiber is interrupted", () =>
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
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes after an interrupted, uninterruptible effect has finished", () =>
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
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("does not change the interruptibility of the effect", () =>
    Effect.gen(function*() {
      const isInterruptible = Effect.checkInterruptible(Effect.succeed)
      assert.isTrue(yield* lambdaProgram(isInterruptible))
      assert.isFalse(yield* Effect.uninterruptible(lambdaProgram(isInterruptible)))
    }).pipe(Effect.provide(layerObserved)))

  it.effect("runs the finalizers of the invocation's scope before the last flush", () =>
    Effect.gen(function*() {
      yield* lambdaProgram(Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.zipRight(note("finalizer"), ThreadStats.distribution("closed", 1)))
        yield* note("body")
      }))
      assert.deepStrictEqual(yield* Log, ["body", "finalizer", "flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["closed = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("restores the services of its fiber for finalizers and for later effects", () =>
    Effect.gen(function*() {
      const services = Effect.context<never>()
      const before = yield* services
      let inFinalizer: unknown
      yield* Effect.scope.pipe(
        Effect.flatMap((scope) =>
          Scope.addFinalizer(
            scope,
            Effect.map(services, (current) => {
              inFinalizer = current
            })
          )
        ),
        lambdaProgram()
      )
      assert.isTrue(Equal.equals(inFinalizer, before))
      assert.isTrue(Equal.equals(yield* services, before))
    }).pipe(Effect.provide(layerObserved)))

  it.effect("interrupts fibers of the invocation's scope before the last flush", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const worker = Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.zipRight(note("interrupted"), ThreadStats.distribution("worker", 1)))
      )
      yield* lambdaProgram(Effect.zipRight(Effect.forkScoped(worker), Deferred.await(started)))
      assert.deepStrictEqual(yield* Log, ["interrupted", "flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["worker = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes when a finalizer of the invocation's scope dies", () =>
    Effect.gen(function*() {
      const effect = Effect.addFinalizer(() => Effect.die("finalizer"))
      assert.deepStrictEqual(yield* Effect.exit(lambdaProgram(effect)), yield* Effect.exit(Effect.scoped(effect)))
      assert.deepStrictEqual(yield* Log, ["flush all"])
    }).pipe(Effect.provide(layerObserved)))

  /** Two execution environments record ten orders each in the same second. Returns the totals that Datadog shows. */
  const totalsOfTwoEnvironments = (options: ThreadStatsConfig.ThreadStatsOptions) =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const environment = Effect.gen(function*() {
        for (let i = 0; i < 5; i++) yield* ThreadStats.increment("orders", 2)
        for (let i = 0; i < 3; i++) yield* ThreadStats.histogram("lines", 4)
      }).pipe(
        lambdaProgram(),
        Effect.provide(
          ThreadStats.layerHttpClientWith({ apiUrl: intake.url, apiKey: Redacted.make("key"), ...options })
        )
      )
      yield* Effect.all([environment, environment], { concurrency: "unbounded" })
      return [yield* intake.total("orders"), yield* intake.total("lines"), yield* intake.total("lines.count")]
    }).pipe(
      Effect.provide(layerInProcess()),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_FUNCTION_NAME", "orders"]])))
    )

  it.effect("adds up the counters of two execution environments when counters travel as distributions", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* totalsOfTwoEnvironments({}), [20, 24, 0])
    }))

  it.effect("delivers only one of two equal counters when counters travel as series, which overwrite each other", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* totalsOfTwoEnvironments({ submitAs: "series" }), [10, 0, 3])
    }))

  it.effect("sends no request when nothing was recorded", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const result = yield* Effect.succeed("done").pipe(
        lambdaProgram(),
        Effect.provide(ThreadStats.layerHttpClientWith({ apiUrl: intake.url, apiKey: Redacted.make("key") }))
      )
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(
      Effect.provide(layerInProcess()),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    ))
})

describe("lambdaMetric", () => {
  it.effect("records a distribution with its tags, host and timestamp", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 minute")
      yield* Lambda.lambdaMetric("orders", 2, { tags: { shop: "eu" }, host: "till", timestamp: 30_000 })
      yield* ThreadStats.flush()
      const [series] = yield* Effect.flatMap(Reporter.MemoryReporter, (memory) => memory.distributions)
      assert.deepStrictEqual(
        [series!.metric, series!.tags, series!.host, series!.points],
        ["orders", ["shop:eu"], "till", [[30, [2]]]]
      )
    }).pipe(Effect.provide(layerObserved)))
})

describe("makeHandler", () => {
  it("returns a function of two parameters, which Node.js 24 accepts, and passes event and context on", async () => {
    const handler = Lambda.makeHandler({
      handler: (...parameters: [event: unknown, context: unknown]) => Effect.succeed(parameters),
      layer: layerOver(Reporter.layerNoop)
    })
    assert.strictEqual(handler.length, 2)
    const event = Object.freeze({ id: 1 })
    const context = Object.freeze({ callbackWaitsForEmptyEventLoop: true })
    const parameters = await handler(event, context)
    assert.strictEqual(parameters[0], event)
    assert.strictEqual(parameters[1], context)
    assert.deepStrictEqual(await handler(event, undefined), [event, undefined])
  })

  it("provides the program with the LambdaContext of its invocation", async () => {
    const handler = Lambda.makeHandler({
      handler: () => Effect.map(Lambda.LambdaContext, ({ awsRequestId }) => awsRequestId),
      layer: layerOver(Reporter.layerNoop)
    })
    const context = await Effect.runPromise(makeLambdaContext(1000, { awsRequestId: "r-1" }))
    assert.strictEqual(await handler({}, context), "r-1")
  })

  it.effect("gives an invocation its own scope and passes the program's options on", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const release = yield* Deferred.make<void>()
      const handler = Lambda.makeHandler({
        handler: (event: string) =>
          Effect.zipRight(
            Effect.addFinalizer(() => Effect.sync(() => log.push(`${event} closed`))),
            Deferred.await(release)
          ),
        layer: Layer.provideMerge(layerNoting(log), Layer.setClock(yield* Effect.clock)),
        flushInterval: "5 millis"
      })
      yield* Effect.promise(() => handler.ready)
      const invocation = handler("first", emptyLambdaContext)
      yield* TestClock.adjust("5 millis")
      yield* TestClock.adjust("5 millis")
      yield* Deferred.succeed(release, undefined)
      yield* Effect.promise(() => invocation)
      assert.deepStrictEqual(log, ["flush closed", "flush closed", "first closed", "flush all"])
    }))

  it("runs overlapping invocations concurrently", async () => {
    const gate = Effect.runSync(Deferred.make<void>())
    const handler = Lambda.makeHandler({
      handler: (event: string) =>
        event === "opens the gate"
          ? Effect.as(Deferred.succeed(gate, undefined), event)
          : Effect.as(Deferred.await(gate), event),
      layer: layerOver(Reporter.layerNoop)
    })
    const results = await Promise.all([
      handler("waits at the gate", emptyLambdaContext),
      handler("opens the gate", emptyLambdaContext)
    ])
    assert.deepStrictEqual(results, ["waits at the gate", "opens the gate"])
  })

  it("starts two fibers for an invocation that ends at once, and one more for one that lasts", async () => {
    const handler = Lambda.makeHandler({
      handler: (event: Effect.Effect<string>) => event,
      layer: layerOver(Reporter.layerMemory)
    })
    await handler.ready
    const context = await Effect.runPromise(makeLambdaContext(60_000))
    await handler(Effect.succeed("cold"), context)
    const fibersOf = async (event: Effect.Effect<string>) => {
      const before = FiberId.unsafeMake().id
      await handler(event, context)
      return FiberId.unsafeMake().id - before - 1
    }
    assert.strictEqual(await fibersOf(Effect.succeed("ends at once")), 2)
    assert.strictEqual(
      await fibersOf(Effect.promise(() => new Promise((resolve) => setImmediate(resolve, "lasts")))),
      3
    )
  })

  it("throws when enhancedMetrics is true instead of Lambda.enhancedMetrics", async () => {
    const options = { handler: () => Effect.void, layer: layerOver(Reporter.layerMemory) }
    const invalid = { ...options, enhancedMetrics: true as never }
    assert.throws(() => Lambda.makeHandler(invalid), TypeError, "Lambda.enhancedMetrics")
    assert.throws(() => Lambda.streamHandler(invalid), TypeError, "Lambda.enhancedMetrics")
    for (const enhancedMetrics of [undefined, false as never, Lambda.enhancedMetrics]) {
      assert.isUndefined(await Lambda.makeHandler({ ...options, enhancedMetrics })("", emptyLambdaContext))
    }
  })

  it("returns a handler of the types of aws-lambda", () => {
    const handler = Lambda.makeHandler({
      handler: (event: import("aws-lambda").SQSEvent, context) =>
        Effect.succeed({
          batchItemFailures: event.Records.slice(0, context.getRemainingTimeInMillis() > 0 ? 0 : 1)
            .map((record) => ({ itemIdentifier: record.messageId }))
        }),
      layer: ThreadStats.layerTest
    })
    const sqsHandler: import("aws-lambda").SQSHandler = handler
    const withAwsContext: import("aws-lambda").Handler<string, string> = Lambda.makeHandler({
      handler: (event: string, context: import("aws-lambda").Context) => Effect.succeed(event + context.logStreamName),
      layer: ThreadStats.layerTest
    })
    assert.strictEqual(sqsHandler.length, 2)
    assert.strictEqual(withAwsContext.length, 2)
  })
})
