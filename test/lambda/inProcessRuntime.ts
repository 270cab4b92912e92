/** Runs `LambdaRuntime.run` in the test's process and on its clock, against the fake Runtime API. */
import { assert, it } from "@effect/vitest"
import type * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type * as TestServices from "effect/TestServices"
import * as RuntimeApi from "../support/runtimeApi.js"
import { nextTurn } from "../support/wait.js"

export class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {
  override get message(): string {
    return `no ${this.item} left`
  }
}

/** Log entries as text. */
export class Logs extends Context.Tag("test/Logs")<Logs, Array<string>>() {}

const layerLogs = Layer.unwrapEffect(Effect.sync(() => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    const text = `${logLevel.label} ${[message].flat().join(" ")} ${Cause.isEmpty(cause) ? "" : Cause.pretty(cause)}`
    lines.push(text.trim())
  })
  return Layer.merge(Layer.succeed(Logs, lines), Logger.replace(Logger.defaultLogger, logger))
}))

/** Time of the test's clock at the start of each test. */
export const startTime = 1_700_000_000_000

/** Registers a test that has a fake Runtime API, the log entries, and a clock that only the test moves. */
export const testRuntime = (
  title: string,
  test: (
    api: RuntimeApi.RuntimeApi
  ) => Effect.Effect<void, unknown, Scope.Scope | Logs | TestServices.TestServices>
) =>
  it.scoped(title, () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(startTime)
      yield* Effect.addFinalizer(() => Effect.sync(() => delete process.env["_X_AMZN_TRACE_ID"]))
      yield* test(yield* RuntimeApi.make)
    }).pipe(Effect.provide(layerLogs)))

/** Provides the environment variables of a runtime that uses this API. */
export const withEnvironment = (api: { readonly address: string }, variables: Record<string, string> = {}) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(
    new Map(Object.entries({ AWS_LAMBDA_RUNTIME_API: api.address, ...variables }))
  ))

export interface StartOptions<R> {
  readonly layer?: Layer.Layer<Exclude<R, Scope.Scope | Lambda.LambdaContext> | ThreadStats.ThreadStats>
  readonly variables?: Record<string, string>
  readonly concurrency?: number
}

/** Forks a runtime that runs until the scope closes. The scope then does not wait for the deadlines of its invocations. */
export const start = <Event, A, E, R>(
  api: { readonly address: string },
  handler: LambdaRuntime.RuntimeOptions<Event, A, E, R, never>["handler"],
  options: StartOptions<R> = {}
) =>
  LambdaRuntime.run({
    handler,
    layer: options.layer ?? (ThreadStats.layerTest as Layer.Layer<any>),
    concurrency: options.concurrency
  }).pipe(
    withEnvironment(api, options.variables),
    Effect.forkScoped,
    Effect.zipLeft(Effect.addFinalizer(() => TestClock.adjust("1 minute")))
  )

/** Answers with the events one by one, and returns the post for each. */
export const invoke = (api: RuntimeApi.RuntimeApi, ...events: ReadonlyArray<RuntimeApi.Next>) =>
  Effect.forEach(events, (event) => Effect.zipRight(api.next(event), api.posted))

export const failureOf = <A, E>(exit: Exit.Exit<A, E>): E =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) as E : assert.fail("the effect succeeded")

/**
 * Waits until 50 turns of the event loop in a row leave the value unchanged. The operating system does not announce that the
 * buffers of a connection are full.
 */
export const settled = (value: () => number): Effect.Effect<void> =>
  Effect.gen(function*() {
    let last = value()
    for (let turns = 0; turns < 50; turns++) {
      yield* nextTurn
      if (value() === last) continue
      last = value()
      turns = -1
    }
  })
