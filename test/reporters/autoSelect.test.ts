import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigError, ConfigProvider, Effect, Exit, Layer, Logger, LogLevel, Option, Redacted } from "effect"
import { LocalIntake, Reporter, ThreadStats } from "effect-threadstats"
import { createSocket } from "node:dgram"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { ExtensionPath } from "../../src/internal/auto.js"
import { bundle, node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"
import { type Line, logsTo } from "../support/scripted.js"

type Environment = { readonly [variable: string]: string }

const key = { DD_API_KEY: "0123456789abcdef" }
const lambda: Environment = { ...key, AWS_LAMBDA_FUNCTION_NAME: "shop", AWS_REGION: "eu-west-1" }
const inGov: Environment = { ...lambda, AWS_REGION: "us-gov-west-1" }

/** A file that is there, and one that is not. */
const installed = fileURLToPath(import.meta.url)
const missing = `${installed}.missing`

const within = <A, E, R>(effect: Effect.Effect<A, E, R>, environment: Environment, path = missing) =>
  effect.pipe(
    Effect.provideService(ExtensionPath, path),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
  )

/** The reporter, and what was logged while it was chosen. */
const chosen = (environment: Environment, path?: string, minimum = LogLevel.Debug) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const reporter = yield* within(Effect.provide(Reporter.Reporter, Reporter.layerAuto), environment, path).pipe(
      Logger.withMinimumLogLevel(minimum),
      Effect.provide(logsTo(lines))
    )
    return { reporter, lines }
  })

const wayOf = ({ lines }: { readonly lines: ReadonlyArray<Line> }) =>
  lines.map(({ level, message }) => `${level} ${/^Metrics leave by way of ([^:]+):/.exec(message)?.[1]}`)

/** What was wrong with the settings. */
const refusedBy = (exit: Exit.Exit<unknown, ConfigError.ConfigError>) => {
  if (Exit.isSuccess(exit)) return assert.fail("it was built")
  const error = Option.getOrThrow(Cause.failureOption(exit.cause))
  assert.isTrue(ConfigError.isConfigError(error))
  return String(error)
}

const event = [{ title: "t", text: "", tags: [] }]

