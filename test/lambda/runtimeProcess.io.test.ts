/** A container image's process under `NodeRuntime.runMain`, with the fake Runtime API and a local intake. */
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import { beforeAll } from "vitest"
import { bundle, type Child, type Ended, node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"
import { apiKey, assertHidden } from "../support/keySweep.js"
import * as RuntimeApi from "../support/runtimeApi.js"
import { eventually } from "../support/wait.js"
import { invoke } from "./inProcessRuntime.js"

let program = ""

beforeAll(async () => {
  program = await bundle("test/lambda/runtimeProgram.ts")
})

const testProcess = (
  title: string,
  test: (api: RuntimeApi.RuntimeApi) => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>
) =>
  it.scopedLive(
    title,
    () => Effect.provide(Effect.flatMap(RuntimeApi.make, test), layerIntake({ apiKey: Redacted.make(apiKey) }))
  )

const startProcess = (api: RuntimeApi.RuntimeApi, variables: Record<string, string> = {}) =>
  Effect.flatMap(LocalIntake.LocalIntake, (intake) =>
    node([program], {
      AWS_LAMBDA_RUNTIME_API: api.address,
      AWS_LAMBDA_FUNCTION_NAME: "orders",
      DATADOG_HOST: intake.url,
      DD_API_KEY: apiKey,
      ...variables
    }))

/** Waits until the process has ended, and fails if it printed the key. */
const endOf = (child: Child): Effect.Effect<Ended> =>
  Effect.tap(child.ended, ({ stderr, stdout }) => assertHidden([stdout, stderr], [apiKey]))

/** The distinct values that arrived, in ascending order: a value whose request was retried may have arrived twice. */
const arrivedValues = Effect.map(
  Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions),
  (batch) => {
    const values = batch.flatMap(({ points }) => points.flatMap(([, values]) => values))
    return Array.from(new Set(values)).sort((a, b) => a - b)
  }
)

/** The state of a process as Linux describes it: the word after the name in parentheses. */
const stateOf = ({ process: { pid } }: Child): string =>
  readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").slice(0, 1)

describe("LambdaRuntime.run under NodeRuntime.runMain", () => {
  testProcess(
    "delivers the points of 50 invocations and ends on SIGTERM while it waits for the next one",
    (api) =>
      Effect.gen(function*() {
        const child = yield* startProcess(api)
        const records = Array.from({ length: 50 }, (_, n) => n)
        const posts = yield* invoke(api, ...records.map((record) => ({ event: { record } })))
        assert.deepStrictEqual(posts.map(({ json }) => json), records.map((recorded) => ({ recorded })))
        yield* api.idle
        yield* child.kill("SIGTERM")
        const ended = yield* endOf(child)
        assert.deepInclude(ended, { code: 0, signal: null, stderr: "" })
        assert.strictEqual(ended.stdout, "closed\n")
        assert.deepStrictEqual(yield* arrivedValues, records)
        const requests = yield* Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests)
        assert.lengthOf(requests.filter(({ method }) => method === "GET"), 1, "requests that open the connection ahead")
      })
  )

  testProcess(
    "answers the invocation in hand, delivers its points, and closes the layer on SIGTERM",
    (api) =>
      Effect.gen(function*() {
        const child = yield* startProcess(api)
        yield* api.next({ event: { until: "SIGTERM", record: 7 } }, { event: { record: 8 } })
        assert.strictEqual(yield* child.line, "waiting")
        yield* child.kill("SIGTERM")
        assert.deepStrictEqual((yield* api.posted).json, { recorded: 7 })
        const ended = yield* endOf(child)
        assert.deepInclude(ended, { code: 0, signal: null, stdout: "waiting\nclosed\n" })
        assert.deepStrictEqual(yield* arrivedValues, [7])
        assert.deepStrictEqual(api.log, ["next", "invocation/1/response"])
      })
  )

  testProcess(
    "ends at the deadline of an invocation that hangs after SIGTERM, and not before",
    (api) =>
      Effect.gen(function*() {
        const child = yield* startProcess(api)
        const deadline = Date.now() + 2000
        yield* api.next({
          event: { until: "never", record: 7 },
          headers: { "Lambda-Runtime-Deadline-Ms": String(deadline) }
        })
        assert.strictEqual(yield* child.line, "waiting")
        yield* child.kill("SIGTERM")
        const ended = yield* endOf(child)
        // Node.js may fire a timer one millisecond early.
        assert.isAtLeast(Date.now(), deadline - 2)
        assert.deepInclude(ended, { code: 0, signal: null })
        assert.include(ended.stdout, "did not finish before its deadline")
        assert.include(ended.stdout, "closed\n")
      })
  )

  testProcess("posts an init error and ends with 1 when the layer fails", (api) =>
    Effect.gen(function*() {
      const child = yield* startProcess(api, { DD_API_KEY: "" })
      const post = yield* api.posted
      assert.strictEqual(post.path, "init/error")
      assert.strictEqual(post.json.errorType, "ConfigError")
      assert.include(post.json.errorMessage, "DD_API_KEY")
      assert.strictEqual((yield* endOf(child)).code, 1)
      assert.deepStrictEqual(api.log, ["init/error"])
    }))

  testProcess(
    "prints the reason, closes the layer, and ends with 1 when the Runtime API fails",
    (api) =>
      Effect.gen(function*() {
        const child = yield* startProcess(api)
        yield* invoke(api, { event: { record: 1 } })
        yield* api.next((response) => response.writeHead(500).end("{\"errorType\":\"Container.Error\"}"))
        const ended = yield* endOf(child)
        assert.strictEqual(ended.code, 1)
        assert.include(ended.stdout + ended.stderr, "status 500: Container.Error")
        assert.include(ended.stdout, "closed\n")
      })
  )

  testProcess("answers an invocation that arrived while the process was frozen", (api) =>
    Effect.gen(function*() {
      const child = yield* startProcess(api)
      yield* invoke(api, { event: { record: 1 } })
      yield* api.idle
      yield* child.kill("SIGSTOP")
      yield* eventually(() => stateOf(child) === "T")
      yield* api.next({ event: { record: 2 } })
      yield* child.kill("SIGCONT")
      assert.deepStrictEqual((yield* api.posted).json, { recorded: 2 })
    }))
})
