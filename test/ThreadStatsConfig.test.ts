import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigError,
  ConfigProvider,
  Duration,
  Effect,
  Exit,
  Inspectable,
  Layer,
  Option,
  Redacted
} from "effect"
import { ThreadStatsConfig } from "effect-threadstats"
import { readFileSync } from "node:fs"
import { untyped } from "./support/clientAssertions.js"
import { apiKey, assertHidden, sweepKeys } from "./support/keySweep.js"

const resolve = (
  options: ThreadStatsConfig.ThreadStatsOptions = {},
  env: { readonly [variable: string]: string } = {}
) => Effect.withConfigProvider(ThreadStatsConfig.make(options), ConfigProvider.fromMap(new Map(Object.entries(env))))

const apiKeyOf = (config: ThreadStatsConfig.ThreadStatsSettings) => Option.map(config.apiKey, Redacted.value)

/** For every setting: a value in the environment and one in code, the resolved settings of both, and invalid values. */
const cases: ReadonlyArray<{
  readonly option: keyof ThreadStatsConfig.ThreadStatsOptions
  readonly variable: string
  readonly env: string
  readonly code: unknown
  readonly field: keyof ThreadStatsConfig.ThreadStatsSettings
  readonly fromEnv: unknown
  readonly fromCode: unknown
  readonly invalid: ReadonlyArray<string>
}> = [
  {
    option: "namespace",
    variable: "DD_THREADSTATS_NAMESPACE",
    env: "shop",
    code: "team.app.",
    field: "namespace",
    fromEnv: "shop",
    fromCode: "team.app",
    invalid: ["1st", "_x", "n".repeat(151)]
  },
  {
    option: "hostname",
    variable: "DD_HOSTNAME",
    env: "a",
    code: "b",
    field: "hostname",
    fromEnv: "a",
    fromCode: "b",
    invalid: ["h".repeat(256)]
  },
  {
    option: "attachHost",
    variable: "DD_THREADSTATS_ATTACH_HOST",
    env: "yes",
    code: true,
    field: "attachHost",
    fromEnv: true,
    fromCode: true,
    invalid: ["maybe"]
  },
  {
    option: "device",
    variable: "DD_THREADSTATS_DEVICE",
    env: "eth0",
    code: "eth1",
    field: "device",
    fromEnv: "eth0",
    fromCode: "eth1",
    invalid: []
  },
  {
    option: "rollUpInterval",
    variable: "DD_THREADSTATS_ROLL_UP_INTERVAL",
    env: "60",
    code: "1 minute",
    field: "rollUpInterval",
    fromEnv: Duration.minutes(1),
    fromCode: Duration.minutes(1),
    invalid: ["0", "0.5", "1500 millis", "-1", "often", "off"]
  },
  {
    option: "flushInterval",
    variable: "DD_THREADSTATS_FLUSH_INTERVAL",
    env: "off",
    code: "30 seconds",
    field: "flushInterval",
    fromEnv: Duration.infinity,
    fromCode: Duration.seconds(30),
    invalid: ["0", "-5", "sometimes", "0.0009"]
  },
  {
    option: "periodicFlush",
    variable: "DD_THREADSTATS_PERIODIC_FLUSH",
    env: "0",
    code: false,
    field: "periodicFlush",
    fromEnv: false,
    fromCode: false,
    invalid: ["2"]
  },
  {
    option: "flushTimeout",
    variable: "DD_THREADSTATS_FLUSH_TIMEOUT",
    env: "2.5",
    code: 1000,
    field: "flushTimeout",
    fromEnv: Duration.millis(2500),
    fromCode: Duration.seconds(1),
    invalid: ["0", "off", "x", "0.9 millis", "500 micros"]
  },
  {
    option: "requestTimeout",
    variable: "DD_THREADSTATS_REQUEST_TIMEOUT",
    env: "500 millis",
    code: "1 second",
    field: "requestTimeout",
    fromEnv: Duration.millis(500),
    fromCode: Duration.seconds(1),
    invalid: ["0", "off", "x", "0.9 millis", "500 micros"]
  },
  {
    option: "disabled",
    variable: "DD_THREADSTATS_DISABLED",
    env: "TRUE",
    code: true,
    field: "disabled",
    fromEnv: true,
    fromCode: true,
    invalid: ["disabled"]
  },
  {
    option: "compress",
    variable: "DD_THREADSTATS_COMPRESS",
    env: "off",
    code: true,
    field: "compress",
    fromEnv: false,
    fromCode: true,
    invalid: ["gzip", "zstd"]
  },
  {
    option: "seriesVersion",
    variable: "DD_THREADSTATS_SERIES_VERSION",
    env: "v2",
    code: "v2",
    field: "seriesVersion",
    fromEnv: "v2",
    fromCode: "v2",
    invalid: ["v3", "2"]
  },
  {
    option: "units",
    variable: "DD_THREADSTATS_UNITS",
    env: "shop.latency:second, shop.size : byte,__proto__:x",
    code: { "shop.size": "byte" },
    field: "units",
    fromEnv: JSON.parse(`{"shop.latency":"second","shop.size":"byte","__proto__":"x"}`),
    fromCode: { "shop.size": "byte" },
    invalid: ["shop.size", "shop.size:", ":byte", `a:${"b".repeat(101)}`, `${"n".repeat(201)}:byte`]
  },
  {
    option: "percentiles",
    variable: "DD_THREADSTATS_PERCENTILES",
    env: "0.5, 0.999",
    code: [0.9, 0.9],
    field: "percentiles",
    fromEnv: [0.5, 0.999],
    fromCode: [0.9],
    invalid: ["95", "0", "1", "0.5,x"]
  },
  {
    option: "aggregates",
    variable: "DD_THREADSTATS_AGGREGATES",
    env: "sum,median",
    code: ["max", "max"],
    field: "aggregates",
    fromEnv: ["sum", "median"],
    fromCode: ["max"],
    invalid: ["mean"]
  },
  {
    option: "sampleSize",
    variable: "DD_THREADSTATS_SAMPLE_SIZE",
    env: "500",
    code: 2000,
    field: "sampleSize",
    fromEnv: 500,
    fromCode: 2000,
    invalid: ["0", "1.5", "many", "1000001"]
  },
  ...[
    ["maxSeries", "DD_THREADSTATS_MAX_SERIES"] as const,
    ["maxValues", "DD_THREADSTATS_MAX_VALUES"] as const,
    ["maxEvents", "DD_THREADSTATS_MAX_EVENTS"] as const,
    ["maxBytes", "DD_THREADSTATS_MAX_BYTES"] as const
  ].map(([option, variable]) => ({
    option,
    variable,
    env: "500",
    code: 2000,
    field: option,
    fromEnv: 500,
    fromCode: 2000,
    invalid: ["0", "1.5", "many", "1e13"]
  })),
  {
    option: "submitAs",
    variable: "DD_THREADSTATS_SUBMIT_AS",
    env: "distributions",
    code: "distributions",
    field: "submitAs",
    fromEnv: "distributions",
    fromCode: "distributions",
    invalid: ["rates"]
  },
  {
    option: "delivery",
    variable: "DD_THREADSTATS_DELIVERY",
    env: "at-most-once",
    code: "at-most-once",
    field: "delivery",
    fromEnv: "at-most-once",
    fromCode: "at-most-once",
    invalid: ["exactly-once"]
  },
  {
    option: "selfMetrics",
    variable: "DD_THREADSTATS_SELF_METRICS",
    env: "yes",
    code: true,
    field: "selfMetrics",
    fromEnv: true,
    fromCode: true,
    invalid: ["some"]
  },
  {
    option: "timerUnit",
    variable: "DD_THREADSTATS_TIMER_UNIT",
    env: "milliseconds",
    code: "milliseconds",
    field: "timerUnit",
    fromEnv: "milliseconds",
    fromCode: "milliseconds",
    invalid: ["minutes"]
  },
  {
    option: "acceptedTimestamps",
    variable: "DD_THREADSTATS_ACCEPTED_TIMESTAMPS",
    env: "any",
    code: "any",
    field: "acceptedTimestamps",
    fromEnv: "any",
    fromCode: "any",
    invalid: ["all"]
  },
  {
    option: "site",
    variable: "DD_SITE",
    env: "us3.datadoghq.com",
    code: "datadoghq.eu",
    field: "apiUrl",
    fromEnv: "https://api.us3.datadoghq.com",
    fromCode: "https://api.datadoghq.eu",
    invalid: ["data dog", "http://"]
  },
  {
    option: "apiUrl",
    variable: "DATADOG_HOST",
    env: "https://api.datadoghq.eu/",
    code: "http://127.0.0.1:8080/datadog/",
    field: "apiUrl",
    fromEnv: "https://api.datadoghq.eu",
    fromCode: "http://127.0.0.1:8080/datadog",
    invalid: ["datadoghq.com", "ftp://x", "https://", "https://x?y"]
  },
  {
    option: "apiKey",
    variable: "DATADOG_API_KEY",
    env: "abc",
    code: Redacted.make("def"),
    field: "apiKey",
    fromEnv: Option.some(Redacted.make("abc")),
    fromCode: Option.some(Redacted.make("def")),
    invalid: ["two words", "line\nbreak", "schlüssel"]
  },
  {
    option: "env",
    variable: "DD_ENV",
    env: "prod",
    code: "dev",
    field: "tags",
    fromEnv: ["env:prod"],
    fromCode: ["env:dev"],
    invalid: ["e".repeat(200)]
  },
  {
    option: "service",
    variable: "DD_SERVICE",
    env: "food",
    code: "drink",
    field: "tags",
    fromEnv: ["service:food"],
    fromCode: ["service:drink"],
    invalid: ["s".repeat(200)]
  },
  {
    option: "version",
    variable: "DD_VERSION",
    env: "1.2.3",
    code: "2",
    field: "tags",
    fromEnv: ["version:1.2.3"],
    fromCode: ["version:2"],
    invalid: ["v".repeat(200)]
  }
]

