/**
 * The source of the API key.
 *
 * By default the key is the setting `apiKey`. With an {@link ApiKey} layer, a client that delivers over HTTP reads that source when it
 * first delivers, and again when Datadog refuses the key. A key that was rotated works without a restart. {@link layerEnv} reads the
 * variables of Datadog's Lambda libraries: AWS Secrets Manager, SSM Parameter Store, KMS, or the environment itself.
 *
 * The clients of the AWS SDK are optional peer dependencies, loaded at their first use: `@aws-sdk/client-secrets-manager`,
 * `@aws-sdk/client-ssm`, `@aws-sdk/client-kms`. A bundle without this module's AWS sources contains none of them.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as AwsSources from "./internal/apiKey/awsSources.js"
import { decrypt, defaultTimeout, fromConfigError, resolveSource } from "./internal/apiKey/environmentSource.js"
import { ApiKey, ApiKeyError, make } from "./internal/apiKey/sources.js"
import { decodeDuration } from "./internal/config/decoders.js"
import { fipsMode } from "./internal/config/environment.js"
import * as Setting from "./internal/config/setting.js"

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
   * @category constructors
   */
  make
} from "./internal/apiKey/sources.js"

export {
  /**
   * @since 0.1.0
   * @category predicates
   */
  isUsable
} from "./internal/config/decoders.js"

/**
 * Options of a source at AWS. The SDK finds the credentials: on Lambda, those of the function's role.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwsOptions {
  /** AWS region. Default: the region of the ARN, else the region that the SDK finds, on Lambda `AWS_REGION`. */
  readonly region?: string | undefined
  /**
   * URL of the service, for instance of an interface endpoint. FIPS mode has no effect on it. Default: the URL that the SDK derives from
   * `AWS_ENDPOINT_URL_SECRETS_MANAGER`, `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL_KMS`, or the region.
   */
  readonly endpoint?: string | undefined
  /** Whether to use FIPS endpoints. Environment: `DD_LAMBDA_FIPS_MODE`. Default: true if `AWS_REGION` starts with `us-gov-`. */
  readonly fips?: boolean | undefined
  /** Time limit of one read, loading the SDK included. The flush that needs the key may end earlier. Default: 4 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * Environment variables of {@link fromEnv}, with their meaning, in order of precedence.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = [
  { name: "DD_API_KEY_SECRET_ARN", description: "ARN of a secret in AWS Secrets Manager that contains the API key." },
  { name: "DD_API_KEY_SSM_NAME", description: "Name or ARN of an SSM parameter that contains the API key." },
  { name: "DD_API_KEY_SSM_ARN", description: "ARN of an SSM parameter that contains the API key." },
  { name: "DD_KMS_API_KEY", description: "API key, encrypted with AWS KMS, in base64." },
  { name: "DATADOG_API_KEY", description: "API key." },
  { name: "DD_API_KEY", description: "API key if DATADOG_API_KEY is absent." },
  { name: "DD_LAMBDA_FIPS_MODE", description: "Whether to use FIPS endpoints of AWS." },
  { name: "AWS_LAMBDA_FUNCTION_NAME", description: "Function name in the encryption context of the AWS console." },
  { name: "AWS_REGION", description: "FIPS mode is on by default if the region starts with us-gov-." }
]

/**
 * Reads the key from a secret of AWS Secrets Manager. Needs the package `@aws-sdk/client-secrets-manager` and the permission
 * `secretsmanager:GetSecretValue`.
 *
 * The secret is the key itself, as text or bytes, or a JSON object. The key is then in `field`, else in `dd_api_key`, else in `apiKey`,
 * which AWS's managed rotation writes. Space around the key has no effect.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { ApiKey, ThreadStats } from "effect-threadstats"
 *
 * const key = ApiKey.fromSecretsManager({ secretId: "prod/datadog", field: "key", region: "eu-west-1" })
 *
 * const client = ThreadStats.layer.pipe(Layer.provide(ApiKey.layer(key)))
 * ```
 *
 * @since 0.1.0
 * @category sources
 */
