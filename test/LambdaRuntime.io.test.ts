/** The runtime over a loopback socket, on a clock that only the test moves. */
import { assert, describe } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  failureOf,
  invoke,
  Logs,
  OutOfStock,
  settled,
  start,
  startTime,
  testRuntime,
  withEnvironment
} from "./lambda/inProcessRuntime.js"
import type * as RuntimeApi from "./support/runtimeApi.js"

const traceHeaders = (traceId: string) => ({ headers: { "Lambda-Runtime-Trace-Id": traceId } })

describe("LambdaRuntime.run", () => {
  testRuntime("posts the result of each invocation and requests the next one", (api) =>
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

  testRuntime("escapes the id of an invocation and keeps text beyond ASCII", (api) =>
    Effect.gen(function*() {
      yield* start(api, (event: string) => Effect.succeed(event))
      const [post] = yield* invoke(api, { id: "a/b?c", event: "\"żółw 🐢\"" })
      assert.strictEqual(post!.path, "invocation/a%2Fb%3Fc/response")
      assert.strictEqual(post!.json, "żółw 🐢")
    }))

  testRuntime("passes the context of the invocation to the handler", (api) =>
    Effect.gen(function*() {
      const contexts: Array<LambdaRuntime.RuntimeContext & { readonly remaining: number }> = []
      yield* start(api, (_: unknown, context) =>
        Effect.sync(() => {
          contexts.push({ ...context, remaining: context.getRemainingTimeInMillis() })
        }), {
        variables: {
          AWS_LAMBDA_FUNCTION_NAME: "orders",
          AWS_LAMBDA_FUNCTION_VERSION: "7",
          AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "256",
          AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/orders",
          AWS_LAMBDA_LOG_STREAM_NAME: "2026/11/23"
        }
      })
      yield* invoke(api, {
        time: 5000,
        headers: {
          "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7",
          "Lambda-Runtime-Client-Context": Buffer.from("{\"client\":{\"app_title\":\"żółw\"}}").toString("latin1"),
          "Lambda-Runtime-Cognito-Identity": "{\"cognitoIdentityId\":\"eu:1\"}",
          "Lambda-Runtime-Aws-Tenant-Id": "acme"
        }
      }, {})
      const [{ getRemainingTimeInMillis: _, ...first }, second] = contexts as [typeof contexts[0], typeof contexts[0]]
      assert.deepStrictEqual(first, {
        functionName: "orders",
        functionVersion: "7",
        memoryLimitInMB: "256",
        logGroupName: "/aws/lambda/orders",
        logStreamName: "2026/11/23",
        awsRequestId: "1",
        invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        deadline: startTime + 5000,
        remaining: 5000,
        traceId: "Root=1-5bef4de7",
        clientContext: { client: { app_title: "żółw" } },
        identity: { cognitoIdentityId: "eu:1" },
        tenantId: "acme"
      })
      for (const absent of ["traceId", "clientContext", "identity", "tenantId"] as const) {
        assert.isUndefined(second[absent])
      }
      assert.deepStrictEqual(yield* Logs, [])
    }))

  testRuntime(
    "omits a malformed client context or identity and logs a warning that does not quote it",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, (_: unknown, { clientContext, identity }) => Effect.succeed([clientContext, identity]))
        const [post] = yield* invoke(api, {
          headers: { "Lambda-Runtime-Client-Context": "{secret", "Lambda-Runtime-Cognito-Identity": "secret" }
        })
        assert.deepStrictEqual(post!.json, [null, null])
        assert.deepStrictEqual(yield* Logs, [
          "WARN Invocation 1 has a header lambda-runtime-client-context that is not JSON",
          "WARN Invocation 1 has a header lambda-runtime-cognito-identity that is not JSON"
        ])
      })
  )

  testRuntime("provides the context of the invocation as the service LambdaContext", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.map(Lambda.LambdaContext, ({ awsRequestId }) => awsRequestId))
      assert.strictEqual((yield* invoke(api, { id: "abc" }))[0]!.json, "abc")
    }))

  testRuntime(
    "sets the environment variable _X_AMZN_TRACE_ID only for an invocation with a trace id",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, () => Effect.sync(() => process.env["_X_AMZN_TRACE_ID"] ?? "none"))
        const posts = yield* invoke(api, traceHeaders("Root=1"), {})
        assert.deepStrictEqual(posts.map(({ json }) => json), ["Root=1", "none"])
      })
  )

  testRuntime("responds to every invocation when a logger throws at each line", (api) =>
    Effect.gen(function*() {
      let lines = 0
      const throwing = Logger.make(() => {
        lines++
        throw new Error("the logger threw")
      })
      yield* start(api, (event: string) => event === "fails" ? Effect.fail("out of stock") : Effect.succeed(event))
        .pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, throwing)),
          Logger.withMinimumLogLevel(LogLevel.All)
        )
      const posts = yield* invoke(
        api,
        { event: "\"fails\"" },
        { event: "no JSON" },
        { event: "\"works\"", headers: { "Lambda-Runtime-Client-Context": "no JSON" } }
      )
      assert.deepStrictEqual(
        posts.map(({ json, path }) => [path, json.errorMessage ?? json]),
        [
          ["invocation/1/error", "out of stock"],
          ["invocation/2/error", "The event could not be read: it is not JSON (7 characters)"],
          ["invocation/3/response", "works"]
        ]
      )
      yield* api.idle
      assert.isAtLeast(lines, 3)
    }))

  const layerThrowing = Logger.replace(
    Logger.defaultLogger,
    Logger.make(() => {
      throw new Error("the logger threw")
    })
  )

  testRuntime(
    "requests the next invocation when a logger throws at the refusal of a result or an error",
    (api) =>
      Effect.gen(function*() {
        api.reply = () => ({ status: 400 })
        yield* start(api, (event: string) => event === "fails" ? Effect.fail("out of stock") : Effect.succeed(event))
          .pipe(
            Effect.provide(layerThrowing)
          )
        const posts = yield* invoke(api, { event: "\"fails\"" }, { event: "\"works\"" }, { event: "\"works\"" })
        assert.deepStrictEqual(posts.map(({ path }) => path), [
          "invocation/1/error",
          "invocation/2/response",
          "invocation/3/response"
        ])
        yield* api.idle
      })
  )

  testRuntime(
    "fails with the layer's error when a logger throws at the refusal of the init error",
    (api) =>
      Effect.gen(function*() {
        api.reply = () => ({ status: 403 })
        const error = new OutOfStock({ item: "shop" })
        const exit = yield* LambdaRuntime.run({
          handler: () => Effect.void,
          layer: Layer.merge(ThreadStats.layerTest, Layer.fail(error))
        }).pipe(withEnvironment(api), Effect.provide(layerThrowing), Effect.exit)
        assert.deepStrictEqual(exit, Exit.fail(error))
      })
  )

  testRuntime(
    "ends when it is interrupted and a logger throws at an invocation without an end",
    (api) =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const fiber = yield* LambdaRuntime.run({
          handler: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never),
          layer: ThreadStats.layerTest
        }).pipe(withEnvironment(api), Effect.provide(layerThrowing), Effect.fork)
        yield* api.next({ time: 1000 })
        yield* Deferred.await(begun)
        const ending = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isInterrupted(yield* Fiber.join(ending)))
      })
  )

  testRuntime("runs each invocation with fresh fiber refs", (api) =>
    Effect.gen(function*() {
      const ref = FiberRef.unsafeMake(0)
      yield* start(api, () => FiberRef.updateAndGet(ref, (n) => n + 1))
      const posts = yield* invoke(api, {}, {})
      assert.deepStrictEqual(posts.map(({ json }) => json), [1, 1])
    }))

  testRuntime("lets a timeout inside the handler interrupt the handler's own work", (api) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      yield* start(api, () =>
        Effect.zipRight(
          Deferred.succeed(begun, undefined),
          Effect.timeoutTo(Effect.never, { duration: 5, onTimeout: () => "late", onSuccess: String })
        ))
      yield* api.next({})
      yield* Deferred.await(begun)
      yield* TestClock.adjust(5)
      assert.strictEqual((yield* api.posted).json, "late")
    }))

  for (
    const [result, value, body] of [
      ["undefined", undefined, "null"],
      ["null", null, "null"],
      ["a string", "done", "\"done\""],
      ["a function", () => 1, "null"],
      ["an object with a date", { at: new Date(0) }, "{\"at\":\"1970-01-01T00:00:00.000Z\"}"]
    ] as const
  ) {
    testRuntime(`posts ${body} when the handler's result is ${result}`, (api) =>
      Effect.gen(function*() {
        yield* start(api, () => Effect.succeed(value))
        const [post] = yield* invoke(api, {})
        assert.strictEqual(post!.path, "invocation/1/response")
        assert.strictEqual(post!.text, body)
      }))
  }

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (
    const [result, value, message] of [
      ["contains a BigInt", { n: 1n }, /BigInt/],
      ["contains a cycle", cycle, /circular/],
      ["has a toJSON that throws", { toJSON: () => assert.fail("unserializable") }, /unserializable/]
    ] as const
  ) {
    testRuntime(
      `posts Runtime.MarshalError and continues when the handler's result ${result}`,
      (api) =>
        Effect.gen(function*() {
          yield* start(
            api,
            (event: { readonly good?: boolean }) => Effect.succeed(event.good === true ? "good" : value)
          )
          const [bad, good] = yield* invoke(api, {}, { event: { good: true } })
          assert.strictEqual(bad!.path, "invocation/1/error")
          assert.strictEqual(bad!.json.errorType, "Runtime.MarshalError")
          assert.match(bad!.json.errorMessage, message)
          assert.strictEqual(good!.json, "good")
        })
    )
  }

  for (const event of ["", "{\"card\": \"4111", "secret"]) {
    testRuntime(
      `posts Runtime.UnmarshalError without quoting the event and continues when the event is ${JSON.stringify(event)}`,
      (api) =>
        Effect.gen(function*() {
          let calls = 0
          yield* start(api, () => Effect.sync(() => ++calls))
          const [bad, good] = yield* invoke(api, { event }, {})
          assert.strictEqual(bad!.path, "invocation/1/error")
          assert.strictEqual(bad!.headers["lambda-runtime-function-error-type"], "Runtime.UnmarshalError")
          assert.strictEqual(
            bad!.json.errorMessage,
            `The event could not be read: it is not JSON (${event.length} characters)`
          )
          assert.strictEqual(good!.json, 1)
          assert.notMatch(bad!.text + (yield* Logs).join("\n"), /4111|secret/)
        })
    )
  }

  testRuntime("uses the path of an address that is a complete URL", (api) =>
    Effect.gen(function*() {
      yield* start({ address: `http://${api.address}/base/` }, () => Effect.void)
      assert.strictEqual((yield* api.posted).path, "/base invocation/next")
    }))
})

