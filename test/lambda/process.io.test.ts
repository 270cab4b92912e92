import { assert, describe } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import { beforeAll } from "vitest"
import { bundle, type Child, node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"
import { apiKey, assertHidden, sweepKeys } from "../support/keySweep.js"
import { eventually, eventuallyEffect } from "../support/wait.js"

const it = sweepKeys(apiKey)

/** Names of the distributions that arrived, in order. */
const arrivedNames = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
  Effect.map((batch) => batch.map(({ metric }) => metric))
)

/** Paths of the requests that arrived, in order. */
const requestedPaths = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests).pipe(
  Effect.map((requests) => requests.map(({ path }) => path))
)

const distributionsPath = "/api/v1/distribution_points"
const warmingPath = "/api/v1/validate"

const bundles: Record<string, string> = {}

beforeAll(async () => {
  for (const name of ["function", "environment", "main", "undisposed", "stuck", "aws"]) {
    bundles[name] = await bundle(`test/lambda/${name}.ts`)
  }
})

/** A test of child processes that deliver to an intake on a loopback port. */
const testProcess = (
  title: string,
  test: () => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>
) => it.scopedLive(title, () => Effect.provide(test(), layerIntake({ apiKey: Redacted.make(apiKey) })))

/** Waits until the process ends, and fails if it printed the key. */
const endOf = (child: Child) =>
  Effect.tap(child.ended, ({ stderr, stdout }) => Effect.sync(() => assertHidden([stdout, stderr], [apiKey])))

