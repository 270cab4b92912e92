/** Requests for the next invocation, and connections, over a loopback socket. */
import { assert, describe } from "@effect/vitest"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type * as RuntimeApi from "../support/runtimeApi.js"
import { recordingTracer } from "../support/tracer.js"
import { failureOf, invoke, start, startTime, testRuntime, withEnvironment } from "./inProcessRuntime.js"

describe("LambdaRuntime.run request for the next invocation", () => {
  const good = {
    "Lambda-Runtime-Aws-Request-Id": "1",
    "Lambda-Runtime-Deadline-Ms": String(startTime + 10_000)
  }
  const withDeadline = (value: string | undefined) => ({ headers: { "Lambda-Runtime-Deadline-Ms": value } })
  const malformed = { reason: "Malformed", status: 200 }
  const cases: ReadonlyArray<readonly [string, RuntimeApi.Next, Record<string, unknown>, RegExp]> = [
    [
      "is 403 with an error of the API",
      (response) =>
        response.writeHead(403).end("{\"errorType\":\"InvalidStateTransition\",\"errorMessage\":\"not now\"}"),
      { reason: "Refused", status: 403 },
      /"next" .* failed: status 403: InvalidStateTransition: not now$/
    ],
    [
      "is 500 with a page",
      (response) => response.writeHead(500).end(`<html>${"x".repeat(5000)}`),
      { reason: "Refused", status: 500 },
      /"next" .* failed: status 500: <html>x{194}$/
    ],
    ["is 500 with null", (response) => response.writeHead(500).end("null"), { status: 500 }, /status 500: null$/],
    [
      "is 500 without a body",
      (response) => response.writeHead(500).end(),
      { status: 500 },
      /"next" .* failed: status 500$/
    ],
    ["is 204", (response) => response.writeHead(204, good).end(), { reason: "Refused", status: 204 }, /status 204$/],
    [
      "is a redirect",
      (response) => response.writeHead(302, { ...good, location: "/" }).end(),
      { reason: "Refused", status: 302 },
      /status 302$/
    ],
    [
      "has no request id",
      { headers: { "Lambda-Runtime-Aws-Request-Id": undefined } },
      malformed,
      /the invocation has no request id$/
    ],
    ["has an empty request id", { id: "" }, malformed, /the invocation has no request id$/],
    ["has no deadline", withDeadline(undefined), malformed, /invocation 1 has no valid deadline$/],
    ...["", "soon", "-1", "0", "1e400", "NaN", "12.5", "9".repeat(400)].map((value) =>
      [
        `has the deadline ${JSON.stringify(value.slice(0, 9))}${value.length > 9 ? "…" : ""}`,
        withDeadline(value),
        malformed,
        /no valid deadline$/
      ] as const
    ),
    [
      "is shorter than its length",
      (response) => {
        response.writeHead(200, { ...good, "content-length": 100 }).write("{\"secret\":", () => response.destroy())
      },
      { reason: "Truncated", status: undefined },
      /"next" .* failed: the connection broke during the response$/
    ],
    [
      "is a chunked body without its end",
      (response) => {
        response.writeHead(200, good).write("{\"secret\":", () => response.destroy())
      },
      { reason: "Truncated", status: undefined },
      /"next" .* failed: the connection broke during the response$/
    ],
    [
      "is not HTTP",
      (_, { socket }) => socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
      { reason: "Connection", status: undefined },
      /"next" .* failed: there was no response \(Parse Error/
    ],
    [
      "switches protocols",
      (_, { socket }) => socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
      { reason: "Connection", status: undefined },
      /"next" .* failed: there was no response /
    ],
    [
      "is a connection that breaks",
      (_, { socket }) => socket.destroy(),
      { reason: "Connection", status: undefined },
      /"next" .* failed: there was no response \(socket hang up\)$/
    ]
  ]
  for (const [condition, answer, fields, message] of cases) {
    testRuntime(
      `fails after one request and without quoting the event when the answer ${condition}`,
      (api) =>
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
        })
    )
  }

  testRuntime("fails with the refused connection when nothing listens at the address", () =>
    Effect.gen(function*() {
      const fiber = yield* start({ address: "127.0.0.1:9" }, () => Effect.void)
      const error = failureOf(yield* Fiber.await(fiber))
      assert.deepInclude(error, { _tag: "LambdaRuntimeError", operation: "next", reason: "Connection" } as any)
      assert.match((error as Error).message, /ECONNREFUSED/)
    }))

  testRuntime("fails when an answer is 500 after good answers", (api) =>
    Effect.gen(function*() {
      const fiber = yield* start(api, () => Effect.void)
      yield* invoke(api, {}, {})
      yield* api.next((response) => response.writeHead(500).end())
      assert.deepInclude(failureOf(yield* Fiber.await(fiber)), { operation: "next", status: 500 } as any)
      assert.strictEqual(api.log.filter((entry) => entry === "next").length, 3)
    }))
})

describe("LambdaRuntime.run connections", () => {
  testRuntime("uses one connection for many invocations", (api) =>
    Effect.gen(function*() {
      yield* start(api, () => Effect.void)
      yield* invoke(api, {}, {}, {}, {}, {})
      yield* api.idle
      assert.strictEqual(api.connections(), 1)
    }))

  testRuntime(
    "replaces a kept connection that was closed, once, and fails when the new one breaks as well",
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

  testRuntime("sends no trace headers and makes no spans of its own", (api) =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      yield* LambdaRuntime.run({
        handler: (event: { readonly stream?: boolean }) =>
          event.stream === true ? Stream.make("a") : Effect.withSpan(Effect.void, "handler"),
        layer: ThreadStats.layerTest
      }).pipe(
        withEnvironment(api),
        Effect.withSpan("program"),
        Effect.withTracer(tracer),
        Effect.forkScoped
      )
      yield* invoke(api, {}, { event: { stream: true } })
      yield* api.idle
      assert.deepStrictEqual(spans.map(({ name }) => name), ["program", "handler"])
      assert.lengthOf(api.headers, 5)
      for (const headers of api.headers) {
        assert.deepStrictEqual(Object.keys(headers).filter((name) => /trace|b3|datadog|baggage/.test(name)), [])
      }
    }))
})
