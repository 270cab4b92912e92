import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { afterEach, beforeAll } from "vitest"
import { bundle, node } from "./support/childProcess.js"
import { layerIntake } from "./support/intake.js"
import * as RuntimeApi from "./support/runtimeApi.js"
import { recordingTracer } from "./support/tracer.js"

class NoStock extends Data.TaggedError("NoStock")<{ readonly item: string }> {
  override get message(): string {
    return `no ${this.item} left`
  }
}

/** What was logged, as text. */
class Logs extends Context.Tag("test/Logs")<Logs, Array<string>>() {}

const layerLogs = Layer.unwrapEffect(Effect.sync(() => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    lines.push(`${logLevel.label} ${[message].flat().join(" ")} ${Cause.isEmpty(cause) ? "" : Cause.pretty(cause)}`)
  })
  return Layer.merge(Layer.succeed(Logs, lines), Logger.replace(Logger.defaultLogger, logger))
}))

const environmentOf = (api: RuntimeApi.RuntimeApi, variables: Record<string, string> = {}) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(
    new Map(Object.entries({ AWS_LAMBDA_RUNTIME_API: api.address, ...variables }))
  ))

/** A runtime in this process, until the scope closes. */
const start = <Event, A, E, R>(
  api: RuntimeApi.RuntimeApi,
  handler: LambdaRuntime.Options<Event, A, E, R, never>["handler"],
  options: {
    readonly layer?: Layer.Layer<Exclude<R, Scope.Scope | Lambda.LambdaContext> | ThreadStats.ThreadStats>
    readonly variables?: Record<string, string>
    readonly concurrency?: number
  } = {}
) =>
  LambdaRuntime.run({
    handler,
    layer: options.layer ?? (ThreadStats.layerTest as Layer.Layer<any>),
    concurrency: options.concurrency
  }).pipe(environmentOf(api, options.variables), Effect.forkScoped)

/** Sends events one by one, and gives what was posted for each. */
const invoke = (api: RuntimeApi.RuntimeApi, ...events: ReadonlyArray<RuntimeApi.Next>) =>
  Effect.forEach(events, (event) => Effect.zipRight(api.next(event), api.posted))

const running = (
  title: string,
  test: (api: RuntimeApi.RuntimeApi) => Effect.Effect<void, unknown, Scope.Scope | Logs>
) => it.scopedLive(title, () => Effect.provide(Effect.flatMap(RuntimeApi.make, test), layerLogs), 10_000)

const failureOf = <A, E>(exit: Exit.Exit<A, E>): E =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) as E : assert.fail("it did not fail")

afterEach(() => {
  delete process.env["_X_AMZN_TRACE_ID"]
})

describe("an invocation", () => {
  running("is answered with its result, and the next one is asked for", (api) =>
    Effect.gen(function*() {
      yield* start(api, (event: { readonly n: number }) => Effect.succeed({ twice: event.n * 2 }))
      const posts = yield* invoke(api, { event: { n: 1 } }, { event: { n: 21 } })
      assert.deepStrictEqual(posts.map(({ json, path }) => ({ path, json })), [
        { path: "invocation/1/response", json: { twice: 2 } },
        { path: "invocation/2/response", json: { twice: 42 } }
      ])
      assert.strictEqual(posts[0]!.headers["content-type"], "application/json")
      assert.strictEqual(posts[0]!.headers["content-length"], "11")
      yield* api.idle
      assert.deepStrictEqual(api.log, ["next", "invocation/1/response", "next", "invocation/2/response", "next"])
    }))

  running("may have an id that must be escaped, and texts beyond ASCII", (api) =>
    Effect.gen(function*() {
      yield* start(api, (event: string) => Effect.succeed(event))
      const [post] = yield* invoke(api, { id: "a/b?c", event: "\"żółw 🐢\"" })
      assert.strictEqual(post!.path, "invocation/a%2Fb%3Fc/response")
      assert.strictEqual(post!.json, "żółw 🐢")
    }))

  running("knows what Lambda tells", (api) =>
    Effect.gen(function*() {
      const seen: Array<LambdaRuntime.RuntimeContext & { readonly remaining: number }> = []
      yield* start(api, (_: unknown, context) =>
        Effect.sync(() => {
          seen.push({ ...context, remaining: context.getRemainingTimeInMillis() })
        }), {
        variables: {
          AWS_LAMBDA_FUNCTION_NAME: "orders",
          AWS_LAMBDA_FUNCTION_VERSION: "7",
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
          AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/orders",
          AWS_LAMBDA_LOG_STREAM_NAME: "2026/11/23"
        }
      })
      const deadline = Date.now() + 5000
      yield* invoke(api, {
        headers: {
          "Lambda-Runtime-Deadline-Ms": String(deadline),
          "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7",
          "Lambda-Runtime-Client-Context": Buffer.from("{\"client\":{\"app_title\":\"żółw\"}}").toString("latin1"),
          "Lambda-Runtime-Cognito-Identity": "{\"cognitoIdentityId\":\"eu:1\"}",
          "Lambda-Runtime-Aws-Tenant-Id": "acme"
        }
      }, {})
      const [{ getRemainingTimeInMillis: _, remaining, ...first }, second] = seen as [typeof seen[0], typeof seen[0]]
      assert.deepStrictEqual(first, {
        functionName: "orders",
        functionVersion: "7",
        memoryLimitInMB: "256",
        logGroupName: "/aws/lambda/orders",
        logStreamName: "2026/11/23",
        awsRequestId: "1",
        invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        deadline,
        traceId: "Root=1-5bef4de7",
        clientContext: { client: { app_title: "żółw" } },
        identity: { cognitoIdentityId: "eu:1" },
        tenantId: "acme"
      })
      assert.isTrue(remaining > 3000 && remaining <= 5000, String(remaining))
      for (const absent of ["traceId", "clientContext", "identity", "tenantId"] as const) {
        assert.isUndefined(second[absent])
      }
      assert.deepStrictEqual(yield* Logs, [])
    }))

  running(
    "with a malformed client context or identity goes without, with a warning that does not quote it",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, (_: unknown, { clientContext, identity }) => Effect.succeed([clientContext, identity]))
        const [post] = yield* invoke(api, {
          headers: { "Lambda-Runtime-Client-Context": "{secret", "Lambda-Runtime-Cognito-Identity": "secret" }
        })
        assert.deepStrictEqual(post!.json, [null, null])
        assert.deepStrictEqual((yield* Logs).map((line) => line.trim()), [
          "WARN Invocation 1 has a header lambda-runtime-client-context that is no JSON",
          "WARN Invocation 1 has a header lambda-runtime-cognito-identity that is no JSON"
        ])
      })
  )

  running("knows its context as a service, too", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.map(Lambda.LambdaContext, ({ awsRequestId }) => awsRequestId))
      assert.strictEqual((yield* invoke(api, { id: "abc" }))[0]!.json, "abc")
    }))

  running("has its trace id, or none, in the process's environment", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.sync(() => process.env["_X_AMZN_TRACE_ID"] ?? "none"))
      const posts = yield* invoke(api, { headers: { "Lambda-Runtime-Trace-Id": "Root=1" } }, {})
      assert.deepStrictEqual(posts.map(({ json }) => json), ["Root=1", "none"])
    }))

  running("leaves nothing behind in the fiber that runs the next", (api) =>
    Effect.gen(function*() {
      const ref = FiberRef.unsafeMake(0)
      yield* start(api, () => FiberRef.updateAndGet(ref, (n) => n + 1))
      const posts = yield* invoke(api, {}, {})
      assert.deepStrictEqual(posts.map(({ json }) => json), [1, 1])
    }))

  running("is interruptible inside: a timeout in a handler works", (api) =>
    Effect.gen(function*() {
      yield* start(
        api,
        () => Effect.timeoutTo(Effect.never, { duration: 5, onTimeout: () => "late", onSuccess: String })
      )
      const [post] = yield* invoke(api, {})
      assert.strictEqual(post!.json, "late")
    }))

  for (
    const [name, value, sent] of [
      ["nothing", undefined, "null"],
      ["null", null, "null"],
      ["a text", "done", "\"done\""],
      ["a function", () => 1, "null"],
      ["a date", { at: new Date(0) }, "{\"at\":\"1970-01-01T00:00:00.000Z\"}"]
    ] as const
  ) {
    running(`that results in ${name} is answered with ${sent}`, (api) =>
      Effect.gen(function*() {
        yield* start(api, () => Effect.succeed(value))
        const [post] = yield* invoke(api, {})
        assert.strictEqual(post!.path, "invocation/1/response")
        assert.strictEqual(post!.text, sent)
      }))
  }

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (
    const [name, value, message] of [
      ["a BigInt", { n: 1n }, /BigInt/],
      ["a cycle", cycle, /circular/],
      ["a toJSON that throws", { toJSON: () => assert.fail("no") }, /no/]
    ] as const
  ) {
    running(`that results in ${name} has failed, and the loop goes on`, (api) =>
      Effect.gen(function*() {
        yield* start(api, (event: { readonly good?: boolean }) => Effect.succeed(event.good === true ? "good" : value))
        const [bad, good] = yield* invoke(api, {}, { event: { good: true } })
        assert.strictEqual(bad!.path, "invocation/1/error")
        assert.strictEqual(bad!.json.errorType, "Runtime.MarshalError")
        assert.match(bad!.json.errorMessage, message)
        assert.strictEqual(good!.json, "good")
      }))
  }

  for (const event of ["", "{\"card\": \"4111", "secret"]) {
    running(
      `whose event is no JSON (${JSON.stringify(event)}) has failed, unquoted, and the loop goes on`,
      (api) =>
        Effect.gen(function*() {
          let calls = 0
          yield* start(api, () => Effect.sync(() => ++calls))
          const [bad, good] = yield* invoke(api, { event }, {})
          assert.strictEqual(bad!.path, "invocation/1/error")
          assert.strictEqual(bad!.headers["lambda-runtime-function-error-type"], "Runtime.UnmarshalError")
          assert.strictEqual(bad!.json.errorMessage, `the event is no JSON (${event.length} characters)`)
          assert.strictEqual(good!.json, 1)
          assert.notMatch(bad!.text + (yield* Logs).join("\n"), /4111|secret/)
        })
    )
  }
})

