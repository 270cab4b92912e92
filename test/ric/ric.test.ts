/** Tests under AWS's own runtime interface client, which `npm run test:ric` installs in this folder. */
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import {
  arrived,
  buildAll,
  built,
  type Client,
  kindsOf,
  layerIntake,
  start,
  testFreeze,
  testHandler,
  testManagedInstance,
  testScenario,
  testStream,
  testWorkerThreads
} from "../emulator/scenarios.js"
import { type Child, run } from "../support/childProcess.js"
import { layerIntake as layerFastIntake } from "../support/intake.js"
import { apiKey } from "../support/keySweep.js"
import * as RuntimeApi from "../support/runtimeApi.js"
import { eventually } from "../support/wait.js"

const module = (path: string): string => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url))

buildAll("emulator", "function", "program", "../ric/queue", "../ric/stream", "../ric/callback")

/** Returns the handler in the form of a function's settings: path, file without its extension, export. */
const handlerOf = (name: string) => built[name]!.replace(/mjs$/, "handler")

/** Returns the client that runs the function of a file. */
type ClientOf = (name: string) => Client

/** The client of AWS's images for Node.js 20. */
const client3: ClientOf = (name) => () => [process.execPath, module("aws-lambda-ric/bin/index.mjs"), handlerOf(name)]

/** The client of AWS's images for Node.js 24. Only this one supports concurrent invocations. */
const client4: ClientOf = (name) => () => [
  "env",
  `_HANDLER=${handlerOf(name)}`,
  "LAMBDA_TASK_ROOT=/",
  module(`node-linux-${process.arch}/bin/node`),
  module("aws-lambda-ric-4/index.mjs")
]

const clients = [["AWS's runtime client 3", client3], ["AWS's runtime client 4", client4]] as const

/** The function in the library's own runtime. */
const ownRuntime: Client = () => [process.execPath, built["program"]!]

const freeze = "150 seconds"

// The tests of the freeze wait most of the time. They start first, so that the others run meanwhile.
for (const [title, clientOf] of clients) {
  testFreeze(
    `Lambda.makeHandler under ${title}`,
    clientOf("function"),
    ["before-response"],
    ["resetAndDestroy"],
    freeze
  )
  testFreeze(`Lambda.makeHandler under ${title}`, clientOf("function"), ["after-response"], ["destroy"], freeze)
}
testFreeze("LambdaRuntime.run", ownRuntime, ["after-response"], ["destroy", "resetAndDestroy"], freeze)

for (const [title, clientOf] of clients) {
  testHandler(`Lambda.makeHandler under ${title}`, clientOf("function"))
  testStream(`Lambda.streamHandler under ${title}`, clientOf("../ric/stream"))
}

const oneThread = { variables: { AWS_LAMBDA_NODEJS_WORKER_COUNT: "1" } }
testManagedInstance(`Lambda.makeHandler under ${clients[1][0]}`, client4("function"), true, oneThread)
testWorkerThreads(`Lambda.makeHandler under ${clients[1][0]}`, client4("function"))

describe.concurrent("a Managed Instance with more worker threads than the thread pool of Node.js", () => {
  const threads = 8
  let connections = 0
  let open = 0
  const server = () =>
    createServer({ keepAliveTimeout: 100 }).on("connection", (socket) => {
      connections++
      open++
      socket.on("close", () => open--)
    })

  testScenario(
    "resolves the intake's host name when UV_THREADPOOL_SIZE exceeds the number of threads",
    () =>
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
        yield* eventually(() => kindsOf(emulator.log).filter((kind) => kind === "runtime next").length === threads)
        // The server closes the connections of the initialization: the next request resolves the name again.
        yield* eventually(() => connections > 0 && open === 0)
        const before = connections
        for (const record of ["first", "second", "third"]) {
          assert.strictEqual((yield* emulator.invoke({ record })).status, "response")
          assert.include(yield* arrived, record)
        }
        assert.isAbove(connections, before)
      }),
    layerIntake(0, server)
  )
})

/** Returns a function that registers a test of a function under a client, with a fake Runtime API that keeps the posts. */
const testPosts = (clientOf: ClientOf) =>
(
  title: string,
  name: string,
  test: (
    invoke: (event: unknown) => Effect.Effect<RuntimeApi.Posted>,
    api: RuntimeApi.RuntimeApi & { readonly send: (event: unknown) => Effect.Effect<void> },
    child: Child
  ) => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const api = yield* RuntimeApi.make
      const intake = yield* LocalIntake.LocalIntake
      const child = yield* run(clientOf(name)(), {
        AWS_LAMBDA_RUNTIME_API: api.address,
        AWS_LAMBDA_FUNCTION_NAME: "orders",
        AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128",
        AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/orders",
        AWS_LAMBDA_LOG_STREAM_NAME: "orders",
        DATADOG_HOST: intake.url,
        DD_API_KEY: apiKey
      })
      // AWS's client crashes on an event without a content type.
      const send = (event: unknown) => api.next({ event, headers: { "content-type": "application/json" } })
      yield* test((event) => Effect.zipRight(send(event), api.posted), { ...api, send }, child)
    }).pipe(Effect.scoped, Effect.provide(layerFastIntake({ apiKey: Redacted.make(apiKey) }))))

