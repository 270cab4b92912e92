/**
 * Where the API key comes from.
 *
 * By default it is the setting `apiKey`, which the environment gives too. With an {@link ApiKey} layer around it, a client
 * that delivers over HTTP asks that source instead: when it first delivers, and again when the key is refused, so that a
 * key that was rotated in a vault takes effect without a restart. {@link layerEnv} looks where the variables of Datadog's
 * Lambda libraries say: AWS Secrets Manager, SSM Parameter Store, KMS, or the environment itself.
 *
 * The clients of the AWS SDK are optional peer dependencies, loaded when they are first used: `@aws-sdk/client-secrets-manager`,
 * `@aws-sdk/client-ssm`, `@aws-sdk/client-kms`. A bundle that does not use this module's AWS sources holds none of them.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Aws from "./internal/apiKey/awsSources.js"
import { ApiKey, ApiKeyError, isUsable, make, variable, vaultVariables } from "./internal/apiKey/sources.js"
import * as Flag from "./internal/config/decoders.js"

export {
  /**
   * @since 0.1.0
   * @category tags
   */
  ApiKey,
  /**
   * @since 0.1.0
   * @category errors
   */
  ApiKeyError,
  /**
   * @since 0.1.0
   * @category constructors
   */
  constant,
  /**
   * @since 0.1.0
   * @category predicates
   */
  isUsable,
  /**
   * @since 0.1.0
   * @category constructors
   */
  make
} from "./internal/apiKey/sources.js"

/**
 * How AWS is asked. Credentials are what the SDK finds: on Lambda, those of the function's role.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwsOptions {
  /** Default: that of the ARN, where there is one; else what the SDK finds, on Lambda `AWS_REGION`. */
  readonly region?: string | undefined
  /**
   * Whole address of the service, such as that of an interface endpoint; FIPS mode does not apply to it. Default: what the SDK
   * makes of `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL_KMS`, or the region.
   */
  readonly endpoint?: string | undefined
  /** Whether FIPS endpoints are asked. Environment: `DD_LAMBDA_FIPS_MODE`. Default: where `AWS_REGION` starts with `us-gov-`. */
  readonly fips?: boolean | undefined
  /** The most time that asking may take, loading the SDK included; a flush has less if its own time is shorter. Default: 4 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * Every environment variable that {@link fromEnv} reads, in order of precedence, with what it says.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = [
  { name: "DD_API_KEY_SECRET_ARN", description: "The ARN of a secret in AWS Secrets Manager that holds the API key." },
  { name: "DD_API_KEY_SSM_NAME", description: "The name or ARN of an SSM parameter that holds the API key." },
  { name: "DD_API_KEY_SSM_ARN", description: "The ARN of an SSM parameter that holds the API key." },
  { name: "DD_KMS_API_KEY", description: "The API key, encrypted with AWS KMS, in base64." },
  { name: "DATADOG_API_KEY", description: "The API key." },
  { name: "DD_API_KEY", description: "The API key, where DATADOG_API_KEY is not set." },
  { name: "DD_LAMBDA_FIPS_MODE", description: "Whether AWS is asked at its FIPS endpoints." },
  { name: "AWS_LAMBDA_FUNCTION_NAME", description: "What the AWS console ties a ciphertext of KMS to." },
  { name: "AWS_REGION", description: "Turns FIPS mode on where it starts with us-gov-." }
]

/**
 * The key in a secret of AWS Secrets Manager. Needs `@aws-sdk/client-secrets-manager`, and `secretsmanager:GetSecretValue`.
 *
 * The secret is the key, as text or bytes, or JSON with it under `dd_api_key`, else `apiKey` (as AWS rotates it), or under
 * `field`, where that is given. Space around it does not matter.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { ApiKey, ThreadStats } from "effect-threadstats"
 *
 * const key = ApiKey.fromSecretsManager({ secretId: "prod/datadog", field: "key", region: "eu-west-1" })
 *
 * const client = ThreadStats.layerNode.pipe(Layer.provide(ApiKey.layer(key)))
 * ```
 *
 * @since 0.1.0
 * @category sources
 */
