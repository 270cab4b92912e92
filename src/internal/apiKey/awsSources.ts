/** Reads the key from AWS Secrets Manager, SSM Parameter Store or KMS. Each loads its client of the AWS SDK at the first use. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { parseArn } from "./arn.js"
import * as AwsErrors from "./awsErrors.js"
import { decodeSecret } from "./secretFormat.js"
import { ApiKeyError } from "./sources.js"

export interface AwsLookup {
  /** Name in errors: the variable, or the function of this library. */
  readonly label: string
  /** Identifier that AWS receives. */
  readonly id: string
  /** Default: the region of the ARN, else the region that the SDK finds. */
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly fips: boolean
  readonly timeout: Duration.Duration
}

interface ClientConfiguration {
  readonly region?: string
  readonly endpoint?: string
  readonly useFipsEndpoint?: true
  readonly maxAttempts: number
}

interface AwsService<Sdk, Client> {
  readonly name: string
  readonly package: string
  readonly action: string
  readonly resource: string
  readonly load: () => Promise<Sdk>
  readonly makeClient: (sdk: Sdk, configuration: ClientConfiguration) => Client
}

// Bundlers follow literal imports only. Inside a `try`, they report a missing package as a warning, not as an error.
const secretsManager = {
  name: "Secrets Manager",
  package: "@aws-sdk/client-secrets-manager",
  action: "secretsmanager:GetSecretValue",
  resource: "secret",
  load: async () => {
    try {
      return await import("@aws-sdk/client-secrets-manager")
    } catch (error) {
      throw error
    }
  },
  makeClient: (
    { SecretsManagerClient }: typeof import("@aws-sdk/client-secrets-manager"),
    configuration: ClientConfiguration
  ) => new SecretsManagerClient(configuration)
}

const parameterStore = {
  name: "Systems Manager",
  package: "@aws-sdk/client-ssm",
  action: "ssm:GetParameter",
  resource: "parameter",
  load: async () => {
    try {
      return await import("@aws-sdk/client-ssm")
    } catch (error) {
      throw error
    }
  },
  makeClient: ({ SSMClient }: typeof import("@aws-sdk/client-ssm"), configuration: ClientConfiguration) =>
    new SSMClient(configuration)
}

const keyManagement = {
  name: "KMS",
  package: "@aws-sdk/client-kms",
  action: "kms:Decrypt",
  resource: "ciphertext",
  load: async () => {
    try {
      return await import("@aws-sdk/client-kms")
    } catch (error) {
      throw error
    }
  },
  makeClient: ({ KMSClient }: typeof import("@aws-sdk/client-kms"), configuration: ClientConfiguration) =>
    new KMSClient(configuration)
}

/** Reads a secret, which is the key or JSON with the key in a field. */
export const readSecret = (
  lookup: AwsLookup,
  field: string | undefined
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  fetchKey(secretsManager, lookup, field, ({ GetSecretValueCommand }, client) =>
    Effect.map(
      callSdk((abortSignal) => client.send(new GetSecretValueCommand({ SecretId: lookup.id }), { abortSignal })),
      (response) => response.SecretString ?? response.SecretBinary
    ))

/** Reads a parameter, encrypted or not. */
export const readParameter = (lookup: AwsLookup): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  fetchKey(parameterStore, lookup, undefined, ({ GetParameterCommand }, client) =>
    Effect.map(
      callSdk((abortSignal) =>
        client.send(new GetParameterCommand({ Name: lookup.id, WithDecryption: true }), { abortSignal })
      ),
      (response) => response.Parameter?.Value
    ))

/** Decrypts a ciphertext with the first of the encryption contexts that fits. */
export const decrypt = (
  lookup: AwsLookup,
  ciphertext: Uint8Array,
  contexts: ReadonlyArray<Record<string, string> | undefined>
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  fetchKey(keyManagement, lookup, undefined, ({ DecryptCommand }, client) => {
    const decryptWith = (context: Record<string, string> | undefined) =>
      Effect.map(
        callSdk((abortSignal) =>
          client.send(
            new DecryptCommand({
              CiphertextBlob: ciphertext,
              ...(context === undefined ? undefined : { EncryptionContext: context })
            }),
            { abortSignal }
          )
        ),
        (response) => response.Plaintext
      )
    return contexts.slice(1).reduce(
      (previous, context) =>
        Effect.catchIf(previous, mayNeedContext, (first) =>
          // If neither context fits, an error about the permission helps the user more.
          Effect.mapError(decryptWith(context), (second) => AwsErrors.isInvalidCiphertext(second) ? first : second)),
      decryptWith(contexts[0])
    )
  })

/** A key policy may require a context, and denies access without it. */
const mayNeedContext = (error: AwsErrors.AwsError): boolean =>
  AwsErrors.isInvalidCiphertext(error) || AwsErrors.isAccessDenied(error)

const callSdk = <A>(send: (abortSignal: AbortSignal) => Promise<A>): Effect.Effect<A, AwsErrors.AwsError> =>
  Effect.tryPromise({ try: send, catch: AwsErrors.fromUnknown })

/** Attempts of the SDK per request. The next flush reads the source again. */
const maxAttempts = 2

/** Sets only the fields that are known, because each beats the SDK's own variables, such as `AWS_REGION`. */
const clientConfiguration = (
  { endpoint, fips, id, region = parseArn(id)?.region }: AwsLookup
): ClientConfiguration => ({
  ...(region === undefined ? undefined : { region }),
  ...(endpoint === undefined ? undefined : { endpoint }),
  // The SDK rejects this option together with an endpoint.
  ...(fips && endpoint === undefined ? { useFipsEndpoint: true } : undefined),
  maxAttempts
})

const fetchKey = <Sdk, Client extends { readonly destroy: () => void }>(
  service: AwsService<Sdk, Client>,
  lookup: AwsLookup,
  field: string | undefined,
  read: (sdk: Sdk, client: Client) => Effect.Effect<string | Uint8Array | undefined, AwsErrors.AwsError>
): Effect.Effect<Redacted.Redacted, ApiKeyError> => {
  const fail = (description: string) => new ApiKeyError({ description: `${lookup.label}: ${description}` })
  const loadSdk = Effect.tryPromise({
    try: service.load,
    catch: (error) =>
      fail(
        `loading the package ${service.package} failed: ${
          AwsErrors.shorten(AwsErrors.messageOf(error))
        }. Install it. A bundled ` +
          "program has to contain it, or find it where the program runs"
      )
  })
  const readSecretValue = (sdk: Sdk) =>
    Effect.acquireUseRelease(
      Effect.try({ try: () => service.makeClient(sdk, clientConfiguration(lookup)), catch: AwsErrors.fromUnknown }),
      (client) => read(sdk, client),
      (client) => Effect.sync(() => client.destroy())
    ).pipe(
      Effect.mapError((error) =>
        fail(
          AwsErrors.describe(
            { ...lookup, action: service.action, resource: service.resource, service: service.name },
            error
          )
        )
      )
    )
  return Effect.flatMap(loadSdk, readSecretValue).pipe(
    Effect.timeoutFail({
      duration: lookup.timeout,
      onTimeout: () =>
        fail(`${service.name} did not respond within ${Duration.format(lookup.timeout)}. ${AwsErrors.routeAdvice}`)
    }),
    Effect.flatMap((value) =>
      Effect.mapError(decodeSecret(value ?? "", field), (problem) => fail(`the ${service.resource} ${problem}`))
    )
  )
}
