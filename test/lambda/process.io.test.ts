import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { beforeAll } from "vitest"
import { bundle, type Child, node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"

const key = "0123456789abcdef0123456789abcdef"

/** Names of what arrived, in order. */
const arrived = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
  Effect.map((batch) => batch.map(({ metric }) => metric))
)

const posts = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests).pipe(
  Effect.map((requests) => requests.filter(({ method }) => method === "POST").map(({ path }) => path))
)

const built: Record<string, string> = {}

beforeAll(async () => {
  for (const name of ["function", "environment", "main", "undisposed", "stuck", "aws"]) {
    built[name] = await bundle(`test/lambda/${name}.ts`)
  }
}, 60_000)

const running = (title: string, test: () => Effect.Effect<void, unknown, LocalIntake.LocalIntake>) =>
  it.live(title, () => Effect.provide(test(), layerIntake({ apiKey: Redacted.make(key) })), 30_000)

describe("the requests of one nested, wrapped invocation", () => {
  running("are those of the reference", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const handler = Lambda.makeHandler({
        handler: () =>
          Effect.gen(function*() {
            yield* intake.requests.pipe(
              Effect.repeat({ schedule: Schedule.spaced("1 millis"), until: (requests) => requests.length > 0 })
            )
            yield* Lambda.lambdaProgram(Lambda.lambdaMetric("inner.dist", 10))
            yield* Lambda.lambdaMetric("outer.dist", 30, { tags: ["k:v"] })
          }),
        layer: Layer.provide(
          ThreadStats.layerHttpWith({
            apiUrl: intake.url,
            apiKey: Redacted.make(key),
            compress: false,
            periodicFlush: false
          }),
          FetchHttpClient.layer
        )
      })
      yield* Effect.promise(() => handler({}, {} as Lambda.LambdaContext))

      const wire = JSON.parse(readFileSync(new URL("../fixtures/wire.json", import.meta.url), "utf8"))
      const requests = yield* intake.requests
      const seen = requests.map(({ body, method, path }) => ({ method, path, body: normal(body) }))
      const expected = (wire.lambdaWrapper as ReadonlyArray<Record<string, unknown>>)
        .map(({ body, method, path }) => ({ method, path, body: normal(body) }))
      assert.deepStrictEqual(seen, expected)
      assert.deepStrictEqual(requests.map(({ status }) => status), [200, 202])
    }))

  const normal = (body: unknown): unknown =>
    body === undefined || body === null ? undefined : {
      series: (body as { series: Array<Record<string, any>> }).series
        .map((series) => ({
          host: null,
          device: null,
          ...series,
          tags: [...series.tags ?? []].toSorted(),
          points: series.points.map(([, values]: [unknown, unknown]) => values)
        }))
        .toSorted((a, b) => String(Reflect.get(a, "metric")).localeCompare(String(Reflect.get(b, "metric"))))
    }
})