export const fromSecretsManager = (
  options: AwsOptions & {
    /** The ARN of the secret; or its name, in the region that is asked. */
    readonly secretId: string
    readonly field?: string | undefined
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(
    placed("ApiKey.fromSecretsManager", "secretId", options.secretId, options),
    (place) => Aws.secret(place, options.field)
  )

/**
 * The key in a parameter of AWS Systems Manager, a `SecureString` or not, in the forms of {@link fromSecretsManager}. Needs
 * `@aws-sdk/client-ssm` and `ssm:GetParameter`.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromSsm = (
  options: AwsOptions & {
    /** The name of the parameter, in the region that is asked, or its ARN. */
    readonly name: string
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(placed("ApiKey.fromSsm", "name", options.name, options), Aws.parameter)

/**
 * The key that was encrypted with AWS KMS. Needs `@aws-sdk/client-kms`, and `kms:Decrypt` for the key it was encrypted with.
 *
 * Without an `encryptionContext`, it is decrypted without one, as the AWS CLI encrypts it, and where that fails, with
 * `LambdaFunctionName`, as the AWS console does, if `AWS_LAMBDA_FUNCTION_NAME` is set.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromKms = (
  options: AwsOptions & {
    /** In base64. */
    readonly ciphertext: string
    readonly encryptionContext?: Readonly<Record<string, string>> | undefined
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(
    placed("ApiKey.fromKms", "ciphertext", options.ciphertext, options),
    (place) => decrypted(place, options.encryptionContext)
  )

/**
 * The key from where the environment says, which is whatever `ConfigProvider` is in force. The first that is set counts, and
 * if it fails, no other is tried: `DD_API_KEY_SECRET_ARN`, `DD_API_KEY_SSM_NAME`, `DD_API_KEY_SSM_ARN`, `DD_KMS_API_KEY`,
 * `DATADOG_API_KEY`, `DD_API_KEY`. See {@link fromSecretsManager}, {@link fromSsm} and {@link fromKms} for their forms.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromEnv: Effect.Effect<Redacted.Redacted, ApiKeyError> = /*#__PURE__*/ Effect.suspend(() =>
  Effect.flatten(Effect.mapError(planned, asApiKeyError))
)

/**
 * {@link make} as a layer: provide it to a client that delivers over HTTP.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Redacted } from "effect"
 * import { ApiKey, ThreadStats } from "effect-threadstats"
 *
 * const readFromVault = Effect.succeed(Redacted.make("0123456789abcdef"))
 *
 * const client = ThreadStats.layerNode.pipe(Layer.provide(ApiKey.layer(readFromVault)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R>(source: Effect.Effect<Redacted.Redacted, ApiKeyError, R>): Layer.Layer<ApiKey, never, R> =>
  Layer.effect(ApiKey, make(source))

/**
 * {@link fromEnv} as a layer: provide it to a client that delivers over HTTP. A variable that is missing or wrong fails the
 * client's layer with a `ConfigError`; AWS is asked when there is something to deliver, and not before.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ApiKey, Lambda, ThreadStats } from "effect-threadstats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => ThreadStats.increment("orders"),
 *   layer: ThreadStats.layerNode.pipe(Layer.provide(ApiKey.layerEnv))
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEnv: Layer.Layer<ApiKey> = /*#__PURE__*/ Layer.effect(
  ApiKey,
  /*#__PURE__*/ Effect.configProviderWith((provider) =>
    Effect.map(
      make(fromEnv),
      (keys) => ApiKey.of({ ...keys, check: Effect.withConfigProvider(Effect.asVoid(planned), provider) })
    )
  )
)

const asApiKeyError = (error: ConfigError.ConfigError) => new ApiKeyError({ description: String(error) })

const defaultTimeout = /*#__PURE__*/ Duration.seconds(4)

const fipsMode: Config.Config<boolean> = /*#__PURE__*/ Config.suspend(() =>
  Config.all([variable("DD_LAMBDA_FIPS_MODE"), variable("AWS_REGION")]).pipe(
    Config.mapOrFail(([mode, region]) => {
      const isOn = mode === "" ? region.startsWith("us-gov-") : Flag.fromText(mode)
      return isOn === undefined
        ? Either.left(ConfigError.InvalidData(["DD_LAMBDA_FIPS_MODE"], "expected true or false"))
        : Either.right(isOn)
    })
  )
)

/** What a function of this module was given in code. */
const placed = (
  label: string,
  option: string,
  id: unknown,
  { endpoint, fips, region, timeout = defaultTimeout }: AwsOptions
): Effect.Effect<Aws.Place, ApiKeyError> =>
  Effect.gen(function*() {
    if (typeof id !== "string" || id.trim() === "") {
      return yield* new ApiKeyError({ description: `${label}: ${option} is missing` })
    }
    return {
      label,
      id: id.trim(),
      region,
      endpoint,
      fips: fips ?? (yield* Effect.mapError(fipsMode, asApiKeyError)),
      timeout: Duration.decode(timeout)
    }
  })

/** Without asking anybody: where the environment says that the key is. */
const planned: Effect.Effect<
  Effect.Effect<Redacted.Redacted, ApiKeyError>,
  ConfigError.ConfigError
> = /*#__PURE__*/ Effect.gen(function*() {
  for (const { expected, isRight, name, read } of places) {
    const id = yield* variable(name)
    if (id === "") continue
    if (!isRight(id)) return yield* Effect.fail(ConfigError.InvalidData([name], `expected ${expected}`))
    return read({ label: name, id, fips: yield* fipsMode, timeout: defaultTimeout })
  }
  for (const name of ["DATADOG_API_KEY", "DD_API_KEY"]) {
    const key = Redacted.make(yield* variable(name))
    if (Redacted.value(key) === "") continue
    if (!isUsable(key)) {
      return yield* Effect.fail(
        ConfigError.InvalidData([name], "expected a key of printable characters without spaces")
      )
    }
    return Effect.succeed(key)
  }
  return yield* Effect.fail(ConfigError.MissingData(
    ["DATADOG_API_KEY"],
    `there is no API key; set one of ${
      vaultVariables.join(", ")
    }, DATADOG_API_KEY and DD_API_KEY, or disable the client`
  ))
})

const isArnOf = (service: string, id: string): boolean => Aws.parseArn(id)?.service === service

const places: ReadonlyArray<{
  readonly name: typeof vaultVariables[number]
  /** What errors say that it should be; they never show what it is. */
  readonly expected: string
  readonly isRight: (id: string) => boolean
  readonly read: (place: Aws.Place) => Effect.Effect<Redacted.Redacted, ApiKeyError>
}> = [
  {
    name: "DD_API_KEY_SECRET_ARN",
    expected: "an ARN such as arn:aws:secretsmanager:eu-west-1:123456789012:secret:datadog-a1b2c3",
    isRight: (id) => isArnOf("secretsmanager", id),
    read: (place) => Aws.secret(place, undefined)
  },
  {
    name: "DD_API_KEY_SSM_NAME",
    expected: "the name of a parameter",
    isRight: () => true,
    read: Aws.parameter
  },
  {
    name: "DD_API_KEY_SSM_ARN",
    expected: "an ARN such as arn:aws:ssm:eu-west-1:123456789012:parameter/datadog",
    isRight: (id) => isArnOf("ssm", id),
    read: Aws.parameter
  },
  {
    name: "DD_KMS_API_KEY",
    expected: "a ciphertext in base64",
    isRight: (id) => Either.isRight(Encoding.decodeBase64(id)),
    read: (place) => decrypted(place, undefined)
  }
]

const decrypted = (
  place: Aws.Place,
  context: Readonly<Record<string, string>> | undefined
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.gen(function*() {
    const ciphertext = yield* Effect.mapError(
      Encoding.decodeBase64(place.id),
      () => new ApiKeyError({ description: `${place.label}: expected a ciphertext in base64` })
    )
    const functionName = yield* Effect.mapError(variable("AWS_LAMBDA_FUNCTION_NAME"), asApiKeyError)
    const contexts = context !== undefined
      ? [context]
      : [undefined, ...(functionName === "" ? [] : [{ LambdaFunctionName: functionName }])]
    return yield* Aws.plaintext(place, ciphertext, contexts)
  })
