/** Handlers of one module: they share the environment of a layer, and the extension of a flush mode. */
import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { vi } from "vitest"
import { nextTurn } from "../support/wait.js"
import { makeInProcess } from "./extensionsApi.js"
import { emptyLambdaContext, makeLambdaContext, rejectionOf } from "./lambdaContext.js"
import { layerNoting } from "./observedClient.js"

class NoBuild extends Data.TaggedError("NoBuild")<{}> {}

/** A layer that notes its builds and its end. It fails to build as often as `failures` says. */
const layerCounting = (log: Array<string>, failures = 0) => {
  let builds = 0
  const counting = Layer.scopedDiscard(Effect.suspend(() => {
    if (builds++ < failures) return Effect.fail(new NoBuild())
    log.push("build")
    return Effect.addFinalizer(() => Effect.sync(() => log.push("close")))
  }))
  return Layer.provideMerge(counting, layerNoting(log))
}

const getClient = () => ThreadStats.ThreadStats

describe("handlers with one layer", () => {
  it("share one client and one cold start", async () => {
    const log: Array<string> = []
    const layer = layerCounting(log)
    const options = { handler: () => Effect.zip(ThreadStats.ThreadStats, Lambda.contextTags), layer }
    const [first, second] = [Lambda.makeHandler(options), Lambda.makeHandler(options)]
    const context = await Effect.runPromise(makeLambdaContext(10_000))
    const [client, tags] = await first({}, context)
    const [sameClient, laterTags] = await second({}, context)
    assert.strictEqual(client, sameClient)
    assert.include(tags, "cold_start:true")
    assert.include(laterTags, "cold_start:false")
    assert.deepStrictEqual(log, ["build", "flush all", "flush all"])
  })

  it("have a client each when the layers differ", async () => {
    const layer = layerNoting([])
    const handlers = [layer, Layer.fresh(layer)].map((layer) => Lambda.makeHandler({ handler: getClient, layer }))
    const [first, second] = await Promise.all(handlers.map((handler) => handler({}, emptyLambdaContext)))
    assert.notStrictEqual(first, second)
  })

  it("share the build that follows a failed one", async () => {
    const log: Array<string> = []
    const layer = layerCounting(log, 1)
    const handlers = [1, 2].map(() => Lambda.makeHandler({ handler: getClient, layer }))
    await Promise.all(handlers.map(({ ready }) => ready))
    assert.deepStrictEqual(log, [])
    await Promise.all(handlers.map((handler) => handler({}, emptyLambdaContext)))
    assert.deepStrictEqual(log.filter((entry) => entry === "build"), ["build"])
  })
})