describe("an invocation that fails", () => {
  const reported = <E>(effect: Effect.Effect<unknown, E>) => (api: RuntimeApi.RuntimeApi) =>
    Effect.gen(function*() {
      yield* start(api, (event: { readonly fail?: boolean }) => event.fail === true ? effect : Effect.succeed("next"))
      const [post, after] = yield* invoke(api, { event: { fail: true } }, {})
      assert.strictEqual(post!.path, "invocation/1/error")
      assert.strictEqual(post!.headers["content-type"], "application/json")
      assert.strictEqual(after!.json, "next")
      const logs = yield* Logs
      assert.lengthOf(logs, 1)
      assert.match(logs[0]!, /^ERROR Invocation 1 failed /)
      return { ...post!.json, header: post!.headers["lambda-runtime-function-error-type"] }
    })

  const cases: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, string, string]> = [
    ["a tagged error", new NoStock({ item: "tea" }), "NoStock", "no tea left"],
    ["a tagged error in a span", Effect.withSpan(new NoStock({ item: "tea" }), "span"), "NoStock", "no tea left"],
    ["an error", Effect.fail<unknown>(new RangeError("too much")), "RangeError", "too much"],
    ["a defect", Effect.die(new TypeError("a bug")), "TypeError", "a bug"],
    ["a throw", Effect.suspend(() => assert.fail("thrown")), "AssertionError", "thrown"],
    ["a text", Effect.fail("no stock"), "string", "no stock"],
    [
      "a tagged value",
      Effect.fail({ _tag: "NoStock", item: "tea" }),
      "NoStock",
      "{\"_tag\":\"NoStock\",\"item\":\"tea\"}"
    ],
    ["nothing", Effect.fail(undefined), "undefined", "undefined"],
    ["interruption", Effect.interrupt, "LambdaInterrupted", "the invocation was interrupted before it had a result"],
    [
      "a ConfigError",
      Effect.fail(ConfigError.MissingData(["SHOP"], "not set")),
      "ConfigError",
      "(Missing data at SHOP: \"not set\")"
    ]
  ]
  for (const [name, effect, errorType, errorMessage] of cases) {
    running(`with ${name} is answered with it`, (api) =>
      Effect.gen(function*() {
        const { stackTrace, ...rest } = yield* reported(effect)(api)
        assert.deepStrictEqual(rest, { errorType, errorMessage, header: errorType })
        assert.isArray(stackTrace)
        if (name === "an error") assert.match(stackTrace[1], /^ {4}at .*LambdaRuntime\.test/)
      }))
  }

  running("with a name that is no header's value is told apart all the same", (api) =>
    Effect.gen(function*() {
      const error: unknown = Object.assign(new Error("x"), { name: "Bad\r\nNäme: 1" })
      const report = yield* reported(Effect.fail(error))(api)
      assert.strictEqual(report.errorType, "Bad\r\nNäme: 1")
      assert.strictEqual(report.header, "Bad__N_me:_1")
    }))

  running("with an error that cannot be read is answered", (api) =>
    Effect.gen(function*() {
      const error = new Proxy({}, {
        get: () => {
          throw new TypeError("no")
        }
      })
      yield* start(api, () => Effect.fail(error)).pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.None)))
      const [post] = yield* invoke(api, {})
      assert.strictEqual(post!.path, "invocation/1/error")
    }))

  running("because its scope's finalizer dies is answered with that", (api) =>
    Effect.gen(function*() {
      const { errorMessage } = yield* reported(
        Effect.scoped(Effect.addFinalizer(() => Effect.die(new Error("close failed"))))
      )(api)
      assert.strictEqual(errorMessage, "close failed")
    }))

  running("with an error of megabytes is cut", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.die(new Error("x".repeat(3_000_000)))).pipe(
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
      const [post] = yield* invoke(api, {})
      assert.isBelow(post!.text.length, 250_000)
    }))
})