export const fromSecretsManager = (
  options: AwsOptions & {
    /** ARN of the secret, or its name in the region. */
    readonly secretId: string
    /** Field of a JSON object that contains the key. */
    readonly field?: string | undefined
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(
    makeLookup("ApiKey.fromSecretsManager", options, "secretId", "field"),
    (lookup) => AwsSources.readSecret(lookup, options.field)
  )

/**
 * Reads the key from a parameter of AWS Systems Manager, encrypted or not, in the forms of {@link fromSecretsManager}. Needs the package
 * `@aws-sdk/client-ssm` and the permission `ssm:GetParameter`.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromSsm = (
  options: AwsOptions & {
    /** Name of the parameter in the region, or its ARN. */
    readonly name: string
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(makeLookup("ApiKey.fromSsm", options, "name"), AwsSources.readParameter)

/**
 * Decrypts a key with AWS KMS. Needs the package `@aws-sdk/client-kms`, and the permission `kms:Decrypt` for the KMS key.
 *
 * Without an `encryptionContext`, it decrypts without one first, for ciphertexts of the AWS CLI. If that fails and
 * `AWS_LAMBDA_FUNCTION_NAME` is set, it decrypts with `LambdaFunctionName`, for ciphertexts of the AWS console.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromKms = (
  options: AwsOptions & {
    /** Encrypted key, in base64. */
    readonly ciphertext: string
    /** Encryption context of the ciphertext. */
    readonly encryptionContext?: Readonly<Record<string, string>> | undefined
  }
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  Effect.flatMap(
    makeLookup("ApiKey.fromKms", options, "ciphertext", "encryptionContext"),
    (lookup) => decrypt(lookup, options.encryptionContext)
  )

/**
 * Reads the key from the source that the environment names, which is the current `ConfigProvider`. The first of these variables that
 * is set selects the source; if that one fails, it reads no other: `DD_API_KEY_SECRET_ARN`, `DD_API_KEY_SSM_NAME`,
 * `DD_API_KEY_SSM_ARN`, `DD_KMS_API_KEY`, `DATADOG_API_KEY`, `DD_API_KEY`. Their forms are those of {@link fromSecretsManager},
 * {@link fromSsm} and {@link fromKms}.
 *
 * @since 0.1.0
 * @category sources
 */
export const fromEnv: Effect.Effect<Redacted.Redacted, ApiKeyError> = /*#__PURE__*/ Effect.suspend(() =>
  Effect.flatten(Effect.mapError(resolveSource, fromConfigError))
)

/**
 * Provides {@link make}. Provide this layer to a client that delivers over HTTP.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Redacted } from "effect"
 * import { ApiKey, ThreadStats } from "effect-threadstats"
 *
 * const readFromVault = Effect.succeed(Redacted.make("0123456789abcdef"))
 *
 * const client = ThreadStats.layer.pipe(Layer.provide(ApiKey.layer(readFromVault)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R>(source: Effect.Effect<Redacted.Redacted, ApiKeyError, R>): Layer.Layer<ApiKey, never, R> =>
  Layer.effect(ApiKey, make(source))

/**
 * Provides the source of {@link fromEnv}. Provide this layer to a client that delivers over HTTP. A missing or invalid variable fails the
 * client's layer with a `ConfigError`. The first delivery sends the first request to AWS.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ApiKey, Lambda, ThreadStats } from "effect-threadstats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => ThreadStats.increment("orders"),
 *   layer: ThreadStats.layer.pipe(Layer.provide(ApiKey.layerEnv))
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
      (keys) => ApiKey.of({ ...keys, check: Effect.withConfigProvider(Effect.asVoid(resolveSource), provider) })
    )
  )
)

/** Validates the options of a source that is made in code: the one that identifies the key, the others of this source, and those of all. */
const makeLookup = <Name extends string>(
  label: string,
  options: AwsOptions & { readonly [name in Name]: string },
  name: Name,
  ...others: ReadonlyArray<string>
): Effect.Effect<AwsSources.AwsLookup, ApiKeyError> =>
  Effect.gen(function*() {
    const timeout = yield* Setting.checkNames(options, [name, ...others, "region", "endpoint", "fips", "timeout"]).pipe(
      Effect.zipRight(Setting.resolveOption(options, "timeout", decodeDuration)),
      Effect.mapError((error) => new ApiKeyError({ description: `${label}: ${String(error)}` }))
    )
    const { endpoint, fips, region } = options
    const id: unknown = options[name]
    if (typeof id !== "string" || id.trim() === "") {
      return yield* new ApiKeyError({ description: `${label}: the option ${name} is missing` })
    }
    return {
      label,
      id: id.trim(),
      region,
      endpoint,
      fips: fips ?? (yield* Effect.mapError(fipsMode, fromConfigError)),
      timeout: Option.getOrElse(timeout, () => defaultTimeout)
    }
  })
