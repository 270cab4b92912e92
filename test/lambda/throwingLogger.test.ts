/** A logger that throws changes no outcome. `invocation.test.ts` has the warnings of a failed flush. */
import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as TestClock from "effect/TestClock"
import { json, makeInProcess } from "./extensionsApi.js"
import { makeLambdaContext, rejectionOf, withLambdaContext } from "./lambdaContext.js"
import { layerOver } from "./observedClient.js"

/** A logger that throws at every line, and the number of its lines. Effect's own debug lines are among them. */
const makeThrowingLogger = () => {
  const calls = { count: 0 }
  const logger = Logger.make(() => {
    calls.count++
    throw new Error("the logger threw")
  })
  const layer = Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.minimumLogLevel(LogLevel.All))
  return { calls, layer }
}

const programs: ReadonlyArray<readonly [outcome: string, program: Effect.Effect<string, string>]> = [
  ["result", Effect.succeed("result")],
  ["failure", Effect.fail("failure")],
  ["defect", Effect.die("defect")],
  ["interruption", Effect.interrupt]
]

describe("lambdaProgram with a logger that throws", () => {
  for (const [outcome, program] of programs) {
    it.effect(`keeps the ${outcome} of its body when every flush dies`, () =>
      Effect.gen(function*() {
        const { layer } = makeThrowingLogger()
        const client = yield* ThreadStats.ThreadStats
        let flushes = 0
        const flush = () => {
          flushes++
          return Effect.die("flush")
        }
        const invocation = Effect.zipRight(Effect.sleep("2800 millis"), program).pipe(
          lambdaProgram({ flushInterval: "1 second" }),
          withLambdaContext(3000),
          Effect.provideService(ThreadStats.ThreadStats, { ...client, flush })
        )
        const fiber = yield* Effect.zip(Effect.exit(invocation), Effect.exit(program)).pipe(
          Effect.provide(layer),
          Effect.fork
        )
        yield* TestClock.adjust("2800 millis")
        const [exit, expected] = yield* Fiber.join(fiber)
        assert.deepStrictEqual(exit, expected)
        // On the interval after one and two seconds, at the deadline's margin, and at the end.
        assert.strictEqual(flushes, 4)
      }).pipe(Effect.provide(layerOver(Reporter.layerNoop))))
  }
})

describe("makeHandler with a logger that throws", () => {
  const makeHandler = (program: Effect.Effect<string, string>, logger: Layer.Layer<never>) =>
    Lambda.makeHandler({
      handler: () => program,
      layer: Layer.provideMerge(layerOver(Reporter.layerNoop), logger),
      // Outside Lambda the registration fails, with a warning.
      flush: LambdaExtension.afterResponseWith()
    })

  it("resolves with the result of its program", async () => {
    const { layer } = makeThrowingLogger()
    const context = await Effect.runPromise(makeLambdaContext(10_000))
    assert.strictEqual(await makeHandler(Effect.succeed("result"), layer)({}, context), "result")
  })

  for (const [failure, error] of [["failure", "failure"], ["defect", "defect"]] as const) {
    it(`rejects with the ${failure} of its program`, async () => {
      const { layer } = makeThrowingLogger()
      const context = await Effect.runPromise(makeLambdaContext(10_000))
      const program = failure === "failure" ? Effect.fail(error) : Effect.die(error)
      assert.strictEqual(await rejectionOf(makeHandler(program, layer)({}, context)), error)
    })
  }
})

describe("LambdaExtension with a logger that throws", () => {
  it.scoped("stops with one line, and runs work before it returns, once Lambda no longer knows the extension", () =>
    Effect.gen(function*() {
      const { calls, layer } = makeThrowingLogger()
      const api = yield* makeInProcess
      const extension = yield* LambdaExtension.make({ blocking: false }).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_RUNTIME_API", api.address]]))),
        Effect.provide(layer)
      )
      yield* api.answerNext(json(403, {}))
      yield* TestClock.adjust(0)
      assert.strictEqual(calls.count, 1)
      assert.isFalse(yield* extension.isAlive)
      const done = yield* Deferred.make<void>()
      yield* extension.afterResponse("a", Effect.asVoid(Deferred.succeed(done, undefined)))
      assert.isTrue(yield* Deferred.isDone(done))
    }))

  it.scoped("registers as the flush mode of a handler, or provides nothing when Lambda refuses it", () =>
    Effect.gen(function*() {
      const { calls, layer } = makeThrowingLogger()
      const api = yield* makeInProcess
      api.register = () => json(403, {})
      const mode = LambdaExtension.afterResponseWith({ blocking: false })
      const exit = yield* Layer.build(mode.layer).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_RUNTIME_API", api.address]]))),
        Effect.provide(layer),
        Effect.exit
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.isAbove(calls.count, 0)
    }))
})