describe("what was recorded", () => {
  const noted = (api: RuntimeApi.RuntimeApi) =>
    Layer.map(ThreadStats.layerTest, (context) =>
      Context.add(
        context,
        ThreadStats.ThreadStats,
        ThreadStats.ThreadStats.of({
          ...Context.get(context, ThreadStats.ThreadStats),
          flush: (options) =>
            Effect.zipRight(
              Effect.sync(() => api.log.push("flush")),
              Context.get(context, ThreadStats.ThreadStats).flush(options)
            )
        })
      ))

  for (const end of ["success", "failure"] as const) {
    running(
      `is flushed after the answer has left, and before the next invocation is asked for, on ${end}`,
      (api) =>
        Effect.gen(function*() {
          const memory = yield* Deferred.make<Reporter.MemoryReporter["Type"]>()
          yield* start(api, () =>
            Effect.gen(function*() {
              yield* Deferred.succeed(memory, yield* Reporter.MemoryReporter)
              yield* Effect.addFinalizer(() => Lambda.lambdaMetric("closed", 1))
              yield* Lambda.lambdaMetric("orders", 12)
              if (end === "failure") yield* Effect.fail("no stock")
            }), { layer: noted(api) })
          yield* invoke(api, {})
          yield* api.idle
          const path = `invocation/1/${end === "success" ? "response" : "error"}`
          assert.deepStrictEqual(api.log, ["next", path, "flush", "next"])
          const sent = yield* Effect.flatMap(Deferred.await(memory), (self) => self.distributions)
          assert.deepStrictEqual(sent.map(({ metric }) => metric).toSorted(), ["closed", "orders"])
        })
    )
  }

  running("is flushed before the deadline of an invocation that hangs", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.zipRight(Lambda.lambdaMetric("orders", 12), Effect.never), { layer: noted(api) })
      yield* api.next({ time: 300 })
      yield* Effect.repeat(Effect.sleep(2), { until: () => api.log.includes("flush") })
      assert.deepStrictEqual(api.log, ["next", "flush"])
    }))

  running(
    "of a scope that closes is answered for: the scope closes before the answer leaves",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, () =>
          Effect.zipRight(
            Effect.addFinalizer(() => Effect.sync(() => api.log.push("closed"))),
            Effect.sync(() => api.log.push("body"))
          ))
        yield* invoke(api, {})
        assert.deepStrictEqual(api.log.slice(0, 4), ["next", "body", "closed", "invocation/1/response"])
      })
  )
})

describe("the Runtime API's answer to a post", () => {
  running(
    "413: the invocation has failed with Runtime.ResponseTooLarge, and the loop goes on",
    (api) =>
      Effect.gen(function*() {
        api.reply = (path) => ({ status: path === "invocation/1/response" ? 413 : 202 })
        yield* start(api, () => Effect.succeed("big"))
        const [tooLarge, error] = [(yield* invoke(api, {}))[0]!, yield* api.posted]
        assert.strictEqual(tooLarge.path, "invocation/1/response")
        assert.strictEqual(error.path, "invocation/1/error")
        assert.strictEqual(error.json.errorType, "Runtime.ResponseTooLarge")
        assert.strictEqual(error.json.errorMessage, "the result is too large for Lambda (5 bytes)")
        assert.strictEqual((yield* invoke(api, {}))[0]!.path, "invocation/2/response")
      })
  )

  running("a broken connection, for a result of more than 6 MiB: the same", (api) =>
    Effect.gen(function*() {
      api.reply = (path) => path === "invocation/1/response" ? "destroy" : { status: 202 }
      yield* start(api, () => Effect.succeed("x".repeat(6 * 1024 * 1024)))
      yield* api.next({})
      const error = yield* Effect.repeat(api.posted, { until: ({ path }) => path === "invocation/1/error" })
      assert.strictEqual(error.json.errorType, "Runtime.ResponseTooLarge")
      yield* api.idle
    }))

  for (const status of [400, 403, 404]) {
    for (const operation of ["response", "error"] as const) {
      running(
        `${status} to ${operation}: it is told in the log, and the loop goes on`,
        (api) =>
          Effect.gen(function*() {
            api.reply = () => ({
              status,
              body: "{\"errorType\":\"InvalidStateTransition\",\"errorMessage\":\"not now\"}"
            })
            yield* start(api, () => operation === "error" ? Effect.fail("no stock") : Effect.void)
            const posts = yield* invoke(api, {}, {})
            assert.deepStrictEqual(posts.map(({ path }) => path), [
              `invocation/1/${operation}`,
              `invocation/2/${operation}`
            ])
            yield* api.idle
            assert.deepStrictEqual(
              (yield* Logs).filter((line) => line.startsWith("WARN")).map((line) => line.trim()),
              [1, 2].map((id) =>
                `WARN Invocation ${id}: its ${operation} was refused with status ${status}: InvalidStateTransition: not now`
              )
            )
          })
      )
    }
  }

  for (
    const [name, reply, fields] of [
      ["500", { status: 500, body: "container error" }, { reason: "Refused", status: 500 }],
      ["301", { status: 301 }, { reason: "Refused", status: 301 }],
      ["a broken connection", "destroy", { reason: "Connection", status: undefined }]
    ] as const
  ) {
    for (const operation of ["response", "error"] as const) {
      running(`${name} to ${operation}: the runtime fails`, (api) =>
        Effect.gen(function*() {
          api.reply = () => reply
          const fiber = yield* start(api, () => operation === "error" ? Effect.fail("no stock") : Effect.void)
          yield* api.next({}, {})
          const error = failureOf(yield* Fiber.await(fiber))
          assert.instanceOf(error, LambdaRuntime.LambdaRuntimeError)
          assert.deepInclude(error, { operation, ...fields })
          assert.strictEqual(api.log.filter((entry) => entry === "next").length, 1)
        }))
    }
  }
})

