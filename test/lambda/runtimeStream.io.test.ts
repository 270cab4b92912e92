/** Streamed responses of `LambdaRuntime.run`, over a loopback socket. */
import { assert, describe } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as Reporter from "effect-threadstats/Reporter"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type * as RuntimeApi from "../support/runtimeApi.js"
import { nextTurn } from "../support/wait.js"
import { failureOf, invoke, Logs, OutOfStock, settled, start, testRuntime } from "./inProcessRuntime.js"

const utf8 = new TextEncoder()

/** An endless stream that lets the event loop turn before each chunk. */
const endless = Stream.repeatEffect(Effect.as(nextTurn, "a"))

describe("LambdaRuntime.run streamed response", () => {
  testRuntime("sends each chunk at once, with the headers of a streamed response", (api) =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      yield* start(api, () =>
        Stream.make("", "one ", new Uint8Array(0), utf8.encode("żół")).pipe(
          Stream.concat(Stream.drain(Stream.fromEffect(Deferred.await(go)))),
          Stream.concat(Stream.make("w"))
        ))
      yield* api.next({})
      yield* api.until(() => api.partial.get("invocation/1/response") === "one żół")
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
    }))

  testRuntime("sends status, headers and cookies before the body", (api) =>
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

  testRuntime(
    "sends the content type, and delivers the points, of a stream that uses the layer",
    (api) =>
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
          ))
        const [post] = yield* invoke(api, {})
        assert.strictEqual(post!.headers["content-type"], "text/plain")
        yield* api.idle
        const delivered = yield* Effect.flatMap(Deferred.await(memory), (self) => self.distributions)
        assert.deepStrictEqual(delivered.map(({ metric }) => metric), ["chunks"])
      })
  )

  testRuntime(
    "keeps the handler's scope open during the stream and closes it before the response ends",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, () =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.sync(() => api.note("closed")))
            return Stream.fromEffect(Effect.sync(() => {
              api.note("chunk")
              return "a"
            }))
          }))
        yield* invoke(api, {})
        assert.deepStrictEqual(api.log.slice(0, 4), ["next", "chunk", "closed", "invocation/1/response"])
      })
  )

  testRuntime("pauses the stream while the connection is full", (api) =>
    Effect.gen(function*() {
      let pulled = 0
      const chunk = new Uint8Array(64 * 1024)
      api.paused = true
      yield* start(api, () => Stream.take(Stream.repeatEffect(Effect.sync(() => (pulled++, chunk))), 300))
      yield* api.next({})
      yield* api.until(() => api.headers.length === 2)
      yield* settled(() => pulled)
      assert.isAbove(pulled, 0)
      assert.isBelow(pulled, 300)
      api.resume()
      assert.strictEqual((yield* api.posted).text.length, 300 * chunk.length)
      assert.strictEqual(pulled, 300)
    }))
})

describe("LambdaRuntime.run streamed response that fails", () => {
  const trailersOf = (post: RuntimeApi.Posted) => ({
    type: post.trailers["lambda-runtime-function-error-type"],
    body: JSON.parse(Buffer.from(post.trailers["lambda-runtime-function-error-body"] ?? "", "base64").toString())
  })

  for (
    const [failure, end, errorType, message] of [
      ["fails", new OutOfStock({ item: "tea" }), "OutOfStock", "no tea left"],
      ["dies", Effect.die(new RangeError("żółw")), "RangeError", "żółw"],
      [
        "dies with a message of 6,000 characters",
        Effect.die(new RangeError("ł".repeat(6000))),
        "RangeError",
        "ł".repeat(1000)
      ]
    ] as const
  ) {
    testRuntime(
      `reports the error in trailers and continues when the stream ${failure} after chunks`,
      (api) =>
        Effect.gen(function*() {
          yield* start(
            api,
            (event: { readonly good?: boolean }) =>
              Stream.concat(Stream.make("a", "b"), event.good === true ? Stream.empty : Stream.fromEffect(end))
          )
          const [bad, good] = yield* invoke(api, {}, { event: { good: true } })
          assert.strictEqual(bad!.path, "invocation/1/response")
          assert.strictEqual(bad!.text, "ab")
          const { body, type } = trailersOf(bad!)
          assert.strictEqual(type, errorType)
          assert.strictEqual(body.errorType, errorType)
          assert.strictEqual(body.errorMessage, message)
          assert.strictEqual(good!.text, "ab")
          assert.match((yield* Logs).join("\n"), /^ERROR Invocation 1 failed: /)
        })
    )
  }

  testRuntime(
    "reports a chunk of another type, and a finalizer that dies, in trailers",
    (api) =>
      Effect.gen(function*() {
        yield* start(api, (event: { readonly dies?: boolean }) =>
          event.dies === true
            ? Effect.as(Effect.addFinalizer(() => Effect.die(new Error("close failed"))), Stream.make("a"))
            : Stream.make("a", { b: 1 } as any))
        const [chunk, finalizer] = yield* invoke(api, {}, { event: { dies: true } })
        assert.strictEqual(trailersOf(chunk!).body.errorType, "Runtime.MarshalError")
        assert.strictEqual(trailersOf(finalizer!).body.errorMessage, "close failed")
      })
  )

  for (
    const [condition, handler, errorType] of [
      ["the stream fails before its first chunk", () => Stream.fail("no stock"), "string"],
      [
        "the handler fails before it returns a stream",
        () => Effect.zipRight(Effect.fail("no stock"), Effect.succeed(Stream.make("a"))),
        "string"
      ],
      [
        "the metadata cannot be sent",
        () => LambdaStream.make(Stream.make("a"), { statusCode: 1n as any }),
        "Runtime.MarshalError"
      ]
    ] as const
  ) {
    testRuntime(`posts an error of the invocation when ${condition}`, (api) =>
      Effect.gen(function*() {
        yield* start(api, handler as () => Effect.Effect<unknown, string>)
        const [post] = yield* invoke(api, {})
        assert.strictEqual(post!.path, "invocation/1/error")
        assert.strictEqual(post!.json.errorType, errorType)
      }))
  }

  testRuntime("stops the stream, logs a warning, and continues when the response is refused after its first chunk", (
    api
  ) =>
    Effect.gen(function*() {
      api.early = true
      api.reply = () => ({ status: 413, body: "{\"errorMessage\":\"enough\"}" })
      yield* start(api, () => Stream.ensuring(endless, Effect.sync(() => api.note("stopped"))))
      yield* api.next({})
      yield* api.until(() => api.log.includes("stopped"))
      yield* api.idle
      assert.deepStrictEqual(yield* Logs, [
        "WARN The response of invocation 1 was refused: status 413: enough"
      ])
    }))

  testRuntime("stops the stream, logs a warning, and continues when the response is refused on a full connection", (
    api
  ) =>
    Effect.gen(function*() {
      let pulled = 0
      api.paused = true
      api.reply = () => ({ status: 403 })
      yield* start(api, () => Stream.repeatEffect(Effect.sync(() => (pulled++, new Uint8Array(256 * 1024)))))
      yield* api.next({})
      yield* api.until(() => api.headers.length === 2)
      yield* settled(() => pulled)
      api.replyUnread()
      yield* api.idle
      assert.deepStrictEqual(yield* Logs, ["WARN The response of invocation 1 was refused: status 403"])
    }))

  testRuntime(
    "fails with a LambdaRuntimeError when the connection breaks during the stream",
    (api) =>
      Effect.gen(function*() {
        api.early = true
        api.reply = () => "destroy"
        const fiber = yield* start(api, () => endless)
        yield* api.next({})
        assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "response", reason: "Connection" } as any)
      })
  )
})
