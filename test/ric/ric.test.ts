/** AWS's own runtime interface client: `npm run test:ric` installs it, in this folder. */
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import {
  arrived,
  building,
  built,
  type Client,
  layerIntake,
  ofFreeze,
  ofHandler,
  ofManaged,
  ofStream,
  ofThreads,
  scenario,
  start,
  whats
} from "../emulator/scenarios.js"
import { run } from "../support/childProcess.js"
import { layerIntake as layerQuick } from "../support/intake.js"
import * as RuntimeApi from "../support/runtimeApi.js"

const key = "0123456789abcdef0123456789abcdef"

const module = (path: string): string => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url))

building("emulator", "function", "program", "../ric/queue", "../ric/stream", "../ric/callback")

/** The handler as a function's settings name it: path, file without its extension, export. */
const handlerOf = (name: string) => built[name]!.replace(/mjs$/, "handler")

/** What a client runs a function with, by the name of its file. */
type Of = (name: string) => Client

/** As it is in AWS's images for Node.js 20. */
const client3: Of = (name) => () => [process.execPath, module("aws-lambda-ric/bin/index.mjs"), handlerOf(name)]

/** As it is in those for Node.js 24. It alone can have several invocations at a time. */
const client4: Of = (name) => () => [
  "env",
  `_HANDLER=${handlerOf(name)}`,
  "LAMBDA_TASK_ROOT=/",
  module(`node-linux-${process.arch}/bin/node`),
  module("aws-lambda-ric-4/index.mjs")
]

const clients = [[", with AWS's runtime client 3", client3], [", with AWS's runtime client 4", client4]] as const

/** The library's own runtime, beside which the clients are frozen. */
const own: Client = () => [process.execPath, built["program"]!]

const minutes = "150 seconds"

// They wait for most of the time, and go first so that the others can run meanwhile.
for (const [title, of] of clients) {
  ofFreeze(of("function"), ["before-response"], ["resetAndDestroy"], minutes, title)
  ofFreeze(of("function"), ["after-response"], ["destroy"], minutes, title)
}
ofFreeze(own, ["after-response"], ["destroy", "resetAndDestroy"], minutes, ", with the library's own runtime")

for (const [title, of] of clients) {
  ofHandler(of("function"), title, 2500)
  ofStream(of("../ric/stream"), title)
}

const oneThread = { variables: { AWS_LAMBDA_NODEJS_WORKER_COUNT: "1" } }
ofManaged(client4("function"), true, oneThread, clients[1][0])
ofThreads(client4("function"), clients[1][0])

describe.concurrent("a Managed Instance with more worker threads than Node has in its pool", () => {
  const threads = 8
  let connections = 0
  const server = () => createServer({ keepAliveTimeout: 100 }).on("connection", () => connections++)

  scenario("can look up the intake's name where UV_THREADPOOL_SIZE makes room for that", () =>
    Effect.gen(function*() {
      const { url } = yield* LocalIntake.LocalIntake
      const emulator = yield* start(client4("function"), "before-response", {
        concurrency: threads,
        variables: {
          AWS_LAMBDA_NODEJS_WORKER_COUNT: String(threads),
          UV_THREADPOOL_SIZE: String(2 * threads),
          DATADOG_HOST: url.replace("127.0.0.1", "localhost")
        }
      })
      const waits = Effect.sync(() => whats(emulator.log).filter((what) => what === "runtime next").length === threads)
      yield* Effect.repeat(Effect.delay(waits, 10), { until: (all) => all })
      // For the connections they opened while they initialised to be closed.
      yield* Effect.sleep("1500 millis")
      const before = connections
      for (const record of ["first", "second", "third"]) {
        const { responseTime } = yield* emulator.invoke({ record })
        assert.isBelow(responseTime, 2500)
        assert.include(yield* arrived, record)
      }
      assert.isAbove(connections, before)
    }), layerIntake(0, server))
})

/** A function under a client, with an API that keeps what is posted. */
const running = (of: Of) =>
(
  title: string,
  name: string,
  test: (
    invoke: (event: unknown) => Effect.Effect<RuntimeApi.Posted>,
    api: RuntimeApi.RuntimeApi & { readonly send: (event: unknown) => Effect.Effect<void> }
  ) => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const api = yield* RuntimeApi.make
      const intake = yield* LocalIntake.LocalIntake
      yield* run(of(name)(), {
        AWS_LAMBDA_RUNTIME_API: api.address,
        AWS_LAMBDA_FUNCTION_NAME: "orders",
        AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
        AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/orders",
        AWS_LAMBDA_LOG_STREAM_NAME: "orders",
        DATADOG_HOST: intake.url,
        DD_API_KEY: key
      })
      // Its client reads the content type of an event, and crashes where there is none.
      const send = (event: unknown) => api.next({ event, headers: { "content-type": "application/json" } })
      yield* test((event) => Effect.zipRight(send(event), api.posted), { ...api, send })
    }).pipe(Effect.scoped, Effect.provide(layerQuick({ apiKey: Redacted.make(key) }))), 30_000)

const total = (name: string) =>
  Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
    Effect.map((batch) =>
      batch
        .filter(({ metric }) => metric === name)
        .flatMap(({ points }) => points.flatMap(([, values]) => values))
        .reduce((sum, value) => sum + value, 0)
    )
  )