describe("a poisoned answer to next ends the runtime, with one request and a clear error:", () => {
  const good = {
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Deadline-Ms": String(Date.now() + 10_000)
  }
  const deadline = (value: string | undefined) => ({ headers: { "Lambda-Runtime-Deadline-Ms": value } })
  const malformed = { reason: "Malformed", status: 200 }
  const cases: ReadonlyArray<readonly [string, RuntimeApi.Next, Record<string, unknown>, RegExp]> = [
    [
      "403 in the API's form",
      (response) =>
        response.writeHead(403).end("{\"errorType\":\"InvalidStateTransition\",\"errorMessage\":\"not now\"}"),
      { reason: "Refused", status: 403 },
      /"next": status 403: InvalidStateTransition: not now$/
    ],
    [
      "500 with a page",
      (response) => response.writeHead(500).end(`<html>${"x".repeat(5000)}`),
      { reason: "Refused", status: 500 },
      /"next": status 500: <html>x{194}$/
    ],
    ["500 with null", (response) => response.writeHead(500).end("null"), { status: 500 }, /status 500: null$/],
    ["500 without a body", (response) => response.writeHead(500).end(), { status: 500 }, /"next": status 500$/],
    ["204", (response) => response.writeHead(204, good).end(), { reason: "Refused", status: 204 }, /status 204$/],
    [
      "a redirect",
      (response) => response.writeHead(302, { ...good, location: "/" }).end(),
      { reason: "Refused", status: 302 },
      /status 302$/
    ],
    ["no request id", { headers: { "Lambda-Runtime-Aws-Request-Id": undefined } }, malformed, /without a request id$/],
    ["an empty request id", { id: "" }, malformed, /without a request id$/],
    ["no deadline", deadline(undefined), malformed, /invocation 1 has no valid deadline$/],
    ...["", "soon", "-1", "0", "1e400", "NaN", "12.5", "9".repeat(400)].map((value) =>
      [`the deadline ${JSON.stringify(value.slice(0, 9))}`, deadline(value), malformed, /no valid deadline$/] as const
    ),
    [
      "less than its length",
      (response) => {
        response.writeHead(200, { ...good, "content-length": 100 }).write("{\"secret\":")
        setTimeout(() => response.destroy(), 5)
      },
      { reason: "Truncated", status: undefined },
      /"next": the answer broke off$/
    ],
    [
      "a chunked body without its end",
      (response) => {
        response.writeHead(200, good).write("{\"secret\":")
        setTimeout(() => response.destroy(), 5)
      },
      { reason: "Truncated", status: undefined },
      /"next": the answer broke off$/
    ],
    [
      "something that is not HTTP",
      (_, { socket }) => socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
      { reason: "Connection", status: undefined },
      /"next": no answer: Parse Error/
    ],
    [
      "switching protocols",
      (_, { socket }) => socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
      { reason: "Connection", status: undefined },
      /"next": no answer: /
    ],
    [
      "a connection that breaks",
      (_, { socket }) => socket.destroy(),
      { reason: "Connection", status: undefined },
      /"next": no answer: socket hang up$/
    ]
  ]
  for (const [name, answer, fields, message] of cases) {
    running(name, (api) =>
      Effect.gen(function*() {
        let calls = 0
        const fiber = yield* start(api, () => Effect.sync(() => calls++))
        yield* api.next(answer)
        const error = failureOf(yield* Fiber.await(fiber))
        assert.instanceOf(error, LambdaRuntime.LambdaRuntimeError)
        assert.deepInclude(error, { operation: "next", ...fields } as any)
        assert.match(error.message, message)
        assert.notInclude(String(error), "secret")
        assert.deepStrictEqual(api.log.filter((entry) => entry !== "gone"), ["next"])
        assert.strictEqual(calls, 0)
      }))
  }

  running("nobody there", () =>
    Effect.gen(function*() {
      const fiber = yield* start({ address: "127.0.0.1:9" } as RuntimeApi.RuntimeApi, () => Effect.void)
      const error = failureOf(yield* Fiber.await(fiber))
      assert.deepInclude(error, { _tag: "LambdaRuntimeError", operation: "next", reason: "Connection" } as any)
      assert.match((error as Error).message, /ECONNREFUSED/)
    }))

  running("after good ones, too", (api) =>
    Effect.gen(function*() {
      const fiber = yield* start(api, () => Effect.void)
      yield* invoke(api, {}, {})
      yield* api.next((response) => response.writeHead(500).end())
      assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "next", status: 500 } as any)
      assert.strictEqual(api.log.filter((entry) => entry === "next").length, 3)
    }))
})

describe("connections", () => {
  running("are kept: many invocations use one", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.void)
      yield* invoke(api, {}, {}, {}, {}, {})
      yield* api.idle
      assert.strictEqual(api.connections(), 1)
    }))

  running(
    "that were kept, and are closed when they are used again, are replaced, once",
    (api) =>
      Effect.gen(function*() {
        const fiber = yield* start(api, () => Effect.succeed("ok"))
        yield* invoke(api, {})
        yield* api.idle
        yield* api.next((_, { socket }) => socket.resetAndDestroy())
        assert.strictEqual((yield* invoke(api, {}))[0]!.json, "ok")
        assert.strictEqual(api.connections(), 3)
        yield* api.idle
        yield* api.next((_, { socket }) => socket.resetAndDestroy(), (_, { socket }) => socket.resetAndDestroy())
        assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "next", reason: "Connection" } as any)
      })
  )

  running("carry no trace headers, and make no spans", (api) =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      yield* LambdaRuntime.run({
        handler: (event: { readonly stream?: boolean }) =>
          event.stream === true ? Stream.make("a") : Effect.withSpan(Effect.void, "mine"),
        layer: ThreadStats.layerTest
      }).pipe(
        environmentOf(api),
        Effect.withSpan("around"),
        Effect.withTracer(tracer),
        Effect.forkScoped
      )
      yield* invoke(api, {}, { event: { stream: true } })
      yield* api.idle
      assert.deepStrictEqual(spans.map(({ name }) => name), ["around", "mine"])
      assert.lengthOf(api.headers, 5)
      for (const headers of api.headers) {
        assert.deepStrictEqual(Object.keys(headers).filter((name) => /trace|b3|datadog|baggage/.test(name)), [])
      }
    }))
})

