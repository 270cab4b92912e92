/** Places where `lambdaProgram` finds its deadline, and its last flush when there is none. */
import * as AwsHandler from "@effect-aws/lambda/LambdaHandler"
import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { makeLambdaContext, withLambdaContext } from "./lambdaContext.js"
import { layerOver } from "./observedClient.js"

/** Time limits of the flushes, and lines of the log. */
class Noted
  extends Context.Tag("test/Noted")<Noted, { readonly timeouts: Array<unknown>; readonly lines: Array<string> }>()
{}

const layerNoted = Layer.unwrapEffect(Effect.sync(() => {
  const noted = { timeouts: Array<unknown>(), lines: Array<string>() }
  const client = Layer.effect(
    ThreadStats.ThreadStats,
    Effect.map(ThreadStats.ThreadStats, (client): ThreadStats.ThreadStats["Type"] => ({
      ...client,
      flush: (options) => {
        const { timeout } = options ?? {}
        noted.timeouts.push(timeout === undefined ? undefined : Duration.toMillis(timeout))
        return client.flush(options)
      }
    }))
  ).pipe(Layer.provide(layerOver(Reporter.layerNoop)))
  const logger = Logger.make(({ logLevel, message }) => {
    noted.lines.push(`${logLevel.label} ${[message].flat().join(" ")}`)
  })
  return Layer.mergeAll(client, Layer.succeed(Noted, noted), Logger.replace(Logger.defaultLogger, logger))
}))

const onLambda = Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_FUNCTION_NAME", "orders"]])))
const outsideLambda = Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))

const program = lambdaProgram(Effect.void)

describe("lambdaProgram deadline", () => {
  it.effect("comes from the context of a handler that it wraps", () =>
    Effect.gen(function*() {
      const context = yield* makeLambdaContext(3000)
      const handler = lambdaProgram((event: string, _: Lambda.LambdaContext) =>
        Effect.map(Lambda.LambdaContext, ({ awsRequestId }) => `${event} ${awsRequestId}`)
      )
      assert.strictEqual(yield* handler("event", context), "event request")
      assert.deepStrictEqual((yield* Noted).timeouts, [2900])
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("comes from the context that @effect-aws/lambda provides to an HTTP API", () =>
    Effect.gen(function*() {
      const context = yield* makeLambdaContext(3000)
      // The tag of the package is internal, and `LambdaHandler.context` reads it.
      const tag = Context.GenericTag<Lambda.LambdaContext>("@effect-aws/lambda/LambdaHandler/Context")
      const found = yield* Effect.zipRight(program, AwsHandler.context()).pipe(Effect.provideService(tag, context))
      assert.strictEqual(found as unknown, context)
      assert.deepStrictEqual((yield* Noted).timeouts, [2900])
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("comes from the context of the invocation around it, for a program of another client", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const inner = Effect.provideService(program, ThreadStats.ThreadStats, { ...client })
      const context = yield* makeLambdaContext(3000)
      yield* lambdaProgram(
        Effect.mapInputContext(
          inner,
          (services: Context.Context<never>) => Context.omit(Lambda.LambdaContext)(services)
        )
      ).pipe(Effect.provideService(Lambda.LambdaContext, context))
      assert.deepStrictEqual((yield* Noted).timeouts, [2900, 2900])
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("comes from the context inside the context of a durable function", () =>
    Effect.gen(function*() {
      const lambdaContext = yield* makeLambdaContext(3000)
      yield* Effect.provideService(program, Lambda.LambdaContext, { lambdaContext } as never)
      assert.deepStrictEqual((yield* Noted).timeouts, [2900])
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("is taken as one second away, with one warning per client, when Lambda's context is not found", () =>
    Effect.gen(function*() {
      yield* program
      yield* Effect.provideService(program, Lambda.LambdaContext, null as never)
      yield* withLambdaContext(3000, { getRemainingTimeInMillis: () => Number.NaN })(program)
      const { lines, timeouts } = yield* Noted
      assert.deepStrictEqual(timeouts, [1000, 1000, 1000])
      assert.lengthOf(lines, 1)
      assert.match(lines[0]!, /^WARN The last flush of every invocation ends after 1000 milliseconds: .*LambdaContext$/)
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("is unknown, without a warning, outside Lambda", () =>
    Effect.gen(function*() {
      yield* program
      const { lines, timeouts } = yield* Noted
      assert.deepStrictEqual(timeouts, [Infinity])
      assert.deepStrictEqual(lines, [])
    }).pipe(outsideLambda, Effect.provide(layerNoted)))

  it.effect("limits no flush of a Managed Instance that has run beyond it", () =>
    Effect.gen(function*() {
      yield* withLambdaContext(3000, { getRemainingTimeInMillis: () => -1 })(program)
      assert.deepStrictEqual((yield* Noted).timeouts, [Infinity])
    }).pipe(onLambda, Effect.provide(layerNoted)))

  it.effect("is taken as one second away when the logger throws at the warning", () =>
    Effect.gen(function*() {
      const throwing = Logger.make(() => {
        throw new Error("the logger threw")
      })
      assert.strictEqual(
        yield* Effect.as(program, "done").pipe(Effect.provide(Logger.replace(Logger.defaultLogger, throwing))),
        "done"
      )
      assert.deepStrictEqual((yield* Noted).timeouts, [1000])
    }).pipe(onLambda, Effect.provide(layerNoted)))
})
