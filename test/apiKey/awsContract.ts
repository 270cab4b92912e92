/** The behavior of the sources in AWS: the unit suite checks it over a fake of the SDK, the io suite over the SDK itself. */
import { assert, describe } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted, type Scope } from "effect"
import { ApiKey } from "effect-threadstats"
import { type Aws, type Encrypted, refusal } from "../support/aws.js"
import { apiKey } from "../support/keySweep.js"
import { formsOf, renderings } from "../support/secrets.js"

export const secretArn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:datadog-a1b2c3"
export const parameterArn = "arn:aws:ssm:ap-southeast-2:123456789012:parameter/prod/datadog"
export const ciphertext = Buffer.from("the API key, encrypted by KMS").toString("base64")

/** Stores the key as a secret, a parameter and a ciphertext. */
export const storeKey = (aws: Aws): void => {
  aws.secrets.set(secretArn, apiKey)
  aws.parameters.set("/prod/datadog", apiKey).set(parameterArn, apiKey)
  aws.ciphertexts.set(ciphertext, { text: apiKey })
}

export const withSettings = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

export const keyOf = (variables: Record<string, string>) =>
  Effect.map(ApiKey.fromEnv, Redacted.value).pipe(withSettings(variables))

export const errorOf = (variables: Record<string, string>) => Effect.flip(ApiKey.fromEnv).pipe(withSettings(variables))

/** Fails if the value shows the key, credentials or one of the secrets, in any form. */
export const assertHidesSecrets = (value: unknown, ...secrets: ReadonlyArray<string>): void => {
  const texts = renderings(value)
  assert.isNotEmpty(texts)
  for (const secret of [apiKey, ...secrets, "a-session-token", "a-secret-access-key"].flatMap(formsOf)) {
    for (const text of texts) assert.notInclude(text, secret)
  }
}

export const sources = {
  DD_API_KEY_SECRET_ARN: [secretArn, "secretsmanager:GetSecretValue"],
  DD_API_KEY_SSM_NAME: ["/prod/datadog", "ssm:GetParameter"],
  DD_API_KEY_SSM_ARN: [parameterArn, "ssm:GetParameter"],
  DD_KMS_API_KEY: [ciphertext, "kms:Decrypt"]
} as const