describe("a layer", () => {
  class Shop extends Context.Tag("test/Shop")<Shop, { readonly name: string }>() {}

  const withLayer = (api: RuntimeApi.RuntimeApi, shop: Layer.Layer<Shop, NoStock>) =>
    LambdaRuntime.run({
      handler: () => Effect.map(Shop, ({ name }) => name),
      layer: Layer.merge(shop, ThreadStats.layerTest)
    }).pipe(environmentOf(api))

  running("is built once, before the first invocation is asked for", (api) =>
    Effect.gen(function*() {
      yield* Effect.forkScoped(withLayer(
        api,
        Layer.sync(Shop, () => {
          api.log.push("built")
          return { name: "eu" }
        })
      ))
      const posts = yield* invoke(api, {}, {})
      assert.deepStrictEqual(posts.map(({ json }) => json), ["eu", "eu"])
      assert.deepStrictEqual(api.log.filter((entry) => entry === "built"), ["built"])
      assert.strictEqual(api.log[0], "built")
    }))

  for (
    const [how, effect, errorType] of [
      ["fails", new NoStock({ item: "shop" }), "NoStock"],
      ["dies", Effect.die(new RangeError("a bug")), "RangeError"]
    ] as const
  ) {
    running(
      `that ${how} is reported, nothing is asked for, and the error is the layer's own`,
      (api) =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(withLayer(api, Layer.effect(Shop, effect)))
          assert.strictEqual((failureOf(exit) as Error).name, errorType)
          const post = yield* api.posted
          assert.strictEqual(post.path, "init/error")
          assert.strictEqual(post.headers["lambda-runtime-function-error-type"], errorType)
          assert.strictEqual(post.json.errorType, errorType)
          assert.isNotEmpty(post.json.stackTrace)
          assert.deepStrictEqual(api.log, ["init/error"])
        })
    )
  }

  for (const reply of [{ status: 403 }, { status: 500 }, "destroy"] as const) {
    running(
      `that fails does so with its own error when its report meets ${JSON.stringify(reply)}`,
      (api) =>
        Effect.gen(function*() {
          api.reply = () => reply
          const exit = yield* Effect.exit(withLayer(api, Layer.fail(new NoStock({ item: "shop" }))))
          assert.deepStrictEqual(exit, Exit.fail(new NoStock({ item: "shop" })))
          assert.match((yield* Logs)[0]!, /^WARN the Lambda Runtime API failed at "init error": /)
        })
    )
  }

  running("that interrupts itself has failed", (api) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(withLayer(api, Layer.effect(Shop, Effect.interrupt)))
      assert.isTrue(Exit.isInterrupted(exit))
      assert.strictEqual((yield* api.posted).json.errorType, "LambdaInterrupted")
    }))

  running("that is interrupted while it is built has not failed", (api) =>
    Effect.gen(function*() {
      const building = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(withLayer(
        api,
        Layer.effect(Shop, Effect.zipRight(Deferred.succeed(building, undefined), Effect.never))
      ))
      yield* Deferred.await(building)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(api.log, [])
    }))
})

describe("settings", () => {
  const fails = (variables: Record<string, string>, concurrency?: number) =>
    LambdaRuntime.run({ handler: () => Effect.void, layer: ThreadStats.layerTest, concurrency }).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))),
      Effect.flip,
      Effect.map(String)
    )

  for (
    const [name, variables, concurrency, message] of [
      ["no address", {}, undefined, /AWS_LAMBDA_RUNTIME_API/],
      ["an empty address", { AWS_LAMBDA_RUNTIME_API: "" }, undefined, /AWS_LAMBDA_RUNTIME_API/],
      [
        "no address in it",
        { AWS_LAMBDA_RUNTIME_API: "not an address" },
        undefined,
        /AWS_LAMBDA_RUNTIME_API.*host and port/
      ],
      ["no concurrency", { AWS_LAMBDA_RUNTIME_API: "127.0.0.1:9" }, 0, /concurrency/],
      ["half a concurrency", { AWS_LAMBDA_RUNTIME_API: "127.0.0.1:9" }, 1.5, /concurrency/],
      [
        "a variable of another kind",
        { AWS_LAMBDA_RUNTIME_API: "127.0.0.1:9", AWS_LAMBDA_MAX_CONCURRENCY: "many" },
        undefined,
        /AWS_LAMBDA_MAX_CONCURRENCY/
      ]
    ] as const
  ) {
    it.live(`${name}: a ConfigError`, () =>
      Effect.gen(function*() {
        assert.match(yield* fails(variables, concurrency), message)
      }))
  }

  running("the address may be a whole one, with a path", (api) =>
    Effect.gen(function*() {
      yield* start({ ...api, address: `http://${api.address}/base/` }, () => Effect.void)
      assert.strictEqual((yield* api.posted).path, "/base invocation/next")
    }))
})

describe("types", () => {
  class Shop extends Context.Tag("test/Shop")<Shop, string>() {}
  const layer = ThreadStats.layerTest

  it("a layer must have what the handler, or its stream, needs", () => {
    const shop: Effect.Effect<string, never, Shop> = Shop
    const programs = [
      // @ts-expect-error an effect
      LambdaRuntime.run({ handler: () => shop, layer }),
      // @ts-expect-error a stream
      LambdaRuntime.run({ handler: () => Stream.fromEffect(shop), layer }),
      // @ts-expect-error a stream with metadata
      LambdaRuntime.run({ handler: () => LambdaStream.make(Stream.fromEffect(shop), {}), layer }),
      // @ts-expect-error a number is neither text nor bytes
      LambdaRuntime.run({ handler: () => Stream.make(1), layer }),
      LambdaRuntime.run({
        handler: () => Effect.zipRight(Effect.scope, shop),
        layer: Layer.merge(layer, Layer.succeed(Shop, ""))
      })
    ]
    const error: Effect.Effect<never, LambdaRuntime.LambdaRuntimeError | ConfigError.ConfigError | NoStock> =
      LambdaRuntime.run({
        handler: () => Effect.fail("the handler's errors are answered, and not the runtime's"),
        layer: Layer.merge(layer, Layer.fail(new NoStock({ item: "tea" })))
      })
    assert.isTrue([...programs, error].every(Effect.isEffect))
  })
})