const total = (name: string) =>
  Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
    Effect.map((batch) =>
      batch
        .filter(({ metric }) => metric === name)
        .flatMap(({ points }) => points.flatMap(([, values]) => values))
        .reduce((sum, value) => sum + value, 0)
    )
  )

for (const [title, clientOf] of clients) {
  const test = testPosts(clientOf)

  describe.concurrent(`Lambda.makeHandler with two parameters, from an ES module, under ${title}`, () => {
    const messages = (...bodies: ReadonlyArray<string>) => ({
      Records: bodies.map((body, index) => ({ messageId: `message.${index}`, body }))
    })

    test(
      "posts a partial batch result unchanged and delivers the counts",
      "../ric/queue",
      (invoke) =>
        Effect.gen(function*() {
          const partial = yield* invoke(messages("good", "bad", "good", "bad"))
          assert.strictEqual(partial.path, "invocation/1/response")
          assert.strictEqual(
            partial.text,
            "{\"batchItemFailures\":[{\"itemIdentifier\":\"message.1\"},{\"itemIdentifier\":\"message.3\"}]}"
          )
          assert.strictEqual(yield* total("messages"), 4)
          assert.strictEqual((yield* invoke(messages("good"))).text, "{\"batchItemFailures\":[]}")
          assert.strictEqual(yield* total("messages"), 5)
        })
    )

    test(
      "posts name, message and stack of the handler's own error",
      "../ric/queue",
      (invoke) =>
        Effect.gen(function*() {
          const { json, path } = yield* invoke(messages("good", "poison"))
          assert.strictEqual(path, "invocation/1/error")
          assert.strictEqual(json.errorType, "OutOfStock")
          assert.strictEqual(json.errorMessage, "no stock for orders")
          assert.strictEqual(json.trace[0], "OutOfStock: no stock for orders")
          assert.match(json.trace[1], /^ {4}at .*queue\.mjs/)
          assert.strictEqual(yield* total("poisoned"), 1)
          assert.strictEqual((yield* invoke(messages())).path, "invocation/2/response")
        })
    )
  })

  describe.concurrent(`Lambda.makeHandler failures under ${title}`, () => {
    const event = (body: string) => ({ Records: [{ messageId: "message.0", body }] })

    test(
      "posts tag and text of a failure that is not an Error, and serves the next invocation",
      "../ric/queue",
      (invoke) =>
        Effect.gen(function*() {
          for (
            const [body, errorType, errorMessage] of [
              ["tagged", "NotFound", "no such order"],
              ["bare", "Bare", "{\"_tag\":\"Bare\",\"balance\":\"10n\"}"]
            ] as const
          ) {
            const { json, path } = yield* invoke(event(body))
            assert.match(path, /error$/)
            assert.deepInclude(json, { errorType, errorMessage })
          }
          assert.strictEqual((yield* invoke(event("good"))).path, "invocation/3/response")
        })
    )
  })

  describe.concurrent(`Lambda.streamHandler under ${title}`, () => {
    test(
      "sends each chunk at once, with the headers of a streamed response",
      "../ric/stream",
      (invoke, api, child) =>
        Effect.gen(function*() {
          yield* api.send({ record: "first", pieces: ["one ", "two ", "żółw"], hold: true })
          yield* api.until(() => api.partial.has("invocation/1/response"))
          assert.strictEqual(api.partial.get("invocation/1/response"), "one ")
          yield* child.kill("SIGUSR2")
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

    test("sends status, headers and cookies before the body", "../ric/stream", (invoke) =>
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

    for (const [moment, pieces] of [["after one chunk", ["a", null]], ["before its first chunk", [null]]] as const) {
      test(
        `reports the stream's own error in trailers when it fails ${moment}`,
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

describe.concurrent("AWS's runtime client 4", () => {
  testScenario("refuses a handler with three parameters", () =>
    Effect.gen(function*() {
      const emulator = yield* start(client4("../ric/callback"), "before-response")
      const { detail } = yield* emulator.until("init error")
      assert.include(detail, "Runtime.CallbackHandlerDeprecated")
    }))
})