export const describeAwsSources = (
  it: (name: string, test: () => Effect.Effect<void, unknown, Scope.Scope>) => void,
  makeAws: Effect.Effect<Aws, never, Scope.Scope>
): void => {
  const awsWithKey = Effect.tap(makeAws, (aws) => Effect.sync(() => storeKey(aws)))

  describe("ApiKey.fromSecretsManager", () => {
    const forms: Readonly<Record<string, string | Uint8Array>> = {
      "a plain text": apiKey,
      "a text with white space around it": ` \n${apiKey}\r\n`,
      "JSON with dd_api_key": JSON.stringify({ apiKey: "another-key", dd_api_key: apiKey }),
      "JSON with apiKey": JSON.stringify({ apiKeyId: "another-key", apiKey: ` ${apiKey}\n` }, undefined, 2),
      "JSON whose dd_api_key is a number": JSON.stringify({ dd_api_key: 1, apiKey }),
      "bytes of a text": Buffer.from(`${apiKey}\n`),
      "bytes of JSON": Buffer.from(JSON.stringify({ dd_api_key: apiKey }))
    }
    for (const [form, value] of Object.entries(forms)) {
      it(`reads the key of DD_API_KEY_SECRET_ARN when the secret is ${form}`, () =>
        Effect.gen(function*() {
          const aws = yield* awsWithKey
          aws.secrets.set(secretArn, value)
          assert.strictEqual(yield* keyOf({ DD_API_KEY_SECRET_ARN: ` ${secretArn} ` }), apiKey)
          assert.deepStrictEqual(aws.requests, [{
            target: "secretsmanager.GetSecretValue",
            body: { SecretId: secretArn },
            service: "secretsmanager",
            region: "eu-central-1",
            abandoned: false
          }])
        }))
    }

    it("reads a secret by name in the region of the SDK", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.secrets.set("prod/datadog", apiKey)
        assert.strictEqual(Redacted.value(yield* ApiKey.fromSecretsManager({ secretId: "prod/datadog" })), apiKey)
        assert.deepStrictEqual(aws.requests.map(({ region }) => region), ["eu-west-1"])
      }))

    const faults: Readonly<Record<string, readonly [value: string | Uint8Array, message: string]>> = {
      "is empty": [" \n", "the secret is empty"],
      "has no bytes": [new Uint8Array(), "the secret is empty"],
      "is malformed JSON": [`{"dd_api_key":"${apiKey}`, "the secret contains malformed JSON"],
      "is JSON with another field": [
        JSON.stringify({ key: apiKey }),
        `the secret contains JSON without text in the field "dd_api_key" or "apiKey"`
      ],
      "is JSON with an empty field": [
        JSON.stringify({ dd_api_key: " ", other: apiKey }),
        `the secret contains JSON without text in the field "dd_api_key" or "apiKey"`
      ],
      "contains a space": [
        `${apiKey} ${apiKey}`,
        "the secret contains no valid key: a key has printable characters and no spaces"
      ],
      "is not a text": [
        Buffer.from([0xff, 0x00, 0x80, ...Buffer.from(apiKey)]),
        "the secret contains no valid key: a key has printable characters and no spaces"
      ]
    }
    for (const [fault, [value, message]] of Object.entries(faults)) {
      it(`fails without showing the secret when the secret ${fault}`, () =>
        Effect.gen(function*() {
          const aws = yield* awsWithKey
          aws.secrets.set(secretArn, value)
          const error = yield* errorOf({ DD_API_KEY_SECRET_ARN: secretArn })
          assert.strictEqual(error.message, `DD_API_KEY_SECRET_ARN: ${message}`)
          assertHidesSecrets(error)
        }))
    }
  })

  describe("ApiKey.fromSsm", () => {
    it("reads and decrypts a parameter by name in the region of the SDK", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        assert.strictEqual(yield* keyOf({ DD_API_KEY_SSM_NAME: "/prod/datadog" }), apiKey)
        assert.deepStrictEqual(aws.requests, [{
          target: "AmazonSSM.GetParameter",
          body: { Name: "/prod/datadog", WithDecryption: true },
          service: "ssm",
          region: "eu-west-1",
          abandoned: false
        }])
      }))

    it("reads a parameter by ARN in the region of the ARN", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        for (const name of ["DD_API_KEY_SSM_ARN", "DD_API_KEY_SSM_NAME"]) {
          assert.strictEqual(yield* keyOf({ [name]: parameterArn }), apiKey)
        }
        assert.strictEqual(Redacted.value(yield* ApiKey.fromSsm({ name: parameterArn })), apiKey)
        assert.deepStrictEqual(aws.requests.map(({ region }) => region), Array(3).fill("ap-southeast-2"))
      }))
  })

  describe("ApiKey.fromKms", () => {
    const bodies = (aws: Aws) => aws.requests.map(({ body }) => body)
    const functionContext = { LambdaFunctionName: "orders" }

    it("decrypts without an encryption context first", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        assert.strictEqual(yield* keyOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }), apiKey)
        assert.deepStrictEqual(aws.requests.map(({ region, service }) => [service, region]), [["kms", "eu-west-1"]])
        assert.deepStrictEqual(bodies(aws), [{ CiphertextBlob: ciphertext }])
      }))

    it("decrypts with the name of the function when the console encrypted the key", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.ciphertexts.set(ciphertext, { text: apiKey, context: functionContext })
        assert.strictEqual(yield* keyOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }), apiKey)
        assert.deepStrictEqual(bodies(aws), [
          { CiphertextBlob: ciphertext },
          { CiphertextBlob: ciphertext, EncryptionContext: functionContext }
        ])
      }))

    it("decrypts with the given `encryptionContext` only", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        const context = { stage: "prod" }
        const source = ApiKey.fromKms({ ciphertext, encryptionContext: context })
        const encrypted: Encrypted = { text: apiKey, context }
        aws.ciphertexts.set(ciphertext, encrypted)
        assert.strictEqual(Redacted.value(yield* source), apiKey)
        aws.ciphertexts.set(ciphertext, { ...encrypted, context: functionContext })
        assert.include(
          (yield* Effect.flip(withSettings({ AWS_LAMBDA_FUNCTION_NAME: "orders" })(source))).message,
          "cannot decrypt"
        )
        assert.deepStrictEqual(bodies(aws), Array(2).fill({ CiphertextBlob: ciphertext, EncryptionContext: context }))
      }))

    it("decrypts with the name of the function when the policy denies requests without a context", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.ciphertexts.set(ciphertext, { text: apiKey, context: functionContext })
        aws.answer = ({ body }) =>
          body.EncryptionContext === undefined ? refusal("AccessDeniedException", "not without a context") : undefined
        const variables = { DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }
        assert.strictEqual(yield* keyOf(variables), apiKey)
        aws.ciphertexts.clear()
        assert.include((yield* errorOf(variables)).message, "kms:Decrypt")
      }))

    it("sends one request when KMS refuses for a reason other than the context", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.answer = () => refusal("DisabledException", "the key is disabled")
        const error = yield* errorOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" })
        assert.strictEqual(error.message, "DD_KMS_API_KEY: KMS refused the request (DisabledException, status 400)")
        assert.strictEqual(aws.requests.length, 1)
      }))
  })

  describe("ApiKey.fromEnv", () => {
    const all = {
      DD_API_KEY_SECRET_ARN: secretArn,
      DD_API_KEY_SSM_NAME: "/prod/datadog",
      DD_API_KEY_SSM_ARN: parameterArn,
      DD_KMS_API_KEY: ciphertext,
      DATADOG_API_KEY: "plain-datadog-key",
      DD_API_KEY: "plain-dd-key"
    }
    const names = Object.keys(all) as ReadonlyArray<keyof typeof all>

    it("reads only the first variable that is set: secret, parameter, ciphertext, then a plain key", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.secrets.set(secretArn, "from-the-secret")
        aws.parameters.set("/prod/datadog", "from-the-parameter").set(parameterArn, "from-the-parameter-of-the-arn")
        aws.ciphertexts.set(ciphertext, { text: "from-the-ciphertext" })
        const keys: Array<string> = []
        for (let i = 0; i < names.length; i++) {
          keys.push(yield* keyOf(Object.fromEntries(names.map((name, j) => [name, j < i ? " " : all[name]]))))
        }
        assert.deepStrictEqual(keys, [
          "from-the-secret",
          "from-the-parameter",
          "from-the-parameter-of-the-arn",
          "from-the-ciphertext",
          "plain-datadog-key",
          "plain-dd-key"
        ])
        assert.deepStrictEqual(
          aws.requests.map(({ service }) => service),
          ["secretsmanager", "ssm", "ssm", "kms"]
        )
        assert.deepStrictEqual(ApiKey.variables.slice(0, names.length).map(({ name }) => name), [...names])
      }))

    it("fails without reading other variables when the first one fails", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.secrets.clear()
        assert.include((yield* errorOf(all)).message, "DD_API_KEY_SECRET_ARN: the secret does not exist")
        assert.strictEqual(aws.requests.length, 1)
      }))
  })

  describe("ApiKeyError", () => {
    for (const [name, [value, action]] of Object.entries(sources)) {
      it(`names ${name}, the permission ${action} and the cause`, () =>
        Effect.gen(function*() {
          const aws = yield* awsWithKey
          const errorAfter = (answer: Aws["answer"]) => {
            aws.answer = answer
            return Effect.tap(errorOf({ [name]: value }), (error) => {
              assertHidesSecrets(error, ...(value === ciphertext ? [ciphertext] : []))
              assert.isTrue(error.message.startsWith(`${name}: `), error.message)
            })
          }
          const denied = yield* errorAfter(() =>
            refusal("AccessDeniedException", `User: arn:aws:sts::1:role/orders may not do that to ${value}`)
          )
          assert.include(denied.message, `access denied. The role needs ${action} `)
          assert.include(denied.message, "(AWS: User: arn:aws:sts::1:role/orders may not do that to ")
          const missing = yield* errorAfter(() =>
            refusal(
              { secretsmanager: "ResourceNotFoundException", ssm: "ParameterNotFound", kms: "NotFoundException" }[
                action.split(":")[0]!
              ]!,
              ""
            )
          )
          assert.match(missing.message, /the (secret|parameter|KMS key) does not exist in this account and region$/)
          const wrongSignature = yield* errorAfter(() =>
            refusal("InvalidSignatureException", "should have been 'x-amz-security-token:a-session-token'", 403)
          )
          assert.include(wrongSignature.message, "refused the request (InvalidSignatureException, status 403)")
          const malformed = yield* errorAfter(() => ({ status: 200, body: `{"SecretString":"${apiKey}",${apiKey}` }))
          assert.include(malformed.message, "is not readable (SyntaxError)")
          const empty = yield* errorAfter(() => ({ status: 200, body: {} }))
          assert.match(empty.message, /: the (secret|parameter|ciphertext) is empty$/)
        }))
    }

    it("hides a key that was set in the variable of another source", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.answer = ({ body }) => refusal("AccessDeniedException", `not ${Object.values(body).join()}`)
        for (const name of Object.keys(sources)) {
          const error = yield* errorOf({ [name]: apiKey })
          assert.include(error.message, name)
          assertHidesSecrets(error)
        }
      }))
  })
}
