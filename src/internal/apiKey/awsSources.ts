/**
 * The key from AWS Secrets Manager, SSM Parameter Store or KMS, over the clients of the AWS SDK, which are loaded when they
 * are first used.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { ApiKeyError, isUsable } from "./sources.js"

/** Where and how to ask. */
export interface Place {
  /** What errors call it: the variable, or the function it was made with. */
  readonly label: string
  /** What AWS is told to look for. An error shows it only if it is an ARN: anything else may be a key in the wrong place. */
  readonly id: string
  /** Default: that of the ARN; else whatever the SDK finds. */
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly fips: boolean
  readonly timeout: Duration.Duration
}

/** The parts of an ARN: of which service, and where. */
export const parseArn = (text: string): { readonly service: string; readonly region: string } | undefined => {
  const [, service, region] = /^arn:aws[\w-]*:([\w-]+):([\w-]+):\d*:\S+$/.exec(text) ?? []
  return service === undefined || region === undefined ? undefined : { service, region }
}

/** What the SDK failed with, as far as it may be told. */
class Refusal extends /*#__PURE__*/ Data.TaggedError("Refusal")<{
  /** What AWS calls the error. */
  readonly kind: string
  readonly text: string
  readonly code: string | undefined
  readonly status: number | undefined
}> {}

interface Configuration {
  readonly region?: string
  readonly endpoint?: string
  readonly useFipsEndpoint?: true
  readonly maxAttempts: number
}

interface Service<Sdk, Client> {
  readonly name: string
  readonly package: string
  /** What a role needs. */
  readonly action: string
  /** What is asked for. */
  readonly thing: string
  readonly load: () => Promise<Sdk>
  readonly open: (sdk: Sdk, configuration: Configuration) => Client
}

/** The literal imports are for bundlers; being in a `try` makes a package that is not there a warning to them. */
const secretsManager = {
  name: "Secrets Manager",
  package: "@aws-sdk/client-secrets-manager",
  action: "secretsmanager:GetSecretValue",
  thing: "secret",
  load: async () => {
    try {
      return await import("@aws-sdk/client-secrets-manager")
    } catch (error) {
      throw error
    }
  },
  open: (
    { SecretsManagerClient }: typeof import("@aws-sdk/client-secrets-manager"),
    configuration: Configuration
  ) => new SecretsManagerClient(configuration)
}

const parameterStore = {
  name: "Systems Manager",
  package: "@aws-sdk/client-ssm",
  action: "ssm:GetParameter",
  thing: "parameter",
  load: async () => {
    try {
      return await import("@aws-sdk/client-ssm")
    } catch (error) {
      throw error
    }
  },
  open: ({ SSMClient }: typeof import("@aws-sdk/client-ssm"), configuration: Configuration) =>
    new SSMClient(configuration)
}

const keyManagement = {
  name: "KMS",
  package: "@aws-sdk/client-kms",
  action: "kms:Decrypt",
  thing: "ciphertext",
  load: async () => {
    try {
      return await import("@aws-sdk/client-kms")
    } catch (error) {
      throw error
    }
  },
  open: ({ KMSClient }: typeof import("@aws-sdk/client-kms"), configuration: Configuration) =>
    new KMSClient(configuration)
}

/** The key in a secret: the whole of it, or a field of it where it is JSON. */
export const secret = (place: Place, field: string | undefined): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  asked(secretsManager, place, field, ({ GetSecretValueCommand }, client) =>
    Effect.map(
      sent((abortSignal) => client.send(new GetSecretValueCommand({ SecretId: place.id }), { abortSignal })),
      (answer) => answer.SecretString ?? answer.SecretBinary
    ))

/** The key in a parameter, encrypted or not. */
export const parameter = (place: Place): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  asked(parameterStore, place, undefined, ({ GetParameterCommand }, client) =>
    Effect.map(
      sent((abortSignal) =>
        client.send(new GetParameterCommand({ Name: place.id, WithDecryption: true }), { abortSignal })
      ),
      (answer) => answer.Parameter?.Value
    ))