describe("ThreadStatsConfig", () => {
  it.effect("resolves to the documented defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* resolve(), {
        ...ThreadStatsConfig.defaults,
        hostname: undefined,
        device: undefined,
        tags: [],
        apiKey: Option.none()
      })
    }))

  for (const test of cases) {
    it.effect(`prefers the option ${test.option} to the variable ${test.variable}, and names the variable when it is invalid`, () =>
      Effect.gen(function*() {
        const options = { [test.option]: test.code } as ThreadStatsConfig.ThreadStatsOptions
        assert.deepStrictEqual((yield* resolve({}, { [test.variable]: ` ${test.env} ` }))[test.field], test.fromEnv)
        assert.deepStrictEqual((yield* resolve(options))[test.field], test.fromCode)
        assert.deepStrictEqual((yield* resolve(options, { [test.variable]: test.env }))[test.field], test.fromCode)
        assert.deepStrictEqual(
          (yield* resolve({}, { [test.variable]: "  " }))[test.field],
          (yield* resolve())[test.field]
        )
        for (const invalid of test.invalid) {
          const error = yield* Effect.flip(resolve({}, { [test.variable]: invalid }))
          assert.include(String(error), test.variable)
          assert.deepStrictEqual((yield* resolve(options, { [test.variable]: invalid }))[test.field], test.fromCode)
        }
      }))
  }

  const invalidOptions: ReadonlyArray<ThreadStatsConfig.ThreadStatsOptions> = [
    { rollUpInterval: 0 },
    { rollUpInterval: untyped("soon") },
    { flushTimeout: Infinity },
    { requestTimeout: -1 },
    { disabled: untyped("yes") },
    { percentiles: [95] },
    { compress: untyped("gzip") },
    { seriesVersion: untyped("v3") },
    { units: untyped("shop.size:byte") },
    { units: untyped(["shop.size:byte"]) },
    { units: untyped({ "shop.size": 1 }) },
    { units: untyped(new Map([["shop.size", "byte"]])) },
    { units: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`m${i}`, "byte"])) },
    { aggregates: [untyped("mean")] },
    { sampleSize: 0 },
    { timerUnit: untyped("minutes") },
    { acceptedTimestamps: untyped("all") },
    { site: "not a site" },
    { apiUrl: "no address" },
    { constantTags: ["t".repeat(201)] },
    { constantTags: untyped("a:b") },
    { namespace: "1st" },
    { namespace: untyped(1) },
    { hostname: untyped(1) },
    { percentiles: untyped("0.5") },
    { aggregates: untyped("min") },
    { apiKey: untyped("a plain text") }
  ]
  for (const options of invalidOptions) {
    const [name] = Object.keys(options)
    it.effect(`fails with the name of the option when it is invalid: ${Inspectable.toStringUnknown(options, 0).slice(0, 40)}`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(resolve(options))
        assert.isTrue(Exit.isFailure(exit) && Cause.isFailure(exit.cause), "a typed failure")
        assert.include(String(yield* Effect.flip(resolve(options))), String(name))
      }))
  }

  it.effect("accepts the spellings of true and false for `compress` in upper and lower case", () =>
    Effect.gen(function*() {
      const spellings = { true: true, On: true, "0": false, no: false } as const
      for (const [text, compress] of Object.entries(spellings)) {
        assert.strictEqual((yield* resolve({}, { DD_THREADSTATS_COMPRESS: text })).compress, compress)
      }
      const error = yield* Effect.flip(resolve({}, { DD_THREADSTATS_COMPRESS: "zstd" }))
      assert.include(String(error), "true or false")
    }))

  it.effect("copies the units, and accepts a unit with a colon", () =>
    Effect.gen(function*() {
      const units = { "shop.size": "byte" }
      const config = yield* resolve({ units })
      units["shop.size"] = "meter"
      assert.deepStrictEqual(config.units, { "shop.size": "byte" })
      assert.deepStrictEqual((yield* resolve({}, { DD_THREADSTATS_UNITS: "a:b:c" })).units, { a: "b:c" })
    }))

  it.effect("accepts a site with scheme, `app.`, `api.` or a path", () =>
    Effect.gen(function*() {
      for (
        const site of ["https://app.datadoghq.eu/", "app.datadoghq.eu", "HTTP://datadoghq.eu/dash", "api.datadoghq.eu"]
      ) {
        assert.strictEqual((yield* resolve({}, { DD_SITE: site })).apiUrl, "https://api.datadoghq.eu")
      }
      assert.strictEqual((yield* resolve({ site: "ddog-gov.com" })).apiUrl, "https://api.ddog-gov.com")
      assert.strictEqual((yield* resolve({ site: "new1.example.dev" })).apiUrl, "https://api.new1.example.dev")
    }))

  it.effect("prefers DATADOG_HOST to DD_SITE", () =>
    Effect.gen(function*() {
      const { apiUrl } = yield* resolve({}, { DD_SITE: "datadoghq.eu", DATADOG_HOST: "http://localhost:3000" })
      assert.strictEqual(apiUrl, "http://localhost:3000")
    }))

  it.effect("prefers the key in code to DATADOG_API_KEY, and that to DD_API_KEY", () =>
    Effect.gen(function*() {
      const env = { DATADOG_API_KEY: "first", DD_API_KEY: "second" }
      assert.deepStrictEqual(apiKeyOf(yield* resolve({}, env)), Option.some("first"))
      assert.deepStrictEqual(apiKeyOf(yield* resolve({}, { ...env, DATADOG_API_KEY: "" })), Option.some("second"))
      assert.deepStrictEqual(apiKeyOf(yield* resolve({ apiKey: Redacted.make("code") }, env)), Option.some("code"))
      assert.deepStrictEqual(apiKeyOf(yield* resolve({}, { DD_API_KEY: "abc\n" })), Option.some("abc"))
      assert.deepStrictEqual(apiKeyOf(yield* resolve({}, { ...env, DD_API_KEY: "two words" })), Option.some("first"))
    }))

  it.effect("orders tags as the reference client does: code, DATADOG_TAGS, DD_TAGS, env, service, version", () =>
    Effect.gen(function*() {
      const { tags } = yield* resolve({ constantTags: ["type:constant"] }, {
        DATADOG_TAGS: "country:china,age:45,,blue",
        DD_TAGS: "team:x, blue",
        DD_ENV: "prod",
        DD_SERVICE: "food",
        DD_VERSION: "1.2.3"
      })
      assert.deepStrictEqual(tags, [
        "type:constant",
        "country:china",
        "age:45",
        "blue",
        "team:x",
        "env:prod",
        "service:food",
        "version:1.2.3"
      ])
    }))

  it.effect("splits DD_TAGS at spaces when it has no comma, and keeps colons in values", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* resolve({}, { DD_TAGS: "a:1 url:http://x b" })).tags, ["a:1", "url:http://x", "b"])
      assert.deepStrictEqual((yield* resolve({}, { DD_TAGS: "a b:1,c" })).tags, ["a b:1", "c"])
      assert.deepStrictEqual((yield* resolve({}, { DATADOG_TAGS: "tag with space" })).tags, ["tag with space"])
    }))

  it.effect("names the variable when one of its tags is too long", () =>
    Effect.gen(function*() {
      for (const variable of ["DATADOG_TAGS", "DD_TAGS"]) {
        const error = yield* Effect.flip(resolve({}, { [variable]: `ok,${"t".repeat(201)}` }))
        assert.include(String(error), variable)
      }
    }))

  it.effect("disables the periodic flush inside AWS Lambda unless it is enabled explicitly", () =>
    Effect.gen(function*() {
      const lambda = { AWS_LAMBDA_FUNCTION_NAME: "orders" }
      assert.isFalse((yield* resolve({}, lambda)).periodicFlush)
      assert.isTrue((yield* resolve({ periodicFlush: true }, lambda)).periodicFlush)
      assert.isTrue((yield* resolve({}, { ...lambda, DD_THREADSTATS_PERIODIC_FLUSH: "true" })).periodicFlush)
    }))

  it.effect("gives the client no host inside AWS Lambda unless a setting names one", () =>
    Effect.gen(function*() {
      const lambda = { AWS_LAMBDA_FUNCTION_NAME: "orders" }
      assert.isUndefined((yield* resolve({})).hostname)
      assert.strictEqual((yield* resolve({}, lambda)).hostname, "")
      assert.strictEqual((yield* resolve({ hostname: "web-1" }, lambda)).hostname, "web-1")
    }))

  it("documents every variable in docs/settings.md", () => {
    const page = readFileSync(new URL("../docs/settings.md", import.meta.url), "utf8")
    const names = ThreadStatsConfig.variables.map(({ name }) => name)
    assert.deepStrictEqual(
      names.filter((name) => !["DD_API_KEY", "DATADOG_TAGS", "DD_TAGS"].includes(name)).sort(),
      cases.map(({ variable }) => variable).sort()
    )
    for (const { description, name } of ThreadStatsConfig.variables) {
      assert.isAbove(description.length, 5)
      assert.include(page, `\`${name}\``)
    }
  })

  it.effect("fails with an error that names an option without a meaning, and lists the options", () =>
    Effect.gen(function*() {
      for (const name of ["flushIntervall", "FLUSHINTERVAL", "tags", "__proto_", "0"]) {
        const error = String(yield* Effect.flip(resolve(untyped({ [name]: "30 seconds" }))))
        assert.include(error, `Invalid data at ${name}: "there is no option of this name. Use one of disabled, `)
        assert.include(error, " flushInterval,")
      }
    }))

  it.effect("names the form that an invalid value should have", () =>
    Effect.gen(function*() {
      const expected: ReadonlyArray<readonly [string, ThreadStatsConfig.ThreadStatsOptions]> = [
        ["expected at least 1 millisecond, or Duration.infinity (off in a variable) for the last flush only", {
          flushInterval: 0
        }],
        ["expected a duration such as \"10 seconds\", received \"soon\"", { flushTimeout: untyped("soon") }],
        ["expected tags such as [\"team:checkout\"] or { team: \"checkout\" }", { constantTags: untyped("team") }],
        ["expected Redacted.make(key)", { apiKey: untyped("0123abcd") }]
      ]
      for (const [text, options] of expected) {
        const error = yield* Effect.flip(resolve(options))
        if (!ConfigError.isConfigError(error) || error._op !== "InvalidData") return assert.fail(String(error))
        assert.strictEqual(error.message, text)
      }
      assert.include(
        String(yield* Effect.flip(resolve({}, { DD_THREADSTATS_FLUSH_INTERVAL: "0" }))),
        "DD_THREADSTATS_FLUSH_INTERVAL: \"expected at least 1 millisecond, or"
      )
    }))

  it.effect("hides the value of an option without a meaning, and shortens its name", () =>
    Effect.gen(function*() {
      const error = String(yield* Effect.flip(resolve(untyped({ ["n".repeat(1000)]: apiKey }))))
      assertHidden([error], [apiKey])
      assert.isBelow(error.length, 1000)
    }))

  it.effect("accepts options of another name that are undefined, inherited or not enumerable", () =>
    Effect.gen(function*() {
      const options = Object.create({ inherited: 1 })
      Object.defineProperty(options, "hidden", { value: 1 })
      const { namespace } = yield* resolve(Object.assign(options, { absent: undefined, namespace: "shop" }))
      assert.strictEqual(namespace, "shop")
    }))

  it.effect("fails when the options are not an object or cannot be read", () =>
    Effect.gen(function*() {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      for (const options of [null, "shop", 7, true, () => ({}), ["shop"]]) {
        assert.include(String(yield* Effect.flip(resolve(untyped(options)))), "Invalid data at")
      }
      assert.include(String(yield* Effect.flip(resolve(untyped(proxy)))), "expected a plain value")
    }))

  it.effect("reads nothing else when the client is disabled", () =>
    Effect.gen(function*() {
      assert.isTrue((yield* resolve(untyped({ disabled: true, flushIntervall: 1 }))).disabled)
      const invalid = {
        DD_SITE: "no site",
        DD_API_KEY: "a key with spaces",
        DD_TAGS: "t".repeat(201),
        DD_THREADSTATS_MAX_BYTES: "many"
      }
      const byVariable = yield* resolve({}, { ...invalid, DD_THREADSTATS_DISABLED: "true" })
      const byOption = yield* resolve({ disabled: true, rollUpInterval: untyped("often") }, invalid)
      assert.deepStrictEqual(byVariable, byOption)
      assert.isTrue(byOption.disabled)
      const error = yield* Effect.flip(resolve({ disabled: false }, { ...invalid, DD_THREADSTATS_DISABLED: "true" }))
      assert.include(String(error), "DD_")
    }))

  it.effect("reads the variables from a nested ConfigProvider", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromMap(new Map([["app.DD_ENV", "prod"]])).pipe(ConfigProvider.nested("app"))
      const { tags } = yield* Effect.withConfigProvider(ThreadStatsConfig.make(), provider)
      assert.deepStrictEqual(tags, ["env:prod"])
    }))
})

