import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe } from "@effect/vitest"
import * as ApiKey from "effect-threadstats/ApiKey"
import * as Lambda from "effect-threadstats/Lambda"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { emptyLambdaContext, rejectionOf } from "./lambdaContext.js"
import { layerOver, observe } from "./observedClient.js"

const it = sweepKeys(apiKey)

describe("makeHandler execution environment", () => {
  /** A client that notes when it is built, warmed, flushed and closed. */
  const layerNotingLifetime = (log: Array<string>) =>
    Layer.scoped(
      ThreadStats.ThreadStats,
      Effect.gen(function*() {
        log.push("build")
        yield* Effect.addFinalizer(() => Effect.sync(() => log.push("close")))
        const client = observe(yield* ThreadStats.ThreadStats, log)
        return { ...client, warm: Effect.sync(() => log.push("warm")) }
      })
    ).pipe(Layer.provide(layerOver(Reporter.layerNoop)))

  it("builds and warms its layer once, before the event loop turns", async () => {
    const log: Array<string> = []
    const turned = new Promise<void>((resolve) =>
      setImmediate(() => {
        log.push("turn")
        resolve()
      })
    )
    const handler = Lambda.makeHandler({
      handler: (event: string) => Effect.sync(() => log.push(event)),
      layer: layerNotingLifetime(log)
    })
    await turned
    assert.deepStrictEqual(log, ["build", "warm", "turn"])
    await handler("first", emptyLambdaContext)
    await handler("second", emptyLambdaContext)
    assert.deepStrictEqual(log, ["build", "warm", "turn", "first", "flush all", "second", "flush all"])
  })

  it("resolves ready when the layer is built", async () => {
    const log: Array<string> = []
    const handler = Lambda.makeHandler({ handler: () => Effect.void, layer: layerNotingLifetime(log) })
    await handler.ready
    assert.deepStrictEqual(log, ["build", "warm"])
  })

  it("resolves ready when the first build fails", async () => {
    const handler = Lambda.makeHandler({
      handler: () => Effect.void,
      layer: Layer.merge(layerOver(Reporter.layerNoop), Layer.fail("no settings"))
    })
    assert.isUndefined(await handler.ready)
  })

  it("requests the API key at the first invocation, and once for all invocations", async () => {
    const requests: Array<string> = []
    const connected = Effect.runSync(Deferred.make<void>())
    let keyRequests = 0
    const client = HttpClient.make((request) =>
      Effect.suspend(() => {
        requests.push(`${new URL(request.url).pathname} ${request.headers["dd-api-key"] ?? "without a key"}`)
        const response = HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
        return Effect.as(Deferred.succeed(connected, undefined), response)
      })
    )
    const source = Effect.sync(() => {
      keyRequests++
      return Redacted.make(apiKey)
    })
    const handler = Lambda.makeHandler({
      handler: () => ThreadStats.distribution("orders", 1),
      layer: ThreadStats.layerHttpClientWith({ apiUrl: "http://intake", periodicFlush: false }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, client), ApiKey.layer(source)])
      )
    })
    await Effect.runPromise(Deferred.await(connected))
    assert.strictEqual(keyRequests, 0)
    await handler(undefined, emptyLambdaContext)
    await handler(undefined, emptyLambdaContext)
    assert.strictEqual(keyRequests, 1)
    const post = `/api/v1/distribution_points ${apiKey}`
    assert.deepStrictEqual(requests, ["/api/v1/validate without a key", post, post])
  })

  for (
    const [behavior, warm] of [
      ["does not end", Effect.never],
      ["dies", Effect.die("warm")],
      ["interrupts itself", Effect.interrupt]
    ] as const
  ) {
    it(`serves an invocation when warming the reporter ${behavior}`, async () => {
      const layer = Layer.effect(
        ThreadStats.ThreadStats,
        Effect.map(ThreadStats.ThreadStats, (client) => ({ ...client, warm }))
      ).pipe(Layer.provide(layerOver(Reporter.layerNoop)))
      const handler = Lambda.makeHandler({ handler: () => Effect.succeed("done"), layer })
      assert.strictEqual(await handler(undefined, emptyLambdaContext), "done")
    })
  }

  it("builds again for the next invocation when a build fails, and rejects with the reason of the failure", async () => {
    const log: Array<string> = []
    const reasons = [new Error("at load"), new Error("first"), new Error("second")]
    let builds = 0
    const failsThreeTimes = Layer.effectDiscard(Effect.suspend(() => {
      const reason = reasons[builds++]
      return reason === undefined ? Effect.void : Effect.fail(reason)
    }))
    const handler = Lambda.makeHandler({
      handler: () => Effect.succeed("done"),
      layer: Layer.provideMerge(failsThreeTimes, layerNotingLifetime(log))
    })
    await handler.ready
    assert.strictEqual(builds, 1)
    assert.strictEqual(await rejectionOf(handler(undefined, emptyLambdaContext)), reasons[1])
    assert.strictEqual(await rejectionOf(handler(undefined, emptyLambdaContext)), reasons[2])
    assert.strictEqual(await handler(undefined, emptyLambdaContext), "done")
    assert.strictEqual(await handler(undefined, emptyLambdaContext), "done")
    assert.strictEqual(builds, 4)
    // A failed build closes the services that it had opened.
    assert.deepStrictEqual(
      log,
      ["build", "close", "build", "close", "build", "close", "build", "warm", "flush all", "flush all"]
    )
  })

  it("builds once more for two invocations that wait for the same failing build", async () => {
    let builds = 0
    const gate = Effect.runSync(Deferred.make<void>())
    const failsOnce = Layer.effectDiscard(
      Effect.suspend(() => ++builds === 1 ? Effect.zipRight(Deferred.await(gate), Effect.fail("at load")) : Effect.void)
    )
    const handler = Lambda.makeHandler({
      handler: (event: number) => Effect.succeed(event),
      layer: Layer.merge(layerOver(Reporter.layerNoop), failsOnce)
    })
    const results = Promise.all([handler(1, emptyLambdaContext), handler(2, emptyLambdaContext)])
    Effect.runSync(Deferred.succeed(gate, undefined))
    assert.deepStrictEqual(await results, [1, 2])
    assert.strictEqual(builds, 2)
  })

  it("rejects with the defect of a build that dies", async () => {
    const defect = new Error("defect of the layer")
    const handler = Lambda.makeHandler({ handler: () => Effect.void, layer: Layer.die(defect) })
    assert.strictEqual(await rejectionOf(handler(undefined, emptyLambdaContext)), defect)
  })
})
