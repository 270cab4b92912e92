import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { vi } from "vitest"
import { makeInProcess } from "./extensionsApi.js"
import { makeLambdaContext, withLambdaContext } from "./lambdaContext.js"
import { deliveredDistributions, layerNoting, layerObserved } from "./observedClient.js"

describe("LambdaExtension.afterResponse", () => {
  /** An extension that runs no work by itself while it is alive, and the work that it got. */
  const makeExtension = (isAlive = true) => {
    const works: Array<readonly [requestId: string, work: Effect.Effect<void>]> = []
    const service = LambdaExtension.LambdaExtension.of({
      isAlive: Effect.succeed(isAlive),
      begin: () => Effect.void,
      unsafeBegin: () => () => {},
      afterResponse: (requestId, work) => isAlive ? Effect.sync(() => works.push([requestId, work])) : work
    })
    return { works, provide: Effect.provideService(LambdaExtension.LambdaExtension, service) }
  }
  const recordOrder = ThreadStats.distribution("orders", 1)
  const options = { flush: LambdaExtension.afterResponse, flushInterval: Infinity } as const

  it.effect("leaves the last flush to the extension, and the program has its result before it", () =>
    Effect.gen(function*() {
      const { provide, works } = makeExtension()
      const result = yield* recordOrder.pipe(
        Effect.as("done"),
        lambdaProgram(options),
        provide,
        withLambdaContext(3000)
      )
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* deliveredDistributions, [])
      assert.deepStrictEqual(works.map(([requestId]) => requestId), ["request"])
      yield* works[0]![1]
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes before the response without an extension", () =>
    Effect.gen(function*() {
      yield* withLambdaContext(3000)(lambdaProgram(recordOrder, options))
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes before the response when the extension is not alive", () =>
    Effect.gen(function*() {
      const { provide, works } = makeExtension(false)
      yield* recordOrder.pipe(lambdaProgram(options), provide, withLambdaContext(3000))
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
      assert.deepStrictEqual(works, [])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes before the response without a LambdaContext", () =>
    Effect.gen(function*() {
      const { provide, works } = makeExtension()
      yield* recordOrder.pipe(lambdaProgram(options), provide)
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
      assert.deepStrictEqual(works, [])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes before the response when the option flush is absent, also with an extension", () =>
    Effect.gen(function*() {
      const { provide, works } = makeExtension()
      yield* recordOrder.pipe(lambdaProgram(), provide, withLambdaContext(3000))
      assert.deepStrictEqual(yield* deliveredDistributions, ["orders = 1"])
      assert.deepStrictEqual(works, [])
    }).pipe(Effect.provide(layerObserved)))

  it("flushes before the response, with one warning, when makeHandler cannot register an extension", async () => {
    const print = vi.spyOn(console, "log").mockImplementation(() => {})
    try {
      const log: Array<string> = []
      const handler = Lambda.makeHandler({
        handler: (event: string) => Effect.sync(() => log.push(event)),
        layer: layerNoting(log),
        flush: LambdaExtension.afterResponseWith()
      })
      await handler.ready
      const context = await Effect.runPromise(makeLambdaContext(10_000))
      await handler("first", context)
      await handler("second", context)
      assert.deepStrictEqual(log, ["first", "flush all", "second", "flush all"])
      const warnings = print.mock.calls.map((call) => call.join(" ")).filter((line) => line.includes("level=WARN"))
      assert.lengthOf(warnings, 1)
      assert.include(
        warnings[0],
        "Flushing before the response. Make the handler while the function initializes, or leave"
      )
      assert.include(warnings[0], "AWS_LAMBDA_RUNTIME_API")
    } finally {
      print.mockRestore()
    }
  })

  /** A handler in an execution environment whose Extensions API is in process. */
  const makeHandlerWithApi = (options: { readonly close?: Effect.Effect<void> } = {}) =>
    Effect.gen(function*() {
      const api = yield* makeInProcess
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.stubEnv("AWS_LAMBDA_RUNTIME_API", api.address)),
        () => Effect.sync(() => vi.unstubAllEnvs())
      )
      const log: Array<string> = []
      const handler = Lambda.makeHandler({
        handler: (event: string) => Effect.sync(() => log.push(event)),
        layer: Layer.merge(
          layerNoting(log),
          Layer.scopedDiscard(
            Effect.addFinalizer(() =>
              Effect.zipRight(Effect.sync(() => log.push("close")), options.close ?? Effect.void)
            )
          )
        ).pipe(Layer.provideMerge(Layer.setClock(yield* Effect.clock))),
        flush: LambdaExtension.afterResponseWith({ blocking: false })
      })
      yield* Effect.promise(() => handler.ready)
      return { api, handler, log }
    })
  /** Captures the listener for SIGTERM, and passes signals that the process sends itself to `onRaise`. */
  const captureSignals = (onRaise: (signal: unknown) => void) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        let listener = () => {}
        const { listenerCount, once } = process
        const spies = [
          vi.spyOn(process, "once").mockImplementation((event: string | symbol, added: () => void) => {
            if (event !== "SIGTERM") return once.call(process, event as "exit", added)
            listener = added
            return process
          }),
          vi.spyOn(process, "listenerCount").mockImplementation((event) =>
            event === "SIGTERM" ? 0 : listenerCount.call(process, event)
          ),
          vi.spyOn(process, "kill").mockImplementation((_, signal) => {
            onRaise(signal)
            return true
          })
        ]
        return { raise: Effect.sync(() => listener()), spies }
      }),
      ({ spies }) => Effect.sync(() => spies.forEach((spy) => spy.mockRestore()))
    )

  it.scoped("flushes after makeHandler has returned the result, and before the next event is requested", () =>
    Effect.gen(function*() {
      yield* captureSignals((signal) => assert.fail(`the process raised ${signal}`))
      const { api, handler, log } = yield* makeHandlerWithApi()
      yield* api.invoke("request", Date.now() + 60_000)
      const context = yield* makeLambdaContext(10_000)
      yield* Effect.promise(() => handler("event", context))
      assert.deepStrictEqual(log, ["event"])
      yield* api.nextRequested
      assert.deepStrictEqual(log, ["event", "flush all"])
    }))

  it.scoped("flushes, closes the environment and raises the signal again when the process receives SIGTERM", () =>
    Effect.gen(function*() {
      const raised = yield* Deferred.make<unknown>()
      const { raise } = yield* captureSignals((signal) => Deferred.unsafeDone(raised, Effect.succeed(signal)))
      const { log } = yield* makeHandlerWithApi()
      yield* raise
      assert.strictEqual(yield* Deferred.await(raised), "SIGTERM")
      assert.deepStrictEqual(log, ["flush all", "close"])
    }))

  it.scoped("raises SIGTERM again after 100 ms when closing the environment does not end", () =>
    Effect.gen(function*() {
      const raised = yield* Deferred.make<unknown>()
      const closing = yield* Deferred.make<void>()
      const { raise } = yield* captureSignals((signal) => Deferred.unsafeDone(raised, Effect.succeed(signal)))
      yield* makeHandlerWithApi({ close: Effect.zipRight(Deferred.succeed(closing, undefined), Effect.never) })
      yield* raise
      yield* Deferred.await(closing)
      yield* TestClock.adjust(99)
      assert.isFalse(yield* Deferred.isDone(raised))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Deferred.await(raised), "SIGTERM")
    }))
})