describe("ThreadStatsConfig layers", () => {
  const provider = ConfigProvider.fromMap(new Map([["DD_ENV", "prod"], ["MY_ENV", "mine"]]))
  const tagsOf = <E>(layer: Layer.Layer<ThreadStatsConfig.ThreadStatsConfig, E>) =>
    Effect.map(ThreadStatsConfig.ThreadStatsConfig, ({ tags }) => tags).pipe(
      Effect.provide(layer),
      Effect.withConfigProvider(provider)
    )

  it.effect("provide the settings of the environment, of options, and of a Config", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* tagsOf(ThreadStatsConfig.layer), ["env:prod"])
      assert.deepStrictEqual(yield* tagsOf(ThreadStatsConfig.layerWith({ service: "shop" })), [
        "env:prod",
        "service:shop"
      ])
      assert.deepStrictEqual(yield* tagsOf(ThreadStatsConfig.layerConfig({ env: Config.string("MY_ENV") })), [
        "env:mine"
      ])
    }))

  it.effect("fail with a ConfigError when an option is invalid or its Config is missing", () =>
    Effect.gen(function*() {
      for (
        const [layer, name] of [
          [ThreadStatsConfig.layerWith({ sampleSize: 0 }), "sampleSize"],
          [ThreadStatsConfig.layerConfig({ sampleSize: Config.integer("MISSING") }), "MISSING"]
        ] as const
      ) assert.include(String(yield* Effect.flip(tagsOf(layer))), name)
    }))

  it.effect("read no Config of a disabled client but that of `disabled`", () =>
    Effect.gen(function*() {
      const missing = { apiKey: Config.redacted("MISSING"), namespace: Config.string("MISSING") }
      const build = (disabled: Config.Config<boolean> | undefined, variables: Record<string, string>) =>
        ThreadStatsConfig.ThreadStatsConfig.pipe(
          Effect.provide(ThreadStatsConfig.layerConfig(disabled === undefined ? missing : { ...missing, disabled })),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
        )
      const byVariable = { DD_THREADSTATS_DISABLED: "true" }
      assert.isTrue((yield* build(undefined, byVariable)).disabled)
      assert.isTrue((yield* build(Config.succeed(true), {})).disabled)
      assert.isTrue((yield* build(Config.boolean("MINE"), { MINE: "true" })).disabled)
      for (const [disabled, variables] of [[undefined, {}], [Config.succeed(false), byVariable]] as const) {
        assert.include(String(yield* Effect.flip(build(disabled, variables))), "MISSING")
      }
      assert.include(
        String(yield* Effect.flip(build(undefined, { DD_THREADSTATS_DISABLED: "perhaps" }))),
        "DD_THREADSTATS_DISABLED"
      )
    }))
})

describe("ThreadStatsConfig.apiKey", () => {
  const upperCaseKey = apiKey.toUpperCase()
  const invalidKey = `${upperCaseKey} with spaces`
  const it = sweepKeys(apiKey, upperCaseKey)

  it.effect("hides a valid or invalid key when the settings or the error are printed or logged", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(resolve({}, { DATADOG_API_KEY: invalidKey }))
      const config = yield* resolve({}, { DATADOG_API_KEY: apiKey })
      assertHidden([String(error), JSON.stringify(error), Inspectable.toStringUnknown(config)], [apiKey, upperCaseKey])
      yield* Effect.logInfo(config, error)
    }))
})
