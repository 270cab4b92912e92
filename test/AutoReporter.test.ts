import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Cause, ConfigError, ConfigProvider, Effect, Exit, Layer, Logger, LogLevel, Option, Redacted } from "effect"
import { AutoReporter, LocalIntake, Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"
import { ExtensionPath } from "../src/internal/reporters/extensionPath.js"
import { layerInProcess } from "./support/intake.js"
import { apiKey, sweepKeys } from "./support/keySweep.js"
import { type Line, logsTo } from "./support/scripted.js"

const otherKey = "fedcba9876543210fedcba9876543210"
const it = sweepKeys(apiKey, otherKey)

type Environment = { readonly [variable: string]: string }

const key = { DD_API_KEY: apiKey }
const lambda: Environment = { ...key, AWS_LAMBDA_FUNCTION_NAME: "shop", AWS_REGION: "eu-west-1" }
const govLambda: Environment = { ...lambda, AWS_REGION: "us-gov-west-1" }

/** A file that exists, in place of the extension, and one that does not. */
const installed = fileURLToPath(import.meta.url)
const missing = `${installed}.missing`

const provideEnvironment = <A, E, R>(effect: Effect.Effect<A, E, R>, environment: Environment, path = missing) =>
  effect.pipe(
    Effect.provideService(ExtensionPath, path),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
  )

/** The reporter that `AutoReporter.layer` selects, and its log lines. */
const select = (environment: Environment, path?: string, minimum = LogLevel.Debug) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const reporter = yield* provideEnvironment(
      Effect.provide(Reporter.Reporter, Layer.provide(AutoReporter.layer, ThreadStatsConfig.layer)),
      environment,
      path
    ).pipe(
      Logger.withMinimumLogLevel(minimum),
      Effect.provide(logsTo(lines))
    )
    return { reporter, lines }
  })

/** Level and selected reporter of each log line. */
const selectionsIn = (lines: ReadonlyArray<Line>) =>
  lines.map(({ level, message }) => `${level} ${/^Selected ([^:]+):/.exec(message)?.[1]}`)

const configErrorOf = (exit: Exit.Exit<unknown, ConfigError.ConfigError>) => {
  if (Exit.isSuccess(exit)) return assert.fail("it was built")
  const error = Option.getOrThrow(Cause.failureOption(exit.cause))
  assert.isTrue(ConfigError.isConfigError(error))
  return String(error)
}

const event = [{ title: "t", text: "", tags: [] }]

