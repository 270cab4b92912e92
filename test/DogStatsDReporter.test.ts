import { assert, describe, it } from "@effect/vitest"
import * as DogStatsDReporter from "effect-threadstats/DogStatsDReporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { sample } from "./dogstatsd/encoding.js"
import { unixDatagrams } from "./support/dogstatsd.js"
import { toWire, WireReporter } from "./support/wireReporter.js"

const environment = (variables: Record<string, string>) => ConfigProvider.fromMap(new Map(Object.entries(variables)))

const makeReporter = (
  options: DogStatsDReporter.DogStatsDReporterOptions,
  variables: Record<string, string> = {}
): Effect.Effect<WireReporter, ConfigError.ConfigError, Scope.Scope> =>
  Effect.withConfigProvider(
    Effect.map(DogStatsDReporter.make({ originDetection: false, ...options }), toWire),
    environment(variables)
  )

/** The error of a metric without a name. The reporter refuses it before it opens a socket. */
const refusalBy = (reporter: WireReporter) => Effect.flip(reporter.flushSamples!([sample("gauge", "", [])]))

const endpointOf = (options: DogStatsDReporter.DogStatsDReporterOptions, variables: Record<string, string> = {}) =>
  Effect.flatMap(makeReporter(options, variables), refusalBy).pipe(
    Effect.map(({ endpoint }) => endpoint),
    Effect.scoped
  )

const settingErrorOf = (options: object, variables: Record<string, string> = {}) =>
  Effect.scoped(Effect.flip(makeReporter(options, variables))).pipe(
    Effect.map((error) => ({ path: "path" in error ? error.path : [], message: String(error) }))
  )

