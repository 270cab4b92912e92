import { assert, describe, it } from "@effect/vitest"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { beforeAll } from "vitest"
import { type ExtensionsApi, failedRegistrations, json, makeServer } from "./lambda/extensionsApi.js"
import { bundle, node } from "./support/childProcess.js"
import { eventuallyEffect } from "./support/wait.js"

describe("LambdaExtension.make over a socket", () => {
  const makeExtension = (api: ExtensionsApi) =>
    LambdaExtension.make({ blocking: false, name: "flusher" }).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_RUNTIME_API", api.address]])))
    )

  /** The time limit of a registration is on the test's clock, so that a busy machine does not exceed it. */
  const testWithServer = (title: string, test: (api: ExtensionsApi) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.scoped(title, () => Effect.flatMap(makeServer, test))

  testWithServer(
    "registers, runs the work of an invocation, and requests the next event",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.nextRequested
        const [register, next] = api.requests
        assert.strictEqual(register!.method, "POST")
        assert.strictEqual(register!.path, "register")
        assert.strictEqual(register!.headers["lambda-extension-name"], "flusher")
        assert.deepStrictEqual(JSON.parse(register!.body), { events: ["INVOKE"] })
        assert.strictEqual(next!.method, "GET")
        assert.strictEqual(next!.path, "event/next")
        assert.strictEqual(next!.headers["lambda-extension-identifier"], "id-1")
        const done = yield* Deferred.make<void>()
        yield* api.invoke("a")
        yield* extension.afterResponse("a", Effect.asVoid(Deferred.succeed(done, undefined)))
        yield* Deferred.await(done)
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), 2)
      })
  )

  testWithServer("requests all events over one connection", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      for (const requestId of ["a", "b", "c"]) {
        yield* api.invoke(requestId)
        yield* extension.afterResponse(requestId, Effect.void)
        yield* api.nextRequested
      }
      assert.strictEqual(api.nextCount(), 4)
      assert.strictEqual(api.connections(), 1)
    }))

  for (const [condition, reason, status, answer] of failedRegistrations) {
    testWithServer(`fails with the reason ${reason} when ${condition}`, (api) =>
      Effect.gen(function*() {
        api.register = () => answer
        const error = yield* Effect.flip(makeExtension(api))
        assert.instanceOf(error, LambdaExtension.LambdaExtensionError)
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.status, status)
        assert.strictEqual(api.nextCount(), 0)
      }))
  }

  for (
    const [condition, answer] of [
      ["a broken connection", "broken connection"],
      ["an answer that breaks off", "truncated body"]
    ] as const
  ) {
    testWithServer(`requests the next event again after ${condition}`, (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.answerNext(answer)
        yield* eventuallyEffect(Effect.map(TestClock.adjust(50), () => api.nextCount() === 2))
        assert.isTrue(yield* extension.isAlive)
      }))
  }
})

describe("LambdaExtension.make in a process that initializes", () => {
  let program = ""
  beforeAll(async () => {
    program = await bundle("test/lambda/registers.ts")
  })

  /** Runs the program until it ends by itself, and returns its output: the outcome and the time limit. */
  const outputOf = (api: ExtensionsApi, ...args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const child = yield* node([program, ...args], { AWS_LAMBDA_RUNTIME_API: api.address })
      const { code, stderr, stdout } = yield* child.ended
      assert.strictEqual(code, 0, stderr)
      return stdout.trim()
    })

  const testProcess = (title: string, test: (api: ExtensionsApi) => Effect.Effect<void, never, Scope.Scope>) =>
    it.scopedLive(title, () => Effect.flatMap(makeServer, test))

  testProcess(
    "has registered when it returns, and does not hold the process while it waits for an event",
    (api) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* outputOf(api, "unlimited"), "registered 2000")
        assert.strictEqual(api.requests[0]!.headers["lambda-extension-name"], "effect-threadstats")
        assert.deepStrictEqual(JSON.parse(api.requests[0]!.body), { events: ["INVOKE"] })
      })
  )

  for (
    const [reason, condition, answer] of [
      ["Refused", "Lambda refuses the registration", json(403, {})],
      ["Connection", "the connection breaks before the answer", "broken connection"],
      ["Truncated", "the answer breaks off", "truncated body"]
    ] as const
  ) {
    testProcess(`fails with the reason ${reason} when ${condition}`, (api) =>
      Effect.gen(function*() {
        api.register = () => answer
        assert.strictEqual(yield* outputOf(api, "unlimited"), `${reason} 2000`)
      }))
  }

  testProcess(
    "fails with the reason TimedOut when there is no answer within its limit of two seconds",
    (api) =>
      Effect.gen(function*() {
        api.register = () => undefined
        assert.strictEqual(yield* outputOf(api), "TimedOut 2000")
      })
  )
})