describe("LambdaRuntime.run with a handler that fails", () => {
  const report = <E>(api: RuntimeApi.RuntimeApi, effect: Effect.Effect<unknown, E>) =>
    Effect.gen(function*() {
      yield* start(api, (event: { readonly fail?: boolean }) => event.fail === true ? effect : Effect.succeed("next"))
      const [post, after] = yield* invoke(api, { event: { fail: true } }, {})
      assert.strictEqual(post!.path, "invocation/1/error")
      assert.strictEqual(post!.headers["content-type"], "application/json")
      assert.strictEqual(after!.json, "next")
      const logs = yield* Logs
      assert.lengthOf(logs, 1)
      assert.match(logs[0]!, /^ERROR Invocation 1 failed: /)
      return { ...post!.json, header: post!.headers["lambda-runtime-function-error-type"] }
    })

  const cases: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, string, string]> = [
    ["a tagged error", new OutOfStock({ item: "tea" }), "OutOfStock", "no tea left"],
    ["a tagged error in a span", Effect.withSpan(new OutOfStock({ item: "tea" }), "span"), "OutOfStock", "no tea left"],
    ["an Error", Effect.fail<unknown>(new RangeError("too much")), "RangeError", "too much"],
    ["a defect", Effect.die(new TypeError("a bug")), "TypeError", "a bug"],
    ["a thrown error", Effect.suspend(() => assert.fail("thrown")), "AssertionError", "thrown"],
    ["a string", Effect.fail("no stock"), "string", "no stock"],
    [
      "a tagged value that is not an Error",
      Effect.fail({ _tag: "OutOfStock", item: "tea" }),
      "OutOfStock",
      "{\"_tag\":\"OutOfStock\",\"item\":\"tea\"}"
    ],
    ["undefined", Effect.fail(undefined), "undefined", "undefined"],
    [
      "interruption",
      Effect.interrupt,
      "LambdaInterrupted",
      "The invocation has no result: its program was interrupted"
    ],
    [
      "a ConfigError",
      Effect.fail(ConfigError.MissingData(["SHOP"], "not set")),
      "ConfigError",
      "(Missing data at SHOP: \"not set\")"
    ]
  ]
  for (const [failure, effect, errorType, errorMessage] of cases) {
    testRuntime(
      `posts the error, logs it, and continues when the handler fails with ${failure}`,
      (api) =>
        Effect.gen(function*() {
          const { stackTrace, ...rest } = yield* report(api, effect)
          assert.deepStrictEqual(rest, { errorType, errorMessage, header: errorType })
          assert.isArray(stackTrace)
          if (failure === "an Error") assert.match(stackTrace[1], /^ {4}at .*LambdaRuntime\.io\.test/)
        })
    )
  }

  testRuntime("posts a valid header when the error's name is not a header value", (api) =>
    Effect.gen(function*() {
      const error: unknown = Object.assign(new Error("x"), { name: "Bad\r\nNäme: 1" })
      const { errorType, header } = yield* report(api, Effect.fail(error))
      assert.strictEqual(errorType, "Bad\r\nNäme: 1")
      assert.strictEqual(header, "Bad__N_me:_1")
    }))

  testRuntime("posts an error when the properties of the handler's error throw", (api) =>
    Effect.gen(function*() {
      const error = new Proxy({}, {
        get: () => {
          throw new TypeError("unreadable")
        }
      })
      yield* start(api, () => Effect.fail(error)).pipe(Effect.provide(Logger.minimumLogLevel(LogLevel.None)))
      const [post] = yield* invoke(api, {})
      assert.strictEqual(post!.path, "invocation/1/error")
    }))

  testRuntime("posts the defect of a finalizer in the handler's scope", (api) =>
    Effect.gen(function*() {
      const { errorMessage } = yield* report(
        api,
        Effect.scoped(Effect.addFinalizer(() => Effect.die(new Error("close failed"))))
      )
      assert.strictEqual(errorMessage, "close failed")
    }))

  testRuntime("shortens an error of megabytes", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.die(new Error("x".repeat(3_000_000)))).pipe(
        Effect.provide(Logger.minimumLogLevel(LogLevel.None))
      )
      const [post] = yield* invoke(api, {})
      assert.isBelow(post!.text.length, 250_000)
    }))
})