describe("DogStatsDReporter settings", () => {
  it.effect("uses a URL before host and port, and options before the environment", () =>
    Effect.gen(function*() {
      const all = { DD_DOGSTATSD_URL: "udp://url:1", DD_AGENT_HOST: "host", DD_DOGSTATSD_PORT: "2" }
      assert.strictEqual(yield* endpointOf({}), "udp://localhost:8125")
      assert.strictEqual(yield* endpointOf({}, all), "udp://url:1")
      assert.strictEqual(yield* endpointOf({ url: "unixstream:///a" }, all), "unixstream:///a")
      assert.strictEqual(yield* endpointOf({ agentHost: "code" }, all), "udp://code:2")
      assert.strictEqual(yield* endpointOf({ port: 3 }, all), "udp://host:3")
      assert.strictEqual(yield* endpointOf({ url: "udp://b:4", agentHost: "c", port: 5 }, all), "udp://b:4")
      assert.strictEqual(yield* endpointOf({}, { DD_AGENT_HOST: "host", DD_DOGSTATSD_URL: " " }), "udp://host:8125")
      assert.strictEqual(yield* endpointOf({}, { DD_DOGSTATSD_PORT: " 2 " }), "udp://localhost:2")
      assert.strictEqual(yield* endpointOf({}, { DD_AGENT_HOST: "fe80::1%eth0" }), "udp://[fe80::1%eth0]:8125")
    }))

  const addresses: ReadonlyArray<readonly [url: string, endpoint: string]> = [
    ["udp://agent", "udp://agent:8125"],
    ["UDP://agent:1/", "udp://agent:1"],
    ["udp://127.0.0.1:65535", "udp://127.0.0.1:65535"],
    ["udp://[::1]:9", "udp://[::1]:9"],
    ["udp://[::1]", "udp://[::1]:8125"],
    ["unix:///var/run/datadog/dsd.socket", "unix:///var/run/datadog/dsd.socket"],
    ["unixgram:///a b", "unixgram:///a b"],
    ["unixstream://relative", "unixstream://relative"]
  ]
  for (const [url, endpoint] of addresses) {
    const isSkipped = url.startsWith("unixgram") && unixDatagrams instanceof Error
    it.effect.skipIf(isSkipped)(
      `accepts the address "${url}" from \`url\` and DD_DOGSTATSD_URL`,
      () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* endpointOf({ url }), endpoint)
          assert.strictEqual(yield* endpointOf({}, { DD_DOGSTATSD_URL: url }), endpoint)
        })
    )
  }

  const invalidVariables: ReadonlyArray<readonly [name: string, ...values: ReadonlyArray<string>]> = [
    [
      "DD_DOGSTATSD_URL",
      "agent:8125",
      "http://agent",
      "udp://",
      "udp://a:b",
      "udp://a:0",
      "udp://a:65536",
      "udp://::1",
      "unix://",
      `unix:///${"x".repeat(200)}`
    ],
    ["DD_AGENT_HOST", "udp://agent", "a b", "unix:///x", "a:8125/"],
    ["DD_DOGSTATSD_PORT", "x", "0", "65536", "1.5", "-1"],
    ["DD_CARDINALITY", "medium"],
    ["DATADOG_CARDINALITY", "medium"],
    ["DD_ORIGIN_DETECTION_ENABLED", "perhaps"],
    ["DD_THREADSTATS_DOGSTATSD_PROFILE", "statsd"],
    ["DD_THREADSTATS_DOGSTATSD_TIMESTAMPS", "sometimes"],
    ["DD_THREADSTATS_DOGSTATSD_PACKED", "perhaps"],
    ["DD_THREADSTATS_DOGSTATSD_SETS", "all"],
    ["DD_THREADSTATS_DOGSTATSD_TAG_FORMAT", "graphite"],
    ["DD_THREADSTATS_DOGSTATSD_SOCKET_LIFETIME", "0", "soon"]
  ]
  for (const [name, ...values] of invalidVariables) {
    it.effect(`fails with a ConfigError that names ${name} when its value is invalid`, () =>
      Effect.gen(function*() {
        for (const value of values) {
          const { message, path } = yield* settingErrorOf({ originDetection: undefined }, { [name]: value })
          assert.deepStrictEqual(path, [name], value)
          assert.include(message, "expected")
        }
      }))
  }

  const invalidOptions: ReadonlyArray<readonly [name: string, ...values: ReadonlyArray<unknown>]> = [
    ["url", "", 1, null, {}, "ftp://x"],
    ["agentHost", "", 1, "a/b"],
    ["port", 0, 1.5, Number.NaN, "x", null],
    ["profile", "lambda", 1],
    ["packetSize", 1, 511, 65_508, Infinity, "big"],
    ["lineTimestamps", "sometimes", true],
    ["packed", "x", 2],
    ["sets", "all", true],
    ["tagFormat", "graphite", 1],
    ["socketLifetime", 0, -1, "soon", null],
    ["originDetection", "x"],
    ["containerId", 1],
    ["externalEnv", 1],
    ["entityId", {}],
    ["cardinality", "medium", null],
    ["root", 1]
  ]
  for (const [name, ...values] of invalidOptions) {
    it.effect(`fails with a ConfigError that names the option ${name} when its value is invalid`, () =>
      Effect.gen(function*() {
        for (const value of values) {
          const { message, path } = yield* settingErrorOf({ [name]: value })
          assert.deepStrictEqual(path, [name], String(value))
          assert.include(message, "expected")
        }
      }))
  }

  it.effect("fails with a ConfigError when reading an option throws", () =>
    Effect.gen(function*() {
      const error = yield* Effect.scoped(Effect.flip(DogStatsDReporter.make({
        get port(): number {
          throw new TypeError("no")
        }
      })))
      assert.isTrue(ConfigError.isConfigError(error))
      assert.include(String(error), "port")
    }))

  it.effect("sends to this machine with the profile \"extension\", whatever Agent the environment names", () =>
    Effect.gen(function*() {
      const variables = { DD_AGENT_HOST: "agent", DD_DOGSTATSD_PORT: "1", DD_DOGSTATSD_URL: "unix:///x" }
      const reporter = yield* makeReporter({ profile: "extension" }, variables)
      const error = yield* Effect.flip(reporter.flushEvents([{ title: "t", text: "", tags: [] }]))
      assert.deepStrictEqual([error.endpoint, error.reason], ["udp://127.0.0.1:8125", "Rejected"])
      const { message } = yield* settingErrorOf({ profile: "extension", url: "unix:///x" })
      assert.include(message, "the Lambda extension listens on UDP only")
    }).pipe(Effect.scoped))
})

