import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Duration, Effect, Exit, Inspectable, Option, Redacted } from "effect"
import { ThreadStatsConfig } from "effect-threadstats"
import { readFileSync } from "node:fs"

const resolve = (options: ThreadStatsConfig.Options = {}, env: { readonly [variable: string]: string } = {}) =>
  Effect.withConfigProvider(ThreadStatsConfig.make(options), ConfigProvider.fromMap(new Map(Object.entries(env))))

const lie = <A>(value: unknown): A => value as A

const key = (config: ThreadStatsConfig.ThreadStatsConfig) => Option.map(config.apiKey, Redacted.value)

/** A value for every setting, as the environment and as code would give it, and what comes out. */
const cases: ReadonlyArray<{
  readonly option: keyof ThreadStatsConfig.Options
  readonly variable: string
  readonly env: string
  readonly code: unknown
  readonly field: keyof ThreadStatsConfig.ThreadStatsConfig
  readonly fromEnv: unknown
  readonly fromCode: unknown
  readonly wrong: ReadonlyArray<string>
}> = [
  {
    option: "namespace",
    variable: "DD_THREADSTATS_NAMESPACE",
    env: "shop",
    code: "team.app.",
    field: "namespace",
    fromEnv: "shop",
    fromCode: "team.app",
    wrong: ["1st", "_x", "n".repeat(151)]
  },
  {
    option: "host",
    variable: "DD_HOSTNAME",
    env: "a",
    code: "b",
    field: "host",
    fromEnv: "a",
    fromCode: "b",
    wrong: ["h".repeat(256)]
  },
  {
    option: "attachHost",
    variable: "DD_THREADSTATS_ATTACH_HOST",
    env: "yes",
    code: true,
    field: "attachHost",
    fromEnv: true,
    fromCode: true,
    wrong: ["maybe"]
  },
  {
    option: "device",
    variable: "DD_THREADSTATS_DEVICE",
    env: "eth0",
    code: "eth1",
    field: "device",
    fromEnv: "eth0",
    fromCode: "eth1",
    wrong: []
  },
  {
    option: "rollUpInterval",
    variable: "DD_THREADSTATS_ROLL_UP_INTERVAL",
    env: "60",
    code: "1 minute",
    field: "rollUpInterval",
    fromEnv: Duration.minutes(1),
    fromCode: Duration.minutes(1),
    wrong: ["0", "0.5", "1500 millis", "-1", "often", "off"]
  },
  {
    option: "flushInterval",
    variable: "DD_THREADSTATS_FLUSH_INTERVAL",
    env: "off",
    code: "30 seconds",
    field: "flushInterval",
    fromEnv: Duration.infinity,
    fromCode: Duration.seconds(30),
    wrong: ["0", "-5", "sometimes"]
  },
  {
    option: "periodicFlush",
    variable: "DD_THREADSTATS_PERIODIC_FLUSH",
    env: "0",
    code: false,
    field: "periodicFlush",
    fromEnv: false,
    fromCode: false,
    wrong: ["2"]
  },
  {
    option: "flushTimeout",
    variable: "DD_THREADSTATS_FLUSH_TIMEOUT",
    env: "2.5",
    code: 1000,
    field: "flushTimeout",
    fromEnv: Duration.millis(2500),
    fromCode: Duration.seconds(1),
    wrong: ["0", "off", "x"]
  },
  {
    option: "requestTimeout",
    variable: "DD_THREADSTATS_REQUEST_TIMEOUT",
    env: "500 millis",
    code: "1 second",
    field: "requestTimeout",
    fromEnv: Duration.millis(500),
    fromCode: Duration.seconds(1),
    wrong: ["0", "off", "x"]
  },
  {
    option: "disabled",
    variable: "DD_THREADSTATS_DISABLED",
    env: "TRUE",
    code: true,
    field: "disabled",
    fromEnv: true,
    fromCode: true,
    wrong: ["disabled"]
  },
  {
    option: "compress",
    variable: "DD_THREADSTATS_COMPRESS",
    env: "off",
    code: "zstd",
    field: "compress",
    fromEnv: false,
    fromCode: "zstd",
    wrong: ["gzip"]
  },
  {
    option: "series",
    variable: "DD_THREADSTATS_SERIES",
    env: "v2",
    code: "v2",
    field: "series",
    fromEnv: "v2",
    fromCode: "v2",
    wrong: ["v3", "2"]
  },
  {
    option: "units",
    variable: "DD_THREADSTATS_UNITS",
    env: "shop.latency:second, shop.size : byte,__proto__:x",
    code: { "shop.size": "byte" },
    field: "units",
    fromEnv: JSON.parse(`{"shop.latency":"second","shop.size":"byte","__proto__":"x"}`),
    fromCode: { "shop.size": "byte" },
    wrong: ["shop.size", "shop.size:", ":byte", `a:${"b".repeat(101)}`, `${"n".repeat(201)}:byte`]
  },
  {
    option: "percentiles",
    variable: "DD_THREADSTATS_PERCENTILES",
    env: "0.5, 0.999",
    code: [0.9, 0.9],
    field: "percentiles",
    fromEnv: [0.5, 0.999],
    fromCode: [0.9],
    wrong: ["95", "0", "1", "0.5,x"]
  },
  {
    option: "aggregates",
    variable: "DD_THREADSTATS_AGGREGATES",
    env: "sum,median",
    code: ["max", "max"],
    field: "aggregates",
    fromEnv: ["sum", "median"],
    fromCode: ["max"],
    wrong: ["mean"]
  },
  {
    option: "sampleSize",
    variable: "DD_THREADSTATS_SAMPLE_SIZE",
    env: "500",
    code: 2000,
    field: "sampleSize",
    fromEnv: 500,
    fromCode: 2000,
    wrong: ["0", "1.5", "many", "1000001"]
  },
  ...[
    ["maxContexts", "DD_THREADSTATS_MAX_CONTEXTS"] as const,
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
    wrong: ["0", "1.5", "many", "1e13"]
  })),
  {
    option: "counters",
    variable: "DD_THREADSTATS_COUNTERS",
    env: "distributions",
    code: "distributions",
    field: "counters",
    fromEnv: "distributions",
    fromCode: "distributions",
    wrong: ["rates"]
  },
  {
    option: "delivery",
    variable: "DD_THREADSTATS_DELIVERY",
    env: "at-most-once",
    code: "at-most-once",
    field: "delivery",
    fromEnv: "at-most-once",
    fromCode: "at-most-once",
    wrong: ["exactly-once"]
  },
  {
    option: "selfMetrics",
    variable: "DD_THREADSTATS_SELF_METRICS",
    env: "yes",
    code: true,
    field: "selfMetrics",
    fromEnv: true,
    fromCode: true,
    wrong: ["some"]
  },
  {
    option: "timerUnit",
    variable: "DD_THREADSTATS_TIMER_UNIT",
    env: "milliseconds",
    code: "milliseconds",
    field: "timerUnit",
    fromEnv: "milliseconds",
    fromCode: "milliseconds",
    wrong: ["minutes"]
  },
  {
    option: "timestamps",
    variable: "DD_THREADSTATS_TIMESTAMPS",
    env: "any",
    code: "any",
    field: "timestamps",
    fromEnv: "any",
    fromCode: "any",
    wrong: ["all"]
  },
  {
    option: "site",
    variable: "DD_SITE",
    env: "us3.datadoghq.com",
    code: "datadoghq.eu",
    field: "apiUrl",
    fromEnv: "https://api.us3.datadoghq.com",
    fromCode: "https://api.datadoghq.eu",
    wrong: ["data dog", "http://"]
  },
  {
    option: "apiUrl",
    variable: "DATADOG_HOST",
    env: "https://api.datadoghq.eu/",
    code: "http://127.0.0.1:8080/datadog/",
    field: "apiUrl",
    fromEnv: "https://api.datadoghq.eu",
    fromCode: "http://127.0.0.1:8080/datadog",
    wrong: ["datadoghq.com", "ftp://x", "https://", "https://x?y"]
  },
  {
    option: "apiKey",
    variable: "DATADOG_API_KEY",
    env: "abc",
    code: Redacted.make("def"),
    field: "apiKey",
    fromEnv: Option.some(Redacted.make("abc")),
    fromCode: Option.some(Redacted.make("def")),
    wrong: ["two words", "line\nbreak", "schlüssel"]
  },
  {
    option: "env",
    variable: "DD_ENV",
    env: "prod",
    code: "dev",
    field: "tags",
    fromEnv: ["env:prod"],
    fromCode: ["env:dev"],
    wrong: ["e".repeat(200)]
  },
  {
    option: "service",
    variable: "DD_SERVICE",
    env: "food",
    code: "drink",
    field: "tags",
    fromEnv: ["service:food"],
    fromCode: ["service:drink"],
    wrong: ["s".repeat(200)]
  },
  {
    option: "version",
    variable: "DD_VERSION",
    env: "1.2.3",
    code: "2",
    field: "tags",
    fromEnv: ["version:1.2.3"],
    fromCode: ["version:2"],
    wrong: ["v".repeat(200)]
  }
]

