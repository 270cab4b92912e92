/** AWS's own runtime interface client: `npm run test:ric` installs it, in this folder. */
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import {
  arrived,
  building,
  built,
  type Client,
  layerIntake,
  type Mode,
  ofHandler,
  posts,
  scenario,
  start,
  whats
} from "../emulator/scenarios.js"
import { node } from "../lambda/child.js"
import { layerIntake as layerQuick } from "../support/intake.js"
import * as RuntimeApi from "../support/runtimeApi.js"

const key = "0123456789abcdef0123456789abcdef"

const ric = fileURLToPath(new URL("node_modules/aws-lambda-ric/bin/index.mjs", import.meta.url))

building("emulator", "function", "../ric/queue", "../ric/stream")

/** The handler as a function's settings name it: path, file without its extension, export. */
const handlerOf = (name: string) => built[name]!.replace(/mjs$/, "handler")

const client = (name: string): Client => () => [process.execPath, ric, handlerOf(name)]

ofHandler(client("function"), ", with AWS's runtime client")

/** A function under the client, with an API that keeps what is posted. */
const running = (
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
      yield* node([ric, handlerOf(name)], {
        AWS_LAMBDA_RUNTIME_API: api.address,
        AWS_LAMBDA_FUNCTION_NAME: "orders",
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

describe.concurrent("a handler of two parameters, from an ES module", () => {
  const messages = (...bodies: ReadonlyArray<string>) => ({
    Records: bodies.map((body, index) => ({ messageId: `message.${index}`, body }))
  })

  running(
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

  running("fails with its own error: name, message and stack", "../ric/queue", (invoke) =>
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

describe.concurrent("a handler that streams", () => {
  running(
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

  running("has status, headers and cookies in front", "../ric/stream", (invoke) =>
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
    running(
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

  for (const mode of ["before-response", "after-response"] satisfies ReadonlyArray<Mode>) {
    scenario(
      `has ended its response before it flushes, and flushes before it is frozen (${mode})`,
      () =>
        Effect.gen(function*() {
          const emulator = yield* start(client("../ric/stream"), mode)
          const records = ["one", "two", "three"]
          for (const record of records) {
            const { duration, payload, responseTime, status } = yield* emulator.finish({ record, pieces: ["a", "b"] })
            assert.strictEqual(status, "response")
            assert.strictEqual(payload, "ab")
            assert.include(yield* arrived, record)
            assert.isBelow(responseTime, duration - 190)
          }
          assert.lengthOf(yield* posts, records.length)
          const [first] = yield* posts
          const answered = yield* emulator.until("answered")
          assert.isAbove(first!.receivedAt, answered.at - 1)
          assert.strictEqual(whats(emulator.log).includes("register"), mode === "after-response")
        }),
      layerIntake("200 millis")
    )
  }
})
