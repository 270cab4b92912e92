import { assert, describe, it } from "@effect/vitest"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { beforeAll } from "vitest"
import { bundle, node } from "./support/childProcess.js"

/** What a request for an event, or a registration, is answered with. */
type Answer = (response: ServerResponse) => void

interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A stand-in for the Extensions API. */
interface Api {
  readonly address: string
  readonly seen: Array<Seen>
  /** How registrations are answered. */
  register: Answer
  /** Waits for a request for the next event that has no answer yet, and answers it. */
  readonly answer: (answer: Answer) => Effect.Effect<void>
  /** The same, with the event of an invocation. */
  readonly invoke: (requestId: string, deadlineMs?: number) => Effect.Effect<void>
  /** Waits for a request for the next event. */
  readonly asked: Effect.Effect<void>
  /** How many requests for the next event there were. */
  readonly nexts: () => number
  /** Lets this process, and so the extension, do what it has to do. */
  readonly settle: Effect.Effect<void>
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => (response) =>
  response.writeHead(status, headers).end(JSON.stringify(body))

const broken: Answer = (response) => response.destroy()

const makeApi: Effect.Effect<Api, never, Scope.Scope> = Effect.gen(function*() {
  const seen: Array<Seen> = []
  const waiting: Array<ServerResponse> = []
  const onAsked: Array<() => void> = []
  let nexts = 0
  const server = createServer((request, response) => {
    const path = (request.url ?? "").replace("/2020-01-01/extension/", "")
    let body = ""
    request.on("data", (chunk) => {
      body += chunk
    })
    request.on("end", () => {
      if (path === "settle") return response.end()
      seen.push({ method: request.method!, path, headers: request.headers, body })
      if (path === "register") return self.register(response)
      nexts++
      waiting.push(response)
      response.on("close", () => {
        const at = waiting.indexOf(response)
        if (at !== -1) waiting.splice(at, 1)
      })
      for (const resume of onAsked.splice(0)) resume()
    })
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const asked = Effect.async<void>((resume) => {
    if (waiting.length > 0) return resume(Effect.void)
    onAsked.push(() => resume(Effect.void))
  })
  const answer = (answer: Answer) => Effect.map(asked, () => answer(waiting.shift()!))
  const self: Api = {
    address,
    seen,
    register: json(200, {}, { "Lambda-Extension-Identifier": "id-1" }),
    answer,
    invoke: (requestId, deadlineMs = 60_000) => answer(json(200, { eventType: "INVOKE", requestId, deadlineMs })),
    asked,
    nexts: () => nexts,
    // A request that is sent after another one, and answered, was received after it.
    settle: Effect.repeatN(
      Effect.promise(() => fetch(`http://${address}/2020-01-01/extension/settle`).then((answer) => answer.text())),
      1
    )
  }
  return self
})

class Logs extends Context.Tag("test/Logs")<Logs, Array<string>>() {}

const layerLogs = Layer.unwrapEffect(Effect.sync(() => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel.label} ${[message].flat().join(" ")}`)
  })
  return Layer.merge(Layer.succeed(Logs, lines), Logger.replace(Logger.defaultLogger, logger))
}))

const environment = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

/** In this process, which has to answer as well, so the thread cannot be blocked. */
const make = (api: Api, variables: Record<string, string> = {}, name?: string) =>
  LambdaExtension.make({ blocking: false, name }).pipe(
    environment({ AWS_LAMBDA_RUNTIME_API: api.address, ...variables })
  )

const testing = (
  title: string,
  test: (api: Api) => Effect.Effect<void, unknown, Scope.Scope | Logs>
) => it.scoped(title, () => Effect.provide(Effect.flatMap(makeApi, test), layerLogs), 10_000)

/** Work that lasts until it is told to end. */
const gated = Effect.gen(function*() {
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

describe("a way to flush after the response", () => {
  testing("registers an extension of its options", (api) =>
    Effect.gen(function*() {
      const way = LambdaExtension.afterResponseWith({ name: "mine", blocking: false })
      const services = yield* way.given.pipe(
        environment({ AWS_LAMBDA_RUNTIME_API: api.address })
      )
      yield* api.asked
      assert.strictEqual(api.seen[0]!.headers["lambda-extension-name"], "mine")
      assert.isTrue(Option.isSome(Context.getOption(services, LambdaExtension.LambdaExtension)))
    }))
})

describe("an extension", () => {
  testing(
    "registers for invocations, and asks for the next event with its identifier",
    (api) =>
      Effect.gen(function*() {
        yield* make(api, {}, "flusher")
        yield* api.asked
        const [register, next] = api.seen
        assert.strictEqual(register!.method, "POST")
        assert.strictEqual(register!.path, "register")
        assert.strictEqual(register!.headers["lambda-extension-name"], "flusher")
        assert.deepStrictEqual(JSON.parse(register!.body), { events: ["INVOKE"] })
        assert.strictEqual(next!.method, "GET")
        assert.strictEqual(next!.path, "event/next")
        assert.strictEqual(next!.headers["lambda-extension-identifier"], "id-1")
      })
  )

  testing(
    "asks for the next event when the work of an invocation is done, and not before",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* make(api)
        for (const [index, requestId] of ["a", "b"].entries()) {
          const { end, started, work } = yield* gated
          yield* api.invoke(requestId)
          yield* api.settle
          yield* extension.afterResponse(requestId, work)
          yield* started
          yield* api.settle
          assert.strictEqual(api.nexts(), index + 1)
          yield* end
          yield* api.asked
          assert.strictEqual(api.nexts(), index + 2)
        }
      })
  )

  testing("knows work that was done before its event came", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      yield* api.asked
      const { end, exit, work } = yield* gated
      yield* end
      yield* extension.afterResponse("a", work)
      yield* exit
      yield* api.settle
      assert.strictEqual(api.nexts(), 1)
      yield* api.invoke("a")
      yield* api.asked
      assert.strictEqual(api.nexts(), 2)
    }))

  testing("waits for all the work of an invocation", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      const first = yield* gated
      const second = yield* gated
      yield* api.invoke("a")
      yield* extension.afterResponse("a", first.work)
      yield* extension.afterResponse("a", second.work)
      yield* first.end
      yield* first.exit
      yield* api.settle
      assert.strictEqual(api.nexts(), 1)
      yield* second.end
      yield* api.asked
    }))

  testing("starts the work after what the end of an invocation has started", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      yield* api.invoke("a")
      const order: Array<string> = []
      const done = yield* Deferred.make<void>()
      yield* extension.afterResponse(
        "a",
        Effect.zipRight(Effect.sync(() => order.push("work")), Deferred.succeed(done, undefined))
      )
      order.push("returned")
      // As AWS's runtime client does: a promise's callback, then the event loop.
      void Promise.resolve().then(() => {
        order.push("settled")
        setImmediate(() => order.push("posted"))
      })
      yield* Deferred.await(done)
      assert.deepStrictEqual(order, ["returned", "settled", "posted", "work"])
    }))

  testing("lets go of an invocation whose work dies", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      yield* api.invoke("a")
      yield* extension.afterResponse("a", Effect.die("on purpose"))
      yield* api.asked
      assert.isTrue(yield* extension.isAlive)
    }))

  testing("lets go of an invocation that has no work 100 ms before its deadline", (api) =>
    Effect.gen(function*() {
      yield* make(api)
      yield* api.invoke("a", 5000)
      yield* api.settle
      yield* TestClock.adjust(4899)
      yield* api.settle
      assert.strictEqual(api.nexts(), 1)
      yield* TestClock.adjust(1)
      yield* api.asked
    }))

  testing("interrupts work 100 ms before the deadline", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      const { exit, started, work } = yield* gated
      yield* api.invoke("a", 5000)
      yield* api.settle
      yield* extension.afterResponse("a", work)
      yield* started
      yield* TestClock.adjust(4900)
      assert.isTrue(Exit.isInterrupted(yield* exit))
      yield* api.asked
    }))

  testing("does not wait beyond that for work that cannot be interrupted", (api) =>
    Effect.gen(function*() {
      const extension = yield* make(api)
      const { end, started, work } = yield* gated
      yield* api.invoke("a", 5000)
      yield* api.settle
      yield* extension.afterResponse("a", Effect.uninterruptible(work))
      yield* started
      yield* TestClock.adjust(4900)
      yield* api.asked
      yield* end
    }))

  testing(
    "has late work done before it returns, when it has let go of the invocation",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* make(api)
        yield* api.invoke("a")
        yield* extension.afterResponse("a", Effect.void)
        yield* api.asked
        const { end, started, work } = yield* gated
        const late = yield* Effect.fork(extension.afterResponse("a", work))
        yield* started
        assert.isNull(late.unsafePoll())
        yield* end
        yield* Fiber.join(late)
      })
  )

  testing(
    "interrupts what is under way when its scope closes, and lets go of all invocations from then on",
    (api) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const extension = yield* Scope.extend(make(api), scope)
        const { exit, started, work } = yield* gated
        yield* api.invoke("a")
        yield* extension.afterResponse("a", work)
        yield* started
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(Exit.isInterrupted(yield* exit))
        assert.isFalse(yield* extension.isAlive)
        yield* api.invoke("b")
        yield* api.asked
        assert.strictEqual(api.nexts(), 3)
        const done = yield* Deferred.make<void>()
        yield* extension.afterResponse("c", Effect.asVoid(Deferred.succeed(done, undefined)))
        assert.isTrue(yield* Deferred.isDone(done))
        assert.lengthOf(yield* Logs, 0)
      })
  )

  testing("lets go of an invocation without work when its scope closes", (api) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.extend(make(api), scope)
      yield* api.invoke("a")
      yield* api.settle
      assert.strictEqual(api.nexts(), 1)
      yield* Scope.close(scope, Exit.void)
      yield* api.asked
    }))
})

describe("an extension that gets no event", () => {
  /** Waits until it has stopped. */
  const stopped = (extension: LambdaExtension.LambdaExtension["Type"], api: Api) =>
    Effect.repeat(Effect.zipRight(api.settle, extension.isAlive), { until: (isAlive) => !isAlive })

  testing(
    "stops when Lambda does not know it, with one warning, and has work done before it returns",
    (api) =>
      Effect.gen(function*() {
        const extension = yield* make(api)
        assert.isTrue(yield* extension.isAlive)
        yield* api.answer(json(403, { errorType: "Extension.UnknownExtensionIdentifier", errorMessage: "who?" }))
        yield* stopped(extension, api)
        const logs = yield* Logs
        assert.deepStrictEqual(logs, [
          "WARN the Lambda Extensions API failed at \"next\": status 403: Extension.UnknownExtensionIdentifier: who?; " +
          "from now on the response waits for what is left to do"
        ])
        const { end, started, work } = yield* gated
        const waits = yield* Effect.fork(extension.afterResponse("a", work))
        yield* started
        assert.isNull(waits.unsafePoll())
        yield* end
        yield* Fiber.join(waits)
        assert.strictEqual(api.nexts(), 1)
        assert.lengthOf(logs, 1)
      })
  )

  for (
    const [what, answer] of [
      ["a broken connection", broken],
      ["a 500", json(500, {})],
      ["an event without a request", json(200, { eventType: "INVOKE", deadlineMs: 1 })],
      ["an event without a deadline", json(200, { eventType: "INVOKE", requestId: "a" })],
      ["another event", json(200, { eventType: "SHUTDOWN", requestId: "a", deadlineMs: 1 })],
      ["no JSON", (response) => response.end("{")]
    ] as ReadonlyArray<[string, Answer]>
  ) {
    testing(`asks again after ${what}, four times, and stops then`, (api) =>
      Effect.gen(function*() {
        const extension = yield* make(api)
        yield* api.answer(answer)
        yield* api.settle
        yield* TestClock.adjust(50)
        yield* api.invoke("a")
        yield* extension.afterResponse("a", Effect.void)
        for (const pause of [50, 100, 200, 400, 0]) {
          yield* api.answer(answer)
          yield* api.settle
          yield* TestClock.adjust(pause)
        }
        yield* stopped(extension, api)
        assert.strictEqual(api.nexts(), 7)
        assert.lengthOf(yield* Logs, 1)
      }))
  }
})

describe("a registration", () => {
  const failing = (
    title: string,
    reason: LambdaExtension.LambdaExtensionError["reason"],
    status: number | undefined,
    register: Answer
  ) =>
    testing(title, (api) =>
      Effect.gen(function*() {
        api.register = register
        const error = yield* Effect.flip(make(api))
        assert.instanceOf(error, LambdaExtension.LambdaExtensionError)
        assert.strictEqual(error.operation, "register")
        assert.strictEqual(error.reason, reason)
        assert.strictEqual(error.status, status)
        assert.strictEqual(api.nexts(), 0)
      }))

  failing("that is refused", "Refused", 403, json(403, { errorType: "Extension.RegistrationClosed" }))
  failing("that gets no identifier", "Malformed", undefined, json(200, {}))
  failing("that gets no answer", "Connection", undefined, broken)
  failing("whose answer breaks off", "Truncated", undefined, (response) => {
    response.writeHead(200, { "content-length": "10", "Lambda-Extension-Identifier": "id-1" })
    response.write("{", () => response.destroy())
  })

  testing("is given up after two seconds", (api) =>
    Effect.gen(function*() {
      const registered = yield* Effect.async<void>((resume) => {
        api.register = () => resume(Effect.void)
      }).pipe(Effect.fork)
      yield* Effect.yieldNow()
      const made = yield* Effect.fork(Effect.flip(make(api)))
      yield* Fiber.join(registered)
      yield* TestClock.adjust(1999)
      assert.isNull(made.unsafePoll())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(made) as Effect.Effect<any>).reason, "TimedOut")
    }))

  testing("is not tried on a Managed Instance", (api) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(make(api, { AWS_LAMBDA_MAX_CONCURRENCY: "8" }))
      assert.strictEqual((error as LambdaExtension.LambdaExtensionError).reason, "Unsupported")
      assert.lengthOf(api.seen, 0)
    }))

  it.scoped("outside Lambda says which variable is missing", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(LambdaExtension.layer()).pipe(environment({})))
      assert.isTrue(Exit.isFailure(exit))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.isTrue(ConfigError.isConfigError(error))
      assert.include(String(error), "AWS_LAMBDA_RUNTIME_API")
    }))
})

describe("a process that registers while it initialises", () => {
  let program = ""
  beforeAll(async () => {
    program = await bundle("test/emulator/registers.ts")
  })

  /** What it says of it, once it has ended by itself. */
  const ended = (api: Api, variables: Record<string, string> = {}) =>
    Effect.gen(function*() {
      const child = yield* node([program], { AWS_LAMBDA_RUNTIME_API: api.address, ...variables })
      const { code, stderr, stdout } = yield* child.ended
      assert.strictEqual(code, 0, stderr)
      return stdout.trim()
    })

  const live = (title: string, test: (api: Api) => Effect.Effect<void, never, Scope.Scope>) =>
    it.scopedLive(title, () => Effect.flatMap(makeApi, test), 20_000)

  live("has registered when it goes on, and may end although it waits for an event", (api) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ended(api), "registered")
      assert.strictEqual(api.seen[0]!.headers["lambda-extension-name"], "effect-threadstats")
      assert.deepStrictEqual(JSON.parse(api.seen[0]!.body), { events: ["INVOKE"] })
    }))

  live("is told what went wrong", (api) =>
    Effect.gen(function*() {
      api.register = json(403, {})
      assert.strictEqual(yield* ended(api), "Refused")
      api.register = broken
      assert.strictEqual(yield* ended(api), "Connection")
    }))

  live("goes on after two seconds without an answer", (api) =>
    Effect.gen(function*() {
      api.register = () => {}
      const [time, said] = yield* Effect.timed(ended(api))
      assert.strictEqual(said, "TimedOut")
      assert.isBelow(Duration.toMillis(time), 10_000)
    }))
})
