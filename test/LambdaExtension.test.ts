import { assert, describe, it } from "@effect/vitest"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { type Answer, type ExtensionsApi, failedRegistrations, json, makeInProcess } from "./lambda/extensionsApi.js"
import { nextTurn } from "./support/wait.js"

class Logs extends Context.Tag("test/Logs")<Logs, Array<string>>() {}

const layerLogs = Layer.unwrapEffect(Effect.sync(() => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel.label} ${[message].flat().join(" ")}`)
  })
  return Layer.merge(Layer.succeed(Logs, lines), Logger.replace(Logger.defaultLogger, logger))
}))

const withVariables = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

/** An extension that registers without blocking the thread, since the fake of the API answers on this thread. */
const makeExtension = (api: ExtensionsApi, variables: Record<string, string> = {}, name?: string) =>
  LambdaExtension.make({ blocking: false, name }).pipe(
    withVariables({ AWS_LAMBDA_RUNTIME_API: api.address, ...variables })
  )

const testWithApi = (
  title: string,
  test: (api: ExtensionsApi) => Effect.Effect<void, unknown, Scope.Scope | Logs>
) => it.scoped(title, () => Effect.provide(Effect.flatMap(makeInProcess, test), layerLogs))

/** Lets all fibers run until they wait for something. */
const settle = TestClock.adjust(0)

/** Work that lasts until the test ends it. */
const makeWork = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const gate = yield* Deferred.make<void>()
  const exit = yield* Deferred.make<Exit.Exit<void>>()
  return {
    work: Deferred.succeed(started, undefined).pipe(
      Effect.zipRight(Deferred.await(gate)),
      Effect.onExit((result) => Deferred.succeed(exit, result))
    ),
    started: Deferred.await(started),
    end: Deferred.succeed(gate, undefined),
    exit: Deferred.await(exit)
  }
})

describe("LambdaExtension.make", () => {
  testWithApi(
    "registers for invocations, and requests the next event with the identifier of the answer",
    (api) =>
      Effect.gen(function*() {
        yield* makeExtension(api, {}, "flusher")
        yield* api.nextRequested
        const [register, next] = api.requests
        assert.strictEqual(register!.method, "POST")
        assert.strictEqual(register!.path, "register")
        assert.strictEqual(register!.headers["lambda-extension-name"], "flusher")
        assert.deepStrictEqual(JSON.parse(register!.body), { events: ["INVOKE"] })
        assert.strictEqual(next!.method, "GET")
        assert.strictEqual(next!.path, "event/next")
        assert.strictEqual(next!.headers["lambda-extension-identifier"], "id-1")
      })
  )

  for (const [condition, reason, status, answer] of failedRegistrations) {
    testWithApi(`fails with the reason ${reason} when ${condition}`, (api) =>
      Effect.gen(function*() {
        api.register = () => answer
        const error = yield* Effect.flip(makeExtension(api))
        assert.instanceOf(error, LambdaExtension.LambdaExtensionError)
        assert.strictEqual(error.operation, "register")
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.status, status)
        assert.strictEqual(api.nextCount(), 0)
      }))
  }

  testWithApi(
    "fails with the reason TimedOut after two seconds without an answer to the registration",
    (api) =>
      Effect.gen(function*() {
        api.register = () => undefined
        const fiber = yield* Effect.fork(Effect.flip(makeExtension(api)))
        yield* TestClock.adjust(1999)
        assert.lengthOf(api.requests, 1)
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust(1)
        const error = yield* Fiber.join(fiber)
        assert.strictEqual((error as LambdaExtension.LambdaExtensionError).reason, "TimedOut")
      })
  )

  testWithApi(
    "fails with the reason Unsupported, without a request, on a Lambda Managed Instance",
    (api) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(makeExtension(api, { AWS_LAMBDA_MAX_CONCURRENCY: "8" }))
        assert.strictEqual((error as LambdaExtension.LambdaExtensionError).reason, "Unsupported")
        assert.lengthOf(api.requests, 0)
      })
  )

  it.scoped("fails with a ConfigError that names AWS_LAMBDA_RUNTIME_API outside Lambda", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(LambdaExtension.layer).pipe(withVariables({})))
      assert.isTrue(Exit.isFailure(exit))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.isTrue(ConfigError.isConfigError(error))
      assert.include(String(error), "AWS_LAMBDA_RUNTIME_API")
    }))

  testWithApi(
    "interrupts work and releases every later invocation at once when its scope closes",
    (api) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const extension = yield* Scope.extend(makeExtension(api), scope)
        const { exit, started, work } = yield* makeWork
        yield* api.invoke("a")
        yield* extension.afterResponse("a", work)
        yield* started
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.isInterrupted(yield* exit))
        assert.isFalse(yield* extension.isAlive)
        yield* api.invoke("b")
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), 3)
        const done = yield* Deferred.make<void>()
        yield* extension.afterResponse("c", Effect.asVoid(Deferred.succeed(done, undefined)))
        assert.isTrue(yield* Deferred.isDone(done))
        assert.lengthOf(yield* Logs, 0)
      })
  )

  testWithApi("releases an invocation without work when its scope closes", (api) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.extend(makeExtension(api), scope)
      yield* api.invoke("a")
      yield* settle
      assert.strictEqual(api.nextCount(), 1)
      yield* Scope.close(scope, Exit.void)
      yield* api.nextRequested
    }))

  testWithApi("stops with one warning when Lambda does not know its identifier", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      assert.isTrue(yield* extension.isAlive)
      const answer = json(403, { errorType: "Extension.UnknownExtensionIdentifier", errorMessage: "unknown" })
      yield* api.answerNext(answer)
      yield* settle
      assert.isFalse(yield* extension.isAlive)
      const [line, ...others] = yield* Logs
      assert.lengthOf(others, 0)
      assert.match(line!, /^WARN /)
      assert.include(line!, "status 403: Extension.UnknownExtensionIdentifier: unknown")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(api.nextCount(), 1)
    }))

  const invalidAnswers: ReadonlyArray<readonly [string, Answer]> = [
    ["a broken connection", "broken connection"],
    ["an answer that breaks off", "truncated body"],
    ["a status of 500", json(500, {})],
    ["an event without a request id", json(200, { eventType: "INVOKE", deadlineMs: 1 })],
    ["an event without a deadline", json(200, { eventType: "INVOKE", requestId: "a" })],
    ["an event that is not an invocation", json(200, { eventType: "SHUTDOWN", requestId: "a", deadlineMs: 1 })],
    ["an answer that is not JSON", { status: 200, headers: {}, body: "{" }]
  ]
  for (const [condition, answer] of invalidAnswers) {
    testWithApi(
      `requests the next event again, four times at most, after ${condition}`,
      (api) =>
        Effect.gen(function*() {
          const extension = yield* makeExtension(api)
          // An event ends the series of attempts.
          yield* api.answerNext(answer)
          yield* TestClock.adjust(50)
          yield* api.invoke("a")
          yield* extension.afterResponse("a", Effect.void)
          yield* api.nextRequested
          let count = api.nextCount()
          for (const pause of [50, 100, 200, 400]) {
            yield* api.answerNext(answer)
            yield* TestClock.adjust(pause - 1)
            assert.strictEqual(api.nextCount(), count)
            yield* TestClock.adjust(1)
            assert.strictEqual(api.nextCount(), ++count)
          }
          assert.isTrue(yield* extension.isAlive)
          yield* api.answerNext(answer)
          yield* settle
          assert.isFalse(yield* extension.isAlive)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(api.nextCount(), 7)
          assert.lengthOf(yield* Logs, 1)
        })
    )
  }
})

describe("LambdaExtension.afterResponse work", () => {
  testWithApi("holds the next event back until the work of the invocation has ended", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      for (const [index, requestId] of ["a", "b"].entries()) {
        const { end, started, work } = yield* makeWork
        yield* api.invoke(requestId)
        yield* settle
        yield* extension.afterResponse(requestId, work)
        yield* started
        yield* settle
        assert.strictEqual(api.nextCount(), index + 1)
        yield* end
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), index + 2)
      }
    }))

  testWithApi(
    "releases the invocation at once when its work has ended before its event comes",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.nextRequested
        const { end, exit, work } = yield* makeWork
        yield* end
        yield* extension.afterResponse("a", work)
        yield* exit
        yield* settle
        assert.strictEqual(api.nextCount(), 1)
        yield* api.invoke("a")
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), 2)
      })
  )

  testWithApi("waits for all works of one invocation", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      const first = yield* makeWork
      const second = yield* makeWork
      yield* api.invoke("a")
      yield* extension.afterResponse("a", first.work)
      yield* extension.afterResponse("a", second.work)
      yield* first.end
      yield* first.exit
      yield* settle
      assert.strictEqual(api.nextCount(), 1)
      yield* second.end
      yield* api.nextRequested
    }))

  testWithApi(
    "starts after the promise callbacks and the event loop turn in which the response leaves",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.invoke("a")
        const order: Array<string> = []
        const done = yield* Deferred.make<void>()
        yield* extension.afterResponse(
          "a",
          Effect.zipRight(Effect.sync(() => order.push("work")), Deferred.succeed(done, undefined))
        )
        order.push("returned")
        // AWS's runtime client sends the response from a promise callback, and in the next turn of the event loop.
        void Promise.resolve().then(() => {
          order.push("settled")
          setImmediate(() => order.push("posted"))
        })
        yield* Deferred.await(done)
        assert.deepStrictEqual(order, ["returned", "settled", "posted", "work"])
      })
  )

  /** Lets other fibers run before one operation of a fiber. */
  const yieldBefore = (operation: number) => {
    let operations = 0
    return Effect.withScheduler({
      scheduleTask: (task, priority, fiber) => Scheduler.defaultScheduler.scheduleTask(task, priority, fiber),
      shouldYield: () => ++operations === operation ? 0 : false
    })
  }

  testWithApi(
    "releases the invocation when its caller is interrupted before any operation",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        for (let operation = 1; operation <= 20; operation++) {
          yield* api.invoke(`request-${operation}`)
          yield* settle
          const fiber = yield* extension.afterResponse(`request-${operation}`, Effect.void).pipe(
            yieldBefore(operation),
            Effect.fork
          )
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(fiber)
          yield* TestClock.adjust("1 seconds")
          assert.strictEqual(api.nextCount(), operation + 1)
        }
      })
  )

  testWithApi("releases the invocation when the work dies", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      yield* api.invoke("a")
      yield* extension.afterResponse("a", Effect.die("on purpose"))
      yield* api.nextRequested
      assert.isTrue(yield* extension.isAlive)
    }))

  testWithApi("is interrupted 100 milliseconds before the deadline", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      const { exit, started, work } = yield* makeWork
      yield* api.invoke("a", 5000)
      yield* settle
      yield* extension.afterResponse("a", work)
      yield* started
      yield* TestClock.adjust(4899)
      assert.strictEqual(api.nextCount(), 1)
      yield* TestClock.adjust(1)
      assert.isTrue(Exit.isInterrupted(yield* exit))
      yield* api.nextRequested
    }))

  testWithApi(
    "does not hold the invocation beyond the deadline when it cannot be interrupted",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        const { end, started, work } = yield* makeWork
        yield* api.invoke("a", 5000)
        yield* settle
        yield* extension.afterResponse("a", Effect.uninterruptible(work))
        yield* started
        yield* TestClock.adjust(4900)
        yield* api.nextRequested
        yield* end
      })
  )

  testWithApi(
    "runs before afterResponse returns when the invocation was already released",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.invoke("a")
        yield* extension.afterResponse("a", Effect.void)
        yield* api.nextRequested
        const { end, started, work } = yield* makeWork
        const fiber = yield* Effect.fork(extension.afterResponse("a", work))
        yield* started
        yield* settle
        assert.isNull(fiber.unsafePoll())
        yield* end
        yield* Fiber.join(fiber)
      })
  )

  testWithApi(
    "runs before afterResponse returns when the extension is no longer alive",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.answerNext(json(403, {}))
        yield* settle
        assert.isFalse(yield* extension.isAlive)
        const { end, started, work } = yield* makeWork
        const fiber = yield* Effect.fork(extension.afterResponse("a", work))
        yield* started
        yield* settle
        assert.isNull(fiber.unsafePoll())
        yield* end
        yield* Fiber.join(fiber)
        assert.lengthOf(yield* Logs, 1)
      })
  )
})

describe("LambdaExtension.begin", () => {
  testWithApi(
    "releases an invocation 20 milliseconds after its event when no handler has begun it",
    (api) =>
      Effect.gen(function*() {
        yield* makeExtension(api)
        for (const [count, requestId] of [[2, "a"], [3, "b"]] as const) {
          yield* api.invoke(requestId, 5_000_000)
          yield* TestClock.adjust(19)
          yield* nextTurn
          assert.strictEqual(api.nextCount(), count - 1)
          yield* TestClock.adjust(1)
          yield* api.nextRequested
          assert.strictEqual(api.nextCount(), count)
        }
      })
  )

  testWithApi("releases the invocation when its scope has closed and no work is left", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      for (const [count, requestId] of [[2, "a"], [3, "an id of the caller"]] as const) {
        const scope = yield* Scope.make()
        yield* api.invoke(count === 2 ? "a" : "b", 5_000_000)
        yield* Scope.extend(extension.begin(requestId), scope)
        yield* TestClock.adjust(30_000)
        yield* nextTurn
        assert.strictEqual(api.nextCount(), count - 1)
        yield* Scope.close(scope, Exit.void)
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), count)
      }
    }))

  for (const requestId of ["a", "an id of the caller"]) {
    for (const [order, isFirst] of [["before", true], ["after", false]] as const) {
      testWithApi(
        `holds the invocation until the scope has closed when ${requestId} begins ${order} its event arrives`,
        (api) =>
          Effect.gen(function*() {
            const extension = yield* makeExtension(api)
            const scope = yield* Scope.make()
            const begin = Scope.extend(extension.begin(requestId), scope)
            if (isFirst) yield* begin
            yield* api.invoke("a", 60_000)
            yield* TestClock.adjust(5)
            if (!isFirst) yield* begin
            yield* TestClock.adjust(30_000)
            yield* nextTurn
            assert.strictEqual(api.nextCount(), 1)
            const { end, started, work } = yield* makeWork
            yield* extension.afterResponse(requestId, work)
            yield* started
            yield* Scope.close(scope, Exit.void)
            yield* settle
            assert.strictEqual(api.nextCount(), 1)
            yield* end
            yield* api.nextRequested
          })
      )
    }
  }

  testWithApi(
    "releases an invocation that ends without work, also when it ends before its event arrives",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.nextRequested
        yield* Effect.scoped(extension.begin("a"))
        yield* api.invoke("a")
        yield* api.nextRequested
        yield* Effect.scoped(Effect.zipRight(extension.begin("b"), api.invoke("b")))
        yield* api.nextRequested
        assert.strictEqual(api.nextCount(), 3)
      })
  )

  for (const requestId of ["a", "an id of the caller"]) {
    testWithApi(
      `runs the work of ${requestId} before afterResponse returns when it begins after the release`,
      (api) =>
        Effect.gen(function*() {
          const extension = yield* makeExtension(api)
          yield* api.invoke("a")
          yield* TestClock.adjust(20)
          yield* api.nextRequested
          const done = yield* Deferred.make<void>()
          yield* Effect.scoped(Effect.zipRight(
            extension.begin(requestId),
            extension.afterResponse(requestId, Effect.asVoid(Deferred.succeed(done, undefined)))
          ))
          assert.isTrue(yield* Deferred.isDone(done))
          // The next invocation is held again.
          const { end, started, work } = yield* makeWork
          const finish = extension.unsafeBegin("b")
          yield* api.invoke("b")
          yield* extension.afterResponse("b", work)
          finish()
          yield* started
          yield* settle
          assert.strictEqual(api.nextCount(), 2)
          yield* end
          yield* api.nextRequested
        })
    )
  }

  testWithApi("holds an invocation that Lambda repeats under its old request id", (api) =>
    Effect.gen(function*() {
      const extension = yield* makeExtension(api)
      for (const count of [1, 2]) {
        yield* api.invoke("a")
        yield* settle
        const finish = extension.unsafeBegin("a")
        const { end, started, work } = yield* makeWork
        yield* extension.afterResponse("a", work)
        finish()
        yield* started
        yield* settle
        assert.strictEqual(api.nextCount(), count)
        yield* end
        yield* api.nextRequested
      }
    }))

  testWithApi(
    "does not let an invocation without an end hold the events of later ones",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* makeExtension(api)
        yield* api.invoke("a", 5000)
        yield* settle
        extension.unsafeBegin("a")
        yield* TestClock.adjust(4899)
        assert.strictEqual(api.nextCount(), 1)
        yield* TestClock.adjust(1)
        yield* api.invoke("b", 60_000)
        yield* settle
        const finish = extension.unsafeBegin("b")
        yield* extension.afterResponse("b", Effect.void)
        finish()
        yield* api.nextRequested
        yield* api.invoke("c", 60_000)
        yield* TestClock.adjust(20)
        yield* api.nextRequested
      })
  )
})

describe("LambdaExtension.afterResponseWith", () => {
  testWithApi("registers an extension with its options, and provides it as a service", (api) =>
    Effect.gen(function*() {
      const mode = LambdaExtension.afterResponseWith({ name: "mine", blocking: false })
      const services = yield* Layer.build(mode.layer).pipe(withVariables({ AWS_LAMBDA_RUNTIME_API: api.address }))
      yield* api.nextRequested
      assert.strictEqual(api.requests[0]!.headers["lambda-extension-name"], "mine")
      assert.isTrue(Option.isSome(Context.getOption(services, LambdaExtension.LambdaExtension)))
    }))
})