describe("an interrupted runtime", () => {
  const layerNoted = (log: Array<string>) =>
    Layer.merge(
      ThreadStats.layerTest,
      Layer.scopedDiscard(Effect.addFinalizer(() => Effect.sync(() => log.push("layer closed"))))
    )

  running("gives up waiting at once, and closes its layer", (api) =>
    Effect.gen(function*() {
      const fiber = yield* start(api, () => Effect.void, { layer: layerNoted(api.log) })
      yield* api.idle
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(api.log.filter((entry) => entry !== "gone").join(), "next,layer closed")
      yield* Effect.repeat(Effect.sleep(1), { until: () => api.log.includes("gone") })
    }))

  for (const end of ["response", "error", "stream"] as const) {
    running(
      `finishes the invocation in hand (${end}), takes no other, and closes its layer`,
      (api) =>
        Effect.gen(function*() {
          const [started, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const body = Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(go))
          const fiber = yield* start(api, () =>
            end === "stream"
              ? Stream.concat(Stream.make("a"), Stream.fromEffect(Effect.as(body, "b")))
              : end === "error"
              ? Effect.zipRight(body, Effect.fail("no stock"))
              : body, { layer: layerNoted(api.log) })
          yield* api.next({}, {})
          yield* Deferred.await(started)
          const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* Effect.sleep(10)
          assert.deepStrictEqual(api.log, ["next"])
          yield* Deferred.succeed(go, undefined)
          assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interrupting)))
          assert.deepStrictEqual(api.log, [
            "next",
            `invocation/1/${end === "error" ? "error" : "response"}`,
            "layer closed"
          ])
          if (end === "stream") assert.strictEqual((yield* api.posted).text, "ab")
        })
    )
  }

  for (
    const [what, body] of [["hangs", Effect.never], [
      "cannot be interrupted",
      Effect.uninterruptible(Effect.never)
    ]] as const
  ) {
    running(`waits for an invocation that ${what} until its deadline, and no longer`, (api) =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<number>()
        const fiber = yield* start(api, (_: unknown, { deadline }) =>
          Deferred.succeed(started, deadline).pipe(
            Effect.zipRight(body),
            Effect.onInterrupt(() => Effect.sync(() => api.log.push("interrupted")))
          ), { layer: layerNoted(api.log) })
        yield* api.next({ time: 150 })
        const deadline = yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.isAtLeast(Date.now(), deadline - 2)
        assert.isBelow(Date.now(), deadline + 3000)
        assert.deepStrictEqual(api.log.filter((entry) => entry !== "interrupted"), ["next", "layer closed"])
        if (what === "hangs") yield* Effect.repeat(Effect.sleep(1), { until: () => api.log.includes("interrupted") })
        assert.deepStrictEqual((yield* Logs).map((line) => line.trim()), [
          "WARN Invocation 1 was given up at its deadline"
        ])
      }))
  }
})

