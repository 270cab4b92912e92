import { assert, describe, it } from "@effect/vitest"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Environment from "../../src/internal/config/environment.js"

const withVariables = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

describe("environment variable", () => {
  it.effect("gives its text without the space around it, or none when it is absent or blank", () =>
    Effect.gen(function*() {
      const read = (variables: Record<string, string>) => withVariables(variables)(Environment.variable("X"))
      assert.deepStrictEqual(yield* read({ X: " a b\n" }), Option.some("a b"))
      assert.deepStrictEqual(yield* read({ X: " \t" }), Option.none())
      assert.deepStrictEqual(yield* read({}), Option.none())
    }))

  it.effect("fails with the error of the ConfigProvider unless the variable is absent", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.fromMap(new Map([["X", "a"]])).pipe(
        ConfigProvider.orElse(() => ConfigProvider.fromMap(new Map())),
        ConfigProvider.mapInputPath((path) => path)
      )
      assert.deepStrictEqual(yield* Effect.withConfigProvider(Environment.variable("X"), broken), Option.some("a"))
      const unavailable = ConfigProvider.make({
        load: () => Effect.fail(ConfigError.SourceUnavailable(["X"], "no vault", undefined as never)),
        flattened: ConfigProvider.fromMap(new Map()).flattened
      })
      const error = yield* Effect.flip(Effect.withConfigProvider(Environment.variable("X"), unavailable))
      assert.isTrue(ConfigError.isSourceUnavailable(error))
    }))
})

describe("environment flag", () => {
  const read = (text: string) => withVariables({ X: text })(Environment.flag("X"))

  for (
    const [value, texts] of [[true, ["true", "YES", "y", "On", "1"]], [false, [
      "FALSE",
      "no",
      "N",
      "off",
      "0"
    ]]] as const
  ) {
    it.effect(`is ${value} for ${texts.join(", ")}`, () =>
      Effect.gen(function*() {
        for (const text of texts) assert.deepStrictEqual(yield* read(text), Option.some(value))
      }))
  }

  it.effect("gives none when the variable is blank", () =>
    Effect.map(read(" "), (flag) => assert.deepStrictEqual(flag, Option.none())))

  it.effect("fails with an error that names the variable and hides its text when it is neither", () =>
    Effect.map(Effect.flip(read("s3cret")), (error) => {
      assert.include(String(error), "X")
      assert.include(String(error), "expected true or false")
      assert.notInclude(String(error), "s3cret")
    }))
})

describe("environment fipsMode", () => {
  for (
    const [expected, variables] of [
      [false, {}],
      [false, { AWS_REGION: "eu-west-1" }],
      [true, { AWS_REGION: "us-gov-west-1" }],
      [false, { AWS_REGION: "us-gov-west-1", DD_LAMBDA_FIPS_MODE: "false" }],
      [true, { AWS_REGION: "eu-west-1", DD_LAMBDA_FIPS_MODE: "true" }]
    ] as const
  ) {
    it.effect(`is ${expected} with ${JSON.stringify(variables)}`, () =>
      Effect.map(withVariables(variables)(Environment.fipsMode), (mode) => assert.strictEqual(mode, expected)))
  }
})