describe("LambdaRuntime.run flush", () => {
  /** The client of `ThreadStats.layerTest` that notes each flush in the log of the API. */
  const layerNotingFlushes = (api: RuntimeApi.RuntimeApi) =>
    Layer.map(ThreadStats.layerTest, (context) => {
      const client = Context.get(context, ThreadStats.ThreadStats)
      return Context.add(context, ThreadStats.ThreadStats, {
        ...client,
        flush: (options) => Effect.zipRight(Effect.sync(() => api.note("flush")), client.flush(options))
      })
    })

  for (const outcome of ["succeeds", "fails"] as const) {
    testRuntime(
      `flushes after the post and before the next request when the handler ${outcome}`,
      (api) =>
        Effect.gen(function*() {
          const memory = yield* Deferred.make<Reporter.MemoryReporter["Type"]>()
          yield* start(api, () =>
            Effect.gen(function*() {
              yield* Deferred.succeed(memory, yield* Reporter.MemoryReporter)
              yield* Effect.addFinalizer(() => Lambda.lambdaMetric("closed", 1))
              yield* Lambda.lambdaMetric("orders", 12)
              if (outcome === "fails") yield* Effect.fail("no stock")
            }), { layer: layerNotingFlushes(api) })
          yield* invoke(api, {})
          yield* api.idle
          const path = `invocation/1/${outcome === "succeeds" ? "response" : "error"}`
          assert.deepStrictEqual(api.log, ["next", path, "flush", "next"])
          const delivered = yield* Effect.flatMap(Deferred.await(memory), (self) => self.distributions)
          assert.deepStrictEqual(delivered.map(({ metric }) => metric).toSorted(), ["closed", "orders"])
        })
    )
  }

  testRuntime("flushes half a second before the deadline of an invocation that hangs", (api) =>
    Effect.gen(function*() {
      const [begun, memory] = [yield* Deferred.make<void>(), yield* Deferred.make<Reporter.MemoryReporter["Type"]>()]
      yield* start(api, () =>
        Effect.gen(function*() {
          yield* Deferred.succeed(memory, yield* Reporter.MemoryReporter)
          yield* Lambda.lambdaMetric("orders", 12)
          yield* Deferred.succeed(begun, undefined)
          return yield* Effect.never
        }), { layer: layerNotingFlushes(api) })
      yield* api.next({ time: 3000 })
      yield* Deferred.await(begun)
      yield* TestClock.adjust(2499)
      assert.deepStrictEqual(api.log, ["next"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(api.log, ["next", "flush"])
      const delivered = yield* Effect.flatMap(Deferred.await(memory), (self) => self.distributions)
      assert.deepStrictEqual(delivered.map(({ metric }) => metric), ["orders"])
    }))

  testRuntime("closes the handler's scope before it posts the result", (api) =>
    Effect.gen(function*() {
      yield* start(api, () =>
        Effect.zipRight(
          Effect.addFinalizer(() => Effect.sync(() => api.note("closed"))),
          Effect.sync(() => api.note("body"))
        ))
      yield* invoke(api, {})
      assert.deepStrictEqual(api.log.slice(0, 4), ["next", "body", "closed", "invocation/1/response"])
    }))
})

describe("LambdaRuntime.run after the reply to a post", () => {
  testRuntime(
    "posts Runtime.ResponseTooLarge and continues when the response is refused with 413",
    (api) =>
      Effect.gen(function*() {
        api.reply = (path) => ({ status: path === "invocation/1/response" ? 413 : 202 })
        yield* start(api, () => Effect.succeed("big"))
        const [tooLarge, error] = [(yield* invoke(api, {}))[0]!, yield* api.posted]
        assert.strictEqual(tooLarge.path, "invocation/1/response")
        assert.strictEqual(error.path, "invocation/1/error")
        assert.strictEqual(error.json.errorType, "Runtime.ResponseTooLarge")
        assert.strictEqual(
          error.json.errorMessage,
          "The result could not be sent: its size of 5 bytes exceeds Lambda's limit"
        )
        assert.strictEqual((yield* invoke(api, {}))[0]!.path, "invocation/2/response")
      })
  )

  for (const [moment, early] of [["during", true], ["after", false]] as const) {
    testRuntime(
      `posts Runtime.ResponseTooLarge and continues when the connection breaks ${moment} a result of more than 6 MiB`,
      (api) =>
        Effect.gen(function*() {
          api.early = early
          api.reply = (path) => path === "invocation/1/response" ? "destroy" : { status: 202 }
          yield* start(api, () => Effect.succeed("x".repeat(6 * 1024 * 1024)))
          yield* api.next({})
          const error = yield* Effect.repeat(api.posted, { until: ({ path }) => path === "invocation/1/error" })
          assert.strictEqual(error.json.errorType, "Runtime.ResponseTooLarge")
          yield* api.idle
        })
    )
  }

  for (const status of [400, 403, 404]) {
    for (const operation of ["response", "error"] as const) {
      testRuntime(
        `logs a warning and continues when the ${operation} is refused with ${status}`,
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
              (yield* Logs).filter((line) => line.startsWith("WARN")),
              [1, 2].map((id) =>
                `WARN The ${operation} of invocation ${id} was refused: status ${status}: InvalidStateTransition: not now`
              )
            )
          })
      )
    }
  }

  for (
    const [failure, reply, fields] of [
      ["is refused with 500", { status: 500, body: "container error" }, { reason: "Refused", status: 500 }],
      ["is answered with 301", { status: 301 }, { reason: "Refused", status: 301 }],
      ["meets a broken connection", "destroy", { reason: "Connection", status: undefined }]
    ] as const
  ) {
    for (const operation of ["response", "error"] as const) {
      testRuntime(`fails with a LambdaRuntimeError when the ${operation} ${failure}`, (api) =>
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

describe("LambdaRuntime.run layer", () => {
  class Shop extends Context.Tag("test/Shop")<Shop, { readonly name: string }>() {}

  const runWithLayer = (api: RuntimeApi.RuntimeApi, shop: Layer.Layer<Shop, OutOfStock>) =>
    LambdaRuntime.run({
      handler: () => Effect.map(Shop, ({ name }) => name),
      layer: Layer.merge(shop, ThreadStats.layerTest)
    }).pipe(withEnvironment(api))

  testRuntime("builds the layer once, before it requests the first invocation", (api) =>
    Effect.gen(function*() {
      yield* Effect.forkScoped(runWithLayer(
        api,
        Layer.sync(Shop, () => {
          api.note("built")
          return { name: "eu" }
        })
      ))
      const posts = yield* invoke(api, {}, {})
      assert.deepStrictEqual(posts.map(({ json }) => json), ["eu", "eu"])
      assert.deepStrictEqual(api.log.filter((entry) => entry === "built"), ["built"])
      assert.strictEqual(api.log[0], "built")
    }))

  for (
    const [failure, effect, errorType] of [
      ["fails", new OutOfStock({ item: "shop" }), "OutOfStock"],
      ["dies", Effect.die(new RangeError("a bug")), "RangeError"]
    ] as const
  ) {
    testRuntime(`posts an init error, requests nothing, and fails with the layer's error when the layer ${failure}`, (
      api
    ) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(runWithLayer(api, Layer.effect(Shop, effect)))
        assert.strictEqual((failureOf(exit) as Error).name, errorType)
        const post = yield* api.posted
        assert.strictEqual(post.path, "init/error")
        assert.strictEqual(post.headers["lambda-runtime-function-error-type"], errorType)
        assert.strictEqual(post.json.errorType, errorType)
        assert.isNotEmpty(post.json.stackTrace)
        assert.deepStrictEqual(api.log, ["init/error"])
      }))
  }

  for (
    const [reply, failure] of [
      [{ status: 403 }, "is refused with 403"],
      [{ status: 500 }, "is refused with 500"],
      ["destroy", "meets a broken connection"]
    ] as const
  ) {
    testRuntime(
      `fails with the layer's error and logs a warning when the init error ${failure}`,
      (api) =>
        Effect.gen(function*() {
          api.reply = () => reply
          const exit = yield* Effect.exit(runWithLayer(api, Layer.fail(new OutOfStock({ item: "shop" }))))
          assert.deepStrictEqual(exit, Exit.fail(new OutOfStock({ item: "shop" })))
          assert.match((yield* Logs)[0]!, /^WARN The request "init error" to the Lambda Runtime API failed: /)
        })
    )
  }

  testRuntime("posts an init error when the layer interrupts itself", (api) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(runWithLayer(api, Layer.effect(Shop, Effect.interrupt)))
      assert.isTrue(Exit.isInterrupted(exit))
      assert.strictEqual((yield* api.posted).json.errorType, "LambdaInterrupted")
    }))

  testRuntime("posts no init error when it is interrupted while the layer is built", (api) =>
    Effect.gen(function*() {
      const building = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(runWithLayer(
        api,
        Layer.effect(Shop, Effect.zipRight(Deferred.succeed(building, undefined), Effect.never))
      ))
      yield* Deferred.await(building)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.deepStrictEqual(api.log, [])
    }))
})