/** The key that was encrypted: with the first of the contexts, else with the next. */
export const plaintext = (
  place: Place,
  ciphertext: Uint8Array,
  contexts: ReadonlyArray<Record<string, string> | undefined>
): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  asked(keyManagement, place, undefined, ({ DecryptCommand }, client) => {
    const decrypt = (context: Record<string, string> | undefined) =>
      Effect.map(
        sent((abortSignal) =>
          client.send(
            new DecryptCommand({
              CiphertextBlob: ciphertext,
              ...(context === undefined ? undefined : { EncryptionContext: context })
            }),
            { abortSignal }
          )
        ),
        (answer) => answer.Plaintext
      )
    return contexts.slice(1).reduce(
      (before, context) =>
        Effect.catchIf(before, isAboutContext, (first) =>
          // of two that do not fit, the one that is about the permission says more
          Effect.mapError(decrypt(context), (second) => isInvalidCiphertext(second) ? first : second)),
      decrypt(contexts[0])
    )
  })

const isAccessDenied = ({ kind }: Refusal): boolean => kind.startsWith("AccessDenied")

const isInvalidCiphertext = ({ kind }: Refusal): boolean => kind === "InvalidCiphertextException"

/** A policy may ask for a context, too. */
const isAboutContext = (refusal: Refusal): boolean => isInvalidCiphertext(refusal) || isAccessDenied(refusal)

const sent = <A>(send: (abortSignal: AbortSignal) => Promise<A>): Effect.Effect<A, Refusal> =>
  Effect.tryPromise({ try: send, catch: refusalOf })

/** How often the SDK may send one request. The next flush asks again. */
const maxAttempts = 2

const asked = <Sdk, Client extends { readonly destroy: () => void }>(
  service: Service<Sdk, Client>,
  place: Place,
  field: string | undefined,
  use: (sdk: Sdk, client: Client) => Effect.Effect<string | Uint8Array | undefined, Refusal>
): Effect.Effect<Redacted.Redacted, ApiKeyError> => {
  const fail = (description: string) => new ApiKeyError({ description: `${place.label}: ${description}` })
  const region = place.region ?? parseArn(place.id)?.region
  // what it is given beats AWS_REGION, AWS_USE_FIPS_ENDPOINT and the like, so it is given no more than is known
  const configuration: Configuration = {
    ...(region === undefined ? undefined : { region }),
    ...(place.endpoint === undefined ? undefined : { endpoint: place.endpoint }),
    // the SDK takes no address along with it
    ...(place.fips && place.endpoint === undefined ? { useFipsEndpoint: true } : undefined),
    maxAttempts
  }
  return Effect.tryPromise({
    try: service.load,
    catch: (error) =>
      fail(
        `the package ${service.package} cannot be loaded (${
          cut(messageOf(error))
        }); install it, and where the program is ` +
          "bundled, bundle it too or leave it external and have it where the program runs"
      )
  }).pipe(
    Effect.flatMap((sdk) =>
      Effect.mapError(
        Effect.acquireUseRelease(
          Effect.try({ try: () => service.open(sdk, configuration), catch: refusalOf }),
          (client) => use(sdk, client),
          (client) => Effect.sync(() => client.destroy())
        ),
        (refusal) => fail(describe(service, place, refusal))
      )
    ),
    Effect.timeoutFail({
      duration: place.timeout,
      onTimeout: () => fail(`no answer from ${service.name} within ${Duration.format(place.timeout)}${routeHint}`)
    }),
    Effect.flatMap((answer) => {
      const key = keyIn(answer ?? "", field)
      return key._tag === "Key" ? Effect.succeed(key.key) : fail(`the ${service.thing} ${key.reason}`)
    })
  )
}

const routeHint = "; a function in a VPC needs a NAT gateway, or an interface endpoint of that service"