describe("layerAuto", () => {
  const cases: ReadonlyArray<readonly [name: string, Environment, path: string, way: string]> = [
    ["on Lambda with the extension", lambda, installed, "extension"],
    [
      "on Lambda with the extension and DD_FLUSH_TO_LOG",
      { ...lambda, DD_FLUSH_TO_LOG: "true" },
      installed,
      "extension"
    ],
    ["on Lambda with DD_FLUSH_TO_LOG", { ...lambda, DD_FLUSH_TO_LOG: "True" }, missing, "log lines"],
    ["on Lambda with DD_FLUSH_TO_LOG=false", { ...lambda, DD_FLUSH_TO_LOG: "false" }, missing, "HTTP"],
    ["on Lambda with an empty DD_FLUSH_TO_LOG", { ...lambda, DD_FLUSH_TO_LOG: "" }, missing, "HTTP"],
    ["on Lambda", lambda, missing, "HTTP"],
    [
      "on Lambda with an Agent's address for something else",
      { ...lambda, DD_AGENT_HOST: "localhost" },
      missing,
      "HTTP"
    ],
    ["on Lambda in FIPS mode with the extension", inGov, installed, "extension"],
    ["on Lambda in FIPS mode with DD_FLUSH_TO_LOG", { ...inGov, DD_FLUSH_TO_LOG: "1" }, missing, "log lines"],
    ["on Lambda in a gov region without FIPS mode", { ...inGov, DD_LAMBDA_FIPS_MODE: "false" }, missing, "HTTP"],
    ["elsewhere", key, missing, "HTTP"],
    ["elsewhere, whatever the file says", key, installed, "HTTP"],
    ["elsewhere in a gov region", { ...key, AWS_REGION: "us-gov-west-1" }, missing, "HTTP"],
    ["elsewhere with DD_AGENT_HOST", { ...key, DD_AGENT_HOST: "127.0.0.1" }, missing, "agent"],
    ["elsewhere with DD_DOGSTATSD_URL", { ...key, DD_DOGSTATSD_URL: "udp://127.0.0.1:1" }, missing, "agent"],
    ["elsewhere with an empty DD_AGENT_HOST", { ...key, DD_AGENT_HOST: " " }, missing, "HTTP"],
    [
      "elsewhere with DD_FLUSH_TO_LOG",
      { ...key, DD_FLUSH_TO_LOG: "on", DD_AGENT_HOST: "127.0.0.1" },
      missing,
      "log lines"
    ]
  ]
  for (const [name, environment, path, way] of cases) {
    it.effect(`${name} chooses ${way}, and says so once at debug level`, () =>
      Effect.gen(function*() {
        const made = yield* chosen(environment, path)
        assert.deepStrictEqual(wayOf(made), [`DEBUG ${way}`])
        assert.deepStrictEqual((yield* chosen(environment, path, LogLevel.Info)).lines, [])
        assert.strictEqual(made.reporter.temporality, way === "HTTP" ? "total" : "delta")
        assert.strictEqual(made.reporter.flushSamples === undefined, way === "HTTP")
      }))
  }

  it.effect("gives the extension its own profile, and log lines what they can say", () =>
    Effect.gen(function*() {
      const extension = yield* Effect.flip((yield* chosen(lambda, installed)).reporter.flushEvents(event))
      assert.deepStrictEqual([extension.endpoint, extension.refused], ["udp://127.0.0.1:8125", event])
      const log = yield* Effect.flip(
        (yield* chosen({ ...lambda, DD_FLUSH_TO_LOG: "true" })).reporter.flushEvents(event)
      )
      assert.deepStrictEqual([log.endpoint, log.refused], ["standard output", event])
    }))

  it.effect("looks for the extension where Datadog's own libraries do", () =>
    Effect.map(ExtensionPath, (path) => assert.strictEqual(path, "/opt/extensions/datadog-agent")))

  for (
    const [name, environment] of [
      ["in a gov region", inGov],
      ["where it is asked for", { ...lambda, DD_LAMBDA_FIPS_MODE: "true" }]
    ] as const
  ) {
    it.effect(`does not send over HTTP in FIPS mode, ${name}, and does not lose anything for it either`, () =>
      Effect.gen(function*() {
        const message = refusedBy(yield* Effect.exit(chosen(environment)))
        for (const way of ["DD_LAMBDA_FIPS_MODE", "extension", "DD_FLUSH_TO_LOG"]) assert.include(message, way)
        // and in a disabled client there is nothing to lose
        const disabled = yield* chosen({ ...environment, DD_THREADSTATS_DISABLED: "true" })
        assert.deepStrictEqual(disabled.lines, [])
        assert.strictEqual((yield* disabled.reporter.flushEvents(event)).items, 1)
      }))
  }

  it.effect("names what is wrong with a setting that it needs", () =>
    Effect.gen(function*() {
      for (
        const [environment, path, variable] of [
          [{ ...lambda, DD_FLUSH_TO_LOG: "maybe" }, missing, "DD_FLUSH_TO_LOG"],
          [{ ...lambda, DD_LAMBDA_FIPS_MODE: "2" }, missing, "DD_LAMBDA_FIPS_MODE"],
          [{ AWS_LAMBDA_FUNCTION_NAME: "shop" }, missing, "DATADOG_API_KEY"],
          [{ ...key, DD_DOGSTATSD_URL: "http://x" }, missing, "DD_DOGSTATSD_URL"],
          [{ ...key, DD_SITE: "not a site" }, missing, "DD_SITE"]
        ] as const
      ) {
        assert.include(refusedBy(yield* Effect.exit(chosen(environment, path))), variable)
      }
    }))

  it.effect("needs no key where none is used", () =>
    Effect.gen(function*() {
      yield* chosen({ AWS_LAMBDA_FUNCTION_NAME: "shop" }, installed)
      yield* chosen({ AWS_LAMBDA_FUNCTION_NAME: "shop", DD_FLUSH_TO_LOG: "true" })
      yield* chosen({ DD_AGENT_HOST: "127.0.0.1" })
    }))

  it.effect("uses the HTTP client that is provided", () => {
    const urls: Array<string> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        urls.push(request.url)
        return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
      })
    )
    return Effect.gen(function*() {
      const { reporter } = yield* Effect.provideService(chosen(lambda), HttpClient.HttpClient, client)
      yield* reporter.flushEvents(event)
      assert.deepStrictEqual(urls, ["https://api.datadoghq.com/api/v1/events"])
    })
  })
})