describe("LambdaRuntime.run interruption", () => {
  const layerNotingClose = (api: RuntimeApi.RuntimeApi) =>
    Layer.merge(
      ThreadStats.layerTest,
      Layer.scopedDiscard(Effect.addFinalizer(() => Effect.sync(() => api.note("layer closed"))))
    )

  testRuntime(
    "gives up the request for an invocation and closes the layer when no invocation is in hand",
    (api) =>
      Effect.gen(function*() {
        const fiber = yield* start(api, () => Effect.void, { layer: layerNotingClose(api) })
        yield* api.idle
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        assert.strictEqual(api.log.filter((entry) => entry !== "gone").join(), "next,layer closed")
        yield* api.until(() => api.log.includes("gone"))
      })
  )

  for (const end of ["response", "error", "stream"] as const) {
    testRuntime(
      `finishes an invocation that ends with ${
        end === "stream" ? "a stream" : `its ${end}`
      }, requests no other, and closes the layer`,
      (api) =>
        Effect.gen(function*() {
          const [begun, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const body = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(go))
          const fiber = yield* start(api, () =>
            end === "stream"
              ? Stream.concat(Stream.make("a"), Stream.fromEffect(Effect.as(body, "b")))
              : end === "error"
              ? Effect.zipRight(body, Effect.fail("no stock"))
              : body, { layer: layerNotingClose(api) })
          yield* api.next({}, {})
          yield* Deferred.await(begun)
          const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* settled(() => api.log.length)
          assert.isNull(interrupting.unsafePoll())
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
    const [condition, body, isInterruptible] of [
      ["hangs", Effect.never, true],
      ["cannot be interrupted", Effect.uninterruptible(Effect.never), false]
    ] as const
  ) {
    testRuntime(
      `waits until its deadline for an invocation that ${condition}, and no longer`,
      (api) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const fiber = yield* start(api, () =>
            Deferred.succeed(begun, undefined).pipe(
              Effect.zipRight(body),
              Effect.onInterrupt(() => Effect.sync(() => api.note("interrupted")))
            ), { layer: layerNotingClose(api) })
          yield* api.next({ time: 150 })
          yield* Deferred.await(begun)
          const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* TestClock.adjust(149)
          assert.isNull(interrupting.unsafePoll())
          assert.deepStrictEqual(api.log, ["next"])
          yield* TestClock.adjust(1)
          yield* Fiber.join(interrupting)
          assert.deepStrictEqual(api.log.filter((entry) => entry !== "interrupted"), ["next", "layer closed"])
          if (isInterruptible) yield* api.until(() => api.log.includes("interrupted"))
          assert.deepStrictEqual(yield* Logs, ["WARN Invocation 1 did not finish before its deadline"])
        })
    )
  }
})

describe("LambdaRuntime.run concurrency", () => {
  /** Starts a runtime with three loops whose invocations wait for each other or for `go`. */
  const startThree = (api: RuntimeApi.RuntimeApi, options: Parameters<typeof start>[2]) =>
    Effect.gen(function*() {
      let inside = 0
      const go = yield* Deferred.make<void>()
      const fiber = yield* start(api, (_: unknown, { awsRequestId, traceId }) =>
        Effect.gen(function*() {
          inside++
          api.note("begun")
          if (inside === 3) yield* Deferred.succeed(go, undefined)
          yield* Deferred.await(go)
          return [awsRequestId, traceId, process.env["_X_AMZN_TRACE_ID"] ?? "none"]
        }), options as any)
      yield* api.until(() => api.waiting().now === 3)
      return { fiber, go: Deferred.succeed(go, undefined), begun: () => inside }
    })

  for (
    const [setting, options] of [
      ["the option concurrency", { concurrency: 3 }],
      ["AWS_LAMBDA_MAX_CONCURRENCY", { variables: { AWS_LAMBDA_MAX_CONCURRENCY: "3" } }]
    ] as const
  ) {
    testRuntime(
      `runs 3 invocations at a time without _X_AMZN_TRACE_ID when ${setting} is 3`,
      (api) =>
        Effect.gen(function*() {
          yield* startThree(api, options)
          yield* api.next(...[1, 2, 3].map((n) => traceHeaders(`Root=${n}`)))
          const posts = yield* Effect.all([api.posted, api.posted, api.posted])
          assert.deepStrictEqual(posts.map(({ json }) => json).toSorted(), [
            ["1", "Root=1", "none"],
            ["2", "Root=2", "none"],
            ["3", "Root=3", "none"]
          ])
          yield* api.until(() => api.waiting().now === 3)
          assert.strictEqual(api.waiting().most, 3)
        })
    )
  }

  testRuntime("prefers the option concurrency to AWS_LAMBDA_MAX_CONCURRENCY", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.void, { concurrency: 1, variables: { AWS_LAMBDA_MAX_CONCURRENCY: "3" } })
      yield* invoke(api, {}, {})
      yield* api.idle
      assert.strictEqual(api.waiting().most, 1)
    }))

  testRuntime("runs one invocation at a time by default", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.void)
      yield* invoke(api, {}, {})
      yield* api.idle
      assert.strictEqual(api.waiting().most, 1)
    }))

  testRuntime("finishes every invocation in hand when it is interrupted", (api) =>
    Effect.gen(function*() {
      const { begun, fiber, go } = yield* startThree(api, { concurrency: 3 })
      yield* api.next({}, {})
      yield* api.until(() => begun() === 2)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* api.until(() => api.log.includes("gone"))
      assert.isNull(fiber.unsafePoll())
      yield* go
      assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interrupting)))
      assert.deepStrictEqual(
        api.log.filter((entry) => entry.startsWith("invocation/")).toSorted(),
        ["invocation/1/response", "invocation/2/response"]
      )
      assert.strictEqual(api.log.filter((entry) => entry === "next").length, 3)
    }))

  testRuntime(
    "finishes every invocation in hand before it fails when a request for the next one fails",
    (api) =>
      Effect.gen(function*() {
        const [begun, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const fiber = yield* start(
          api,
          () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(go)),
          { concurrency: 2 }
        )
        yield* api.next({})
        yield* Deferred.await(begun)
        yield* api.next((response) => response.writeHead(500).end(() => api.note("refused")))
        yield* api.until(() => api.log.includes("refused"))
        yield* settled(() => api.log.length)
        assert.isNull(fiber.unsafePoll())
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual((yield* api.posted).path, "invocation/1/response")
        assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "next", status: 500 } as any)
      })
  )
})
