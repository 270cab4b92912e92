import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import { lambdaProgram } from "effect-threadstats/Lambda"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { readFileSync } from "node:fs"
import { layerInProcess } from "../support/intake.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { WireError, type WireItem } from "../support/wireReporter.js"
import { emptyLambdaContext, withLambdaContext } from "./lambdaContext.js"
import {
  deliveredDistributions,
  layerObserved,
  layerOver,
  layerReporting,
  Log,
  note,
  observe
} from "./observedClient.js"

const it = sweepKeys(apiKey)

describe("nested lambdaProgram", () => {
  it.effect("leaves the periodic flush and the last flush to the outermost program of the client", () =>
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
      assert.deepStrictEqual(yield* Log, ["flush closed", "inner finalizer", "inner ended", "flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["inner = 10", "outer = 30"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("does not flush when the inner program fails and the outer program handles the failure", () =>
    Effect.gen(function*() {
      const inner = lambdaProgram(Effect.fail("inner"))
      const handled = Effect.catchAll(inner, (error) => Effect.as(note("handled"), error))
      assert.strictEqual(yield* lambdaProgram(handled), "inner")
      assert.deepStrictEqual(yield* Log, ["handled", "flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes each client once when programs of two clients alternate", () =>
    Effect.gen(function*() {
      const log = yield* Log
      const client = yield* ThreadStats.ThreadStats
      const programOf = (name: string) => {
        const observed = observe({ ...client, flush: () => Effect.succeed({} as never) }, log, `${name}: `)
        return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.provideService(lambdaProgram(effect), ThreadStats.ThreadStats, observed)
      }
      const first = programOf("first")
      const second = programOf("second")
      yield* note("innermost").pipe(first, second, first)
      assert.deepStrictEqual(log, ["innermost", "second: flush all", "first: flush all"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("flushes for itself when it outlives the outer program", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const startedInside = lambdaProgram(Effect.zipRight(Deferred.await(gate), ThreadStats.distribution("inner", 1)))
      const startedAfter = Effect.zipRight(Deferred.await(gate), lambdaProgram(ThreadStats.distribution("late", 1)))
      const inner = yield* lambdaProgram(Effect.forkDaemon(startedInside))
      const late = yield* lambdaProgram(Effect.forkDaemon(startedAfter))
      assert.deepStrictEqual(yield* Log, ["flush all", "flush all"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(inner)
      yield* Fiber.join(late)
      assert.deepStrictEqual(yield* Log, ["flush all", "flush all", "flush all", "flush all"])
      assert.deepStrictEqual((yield* deliveredDistributions).toSorted(), ["inner = 1", "late = 1"])
    }).pipe(Effect.provide(layerObserved)))

  it.effect("sends the requests of the reference for one wrapped invocation", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const connected = yield* Deferred.make<void>()
      const client = HttpClient.tap(yield* HttpClient.HttpClient, () => Deferred.succeed(connected, undefined))
      const handler = Lambda.makeHandler({
        handler: () =>
          Effect.gen(function*() {
            yield* Deferred.await(connected)
            yield* lambdaProgram(Lambda.lambdaMetric("inner.dist", 10))
            yield* Lambda.lambdaMetric("outer.dist", 30, { tags: ["k:v"] })
          }),
        layer: Layer.provide(
          ThreadStats.layerHttpClientWith({
            apiUrl: intake.url,
            apiKey: Redacted.make(apiKey),
            compress: false,
            periodicFlush: false
          }),
          Layer.succeed(HttpClient.HttpClient, client)
        )
      })
      yield* Effect.promise(() => handler({}, emptyLambdaContext))

      const wire = JSON.parse(readFileSync(new URL("../fixtures/wire.json", import.meta.url), "utf8"))
      const ofReference = wire.lambdaWrapper as ReadonlyArray<Record<"method" | "path" | "body", unknown>>
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(comparable), ofReference.map(comparable))
      assert.deepStrictEqual(requests.map(({ status }) => status), [200, 202])
    }).pipe(Effect.provide(layerInProcess({ apiKey: Redacted.make(apiKey) }))))

  /** A request without the properties in which two clients may differ: timestamps, and the order of series and tags. */
  const comparable = ({ body, method, path }: { method: unknown; path: unknown; body: unknown }) => ({
    method,
    path,
    body: body === undefined || body === null ? undefined : {
      series: (body as { series: ReadonlyArray<Record<string, any>> }).series
        .map((series) => ({
          host: null,
          device: null,
          ...series,
          metric: String(series["metric"]),
          tags: [...series["tags"] ?? []].toSorted(),
          points: series["points"].map(([, values]: [unknown, unknown]) => values)
        }))
        .toSorted((a, b) => a.metric.localeCompare(b.metric))
    }
  })
})

describe("overlapping lambdaProgram", () => {
  it.effect("flushes at the end of each program, with the points that any of them recorded until then", () =>
    Effect.gen(function*() {
      const invocation = (id: string, steps: ReadonlyArray<Duration.DurationInput>) =>
        lambdaProgram(Effect.gen(function*() {
          yield* Effect.addFinalizer(() => note(`${id} closed`))
          for (const step of steps) {
            yield* Lambda.lambdaMetric("step", 1, { tags: { id } })
            yield* Effect.sleep(step)
          }
          return id
        }))
      const a = yield* Effect.fork(invocation("a", ["1 second", "1 second"]))
      const b = yield* Effect.fork(invocation("b", ["1500 millis", "1500 millis", "1 second"]))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(a), "a")
      assert.deepStrictEqual(yield* Log, ["a closed", "flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["step id:a = 1,1", "step id:b = 1,1"])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(b), "b")
      assert.deepStrictEqual(yield* Log, ["a closed", "flush all", "b closed", "flush all"])
      assert.deepStrictEqual(yield* deliveredDistributions, ["step id:a = 1,1", "step id:b = 1,1", "step id:b = 1"])
    }).pipe(Effect.provide(layerObserved)))

  /** A reporter that takes 200 milliseconds for a batch, and the batches with the time at which it got them. */
  const makeSlowReporter = () => {
    const batches: Array<readonly [time: number, names: ReadonlyArray<string>]> = []
    const reporter = layerReporting((batch) =>
      Effect.flatMap(TestClock.currentTimeMillis, (now) => {
        batches.push([now, batch.map(({ metric }) => metric)])
        return Effect.delay(
          Effect.succeed({ ...Reporter.emptyReceipt, items: batch.length, payloads: 1 }),
          "200 millis"
        )
      })
    )
    return { batches, layer: layerOver(reporter) }
  }
  /** An invocation that records one point and lasts one second. */
  const oneSecond = (name: string) =>
    ThreadStats.distribution(name, 1).pipe(
      Effect.zipRight(Effect.sleep("1 second")),
      lambdaProgram(),
      withLambdaContext(3000)
    )

  it.effect("shares one flush among 64 programs that end together, and sends each point once", () =>
    Effect.suspend(() => {
      const { batches, layer } = makeSlowReporter()
      return Effect.gen(function*() {
        const names = Array.from({ length: 64 }, (_, i) => `m${i}`)
        const fiber = yield* Effect.fork(Effect.forEach(names, oneSecond, { concurrency: "unbounded" }))
        yield* TestClock.adjust("1200 millis")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(batches.map(([time, batch]) => [time, batch.length]), [[1000, 64]])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("delays no flush by more than one other flush when a program always overlaps with the next", () =>
    Effect.suspend(() => {
      const { batches, layer } = makeSlowReporter()
      return Effect.gen(function*() {
        const count = 25
        const fibers: Array<Fiber.RuntimeFiber<void>> = []
        for (let i = 0; i < count; i++) {
          fibers.push(yield* Effect.fork(oneSecond(`m${i}`)))
          yield* TestClock.adjust("100 millis")
        }
        // A program lasts one second, and waits for at most two flushes of 200 milliseconds.
        for (let i = 0; i * 100 + 1400 < count * 100; i++) {
          assert.strictEqual((yield* Fiber.poll(fibers[i]!))._tag, "Some", `m${i}`)
        }
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(Fiber.all(fibers))
        const sent = batches.flatMap(([time, batch]) => batch.map((name) => [name, time] as const))
        assert.strictEqual(sent.length, count)
        for (const [name, time] of sent) assert.isAtMost(time, Number(name.slice(1)) * 100 + 1200, name)
      }).pipe(Effect.provide(layer))
    }))
})

describe("lambdaProgram outcome", () => {
  const bodies: ReadonlyArray<readonly [outcome: string, Effect.Effect<string, string>]> = [
    ["result", Effect.succeed("result")],
    ["failure", Effect.fail("failure")],
    ["defect", Effect.die("defect")],
    ["interruption", Effect.interrupt]
  ]
  const refuse = (batch: ReadonlyArray<WireItem>) =>
    new WireError({
      reason: "ServerError",
      endpoint: "test",
      description: "down",
      undelivered: batch,
      refused: [],
      ambiguous: [],
      receipt: Reporter.emptyReceipt
    })

  /** Runs a body as an invocation that records one point. Fails the test unless it has ended after the flush timeout. */
  const assertOutcome = (
    body: Effect.Effect<string, string>,
    reporter: Layer.Layer<Reporter.Reporter>,
    metrics: Partial<ThreadStats.Stats["metrics"]>,
    prepare: Effect.Effect<unknown, never, ThreadStats.ThreadStats> = Effect.void
  ) =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<{
        readonly exit: Exit.Exit<string, string>
        readonly expected: Exit.Exit<string, string>
        readonly stats: ThreadStats.Stats
      }>()
      const fiber = yield* Effect.gen(function*() {
        yield* prepare
        const expected = yield* Effect.exit(body)
        const exit = yield* Effect.exit(lambdaProgram(Effect.zipRight(Lambda.lambdaMetric("orders", 1), body)))
        yield* Deferred.succeed(ended, { exit, expected, stats: yield* ThreadStats.stats })
      }).pipe(Effect.provide(layerOver(reporter)), Effect.fork)
      yield* TestClock.adjust("5 seconds")
      const hasEnded = yield* Deferred.isDone(ended)
      // The layer flushes once more when it closes, and takes the flush timeout again.
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      assert.isTrue(hasEnded)
      const { exit, expected, stats } = yield* Deferred.await(ended)
      assert.deepStrictEqual(exit, expected)
      assert.deepInclude(stats.metrics, metrics)
    })

  const reporters: ReadonlyArray<
    readonly [
      behavior: string,
      (batch: ReadonlyArray<WireItem>) => Effect.Effect<Reporter.Receipt, WireError>
    ]
  > = [
    ["fails", refuse],
    ["dies", () => Effect.die(new Error("the reporter died"))],
    ["throws", () => {
      throw new Error("the reporter threw")
    }],
    ["interrupts itself", () => Effect.interrupt],
    ["does not end", () => Effect.never],
    ["does not end and cannot be interrupted", () => Effect.uninterruptible(Effect.never)]
  ]
  for (const [behavior, report] of reporters) {
    for (const [outcome, body] of bodies) {
      it.effect(`keeps the ${outcome} of the body within the flush timeout when the reporter ${behavior}`, () =>
        assertOutcome(body, layerReporting(report), { received: 1, delivered: 0, pending: 1 }).pipe(
          Logger.withMinimumLogLevel(LogLevel.None)
        ))
    }
  }

  for (const [outcome, body] of bodies) {
    it.effect(`keeps the ${outcome} of the body when a logger throws at the warning of a failed flush`, () =>
      Effect.suspend(() => {
        let calls = 0
        const throwing = Logger.make(() => {
          calls++
          throw new Error("the logger threw")
        })
        return assertOutcome(body, layerReporting(refuse), { received: 1, delivered: 0 }).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, throwing)),
          Effect.zipRight(Effect.sync(() => assert.isAbove(calls, 0)))
        )
      }))

    it.effect(`keeps the ${outcome} of the body and delivers the points when a flush hook throws`, () =>
      Effect.gen(function*() {
        let calls = 0
        const hook = () => {
          calls++
          throw new Error("the hook threw")
        }
        const scope = yield* Effect.scope
        const addHook = Effect.flatMap(
          ThreadStats.ThreadStats,
          (client) => Effect.provideService(client.onFlush(hook), Scope.Scope, scope)
        )
        yield* assertOutcome(body, Reporter.layerNoop, { received: 1, delivered: 1, pending: 0 }, addHook)
        assert.isAbove(calls, 0)
      }).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.None)))
  }

  it.effect("keeps the result when the client's flush dies, fails or interrupts itself", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      for (const flush of [Effect.die("flush"), Effect.fail("flush"), Effect.interrupt]) {
        const result = yield* Effect.succeed("result").pipe(
          lambdaProgram(),
          Effect.provideService(ThreadStats.ThreadStats, { ...client, flush: () => flush as Effect.Effect<never> })
        )
        assert.strictEqual(result, "result")
      }
    }).pipe(Effect.provide(layerObserved)))
})