describe("AutoReporter.layer", () => {
  const cases: ReadonlyArray<readonly [condition: string, Environment, path: string, selection: string]> = [
    ["the extension is installed on Lambda", lambda, installed, "extension"],
    [
      "the extension is installed on Lambda and DD_FLUSH_TO_LOG is true",
      { ...lambda, DD_FLUSH_TO_LOG: "true" },
      installed,
      "extension"
    ],
    ["DD_FLUSH_TO_LOG is True on Lambda", { ...lambda, DD_FLUSH_TO_LOG: "True" }, missing, "log lines"],
    ["DD_FLUSH_TO_LOG is false on Lambda", { ...lambda, DD_FLUSH_TO_LOG: "false" }, missing, "HTTP"],
    ["DD_FLUSH_TO_LOG is empty on Lambda", { ...lambda, DD_FLUSH_TO_LOG: "" }, missing, "HTTP"],
    ["Lambda has no other setting", lambda, missing, "HTTP"],
    ["DD_AGENT_HOST is set on Lambda", { ...lambda, DD_AGENT_HOST: "localhost" }, missing, "HTTP"],
    ["the extension is installed on Lambda in FIPS mode", govLambda, installed, "extension"],
    ["DD_FLUSH_TO_LOG is 1 on Lambda in FIPS mode", { ...govLambda, DD_FLUSH_TO_LOG: "1" }, missing, "log lines"],
    ["FIPS mode is off on Lambda in a gov region", { ...govLambda, DD_LAMBDA_FIPS_MODE: "false" }, missing, "HTTP"],
    ["the environment has a key only", key, missing, "HTTP"],
    ["the file of the extension exists outside Lambda", key, installed, "HTTP"],
    ["the region is a gov region outside Lambda", { ...key, AWS_REGION: "us-gov-west-1" }, missing, "HTTP"],
    ["DD_AGENT_HOST is set outside Lambda", { ...key, DD_AGENT_HOST: "127.0.0.1" }, missing, "agent"],
    ["DD_DOGSTATSD_URL is set outside Lambda", { ...key, DD_DOGSTATSD_URL: "udp://127.0.0.1:1" }, missing, "agent"],
    ["DD_AGENT_HOST is empty outside Lambda", { ...key, DD_AGENT_HOST: " " }, missing, "HTTP"],
    [
      "DD_FLUSH_TO_LOG is on outside Lambda",
      { ...key, DD_FLUSH_TO_LOG: "on", DD_AGENT_HOST: "127.0.0.1" },
      missing,
      "log lines"
    ]
  ]
  for (const [condition, environment, path, selection] of cases) {
    it.effect(`selects ${selection} and logs it once at debug level when ${condition}`, () =>
      Effect.gen(function*() {
        const { lines, reporter } = yield* select(environment, path)
        assert.deepStrictEqual(selectionsIn(lines), [`DEBUG ${selection}`])
        assert.deepStrictEqual((yield* select(environment, path, LogLevel.Info)).lines, [])
        assert.strictEqual(reporter.temporality, selection === "HTTP" ? "total" : "delta")
        assert.strictEqual(reporter.samples !== true, selection === "HTTP")
      }))
  }

  it.effect("gives the extension its own profile, and writes log lines to standard output", () =>
    Effect.gen(function*() {
      const extension = yield* Effect.flip((yield* select(lambda, installed)).reporter.reportEvents(event))
      assert.deepStrictEqual([extension.endpoint, extension.refused], ["udp://127.0.0.1:8125", event])
      const { reporter } = yield* select({ ...lambda, DD_FLUSH_TO_LOG: "true" })
      const log = yield* Effect.flip(reporter.reportEvents(event))
      assert.deepStrictEqual([log.endpoint, log.refused], ["standard output", event])
    }))

  it.effect("reads the path of the extension that Datadog's libraries read", () =>
    Effect.map(ExtensionPath, (path) => assert.strictEqual(path, "/opt/extensions/datadog-agent")))

  for (
    const [condition, environment] of [
      ["in a gov region", govLambda],
      ["when DD_LAMBDA_FIPS_MODE is true", { ...lambda, DD_LAMBDA_FIPS_MODE: "true" }]
    ] as const
  ) {
    it.effect(`fails with a ConfigError in place of HTTP ${condition}, unless the client is disabled`, () =>
      Effect.gen(function*() {
        const message = configErrorOf(yield* Effect.exit(select(environment)))
        for (const remedy of ["DD_LAMBDA_FIPS_MODE", "extension", "DD_FLUSH_TO_LOG"]) assert.include(message, remedy)
        const disabled = yield* select({ ...environment, DD_THREADSTATS_DISABLED: "true" })
        assert.deepStrictEqual(disabled.lines, [])
        assert.strictEqual((yield* disabled.reporter.reportEvents(event)).items, 1)
      }))
  }

  for (
    const [variable, environment] of [
      ["DD_FLUSH_TO_LOG", { ...lambda, DD_FLUSH_TO_LOG: "maybe" }],
      ["DD_LAMBDA_FIPS_MODE", { ...lambda, DD_LAMBDA_FIPS_MODE: "2" }],
      ["DATADOG_API_KEY", { AWS_LAMBDA_FUNCTION_NAME: "shop" }],
      ["DD_DOGSTATSD_URL", { ...key, DD_DOGSTATSD_URL: "http://x" }],
      ["DD_SITE", { ...key, DD_SITE: "not a site" }]
    ] as const
  ) {
    it.effect(`fails with a ConfigError that names ${variable} when its value is invalid or absent`, () =>
      Effect.gen(function*() {
        assert.include(configErrorOf(yield* Effect.exit(select(environment))), variable)
      }))
  }

  it.effect("needs no API key for the extension, log lines and an Agent", () =>
    Effect.gen(function*() {
      const { lines: extension } = yield* select({ AWS_LAMBDA_FUNCTION_NAME: "shop" }, installed)
      const { lines: log } = yield* select({ AWS_LAMBDA_FUNCTION_NAME: "shop", DD_FLUSH_TO_LOG: "true" })
      const { lines: agent } = yield* select({ DD_AGENT_HOST: "127.0.0.1" })
      assert.deepStrictEqual(
        selectionsIn([...extension, ...log, ...agent]),
        ["DEBUG extension", "DEBUG log lines", "DEBUG agent"]
      )
    }))

  it.effect("uses the HttpClient of its context", () => {
    const urls: Array<string> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        urls.push(request.url)
        return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
      })
    )
    return Effect.gen(function*() {
      const { reporter } = yield* Effect.provideService(select(lambda), HttpClient.HttpClient, client)
      yield* reporter.reportEvents(event)
      assert.deepStrictEqual(urls, ["https://api.datadoghq.com/api/v1/events"])
    })
  })
})