describe("ThreadStatsConfig", () => {
  it.effect("has the documented defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* resolve(), {
        ...ThreadStatsConfig.defaults,
        host: undefined,
        device: undefined,
        tags: [],
        apiKey: Option.none()
      })
    }))

  for (const test of cases) {
    it.effect(`${test.option}: option beats ${test.variable} beats default, and a wrong value names itself`, () =>
      Effect.gen(function*() {
        const options = { [test.option]: test.code } as ThreadStatsConfig.Options
        assert.deepStrictEqual((yield* resolve({}, { [test.variable]: ` ${test.env} ` }))[test.field], test.fromEnv)
        assert.deepStrictEqual((yield* resolve(options))[test.field], test.fromCode)
        assert.deepStrictEqual((yield* resolve(options, { [test.variable]: test.env }))[test.field], test.fromCode)
        assert.deepStrictEqual(
          (yield* resolve({}, { [test.variable]: "  " }))[test.field],
          (yield* resolve())[test.field]
        )
        for (const wrong of test.wrong) {
          const error = yield* Effect.flip(resolve({}, { [test.variable]: wrong }))
          assert.include(String(error), test.variable)
          assert.deepStrictEqual((yield* resolve(options, { [test.variable]: wrong }))[test.field], test.fromCode)
        }
      }))
  }

  const wrongOptions: ReadonlyArray<ThreadStatsConfig.Options> = [
    { rollUpInterval: 0 },
    { rollUpInterval: lie("soon") },
    { flushTimeout: Infinity },
    { requestTimeout: -1 },
    { disabled: lie("yes") },
    { percentiles: [95] },
    { compress: lie("gzip") },
    { series: lie("v3") },
    { units: lie("shop.size:byte") },
    { units: lie(["shop.size:byte"]) },
    { units: lie({ "shop.size": 1 }) },
    { units: lie(new Map([["shop.size", "byte"]])) },
    { units: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`m${i}`, "byte"])) },
    { aggregates: [lie("mean")] },
    { sampleSize: 0 },
    { timerUnit: lie("minutes") },
    { timestamps: lie("all") },
    { site: "not a site" },
    { apiUrl: "no address" },
    { constantTags: ["t".repeat(201)] },
    { constantTags: lie("a:b") },
    { namespace: "1st" },
    { namespace: lie(1) },
    { host: lie(1) },
    { percentiles: lie("0.5") },
    { aggregates: lie("min") },
    { apiKey: lie("a plain text") }
  ]
  for (const options of wrongOptions) {
    const [name] = Object.keys(options)
    it.effect(`names the option ${name} when it is wrong (${Inspectable.toStringUnknown(options, 0).slice(0, 40)})`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(resolve(options))
        assert.isTrue(Exit.isFailure(exit) && Cause.isFailure(exit.cause), "a typed failure")
        assert.include(String(yield* Effect.flip(resolve(options))), String(name))
      }))
  }

  it.effect("compresses, or not, or with zstd, in whatever case it is written", () =>
    Effect.gen(function*() {
      const spellings = { true: true, On: true, "0": false, no: false, zstd: "zstd", ZSTD: "zstd" } as const
      for (const [text, compress] of Object.entries(spellings)) {
        assert.strictEqual((yield* resolve({}, { DD_THREADSTATS_COMPRESS: text })).compress, compress)
      }
      const error = yield* Effect.flip(resolve({}, { DD_THREADSTATS_COMPRESS: "zstd1" }))
      assert.include(String(error), "true, false or zstd")
    }))

  it.effect("keeps a copy of the units, and what their own words are", () =>
    Effect.gen(function*() {
      const units = { "shop.size": "byte" }
      const config = yield* resolve({ units })
      units["shop.size"] = "meter"
      assert.deepStrictEqual(config.units, { "shop.size": "byte" })
      assert.deepStrictEqual((yield* resolve({}, { DD_THREADSTATS_UNITS: "a:b:c" })).units, { a: "b:c" })
    }))

  it.effect("forgives a site that was pasted with scheme, app. or a path", () =>
    Effect.gen(function*() {
      for (
        const site of ["https://app.datadoghq.eu/", "app.datadoghq.eu", "HTTP://datadoghq.eu/dash", "api.datadoghq.eu"]
      ) {
        assert.strictEqual((yield* resolve({}, { DD_SITE: site })).apiUrl, "https://api.datadoghq.eu")
      }
      assert.strictEqual((yield* resolve({ site: "ddog-gov.com" })).apiUrl, "https://api.ddog-gov.com")
      assert.strictEqual((yield* resolve({ site: "new1.example.dev" })).apiUrl, "https://api.new1.example.dev")
    }))

  it.effect("lets an address beat a site", () =>
    Effect.gen(function*() {
      const { apiUrl } = yield* resolve({}, { DD_SITE: "datadoghq.eu", DATADOG_HOST: "http://localhost:3000" })
      assert.strictEqual(apiUrl, "http://localhost:3000")
    }))

  it.effect("takes DATADOG_API_KEY before DD_API_KEY, and a key given in code before both", () =>
    Effect.gen(function*() {
      const env = { DATADOG_API_KEY: "first", DD_API_KEY: "second" }
      assert.deepStrictEqual(key(yield* resolve({}, env)), Option.some("first"))
      assert.deepStrictEqual(key(yield* resolve({}, { ...env, DATADOG_API_KEY: "" })), Option.some("second"))
      assert.deepStrictEqual(key(yield* resolve({ apiKey: Redacted.make("code") }, env)), Option.some("code"))
      assert.deepStrictEqual(key(yield* resolve({}, { DD_API_KEY: "abc\n" })), Option.some("abc"))
    }))

  it.effect("never shows a key, not even a wrong one", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(resolve({}, { DATADOG_API_KEY: "sesame open" }))
      const config = yield* resolve({}, { DATADOG_API_KEY: "sesame" })
      for (const text of [String(error), JSON.stringify(error), Inspectable.toStringUnknown(config)]) {
        assert.notInclude(text, "sesame")
      }
    }))

  it.effect("orders tags as the reference: code, DATADOG_TAGS, DD_TAGS, env, service, version", () =>
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

  it.effect("splits DD_TAGS at spaces where it has no comma, and never cuts a value at its colons", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* resolve({}, { DD_TAGS: "a:1 url:http://x b" })).tags, ["a:1", "url:http://x", "b"])
      assert.deepStrictEqual((yield* resolve({}, { DD_TAGS: "a b:1,c" })).tags, ["a b:1", "c"])
      assert.deepStrictEqual((yield* resolve({}, { DATADOG_TAGS: "tag with space" })).tags, ["tag with space"])
    }))

  it.effect("names the variable of tags that are too long", () =>
    Effect.gen(function*() {
      for (const variable of ["DATADOG_TAGS", "DD_TAGS"]) {
        const error = yield* Effect.flip(resolve({}, { [variable]: `ok,${"t".repeat(201)}` }))
        assert.include(String(error), variable)
      }
    }))

  it.effect("does not flush on an interval of its own inside AWS Lambda, unless told to", () =>
    Effect.gen(function*() {
      const lambda = { AWS_LAMBDA_FUNCTION_NAME: "orders" }
      assert.isFalse((yield* resolve({}, lambda)).periodicFlush)
      assert.isTrue((yield* resolve({ periodicFlush: true }, lambda)).periodicFlush)
      assert.isTrue((yield* resolve({}, { ...lambda, DD_THREADSTATS_PERIODIC_FLUSH: "true" })).periodicFlush)
    }))

  it("documents every variable, here and in the README", () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
    const names = ThreadStatsConfig.variables.map(({ name }) => name)
    assert.deepStrictEqual(
      names.filter((name) => !["DD_API_KEY", "DATADOG_TAGS", "DD_TAGS"].includes(name)).sort(),
      cases.map(({ variable }) => variable).sort()
    )
    for (const { description, name } of ThreadStatsConfig.variables) {
      assert.isAbove(description.length, 5)
      assert.include(readme, `\`${name}\``)
    }
  })

  it.effect("can be resolved from any provider, such as a nested one", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromMap(new Map([["app.DD_ENV", "prod"]])).pipe(ConfigProvider.nested("app"))
      const { tags } = yield* Effect.withConfigProvider(ThreadStatsConfig.make(), provider)
      assert.deepStrictEqual(tags, ["env:prod"])
    }))
})