describe("streaming", () => {
  const utf8 = new TextEncoder()

  running(
    "sends the chunks of a stream as they come, with the headers of a streamed response",
    (api) =>
      Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        yield* start(api, () =>
          Stream.make("", "one ", new Uint8Array(0), utf8.encode("żół")).pipe(
            Stream.concat(Stream.drain(Stream.fromEffect(Deferred.await(go)))),
            Stream.concat(Stream.make("w"))
          ))
        yield* api.next({})
        yield* Effect.repeat(Effect.sleep(1), { until: () => api.partial.get("invocation/1/response") === "one żół" })
        yield* Deferred.succeed(go, undefined)
        const post = yield* api.posted
        assert.strictEqual(post.text, "one żółw")
        assert.strictEqual(post.headers["lambda-runtime-function-response-mode"], "streaming")
        assert.strictEqual(post.headers["transfer-encoding"], "chunked")
        assert.strictEqual(post.headers["content-type"], "application/octet-stream")
        assert.strictEqual(post.headers["connection"], "close")
        assert.strictEqual(
          post.headers["trailer"],
          "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        )
        assert.deepStrictEqual(post.trailers, {})
        assert.strictEqual((yield* invoke(api, {}))[0]!.path, "invocation/2/response")
      })
  )

  running("sends status, headers and cookies in front", (api) =>
    Effect.gen(function*() {
      const metadata = { statusCode: 201, headers: { "content-type": "text/html" }, cookies: ["a=1", "b=2"] }
      yield* start(api, (event: { readonly chunks: ReadonlyArray<string> }) =>
        LambdaStream.make(Stream.fromIterable(event.chunks), metadata))
      for (
        const [post, body] of [
          [(yield* invoke(api, { event: { chunks: ["<p>", "</p>"] } }))[0]!, "<p></p>"],
          [(yield* invoke(api, { event: { chunks: [] } }))[0]!, ""]
        ] as const
      ) {
        assert.strictEqual(post.headers["content-type"], "application/vnd.awslambda.http-integration-response")
        const [prelude, rest] = post.text.split("\0".repeat(8))
        assert.deepStrictEqual(JSON.parse(prelude!), metadata)
        assert.strictEqual(rest, body)
      }
    }))

  running("sends a content type, of a stream that needs the environment and records", (api) =>
    Effect.gen(function*() {
      const memory = yield* Deferred.make<Reporter.MemoryReporter["Type"]>()
      yield* start(api, () =>
        LambdaStream.make(
          Stream.fromEffect(Effect.gen(function*() {
            yield* Deferred.succeed(memory, yield* Reporter.MemoryReporter)
            yield* Lambda.lambdaMetric("chunks", 1)
            return "a"
          })),
          { contentType: "text/plain" }
        ), { layer: ThreadStats.layerTest })
      const [post] = yield* invoke(api, {})
      assert.strictEqual(post!.headers["content-type"], "text/plain")
      yield* api.idle
      const sent = yield* Effect.flatMap(Deferred.await(memory), (self) => self.distributions)
      assert.deepStrictEqual(sent.map(({ metric }) => metric), ["chunks"])
    }))

  running(
    "keeps the handler's scope open for the stream, and closes it before the end is told",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, () =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => api.log.push("closed")))
            return Stream.fromEffect(Effect.sync(() => {
              api.log.push("chunk")
              return "a"
            }))
          }))
        yield* invoke(api, {})
        assert.deepStrictEqual(api.log.slice(0, 4), ["next", "chunk", "closed", "invocation/1/response"])
      })
  )

  running("holds a stream back while the connection is full", (api) =>
    Effect.gen(function*() {
      let made = 0
      const chunk = new Uint8Array(64 * 1024)
      api.paused = true
      yield* start(api, () => Stream.take(Stream.repeatEffect(Effect.sync(() => (made++, chunk))), 300))
      yield* api.next({})
      yield* Effect.repeat(Effect.sleep(2), { until: () => made > 0 })
      yield* Effect.sleep(50)
      assert.isBelow(made, 300)
      api.resume()
      assert.strictEqual((yield* api.posted).text.length, 300 * chunk.length)
      assert.strictEqual(made, 300)
    }))

  const decode = (post: RuntimeApi.Posted) => ({
    type: post.trailers["lambda-runtime-function-error-type"],
    body: JSON.parse(Buffer.from(post.trailers["lambda-runtime-function-error-body"] ?? "", "base64").toString())
  })

  for (
    const [how, end, type, message] of [
      ["fails", new NoStock({ item: "tea" }), "NoStock", "no tea left"],
      ["dies", Effect.die(new RangeError("żółw")), "RangeError", "żółw"],
      ["says too much", Effect.die(new RangeError("ł".repeat(6000))), "RangeError", "ł".repeat(1000)]
    ] as const
  ) {
    running(`tells in trailers of a stream that ${how} on its way, and goes on`, (api) =>
      Effect.gen(function*() {
        yield* start(api, (event: { readonly good?: boolean }) =>
          Stream.concat(Stream.make("a", "b"), event.good === true ? Stream.empty : Stream.fromEffect(end)))
        const [bad, good] = yield* invoke(api, {}, { event: { good: true } })
        assert.strictEqual(bad!.path, "invocation/1/response")
        assert.strictEqual(bad!.text, "ab")
        const { body, type: header } = decode(bad!)
        assert.strictEqual(header, type)
        assert.strictEqual(body.errorType, type)
        assert.strictEqual(body.errorMessage, message)
        assert.strictEqual(good!.text, "ab")
        assert.match((yield* Logs).join("\n"), /^ERROR Invocation 1 failed /)
      }))
  }

  running("tells in trailers of a chunk that is none, and of a finalizer that dies", (api) =>
    Effect.gen(function*() {
      yield* start(api, (event: { readonly dies?: boolean }) =>
        event.dies === true
          ? Effect.as(Effect.addFinalizer(() => Effect.die(new Error("close failed"))), Stream.make("a"))
          : Stream.make("a", { b: 1 } as any))
      const [chunk, finalizer] = yield* invoke(api, {}, { event: { dies: true } })
      assert.strictEqual(decode(chunk!).body.errorType, "Runtime.MarshalError")
      assert.strictEqual(decode(finalizer!).body.errorMessage, "close failed")
    }))

  for (
    const [what, handler, errorType] of [
      ["a stream that fails before its first chunk", () => Stream.fail("no stock"), "string"],
      [
        "a handler that fails before its stream",
        () => Effect.zipRight(Effect.fail("no stock"), Effect.succeed(Stream.make("a"))),
        "string"
      ],
      [
        "metadata that cannot be sent",
        () => LambdaStream.make(Stream.make("a"), { statusCode: 1n as any }),
        "Runtime.MarshalError"
      ]
    ] as const
  ) {
    running(`answers ${what} with an error like any other`, (api) =>
      Effect.gen(function*() {
        yield* start(api, handler as () => Effect.Effect<unknown, string>)
        const [post] = yield* invoke(api, {})
        assert.strictEqual(post!.path, "invocation/1/error")
        assert.strictEqual(post!.json.errorType, errorType)
      }))
  }

  running("stops a stream that is refused on its way, and goes on", (api) =>
    Effect.gen(function*() {
      let stopped = false
      api.early = true
      api.reply = () => ({ status: 413, body: "{\"errorMessage\":\"enough\"}" })
      yield* start(api, () =>
        Stream.repeatEffect(Effect.as(Effect.sleep(1), "a")).pipe(
          Stream.ensuring(Effect.sync(() => {
            stopped = true
          }))
        ))
      yield* api.next({})
      yield* Effect.repeat(Effect.sleep(2), { until: () => stopped })
      yield* api.idle
      assert.deepStrictEqual((yield* Logs).map((line) => line.trim()), [
        "WARN Invocation 1: its response was refused with status 413: enough"
      ])
    }))

  running("stops a stream that is refused while the connection is full, and goes on", (api) =>
    Effect.gen(function*() {
      api.early = true
      api.paused = true
      api.reply = () => ({ status: 403 })
      yield* start(api, () => Stream.forever(Stream.make(new Uint8Array(256 * 1024))))
      yield* api.next({})
      yield* api.idle
      assert.deepStrictEqual((yield* Logs).map((line) => line.trim()), [
        "WARN Invocation 1: its response was refused with status 403"
      ])
    }))

  running("fails when the connection breaks on its way", (api) =>
    Effect.gen(function*() {
      api.early = true
      api.reply = () => "destroy"
      const fiber = yield* start(api, () => Stream.repeatEffect(Effect.as(Effect.sleep(1), "a")))
      yield* api.next({})
      assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "response", reason: "Connection" } as any)
    }))
})