describe.each(["node:http", "fetch"])("over %s", (over) => {
  const environmentOf = (intake: LocalIntake.LocalIntake["Type"]) => ({
    DATADOG_HOST: intake.url,
    DD_API_KEY: key,
    SENDS_OVER: over
  })

  describe("a program under NodeRuntime.runMain", () => {
    for (const [end, code] of [["returns", 0], ["fails", 1], ["dies", 1]] as const) {
      running(
        `that ${end} has delivered, and the process ends by itself with code ${code}`,
        () =>
          Effect.gen(function*() {
            const child = yield* node([built.main!, end], environmentOf(yield* LocalIntake.LocalIntake))
            const ended = yield* child.ended
            assert.strictEqual(ended.code, code, ended.stderr)
            assert.deepStrictEqual(yield* arrived, ["main.started"])
          }).pipe(Effect.scoped)
      )
    }

    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      running(`that gets ${signal} delivers before it ends`, () =>
        Effect.gen(function*() {
          const child = yield* node([built.main!, "waits"], environmentOf(yield* LocalIntake.LocalIntake))
          assert.strictEqual(yield* child.line, "started")
          assert.deepStrictEqual(yield* arrived, [])
          yield* child.kill(signal)
          const ended = yield* child.ended
          assert.isNull(ended.signal)
          assert.deepStrictEqual(yield* arrived, ["main.started"])
        }).pipe(Effect.scoped))
    }
  })

  describe("a process with an environment that nobody disposes of", () => {
    running(
      "ends by itself, and has delivered what was recorded after the last invocation",
      () =>
        Effect.gen(function*() {
          const child = yield* node([built.undisposed!], environmentOf(yield* LocalIntake.LocalIntake))
          const ended = yield* child.ended
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.deepStrictEqual(yield* arrived, ["inside", "after"])
        }).pipe(Effect.scoped)
    )
  })

  describe("a process with an invocation that can never end", () => {
    running(
      "is held by no timer of it, neither the periodic one nor the deadline's",
      () =>
        Effect.gen(function*() {
          const child = yield* node([built.stuck!], {
            AWS_LAMBDA_FUNCTION_NAME: "stuck",
            ...environmentOf(yield* LocalIntake.LocalIntake)
          })
          const [time, ended] = yield* Effect.zipRight(child.line, Effect.timed(child.ended))
          assert.strictEqual(ended.code, 0, ended.stderr)
          assert.isBelow(Duration.toMillis(time), 9000)
        }).pipe(Effect.scoped)
    )
  })

  describe("a function made with makeHandler, in an environment", () => {
    const environment = (variables: Record<string, string> = {}) =>
      Effect.flatMap(LocalIntake.LocalIntake, (intake) =>
        node([built.environment!, built.function!], {
          AWS_LAMBDA_FUNCTION_NAME: "function",
          ...environmentOf(intake),
          ...variables
        }))

    /** What it makes of an event. */
    const invoke = (child: Child, event: unknown) =>
      child.write(event).pipe(
        Effect.zipRight(Effect.repeat(child.line, { until: (line) => line.startsWith("> ") })),
        Effect.map((line) => JSON.parse(line.slice(2)))
      )

    running("delivers each invocation before it answers, and lets the process end", () =>
      Effect.gen(function*() {
        const child = yield* environment()
        for (const record of ["first", "second"]) {
          assert.deepStrictEqual(yield* invoke(child, { record }), { value: { recorded: record } })
          assert.strictEqual((yield* arrived).at(-1), record)
        }
        child.process.stdin!.end()
        const ended = yield* child.ended
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.strictEqual(ended.stderr, "")
        const requests = yield* Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests)
        assert.deepStrictEqual(requests.map(({ path }) => path).toSorted(), [
          "/api/v1/distribution_points",
          "/api/v1/distribution_points",
          "/api/v1/validate"
        ])
      }).pipe(Effect.scoped))

    running("fails with its own error, its name, message and stack", () =>
      Effect.gen(function*() {
        const child = yield* environment()
        const { error } = yield* invoke(child, { fail: "no stock" })
        assert.strictEqual(error.name, "FunctionError")
        assert.strictEqual(error.message, "no stock")
        assert.match(error.stack, /^\w*Error: no stock\n {4}at .*function\.mjs/)
        assert.deepStrictEqual(yield* posts, ["/api/v1/distribution_points"])
      }).pipe(Effect.scoped))

    running("answers as ever when the intake is not there, or refuses the key", () =>
      Effect.gen(function*() {
        for (const variables of [{ DATADOG_HOST: "http://127.0.0.1:9" }, { DD_API_KEY: "wrong" }]) {
          const child = yield* environment(variables)
          assert.deepStrictEqual(yield* invoke(child, { record: "lost" }), { value: { recorded: "lost" } })
          child.process.stdin!.end()
          const ended = yield* child.ended
          assert.strictEqual(ended.code, 0, ended.stderr)
        }
        assert.deepStrictEqual(yield* arrived, [])
      }).pipe(Effect.scoped))

    running("says which variable holds the key, when none does", () =>
      Effect.gen(function*() {
        const child = yield* environment({ DD_API_KEY: "" })
        const { error } = yield* invoke(child, { record: "first" })
        assert.strictEqual(error.name, "ConfigError")
        assert.include(error.message, "DD_API_KEY")
      }).pipe(Effect.scoped))

    running(
      "rejects every invocation, and prints no unhandled rejection, while its settings are wrong",
      () =>
        Effect.gen(function*() {
          const child = yield* environment({ DD_THREADSTATS_FLUSH_TIMEOUT: "soon" })
          for (const record of ["first", "second"]) {
            const { error } = yield* invoke(child, { record })
            assert.strictEqual(error.name, "ConfigError")
            assert.include(error.message, "DD_THREADSTATS_FLUSH_TIMEOUT")
          }
          child.process.stdin!.end()
          const ended = yield* child.ended
          assert.strictEqual(ended.code, 0)
          assert.strictEqual(ended.stderr, "")
        }).pipe(Effect.scoped)
    )

    /**
     * Freezes the environment between two invocations, with something recorded that a tick would send; what was sent by the
     * end of the second invocation. The wait is what is tested: time that passes while the process is stopped.
     */
    const freeze = (variables: Record<string, string>) =>
      Effect.gen(function*() {
        const child = yield* environment({
          DD_THREADSTATS_ROLL_UP_INTERVAL: "1",
          DD_THREADSTATS_FLUSH_INTERVAL: "1",
          ...variables
        })
        yield* invoke(child, { record: "first" })
        assert.deepStrictEqual(yield* invoke(child, { between: "between" }), { value: "recorded" })
        yield* child.kill("SIGSTOP")
        yield* Effect.sleep("2500 millis")
        assert.notInclude(yield* arrived, "between")
        yield* child.kill("SIGCONT")
        yield* invoke(child, { record: "second" })
        assert.includeMembers(yield* arrived, ["first", "between", "second"])
        return yield* posts
      }).pipe(Effect.scoped)

    running("that is frozen and thawed sends nothing on its own", () =>
      Effect.gen(function*() {
        assert.lengthOf(yield* freeze({}), 2)
      }))

    running("would, if the environment itself flushed periodically", () =>
      Effect.gen(function*() {
        assert.isAbove((yield* freeze({ DD_THREADSTATS_PERIODIC_FLUSH: "true" })).length, 2)
      }))
  })

  describe("lambda-local", () => {
    const cli = fileURLToPath(new URL("../../node_modules/lambda-local/build/cli.js", import.meta.url))
    const event = fileURLToPath(new URL("./event.json", import.meta.url))

    for (const name of ["function", "aws"]) {
      running(`runs a bundled handler (${name}.ts), which has delivered when it ends`, () =>
        Effect.gen(function*() {
          const child = yield* node(
            [cli, "--esm", "-l", built[name]!, "-h", "handler", "-e", event, "-t", "10"],
            { ...environmentOf(yield* LocalIntake.LocalIntake), HOME: "/nowhere" }
          )
          const ended = yield* child.ended
          assert.strictEqual(ended.code, 0, ended.stdout + ended.stderr)
          assert.include(ended.stdout, "\"recorded\": \"local\"")
          assert.deepStrictEqual(yield* arrived, ["local"])
        }).pipe(Effect.scoped))
    }
  })
})