describe("DogStatsDReporter.layerConfig", () => {
  it.effect("reads options from a Config", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flatMap(WireReporter, refusalBy)
      assert.strictEqual(error.endpoint, "udp://mine:7")
    }).pipe(
      Effect.provide(
        DogStatsDReporter.layerConfig({ agentHost: Config.string("MY_HOST"), port: Config.integer("MY_PORT") })
      ),
      Effect.provide(ThreadStatsConfig.layerTest),
      Effect.withConfigProvider(environment({ MY_HOST: "mine", MY_PORT: "7" }))
    ))
})

describe("DogStatsDReporter.layerWith", () => {
  it.effect("fails with an error that names an option without a meaning, and lists the options", () =>
    Effect.gen(function*() {
      const { message, path } = yield* settingErrorOf({ hostt: "agent" } as never)
      assert.deepStrictEqual(path, ["hostt"])
      assert.match(message, /there is no option of this name\. Use one of url, agentHost, /)
    }))
})

describe("ThreadStats.layerDogStatsDWith", () => {
  const buildClient = (options: object) =>
    Effect.flip(Layer.build(ThreadStats.layerDogStatsDWith(options))).pipe(
      Effect.withConfigProvider(environment({}))
    )

  it.scoped("fails with an error that names an option without a meaning, of the client or of the reporter", () =>
    Effect.gen(function*() {
      assert.include(String(yield* buildClient({ namespac: "shop" })), "Invalid data at namespac:")
      assert.include(String(yield* buildClient({ dogstatsd: { hostt: "agent" } })), "Invalid data at hostt:")
    }))
})

describe("DogStatsDReporter.variables", () => {
  const buildClient = (variables: Record<string, string>) =>
    Layer.build(Layer.provide(ThreadStats.layerDogStatsD, Layer.setConfigProvider(environment(variables))))

  for (const { description, name } of DogStatsDReporter.variables) {
    it.scoped(`describes ${name}, which ThreadStats.layerDogStatsD reads`, () =>
      Effect.gen(function*() {
        assert.isNotEmpty(description)
        // every text is valid for these two
        if (name === "DD_EXTERNAL_ENV" || name === "DD_ENTITY_ID") return
        const result = yield* Effect.either(buildClient({ [name]: "a b" }))
        assert.isTrue(Either.isLeft(result) && ConfigError.isConfigError(result.left))
      }))
  }

  it.scoped("reads no other variable when DD_THREADSTATS_DISABLED is true", () =>
    buildClient({ DD_AGENT_HOST: "a b", DD_THREADSTATS_DISABLED: "true" }))
})

describe("DogStatsDReporter.make", () => {
  it.scoped("declares the temporality \"delta\"", () =>
    Effect.map(makeReporter({}), ({ temporality }) => assert.strictEqual(temporality, "delta")))

  it.scoped("returns refused items in the error, with the number of further causes", () =>
    Effect.gen(function*() {
      const reporter = yield* makeReporter({ url: "udp://127.0.0.1:9" })
      const batch = [sample("gauge", "", []), sample("gauge", "_sc", [])]
      const error = yield* Effect.flip(reporter.flushSamples!(batch))
      assert.deepStrictEqual(error.refused, batch)
      assert.deepStrictEqual([error.undelivered, error.ambiguous], [[], []])
      assert.deepStrictEqual(error.receipt, { items: 0, payloads: 0, bytes: 0, retries: 0 })
      assert.strictEqual(
        error.message,
        "Encoding at udp://127.0.0.1:9: \"\" is not a valid metric name (and 1 more)"
      )
    }))
})