/** In words of its own: what AWS says of a wrong signature has the session's token in it. */
const describe = (
  service: Omit<Service<never, unknown>, "load" | "open">,
  place: Place,
  refusal: Refusal
): string => {
  const { code, kind, status, text } = refusal
  if (isAccessDenied(refusal)) {
    const said = cut(parseArn(place.id) === undefined ? text.replaceAll(place.id, "<it>") : text)
    const more = service.action === "kms:Decrypt"
      ? "for the key it was encrypted with"
      : `for this ${service.thing}, and kms:Decrypt where it is encrypted with a key of your own`
    return `access denied; the role needs ${service.action} ${more}${said === "" ? "" : ` (AWS: ${said})`}`
  }
  switch (kind) {
    case "ResourceNotFoundException":
    case "ParameterNotFound":
    case "ParameterVersionNotFound":
      return `there is no such ${service.thing} in that account and region`
    case "NotFoundException":
      return "there is no such KMS key in that account and region"
    case "InvalidCiphertextException":
    case "IncorrectKeyException":
      return "KMS cannot decrypt it: it has to be a ciphertext in base64, made in this region, without an encryption context " +
        "or with LambdaFunctionName, the name of this function"
    case "InvalidRequestException":
      return `the ${service.thing} cannot be read (${kind}); it may be marked for deletion`
    case "CredentialsProviderError":
      return "there are no AWS credentials"
    case "EndpointError":
      return `there is no endpoint to ask: ${cut(text)}`
  }
  if (/^Region /.test(text)) return `${cut(text)}; set AWS_REGION, or give the ARN`
  if (code !== undefined) {
    return `no connection to ${service.name} (${code})` +
      (place.fips ? "; with DD_LAMBDA_FIPS_MODE its FIPS endpoint is asked, which not every region has" : routeHint)
  }
  return status !== undefined && status < 300
    ? `the answer of ${service.name} cannot be read (${kind})`
    : `${service.name} refused (${kind}${status === undefined ? "" : `, status ${status}`})`
}

const refusalOf = (error: unknown): Refusal => {
  const wordOf = (property: string) => {
    const value: unknown = Predicate.hasProperty(error, property) ? error[property] : undefined
    return typeof value === "string" && /^\w{1,60}$/.test(value) ? value : undefined
  }
  const metadata: unknown = Predicate.hasProperty(error, "$metadata") ? error.$metadata : undefined
  const status: unknown = Predicate.hasProperty(metadata, "httpStatusCode") ? metadata.httpStatusCode : undefined
  return new Refusal({
    kind: wordOf("name") ?? "Error",
    text: messageOf(error),
    code: wordOf("code"),
    status: typeof status === "number" ? status : undefined
  })
}

const messageOf = (error: unknown): string =>
  Predicate.hasProperty(error, "message") && typeof error.message === "string" ? error.message : ""

const cut = (text: string): string => {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length > 300 ? `${line.slice(0, 299)}…` : line
}

type Found =
  | { readonly _tag: "Key"; readonly key: Redacted.Redacted }
  | { readonly _tag: "NoKey"; readonly reason: string }

/** The fields that the Datadog extension looks at; the second is that of AWS's managed rotation. */
const fields = ["dd_api_key", "apiKey"]

/** Says why there is none, without a word of what is there. */
const keyIn = (answer: string | Uint8Array, field: string | undefined): Found => {
  const none = (reason: string): Found => ({ _tag: "NoKey", reason })
  const text = (typeof answer === "string" ? answer : new TextDecoder().decode(answer)).trim()
  if (text === "") return none("is empty")
  let value = text
  if (text.startsWith("{") || field !== undefined) {
    const wanted = field === undefined ? fields : [field]
    const found = fieldOf(text, wanted)
    if (found === undefined) return none("looks like JSON, but is malformed")
    if (found === "") return none(`is JSON without a text ${wanted.map((name) => JSON.stringify(name)).join(" or ")}`)
    value = found
  }
  const key = Redacted.make(value)
  return isUsable(key) ? { _tag: "Key", key } : none("is no key: one has printable characters and no spaces")
}

/** The first that is there; empty if none is, `undefined` if this is no JSON. */
const fieldOf = (text: string, wanted: ReadonlyArray<string>): string | undefined => {
  try {
    const parsed: unknown = JSON.parse(text)
    return wanted
      .map((name) => Predicate.hasProperty(parsed, name) ? parsed[name] : undefined)
      .map((value) => typeof value === "string" ? value.trim() : "")
      .find((value) => value !== "") ?? ""
  } catch {
    return undefined
  }
}