for (const [title, of] of clients) {
  const test = running(of)

  describe.concurrent(`a handler of two parameters, from an ES module${title}`, () => {
    const messages = (...bodies: ReadonlyArray<string>) => ({
      Records: bodies.map((body, index) => ({ messageId: `message.${index}`, body }))
    })

    test(
      "has its partial batch result passed on untouched, and its counts delivered",
      "../ric/queue",
      (invoke) =>
        Effect.gen(function*() {
          const some = yield* invoke(messages("good", "bad", "good", "bad"))
          assert.strictEqual(some.path, "invocation/1/response")
          assert.strictEqual(
            some.text,
            "{\"batchItemFailures\":[{\"itemIdentifier\":\"message.1\"},{\"itemIdentifier\":\"message.3\"}]}"
          )
          assert.strictEqual(yield* total("messages"), 4)
          assert.strictEqual((yield* invoke(messages("good"))).text, "{\"batchItemFailures\":[]}")
          assert.strictEqual(yield* total("messages"), 5)
        })
    )

    test("fails with its own error: name, message and stack", "../ric/queue", (invoke) =>
      Effect.gen(function*() {
        const { json, path } = yield* invoke(messages("good", "poison"))
        assert.strictEqual(path, "invocation/1/error")
        assert.strictEqual(json.errorType, "OutOfStock")
        assert.strictEqual(json.errorMessage, "no stock for orders")
        assert.strictEqual(json.trace[0], "OutOfStock: no stock for orders")
        assert.match(json.trace[1], /^ {4}at .*queue\.mjs/)
        assert.strictEqual(yield* total("poisoned"), 1)
        assert.strictEqual((yield* invoke(messages())).path, "invocation/2/response")
      }))
  })

  describe.concurrent(`a handler that streams${title}`, () => {
    test(
      "is known as one, and its pieces leave as they come",
      "../ric/stream",
      (invoke, api) =>
        Effect.gen(function*() {
          yield* api.send({ record: "first", pieces: ["one ", "two ", "żółw"], wait: 500 })
          yield* Effect.repeat(Effect.sleep(5), { until: () => api.partial.has("invocation/1/response") })
          assert.strictEqual(api.partial.get("invocation/1/response"), "one ")
          const post = yield* api.posted
          assert.strictEqual(post.text, "one two żółw")
          assert.strictEqual(post.headers["lambda-runtime-function-response-mode"], "streaming")
          assert.strictEqual(post.headers["transfer-encoding"], "chunked")
          assert.strictEqual(post.headers["content-type"], "application/octet-stream")
          assert.deepStrictEqual(post.trailers, {})
          const second = yield* invoke({ record: "second", pieces: ["a,b"], options: { contentType: "text/csv" } })
          assert.strictEqual(second.headers["content-type"], "text/csv")
          assert.strictEqual(second.text, "a,b")
          yield* api.idle
          assert.deepStrictEqual(yield* arrived, ["first", "second"])
        })
    )

    test("has status, headers and cookies in front", "../ric/stream", (invoke) =>
      Effect.gen(function*() {
        const options = { statusCode: 201, headers: { "content-type": "text/html" }, cookies: ["a=1"] }
        for (const pieces of [["<p>", "</p>"], []]) {
          const post = yield* invoke({ record: "page", pieces, options })
          assert.strictEqual(post.headers["content-type"], "application/vnd.awslambda.http-integration-response")
          const [prelude, rest] = post.text.split("\0".repeat(8))
          assert.deepStrictEqual(JSON.parse(prelude!), options)
          assert.strictEqual(rest, pieces.join(""))
        }
      }))

    for (const pieces of [["a", null], [null]]) {
      test(
        `tells its own error in the trailers when it fails after ${pieces.length - 1}`,
        "../ric/stream",
        (invoke) =>
          Effect.gen(function*() {
            const post = yield* invoke({ record: "torn", pieces })
            assert.strictEqual(post.path, "invocation/1/response")
            assert.strictEqual(post.text, pieces.slice(0, -1).join(""))
            assert.strictEqual(post.trailers["lambda-runtime-function-error-type"], "Torn")
            const body = post.trailers["lambda-runtime-function-error-body"] ?? ""
            const error = JSON.parse(Buffer.from(body, "base64").toString())
            assert.strictEqual(error.errorType, "Torn")
            assert.strictEqual(error.errorMessage, "on its way")
            assert.strictEqual(error.trace[0], "Torn: on its way")
            assert.match(error.trace[1], /^ {4}at .*stream\.mjs/)
            assert.deepStrictEqual(yield* arrived, ["torn"])
            assert.strictEqual((yield* invoke({ record: "next", pieces: ["b"] })).text, "b")
          })
      )
    }
  })
}

describe.concurrent("a handler of three parameters", () => {
  scenario(
    "is refused by AWS's runtime client 4, which takes all that this library makes",
    () =>
      Effect.gen(function*() {
        const emulator = yield* start(client4("../ric/callback"), "before-response")
        const { detail } = yield* emulator.until("init error")
        assert.include(detail, "Runtime.CallbackHandlerDeprecated")
      })
  )
})