describe("concurrency", () => {
  /** Three invocations that wait for each other. */
  const meeting = (api: RuntimeApi.RuntimeApi, options: Parameters<typeof start>[2]) =>
    Effect.gen(function*() {
      let inside = 0
      const all = yield* Deferred.make<void>()
      const fiber = yield* start(api, (_: unknown, { awsRequestId, traceId }) =>
        Effect.gen(function*() {
          if (++inside === 3) yield* Deferred.succeed(all, undefined)
          yield* Deferred.await(all)
          return [awsRequestId, traceId, process.env["_X_AMZN_TRACE_ID"] ?? "none"]
        }), options as any)
      yield* Effect.repeat(Effect.sleep(1), { until: () => api.waiting().now === 3 })
      return [Deferred.succeed(all, undefined), fiber, () => inside] as const
    })
  const three = [1, 2, 3].map((n) => ({ headers: { "Lambda-Runtime-Trace-Id": `Root=${n}` } }))

  for (const options of [{ concurrency: 3 }, { variables: { AWS_LAMBDA_MAX_CONCURRENCY: "3" } }]) {
    running(
      `of 3 by ${Object.keys(options)}: as many invocations at a time, and no trace id in the environment`,
      (api) =>
        Effect.gen(function*() {
          yield* meeting(api, options)
          yield* api.next(...three)
          const posts = yield* Effect.all([api.posted, api.posted, api.posted])
          assert.deepStrictEqual(posts.map(({ json }) => json).toSorted(), [
            ["1", "Root=1", "none"],
            ["2", "Root=2", "none"],
            ["3", "Root=3", "none"]
          ])
          yield* Effect.repeat(Effect.sleep(1), { until: () => api.waiting().now === 3 })
          assert.strictEqual(api.waiting().most, 3)
        })
    )
  }

  running("by option beats the variable; 1 is the default", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.void, { concurrency: 1, variables: { AWS_LAMBDA_MAX_CONCURRENCY: "3" } })
      yield* invoke(api, {}, {})
      yield* api.idle
      assert.strictEqual(api.waiting().most, 1)
    }))

  running("interrupted, it finishes all that is in hand", (api) =>
    Effect.gen(function*() {
      const [go, fiber, inside] = yield* meeting(api, { concurrency: 3 })
      yield* api.next({}, {})
      yield* Effect.repeat(Effect.sleep(1), { until: () => inside() === 2 })
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.repeat(Effect.sleep(1), { until: () => api.log.includes("gone") })
      assert.isNull(fiber.unsafePoll())
      yield* go
      assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interrupting)))
      assert.deepStrictEqual(api.log.slice(4).toSorted(), ["invocation/1/response", "invocation/2/response"])
    }))

  running("when next fails, what is in hand is finished first", (api) =>
    Effect.gen(function*() {
      const [started, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const fiber = yield* start(
        api,
        () => Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(go)),
        { concurrency: 2 }
      )
      yield* api.next({})
      yield* Deferred.await(started)
      yield* api.next((response) => response.writeHead(500).end())
      yield* Effect.sleep(10)
      assert.isNull(fiber.unsafePoll())
      yield* Deferred.succeed(go, undefined)
      assert.strictEqual((yield* api.posted).path, "invocation/1/response")
      assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "next", status: 500 } as any)
    }))
})

describe("a container image: a process under NodeRuntime.runMain", () => {
  const key = "0123456789abcdef0123456789abcdef"
  let program = ""

  beforeAll(async () => {
    program = await bundle("test/lambda/runtimeProgram.ts")
  }, 60_000)

  const contained = (
    title: string,
    test: (api: RuntimeApi.RuntimeApi) => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>
  ) =>
    it.scopedLive(
      title,
      () => Effect.provide(Effect.flatMap(RuntimeApi.make, test), layerIntake({ apiKey: Redacted.make(key) })),
      30_000
    )

  const contain = (api: RuntimeApi.RuntimeApi, variables: Record<string, string> = {}) =>
    Effect.flatMap(LocalIntake.LocalIntake, (intake) =>
      node([program], {
        AWS_LAMBDA_RUNTIME_API: api.address,
        AWS_LAMBDA_FUNCTION_NAME: "orders",
        DATADOG_HOST: intake.url,
        DD_API_KEY: key,
        ...variables
      }))

  const values = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
    Effect.map((batch) => batch.flatMap(({ points }) => points.flatMap(([, values]) => values)))
  )

  contained(
    "delivers what 50 invocations recorded, and ends on SIGTERM while it waits",
    (api) =>
      Effect.gen(function*() {
        const child = yield* contain(api)
        const posts = yield* invoke(api, ...Array.from({ length: 50 }, (_, n) => ({ event: { record: n } })))
        assert.deepStrictEqual(posts.map(({ json }) => json), Array.from({ length: 50 }, (_, n) => ({ recorded: n })))
        yield* api.idle
        assert.deepStrictEqual((yield* values).toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, n) => n))
        const requests = yield* Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests)
        assert.lengthOf(requests.filter(({ method }) => method === "GET"), 1, "the connection was opened ahead")
        yield* child.kill("SIGTERM")
        const ended = yield* child.ended
        assert.deepInclude(ended, { code: 0, signal: null, stderr: "" })
        assert.strictEqual(ended.stdout, "closed\n")
      })
  )

  contained(
    "that gets SIGTERM in an invocation answers it, delivers, and closes its layer",
    (api) =>
      Effect.gen(function*() {
        const child = yield* contain(api)
        yield* api.next({ event: { wait: 300, record: 7 } }, { event: { record: 8 } })
        assert.strictEqual(yield* child.line, "waiting")
        yield* child.kill("SIGTERM")
        assert.deepStrictEqual((yield* api.posted).json, { recorded: 7 })
        const ended = yield* child.ended
        assert.deepInclude(ended, { code: 0, signal: null, stdout: "waiting\nclosed\n" })
        assert.deepStrictEqual(yield* values, [7])
        assert.deepStrictEqual(api.log, ["next", "invocation/1/response"])
      })
  )

  contained("that gets SIGTERM in an invocation that hangs ends at its deadline", (api) =>
    Effect.gen(function*() {
      const child = yield* contain(api)
      yield* api.next({ event: { wait: 60_000, record: 7 }, time: 1000 })
      assert.strictEqual(yield* child.line, "waiting")
      yield* child.kill("SIGTERM")
      const ended = yield* child.ended
      assert.deepInclude(ended, { code: 0, signal: null })
      assert.include(ended.stdout, "closed\n")
    }))

  contained("whose layer fails reports it, and ends with 1", (api) =>
    Effect.gen(function*() {
      const child = yield* contain(api, { DD_API_KEY: "" })
      const post = yield* api.posted
      assert.strictEqual(post.path, "init/error")
      assert.strictEqual(post.json.errorType, "ConfigError")
      assert.include(post.json.errorMessage, "DD_API_KEY")
      assert.strictEqual((yield* child.ended).code, 1)
      assert.deepStrictEqual(api.log, ["init/error"])
    }))

  contained("whose Runtime API goes away ends with 1, and says why", (api) =>
    Effect.gen(function*() {
      const child = yield* contain(api)
      yield* invoke(api, { event: { record: 1 } })
      yield* api.next((response) => response.writeHead(500).end("{\"errorType\":\"Container.Error\"}"))
      const ended = yield* child.ended
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stdout + ended.stderr, "status 500: Container.Error")
      assert.include(ended.stdout, "closed\n")
    }))

  contained(
    "that was frozen and thawed goes on",
    (api) =>
      Effect.gen(function*() {
        const child = yield* contain(api)
        yield* invoke(api, { event: { record: 1 } })
        yield* api.idle
        yield* child.kill("SIGSTOP")
        yield* Effect.sleep(50)
        const [post] = yield* Effect.zipRight(
          Effect.fork(Effect.zipRight(Effect.sleep(20), child.kill("SIGCONT"))),
          invoke(api, { event: { record: 2 } })
        )
        assert.deepStrictEqual(post!.json, { recorded: 2 })
      })
  )
})
