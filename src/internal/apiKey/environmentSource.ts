/** The source that the environment selects. */
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { decodeApiKey, parseApiKey } from "../config/decoders.js"
import { fipsMode, functionName, variable } from "../config/environment.js"
import * as Setting from "../config/setting.js"
import { parseArn } from "./arn.js"
import * as AwsSources from "./awsSources.js"
import { ApiKeyError, awsVariables, missingKey } from "./sources.js"

export const fromConfigError = (error: ConfigError.ConfigError): ApiKeyError =>
  new ApiKeyError({ description: String(error) })

export const defaultTimeout: Duration.Duration = /*#__PURE__*/ Duration.seconds(4)

interface EnvironmentSource {
  /** Valid values in an error message, which never shows the value itself. */
  readonly expected: string
  readonly isValid: (id: string) => boolean
  readonly read: (lookup: AwsSources.AwsLookup) => Effect.Effect<Redacted.Redacted, ApiKeyError>
}

const isArnOf = (service: string) => (id: string): boolean => parseArn(id)?.service === service

const makeSources = (): { readonly [name in typeof awsVariables[number]]: EnvironmentSource } => ({
  DD_API_KEY_SECRET_ARN: {
    expected: "an ARN such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:datadog-a1b2c3",
    isValid: isArnOf("secretsmanager"),
    read: (lookup) => AwsSources.readSecret(lookup, undefined)
  },
  DD_API_KEY_SSM_NAME: {
    expected: "the name of a parameter",
    isValid: () => true,
    read: AwsSources.readParameter
  },
  DD_API_KEY_SSM_ARN: {
    expected: "an ARN such as arn:aws:ssm:eu-west-1:123456789012:parameter/datadog",
    isValid: isArnOf("ssm"),
    read: AwsSources.readParameter
  },
  DD_KMS_API_KEY: {
    expected: "a ciphertext in base64",
    isValid: (id) => Either.isRight(Encoding.decodeBase64(id)),
    read: (lookup) => decrypt(lookup, undefined)
  }
})

/** Selects the source by the environment, without a request. */
export const resolveSource: Effect.Effect<
  Effect.Effect<Redacted.Redacted, ApiKeyError>,
  ConfigError.ConfigError
> = /*#__PURE__*/ Effect.gen(function*() {
  const sources = makeSources()
  for (const name of awsVariables) {
    const id = yield* variable(name)
    if (Option.isNone(id)) continue
    const { expected, isValid, read } = sources[name]
    if (!isValid(id.value)) return yield* Effect.fail(ConfigError.InvalidData([name], `expected ${expected}`))
    return read({ label: name, id: id.value, fips: yield* fipsMode, timeout: defaultTimeout })
  }
  const key = yield* Setting.resolveVariable(
    ["DATADOG_API_KEY", "DD_API_KEY"],
    (text) => Either.flatMap(parseApiKey(text), decodeApiKey)
  )
  return Option.isSome(key) ? Effect.succeed(key.value) : yield* Effect.fail(
    missingKey(
      `the client has no API key. Set one of ${
        awsVariables.join(", ")
      }, DATADOG_API_KEY and DD_API_KEY, or disable the client`
    )
  )
})

/** Decrypts a ciphertext in base64. Without a context of the caller's, it uses none, and then that of the AWS console. */
export const decrypt = (
  lookup: AwsSources.AwsLookup,
  context: Readonly<Record<string, string>> | undefined
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.gen(function*() {
    const ciphertext = yield* Effect.mapError(
      Encoding.decodeBase64(lookup.id),
      () => new ApiKeyError({ description: `${lookup.label}: expected a ciphertext in base64` })
    )
    if (context !== undefined) return yield* AwsSources.decrypt(lookup, ciphertext, [context])
    const name = yield* Effect.mapError(functionName, fromConfigError)
    const contexts = Option.match(name, {
      onNone: () => [undefined],
      onSome: (LambdaFunctionName) => [undefined, { LambdaFunctionName }]
    })
    return yield* AwsSources.decrypt(lookup, ciphertext, contexts)
  })