describe("ThreadStats.layerAuto", () => {
  it.live("delivers over HTTP on Lambda", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* within(
        Effect.provide(ThreadStats.increment("orders", 3), ThreadStats.layerAuto),
        { ...lambda, DATADOG_HOST: intake.url }
      )
      // counters travel as distributions there
      assert.deepStrictEqual((yield* intake.distributions).map(({ metric, points }) => [metric, points[0]?.[1]]), [
        ["orders", [3]]
      ])
    }).pipe(Effect.provide(layerIntake())))

  it.live("takes options, which beat the environment", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const layer = ThreadStats.layerAutoWith({
        apiUrl: intake.url,
        apiKey: Redacted.make("fedcba9876543210"),
        counters: "series",
        namespace: "shop"
      })
      yield* within(Effect.provide(ThreadStats.increment("orders", 3), layer), { ...lambda, DATADOG_HOST: "http://x" })
      assert.deepStrictEqual((yield* intake.series).map(({ metric }) => metric), ["shop.orders"])
    }).pipe(Effect.provide(layerIntake())))

  it.live("delivers to an Agent where there is one", () =>
    Effect.gen(function*() {
      const received: Array<string> = []
      const socket = yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createSocket>>((resume) => {
          const socket = createSocket("udp4", (message) => received.push(String(message)))
          socket.bind(0, "127.0.0.1", () => resume(Effect.succeed(socket)))
        }),
        (socket) => Effect.sync(() => socket.close())
      )
      const { port } = socket.address() as AddressInfo
      yield* within(
        Effect.provide(ThreadStats.increment("orders", 3), ThreadStats.layerAuto),
        { DD_DOGSTATSD_URL: `udp://127.0.0.1:${port}`, DD_ORIGIN_DETECTION_ENABLED: "false" }
      )
      while (received.length === 0) yield* Effect.sleep("5 millis")
      assert.deepStrictEqual(received.join("").trim().split("\n"), ["orders:3|c"])
    }).pipe(Effect.scoped))

  it.live("writes log lines where that is asked for", () =>
    Effect.gen(function*() {
      const { write } = process.stdout
      const texts: Array<string> = []
      yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          process.stdout.write = ((text: string, callback: () => void) => {
            texts.push(text)
            callback()
            return true
          }) as typeof write
        }),
        () =>
          within(
            Effect.provide(ThreadStats.increment("orders", 3, { timestamp: new Date() }), ThreadStats.layerAuto),
            { ...lambda, DD_FLUSH_TO_LOG: "true" }
          ),
        () =>
          Effect.sync(() => {
            process.stdout.write = write
          })
      )
      const { m, t, v } = JSON.parse(texts.join(""))
      assert.deepStrictEqual([m, v, t], ["orders", 3, []])
    }))

  it.live("works in a bundle of one file, as functions are deployed", () =>
    Effect.gen(function*() {
      const path = yield* Effect.promise(() => bundle("test/log/auto.ts"))
      const child = yield* node([path], { AWS_LAMBDA_FUNCTION_NAME: "shop", DD_FLUSH_TO_LOG: "true", DD_ENV: "test" })
      const { code, stderr, stdout } = yield* child.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepInclude(JSON.parse(stdout), { m: "orders", v: 3, t: ["shop:eu", "env:test"] })
    }).pipe(Effect.scoped), 60_000)

  it.effect("is one client with one choice, however often it is provided", () =>
    Effect.gen(function*() {
      const lines: Array<Line> = []
      yield* within(
        Effect.all([ThreadStats.ThreadStats, ThreadStats.ThreadStats]).pipe(
          Effect.provide(Layer.provideMerge(ThreadStats.layerAuto, ThreadStats.layerAuto))
        ),
        lambda,
        installed
      ).pipe(Logger.withMinimumLogLevel(LogLevel.Debug), Effect.provide(logsTo(lines)))
      assert.deepStrictEqual(wayOf({ lines }), ["DEBUG extension"])
    }))
})