describe("handlers with one flush mode", () => {
  const makeApi = Effect.gen(function*() {
    const api = yield* makeInProcess
    yield* Effect.acquireRelease(
      Effect.sync(() => vi.stubEnv("AWS_LAMBDA_RUNTIME_API", api.address)),
      () => Effect.sync(() => vi.unstubAllEnvs())
    )
    let signal = () => {}
    const raised: Array<unknown> = []
    const { listenerCount, once } = process
    yield* Effect.acquireRelease(
      Effect.sync(() => [
        vi.spyOn(process, "once").mockImplementation((event: string | symbol, listener: () => void) => {
          if (event !== "SIGTERM") return once.call(process, event as "exit", listener)
          signal = listener
          return process
        }),
        vi.spyOn(process, "listenerCount").mockImplementation((event) =>
          event === "SIGTERM" ? 0 : listenerCount.call(process, event)
        ),
        vi.spyOn(process, "kill").mockImplementation((_, name) => {
          raised.push(name)
          return true
        })
      ]),
      (spies) => Effect.sync(() => spies.forEach((spy) => spy.mockRestore()))
    )
    return { api, raised, signal: () => signal() }
  })
  const mode = () => LambdaExtension.afterResponseWith({ blocking: false })
  const until = (holds: () => boolean) => Effect.repeat(nextTurn, { until: holds })

  it.scoped("register one extension, and each flushes after its response", () =>
    Effect.gen(function*() {
      const { api } = yield* makeApi
      const flush = mode()
      const logs: ReadonlyArray<Array<string>> = [[], []]
      const handlers = logs.map((log) =>
        Lambda.makeHandler({
          handler: () => Effect.sync(() => log.push("body")),
          layer: layerNoting(log),
          flush
        })
      )
      yield* Effect.promise(() => Promise.all(handlers.map(({ ready }) => ready)))
      assert.deepStrictEqual(api.requests.map(({ path }) => path).filter((path) => path === "register"), ["register"])
      for (const [index, handler] of handlers.entries()) {
        const context = yield* makeLambdaContext(10_000, { awsRequestId: `request-${index}` })
        yield* api.invoke(context.awsRequestId, Date.now() + 60_000)
        yield* Effect.promise(() => handler({}, context))
        assert.deepStrictEqual(logs[index], ["body"])
        yield* api.nextRequested
        assert.deepStrictEqual(logs[index], ["body", "flush all"])
      }
    }))

  it.scoped("flush and close all environments before SIGTERM is raised again, once", () =>
    Effect.gen(function*() {
      const { raised, signal } = yield* makeApi
      const flush = mode()
      const logs: ReadonlyArray<Array<string>> = [[], []]
      const handlers = logs.map((log) => Lambda.makeHandler({ handler: getClient, layer: layerCounting(log), flush }))
      // An environment that could not be built has nothing to close.
      const broken = Lambda.makeHandler({ handler: getClient, layer: layerCounting([], Infinity), flush })
      yield* Effect.promise(() => Promise.all([...handlers, broken].map(({ ready }) => ready)))
      signal()
      yield* until(() => raised.length > 0)
      for (const log of logs) assert.deepStrictEqual(log, ["build", "flush all", "close"])
      yield* nextTurn
      assert.deepStrictEqual(raised, ["SIGTERM"])
    }))

  it.scoped("flush after the response when the first builds of the services failed", () =>
    Effect.gen(function*() {
      const { api } = yield* makeApi
      const log: Array<string> = []
      const handler = Lambda.makeHandler({ handler: getClient, layer: layerCounting(log, 2), flush: mode() })
      yield* Effect.promise(() => handler.ready)
      const failed = yield* makeLambdaContext(10_000, { awsRequestId: "failed" })
      yield* api.invoke("failed", Date.now() + 60_000)
      assert.instanceOf(yield* Effect.promise(() => rejectionOf(handler({}, failed))), NoBuild)
      // The invocation that has failed is released at once.
      yield* api.nextRequested
      const context = yield* makeLambdaContext(10_000, { awsRequestId: "built" })
      yield* api.invoke("built", Date.now() + 60_000)
      yield* Effect.promise(() => handler({}, context))
      assert.deepStrictEqual(log, ["build"])
      yield* api.nextRequested
      assert.deepStrictEqual(log, ["build", "flush all"])
    }))

  const contexts: ReadonlyArray<readonly [title: string, context: unknown]> = [
    ["null", null],
    ["undefined", undefined],
    ["a text", "context"],
    ["an object without awsRequestId", {}],
    ["an object whose awsRequestId is not text", { awsRequestId: 7 }],
    ["a proxy that throws", new Proxy({}, { get: () => assert.fail("unreadable") })],
    ["the context of a durable function", { lambdaContext: { awsRequestId: "request" }, step: () => {} }]
  ]
  for (const [title, context] of contexts) {
    it.scoped(`release the invocation and flush before the response when the context is ${title}`, () =>
      Effect.gen(function*() {
        const { api } = yield* makeApi
        const log: Array<string> = []
        const handler = Lambda.makeHandler({
          handler: () => Effect.succeed("done"),
          layer: layerNoting(log),
          flush: mode(),
          enhancedMetrics: Lambda.enhancedMetrics
        })
        yield* Effect.promise(() => handler.ready)
        yield* api.invoke("request", Date.now() + 60_000)
        assert.strictEqual(yield* Effect.promise(() => handler({}, context as Lambda.LambdaContext)), "done")
        assert.deepStrictEqual(log, ["flush all"])
        yield* api.nextRequested
      }))
  }

  it.scoped("flush after the response when the context has another awsRequestId", () =>
    Effect.gen(function*() {
      const { api } = yield* makeApi
      const log: Array<string> = []
      const handler = Lambda.makeHandler({ handler: () => Effect.void, layer: layerNoting(log), flush: mode() })
      yield* Effect.promise(() => handler.ready)
      const context = yield* makeLambdaContext(10_000, { awsRequestId: "another" })
      yield* api.invoke("request", Date.now() + 60_000)
      yield* Effect.promise(() => handler({}, context))
      assert.deepStrictEqual(log, [])
      yield* api.nextRequested
      assert.deepStrictEqual(log, ["flush all"])
    }))
})