describe.each(["node:http", "fetch"])("over %s", (transport) => {
  const variablesFor = Effect.map(LocalIntake.LocalIntake, (intake) => ({
    DATADOG_HOST: intake.url,
    DD_API_KEY: apiKey,
    TRANSPORT: transport,
    // On a busy machine no request is given up and sent again.
    DD_THREADSTATS_FLUSH_TIMEOUT: "100",
    DD_THREADSTATS_REQUEST_TIMEOUT: "100"
  }))

  const start = (args: ReadonlyArray<string>, variables: Record<string, string> = {}) =>
    Effect.flatMap(variablesFor, (common) => node(args, { ...common, ...variables }))

  describe("lambdaProgram under NodeRuntime.runMain", () => {
    for (const [end, code] of [["returns", 0], ["fails", 1], ["dies", 1]] as const) {
      testProcess(
        `delivers before the process exits with code ${code} when the program ${end}`,
        () =>
          Effect.gen(function*() {
            const child = yield* start([bundles.main!, end])
            const ended = yield* endOf(child)
            assert.strictEqual(ended.code, code, ended.stderr)
            assert.deepStrictEqual(yield* arrivedNames, ["main.started"])
          })
      )
    }

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      testProcess(`delivers before the process exits when it receives ${signal}`, () =>
        Effect.gen(function*() {
          const child = yield* start([bundles.main!, "waits"])
          assert.strictEqual(yield* child.line, "started")
          assert.deepStrictEqual(yield* arrivedNames, [])
          yield* child.kill(signal)
          const ended = yield* endOf(child)
          assert.isNull(ended.signal)
          assert.deepStrictEqual(yield* arrivedNames, ["main.started"])
        }))
    }
  })

  describe("ManagedRuntime without dispose", () => {
    testProcess(
      "exits by itself after delivering the points recorded after the last invocation",
      () =>
        Effect.gen(function*() {
          const child = yield* start([bundles.undisposed!])
          const ended = yield* endOf(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.deepStrictEqual(yield* arrivedNames, ["inside", "after"])
        })
    )
  })

  describe("makeHandler in a child process", () => {
    testProcess(
      "does not hold the process with the periodic timer of an invocation",
      () =>
        Effect.gen(function*() {
          // The timer is due after an hour. The test would time out if the process waited for it.
          const child = yield* start([bundles.stuck!], {
            AWS_LAMBDA_FUNCTION_NAME: "stuck",
            DD_THREADSTATS_FLUSH_INTERVAL: "3600"
          })
          assert.strictEqual(yield* child.line, "waiting")
          const ended = yield* endOf(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
        })
    )

    testProcess(
      "holds the process until it has flushed before the deadline when nothing else is pending",
      () =>
        Effect.gen(function*() {
          const child = yield* start([bundles.stuck!, "3000"], { AWS_LAMBDA_FUNCTION_NAME: "stuck" })
          assert.strictEqual(yield* child.line, "waiting")
          const ended = yield* endOf(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.deepStrictEqual(yield* arrivedNames, ["stuck"])
        })
    )

    const startFunction = (variables: Record<string, string> = {}) =>
      start([bundles.environment!, bundles.function!], { AWS_LAMBDA_FUNCTION_NAME: "function", ...variables })

    /** Sends an event to the function, and returns the outcome of the invocation. */
    const invoke = (child: Child, event: unknown) =>
      child.write(event).pipe(
        Effect.zipRight(Effect.repeat(child.line, { until: (line) => line.startsWith("> ") })),
        Effect.map((line) => JSON.parse(line.slice(2)))
      )

    /** Closes the process's standard input, and waits until it ends. */
    const end = (child: Child) =>
      Effect.suspend(() => {
        child.process.stdin!.end()
        return endOf(child)
      })

    testProcess(
      "opens the connection before the first invocation, and delivers before each response",
      () =>
        Effect.gen(function*() {
          const child = yield* startFunction()
          // Over `node:http` an invocation that comes at once opens the connection itself, without the warming request.
          yield* eventuallyEffect(Effect.map(requestedPaths, (paths) => paths.length > 0))
          for (const record of ["first", "second"]) {
            assert.deepStrictEqual(yield* invoke(child, { record }), { value: { recorded: record } })
            assert.strictEqual((yield* arrivedNames).at(-1), record)
          }
          const ended = yield* end(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.strictEqual(ended.stderr, "")
          assert.deepStrictEqual(yield* requestedPaths, [warmingPath, distributionsPath, distributionsPath])
        })
    )

    testProcess(
      "delivers before the response when the invocation comes while the environment starts",
      () =>
        Effect.gen(function*() {
          const child = yield* startFunction()
          assert.deepStrictEqual(yield* invoke(child, { record: "first" }), { value: { recorded: "first" } })
          assert.deepStrictEqual(yield* arrivedNames, ["first"])
          const ended = yield* end(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
          const warmingRequests = (yield* requestedPaths).filter((path) => path !== distributionsPath)
          assert.isTrue(warmingRequests.length === 0 || warmingRequests.join() === warmingPath, warmingRequests.join())
        })
    )

    testProcess("rejects with the error of the program, its name, message and stack", () =>
      Effect.gen(function*() {
        const child = yield* startFunction()
        const { error } = yield* invoke(child, { fail: "out of stock" })
        assert.strictEqual(error.name, "FunctionError")
        assert.strictEqual(error.message, "out of stock")
        assert.match(error.stack, /^\w*Error: out of stock\n {4}at .*function\.mjs/)
        assert.deepStrictEqual(
          (yield* requestedPaths).filter((path) => path !== warmingPath),
          [distributionsPath]
        )
      }))

    for (
      const [state, variables] of [
        ["cannot be reached", { DATADOG_HOST: "http://127.0.0.1:9", DD_THREADSTATS_FLUSH_TIMEOUT: "1" }],
        ["refuses the key", { DD_API_KEY: "wrong" }]
      ] as const
    ) {
      testProcess(`returns the result of the program when the intake ${state}`, () =>
        Effect.gen(function*() {
          const child = yield* startFunction(variables)
          assert.deepStrictEqual(yield* invoke(child, { record: "lost" }), { value: { recorded: "lost" } })
          const ended = yield* end(child)
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.deepStrictEqual(yield* arrivedNames, [])
        }))
    }

    testProcess("rejects with a ConfigError that names DD_API_KEY when there is no key", () =>
      Effect.gen(function*() {
        const child = yield* startFunction({ DD_API_KEY: "" })
        const { error } = yield* invoke(child, { record: "first" })
        assert.strictEqual(error.name, "ConfigError")
        assert.include(error.message, "DD_API_KEY")
      }))

    testProcess(
      "rejects every invocation and prints no unhandled rejection when a setting is invalid",
      () =>
        Effect.gen(function*() {
          const child = yield* startFunction({ DD_THREADSTATS_FLUSH_TIMEOUT: "soon" })
          for (const record of ["first", "second"]) {
            const { error } = yield* invoke(child, { record })
            assert.strictEqual(error.name, "ConfigError")
            assert.include(error.message, "DD_THREADSTATS_FLUSH_TIMEOUT")
          }
          const ended = yield* end(child)
          assert.strictEqual(ended.code, 0)
          assert.strictEqual(ended.stderr, "")
        })
    )

    /** Starts a function with an interval of one second, and records a point between two invocations. */
    const startWithPendingPoint = (variables: Record<string, string>) =>
      Effect.gen(function*() {
        const child = yield* startFunction({
          DD_THREADSTATS_ROLL_UP_INTERVAL: "1",
          DD_THREADSTATS_FLUSH_INTERVAL: "1",
          ...variables
        })
        yield* invoke(child, { record: "first" })
        assert.deepStrictEqual(yield* invoke(child, { outside: "between" }), { value: "recorded" })
        return child
      })
    /** Stops a process until the interval of one second has passed, and then continues it. */
    const freeze = (child: Child) =>
      Effect.gen(function*() {
        yield* child.kill("SIGSTOP")
        const stoppedAt = performance.now()
        yield* eventually(() => performance.now() - stoppedAt > 1500)
        yield* child.kill("SIGCONT")
      })

    testProcess(
      "sends nothing between invocations when the process is frozen and thawed",
      () =>
        Effect.gen(function*() {
          const child = yield* startWithPendingPoint({})
          yield* freeze(child)
          // Timers that were due while the process was stopped have run by the time it answers this.
          yield* invoke(child, { outside: "after the thaw" })
          assert.deepStrictEqual(yield* arrivedNames, ["first"])
          yield* invoke(child, { record: "second" })
          assert.sameMembers([...yield* arrivedNames], ["first", "between", "after the thaw", "second"])
          assert.lengthOf((yield* requestedPaths).filter((path) => path === distributionsPath), 2)
        })
    )

    testProcess(
      "flushes between invocations after a thaw when DD_THREADSTATS_PERIODIC_FLUSH is true",
      () =>
        Effect.gen(function*() {
          const child = yield* startWithPendingPoint({ DD_THREADSTATS_PERIODIC_FLUSH: "true" })
          yield* freeze(child)
          yield* eventuallyEffect(Effect.map(arrivedNames, (names) => names.includes("between")))
        })
    )
  })

  describe("lambda-local", () => {
    const cli = fileURLToPath(new URL("../../node_modules/lambda-local/build/cli.js", import.meta.url))
    const event = fileURLToPath(new URL("./event.json", import.meta.url))

    for (const [handler, name] of [["makeHandler", "function"], ["@effect-aws/lambda", "aws"]] as const) {
      testProcess(
        `runs a bundled handler of ${handler}, which has delivered when the process ends`,
        () =>
          Effect.gen(function*() {
            const child = yield* start(
              [cli, "--esm", "-l", bundles[name]!, "-h", "handler", "-e", event, "-t", "100"],
              { HOME: "/nowhere" }
            )
            const ended = yield* endOf(child)
            assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
            assert.include(ended.stdout, "\"recorded\": \"local\"")
            assert.deepStrictEqual(yield* arrivedNames, ["local"])
          })
      )
    }
  })
})