describe("ThreadStats.layerAuto", () => {
  it.effect("delivers counters as distributions over HTTP on Lambda", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* provideEnvironment(
        Effect.provide(ThreadStats.increment("orders", 3), ThreadStats.layerAuto),
        { ...lambda, DATADOG_HOST: intake.url }
      )
      assert.deepStrictEqual((yield* intake.distributions).map(({ metric, points }) => [metric, points[0]?.[1]]), [
        ["orders", [3]]
      ])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("writes log lines when DD_FLUSH_TO_LOG is true", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      yield* Effect.acquireUseRelease(
        Effect.sync(() =>
          vi.spyOn(process.stdout, "write").mockImplementation((...args: Array<unknown>) => {
            texts.push(String(args[0]))
            ;(args[1] as () => void)()
            return true
          })
        ),
        () =>
          provideEnvironment(
            Effect.provide(ThreadStats.increment("orders", 3), ThreadStats.layerAuto),
            { ...lambda, DD_FLUSH_TO_LOG: "true" }
          ),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const { m, t, v } = JSON.parse(texts.join(""))
      assert.deepStrictEqual([m, v, t], ["orders", 3, []])
    }))

  it.effect("builds one client and selects once when it is provided twice", () =>
    Effect.gen(function*() {
      const lines: Array<Line> = []
      yield* provideEnvironment(
        Effect.all([ThreadStats.ThreadStats, ThreadStats.ThreadStats]).pipe(
          Effect.provide(Layer.provideMerge(ThreadStats.layerAuto, ThreadStats.layerAuto))
        ),
        lambda,
        installed
      ).pipe(Logger.withMinimumLogLevel(LogLevel.Debug), Effect.provide(logsTo(lines)))
      assert.deepStrictEqual(selectionsIn(lines), ["DEBUG extension"])
    }))
})

describe("ThreadStats.layerAutoWith", () => {
  it.effect("uses its options before the environment", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const layer = ThreadStats.layerAutoWith({
        apiUrl: intake.url,
        apiKey: Redacted.make(otherKey),
        submitAs: "series",
        namespace: "shop"
      })
      yield* provideEnvironment(
        Effect.provide(ThreadStats.increment("orders", 3), layer),
        { ...lambda, DATADOG_HOST: "http://x" }
      )
      assert.deepStrictEqual((yield* intake.series).map(({ metric }) => metric), ["shop.orders"])
    }).pipe(Effect.provide(layerInProcess())))
})
