import { afterAll, assert, describe, it } from "@effect/vitest"
import {
  Cause,
  ConfigProvider,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Redacted,
  type Scope
} from "effect"
import { ApiKey, HttpReporter, LocalIntake, ThreadStats, type ThreadStatsConfig } from "effect-threadstats"
import { build } from "esbuild"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"
import { type Aws, type Encrypted, refusal, serve, withVariables } from "../support/aws.js"
import { node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"
import { type Line, logsTo } from "../support/scripted.js"
import { formsOf, renderings } from "../support/secrets.js"

// the SDK is loaded, and bundled
vi.setConfig({ testTimeout: 60_000 })

const root = fileURLToPath(new URL("../..", import.meta.url))

const theKey = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
const secretArn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:datadog-a1b2c3"
const parameterArn = "arn:aws:ssm:ap-southeast-2:123456789012:parameter/prod/datadog"
const ciphertext = Buffer.from("what KMS made of the key, and only KMS can read").toString("base64")

/** The stand-in, with the SDK's own variables set for it, and a secret, a parameter and a ciphertext in it. */
const standIn: Effect.Effect<Aws, never, Scope.Scope> = Effect.tap(serve, (aws) => {
  aws.secrets.set(secretArn, theKey)
  aws.parameters.set("/prod/datadog", theKey).set(parameterArn, theKey)
  aws.ciphertexts.set(ciphertext, { text: theKey })
  return withVariables(aws.variables)
})

const under = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

const keyOf = (variables: Record<string, string>) => Effect.map(ApiKey.fromEnv, Redacted.value).pipe(under(variables))

const errorOf = (variables: Record<string, string>) => Effect.flip(ApiKey.fromEnv).pipe(under(variables))

/** Not in any form of it, and nothing else that must not be told. */
const assertTellsNothing = (value: unknown, ...secrets: ReadonlyArray<string>) => {
  const texts = renderings(value)
  assert.isNotEmpty(texts)
  for (const secret of [theKey, ...secrets, "a-session-token", "a-secret-access-key"].flatMap(formsOf)) {
    for (const text of texts) assert.notInclude(text, secret)
  }
}

describe("the key in a secret", () => {
  const forms: Readonly<Record<string, string | Uint8Array>> = {
    "as it is": theKey,
    "with space around it": ` \n${theKey}\r\n`,
    "as JSON with dd_api_key": JSON.stringify({ apiKey: "not-this-one", dd_api_key: theKey }),
    "as JSON with apiKey": JSON.stringify({ apiKeyId: "not-this-one", apiKey: ` ${theKey}\n` }, undefined, 2),
    "as JSON whose dd_api_key is no text": JSON.stringify({ dd_api_key: 1, apiKey: theKey }),
    "as bytes": Buffer.from(`${theKey}\n`),
    "as bytes of JSON": Buffer.from(JSON.stringify({ dd_api_key: theKey }))
  }
  for (const [form, value] of Object.entries(forms)) {
    it.scopedLive(`is read ${form}`, () =>
      Effect.gen(function*() {
        const aws = yield* standIn
        aws.secrets.set(secretArn, value)
        assert.strictEqual(yield* keyOf({ DD_API_KEY_SECRET_ARN: ` ${secretArn} ` }), theKey)
        assert.deepStrictEqual(aws.requests, [{
          target: "secretsmanager.GetSecretValue",
          body: { SecretId: secretArn },
          service: "secretsmanager",
          region: "eu-central-1",
          abandoned: false
        }])
      }))
  }

  it.scopedLive("is read by name and field, in the region and at the address that the code says", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      yield* withVariables({ AWS_ENDPOINT_URL_SECRETS_MANAGER: undefined })
      aws.secrets.set("prod/datadog", JSON.stringify({ dd_api_key: "not-this-one", "the key": theKey }))
      const source = ApiKey.fromSecretsManager({
        secretId: "prod/datadog",
        field: "the key",
        region: "sa-east-1",
        endpoint: aws.url,
        // the SDK would refuse an address along with it
        fips: true
      })
      assert.strictEqual(Redacted.value(yield* source), theKey)
      assert.deepStrictEqual(aws.requests.map(({ region }) => region), ["sa-east-1"])
    }))

  it.scopedLive("is asked for in the SDK's own region where there is no other", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.secrets.set("prod/datadog", theKey)
      assert.strictEqual(Redacted.value(yield* ApiKey.fromSecretsManager({ secretId: "prod/datadog" })), theKey)
      assert.deepStrictEqual(aws.requests.map(({ region }) => region), ["eu-west-1"])
    }))

  const faults: Readonly<Record<string, readonly [value: string | Uint8Array, message: string]>> = {
    "that is empty": [" \n", "the secret is empty"],
    "that is empty bytes": [new Uint8Array(), "the secret is empty"],
    "that is malformed JSON": [`{"dd_api_key":"${theKey}`, "the secret looks like JSON, but is malformed"],
    "that is JSON with another field": [
      JSON.stringify({ key: theKey }),
      `the secret is JSON without a text "dd_api_key" or "apiKey"`
    ],
    "that is JSON with an empty field": [
      JSON.stringify({ dd_api_key: " ", other: theKey }),
      `the secret is JSON without a text "dd_api_key" or "apiKey"`
    ],
    "that no header can carry": [
      `${theKey} ${theKey}`,
      "the secret is no key: one has printable characters and no spaces"
    ],
    "that is no text": [
      Buffer.from([0xff, 0x00, 0x80, ...Buffer.from(theKey)]),
      "the secret is no key: one has printable characters and no spaces"
    ]
  }
  for (const [fault, [value, message]] of Object.entries(faults)) {
    it.scopedLive(`is not taken from one ${fault}`, () =>
      Effect.gen(function*() {
        const aws = yield* standIn
        aws.secrets.set(secretArn, value)
        const error = yield* errorOf({ DD_API_KEY_SECRET_ARN: secretArn })
        assert.strictEqual(error.message, `DD_API_KEY_SECRET_ARN: ${message}`)
        assertTellsNothing(error)
      }))
  }
})

describe("the key in a parameter", () => {
  it.scopedLive("is read by its name, decrypted, in the SDK's own region", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      assert.strictEqual(yield* keyOf({ DD_API_KEY_SSM_NAME: "/prod/datadog" }), theKey)
      assert.deepStrictEqual(aws.requests, [{
        target: "AmazonSSM.GetParameter",
        body: { Name: "/prod/datadog", WithDecryption: true },
        service: "ssm",
        region: "eu-west-1",
        abandoned: false
      }])
    }))

  it.scopedLive("is read by its ARN, in the region of that", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      for (const name of ["DD_API_KEY_SSM_ARN", "DD_API_KEY_SSM_NAME"]) {
        assert.strictEqual(yield* keyOf({ [name]: parameterArn }), theKey)
      }
      assert.strictEqual(Redacted.value(yield* ApiKey.fromSsm({ name: parameterArn })), theKey)
      assert.deepStrictEqual(aws.requests.map(({ region }) => region), Array(3).fill("ap-southeast-2"))
    }))
})

describe("the key that KMS encrypted", () => {
  const asked = (aws: Aws) => aws.requests.map(({ body }) => body)
  const tied = { LambdaFunctionName: "orders" }

  it.scopedLive("is decrypted without a context first", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      assert.strictEqual(yield* keyOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }), theKey)
      assert.deepStrictEqual(aws.requests.map(({ region, service }) => [service, region]), [["kms", "eu-west-1"]])
      assert.deepStrictEqual(asked(aws), [{ CiphertextBlob: ciphertext }])
    }))

  it.scopedLive("is decrypted with the function's name then, as the console encrypts it", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.ciphertexts.set(ciphertext, { text: theKey, context: tied })
      assert.strictEqual(yield* keyOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }), theKey)
      assert.deepStrictEqual(asked(aws), [
        { CiphertextBlob: ciphertext },
        { CiphertextBlob: ciphertext, EncryptionContext: tied }
      ])
    }))

  it.scopedLive("is decrypted with the context that the code says, and no other", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      const context = { stage: "prod" }
      const source = ApiKey.fromKms({ ciphertext, encryptionContext: context })
      const encrypted: Encrypted = { text: theKey, context }
      aws.ciphertexts.set(ciphertext, encrypted)
      assert.strictEqual(Redacted.value(yield* source), theKey)
      aws.ciphertexts.set(ciphertext, { ...encrypted, context: tied })
      assert.include(
        (yield* Effect.flip(under({ AWS_LAMBDA_FUNCTION_NAME: "orders" })(source))).message,
        "cannot decrypt"
      )
      assert.deepStrictEqual(asked(aws), Array(2).fill({ CiphertextBlob: ciphertext, EncryptionContext: context }))
    }))

  it.scopedLive("is asked for with the function's name also where the policy wants that", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.ciphertexts.set(ciphertext, { text: theKey, context: tied })
      aws.answer = ({ body }) =>
        body.EncryptionContext === undefined ? refusal("AccessDeniedException", "not without a context") : undefined
      const variables = { DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" }
      assert.strictEqual(yield* keyOf(variables), theKey)
      aws.ciphertexts.clear()
      assert.include((yield* errorOf(variables)).message, "kms:Decrypt")
    }))

  it.scopedLive("is not asked for a second time where the first failed for another reason", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = () => refusal("DisabledException", "the key is disabled")
      const error = yield* errorOf({ DD_KMS_API_KEY: ciphertext, AWS_LAMBDA_FUNCTION_NAME: "orders" })
      assert.strictEqual(error.message, "DD_KMS_API_KEY: KMS refused (DisabledException, status 400)")
      assert.strictEqual(aws.requests.length, 1)
    }))
})

describe("of several variables", () => {
  const all = {
    DD_API_KEY_SECRET_ARN: secretArn,
    DD_API_KEY_SSM_NAME: "/prod/datadog",
    DD_API_KEY_SSM_ARN: parameterArn,
    DD_KMS_API_KEY: ciphertext,
    DATADOG_API_KEY: "plain-datadog-key",
    DD_API_KEY: "plain-dd-key"
  }
  const names = Object.keys(all) as ReadonlyArray<keyof typeof all>

  it.scopedLive("the first counts, and it alone: secret, parameter, ciphertext, key", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.secrets.set(secretArn, "from-the-secret")
      aws.parameters.set("/prod/datadog", "from-the-parameter").set(parameterArn, "from-the-parameter-of-the-arn")
      aws.ciphertexts.set(ciphertext, { text: "from-the-ciphertext" })
      const keys: Array<string> = []
      for (let i = 0; i < names.length; i++) {
        // those that come before are there, and say nothing
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

  it.scopedLive("no other is tried where the first fails", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.secrets.clear()
      assert.include((yield* errorOf(all)).message, "DD_API_KEY_SECRET_ARN: there is no such secret")
      assert.strictEqual(aws.requests.length, 1)
    }))
})

describe("an error says what to do", () => {
  const sources = {
    DD_API_KEY_SECRET_ARN: [secretArn, "secretsmanager:GetSecretValue"],
    DD_API_KEY_SSM_NAME: ["/prod/datadog", "ssm:GetParameter"],
    DD_API_KEY_SSM_ARN: [parameterArn, "ssm:GetParameter"],
    DD_KMS_API_KEY: [ciphertext, "kms:Decrypt"]
  } as const

  for (const [name, [value, action]] of Object.entries(sources)) {
    it.scopedLive(`where ${name} is out of reach: the variable, and what is missing`, () =>
      Effect.gen(function*() {
        const aws = yield* standIn
        const by = (answer: Aws["answer"]) => {
          aws.answer = answer
          return Effect.tap(errorOf({ [name]: value }), (error) => {
            assertTellsNothing(error, ...(value === ciphertext ? [ciphertext] : []))
            assert.isTrue(error.message.startsWith(`${name}: `), error.message)
          })
        }
        const denied = yield* by(() =>
          refusal("AccessDeniedException", `User: arn:aws:sts::1:role/orders may not do that to ${value}`)
        )
        assert.include(denied.message, `access denied; the role needs ${action} `)
        assert.include(denied.message, "(AWS: User: arn:aws:sts::1:role/orders may not do that to ")
        const missing = yield* by(() =>
          refusal(
            { secretsmanager: "ResourceNotFoundException", ssm: "ParameterNotFound", kms: "NotFoundException" }[
              action.split(":")[0]!
            ]!,
            ""
          )
        )
        assert.match(missing.message, /there is no such (secret|parameter|KMS key) in that account and region$/)
        const wrongSignature = yield* by(() =>
          refusal("InvalidSignatureException", "should have been 'x-amz-security-token:a-session-token'", 403)
        )
        assert.include(wrongSignature.message, "refused (InvalidSignatureException, status 403)")
        const echoed = yield* by(() => ({ status: 200, body: `{"SecretString":"${theKey}",${theKey}` }))
        assert.include(echoed.message, "cannot be read (SyntaxError)")
        const empty = yield* by(() => ({ status: 200, body: {} }))
        assert.match(empty.message, /: the (secret|parameter|ciphertext) is empty$/)
      }))
  }

  it.scopedLive("where there is nobody at that address, no region, no credentials", () =>
    Effect.gen(function*() {
      yield* standIn
      const secret = { DD_API_KEY_SECRET_ARN: secretArn }
      yield* Effect.scoped(Effect.gen(function*() {
        yield* withVariables({ AWS_ENDPOINT_URL_SECRETS_MANAGER: "http://127.0.0.1:9" })
        assert.include((yield* errorOf(secret)).message, "no connection to Secrets Manager (ECONNREFUSED)")
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* withVariables({ AWS_REGION: undefined })
        assert.strictEqual(
          (yield* errorOf({ DD_API_KEY_SSM_NAME: "/prod/datadog" })).message,
          "DD_API_KEY_SSM_NAME: Region is missing; set AWS_REGION, or give the ARN"
        )
      }))
      assert.strictEqual(
        (yield* errorOf({ ...secret, DD_LAMBDA_FIPS_MODE: "true" })).message,
        "DD_API_KEY_SECRET_ARN: there is no endpoint to ask: Invalid Configuration: FIPS and custom endpoint are not supported"
      )
      yield* withVariables({ AWS_ACCESS_KEY_ID: undefined })
      assert.strictEqual((yield* errorOf(secret)).message, "DD_API_KEY_SECRET_ARN: there are no AWS credentials")
    }))

  it.scopedLive("where a key is in the wrong variable, without showing it", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = ({ body }) => refusal("AccessDeniedException", `not ${Object.values(body).join()}`)
      for (const name of Object.keys(sources)) {
        const error = yield* errorOf({ [name]: theKey })
        assert.include(error.message, name)
        assertTellsNothing(error)
      }
    }))

  it.effect("where it was made in code without what it needs", () =>
    Effect.gen(function*() {
      const made = [
        [ApiKey.fromSecretsManager({ secretId: undefined as never }), "ApiKey.fromSecretsManager: secretId is missing"],
        [ApiKey.fromSsm({ name: " " }), "ApiKey.fromSsm: name is missing"],
        [ApiKey.fromKms({ ciphertext: "" }), "ApiKey.fromKms: ciphertext is missing"],
        [ApiKey.fromKms({ ciphertext: "no base64!" }), "ApiKey.fromKms: expected a ciphertext in base64"]
      ] as const
      for (const [source, message] of made) assert.strictEqual((yield* Effect.flip(source)).message, message)
    }))
})

describe("the client's layer", () => {
  const started = (variables: Record<string, string>, options?: ThreadStatsConfig.Options) =>
    Layer.build(
      ThreadStats.layerHttpWith(options).pipe(
        Layer.provide([HttpReporter.layerHttpClient, ApiKey.layerEnv])
      )
    ).pipe(Effect.scoped, Effect.exit, under(variables))

  const wrong: ReadonlyArray<readonly [Record<string, string>, ReadonlyArray<string>]> = [
    [{}, ["DD_API_KEY_SECRET_ARN", "DD_KMS_API_KEY", "DATADOG_API_KEY"]],
    [{ DD_API_KEY_SECRET_ARN: parameterArn }, ["DD_API_KEY_SECRET_ARN", "arn:aws:secretsmanager:"]],
    [{ DD_API_KEY_SECRET_ARN: theKey, DD_API_KEY: "plain" }, ["DD_API_KEY_SECRET_ARN", "arn:aws:secretsmanager:"]],
    [{ DD_API_KEY_SSM_ARN: "/prod/datadog" }, ["DD_API_KEY_SSM_ARN", "arn:aws:ssm:"]],
    [{ DD_KMS_API_KEY: `${theKey}!` }, ["DD_KMS_API_KEY", "base64"]],
    [{ DD_API_KEY_SSM_NAME: "/prod/datadog", DD_LAMBDA_FIPS_MODE: theKey }, ["DD_LAMBDA_FIPS_MODE", "true or false"]]
  ]
  for (const [variables, parts] of wrong) {
    it.effect(`does not start with ${JSON.stringify(Object.keys(variables))} missing or wrong, unless disabled`, () =>
      Effect.gen(function*() {
        const exit = yield* started(variables)
        if (Exit.isSuccess(exit)) return assert.fail("it started")
        for (const part of parts) assert.include(Cause.pretty(exit.cause), part)
        assertTellsNothing(exit)
        assert.isTrue(Exit.isSuccess(yield* started(variables, { disabled: true })))
        assert.isTrue(Exit.isSuccess(yield* started({ ...variables, DD_THREADSTATS_DISABLED: "true" })))
      }))
  }

  it.effect("starts with what is right, and asks nobody", () =>
    Effect.gen(function*() {
      for (
        const variables of [
          { DD_API_KEY_SECRET_ARN: "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-c" },
          { DD_API_KEY_SSM_NAME: "datadog" },
          { DD_KMS_API_KEY: ciphertext, DD_LAMBDA_FIPS_MODE: "False" },
          { DD_API_KEY: theKey }
        ] as ReadonlyArray<Record<string, string>>
      ) {
        const exit = yield* started(variables)
        assert.isTrue(Exit.isSuccess(exit), String(exit))
      }
    }))

  it.effect("names ApiKey.layerEnv where there is none, no key, and a variable that needs it", () =>
    Effect.gen(function*() {
      const without = (variables: Record<string, string>) =>
        Layer.build(ThreadStats.layerFetch).pipe(Effect.scoped, Effect.exit, under(variables))
      for (const [name, value] of Object.entries({ DD_API_KEY_SECRET_ARN: secretArn, DD_KMS_API_KEY: ciphertext })) {
        const exit = yield* without({ [name]: value })
        assert.isTrue(Exit.isFailure(exit))
        assert.include(String(exit), `${name} is set`)
        assert.include(String(exit), "Layer.provide(ApiKey.layerEnv)")
        assert.isTrue(Exit.isSuccess(yield* without({ [name]: value, DD_API_KEY: theKey })))
      }
      assert.notInclude(String(yield* without({})), "layerEnv")
    }))
})

interface Started {
  readonly client: ThreadStats.ThreadStats["Type"]
  readonly lines: Array<Line>
}

/** A client that asks AWS, and an intake that takes this key alone. */
const clientFor = Effect.fnUntraced(function*(
  variables: Record<string, string>,
  options: ThreadStatsConfig.Options = {}
) {
  const lines: Array<Line> = []
  const { url } = yield* LocalIntake.LocalIntake
  const context = yield* Layer.build(
    ThreadStats.layerHttpWith({ apiUrl: url, periodicFlush: false, ...options }).pipe(
      Layer.provide([HttpReporter.layerHttpClient, ApiKey.layerEnv]),
      Layer.provideMerge(Layer.mergeAll(logsTo(lines), Logger.minimumLogLevel(LogLevel.All)))
    )
  ).pipe(under(variables))
  const client = yield* Effect.provide(ThreadStats.ThreadStats, context)
  return { client, lines } satisfies Started
})

const counted = ({ client }: Started) => Effect.zipRight(client.increment("jobs"), client.flush())

describe("a client whose key is at AWS", () => {
  const intake = layerIntake({ apiKey: Redacted.make(theKey) })

  it.scopedLive("asks when there is something to deliver, and once for ten flushes", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      const started = yield* clientFor({ DD_API_KEY_SECRET_ARN: secretArn })
      yield* started.client.warm
      yield* started.client.flush()
      assert.deepStrictEqual(aws.requests, [])
      for (let i = 0; i < 10; i++) assert.strictEqual((yield* counted(started)).metrics.delivered, 1)
      assert.strictEqual(aws.requests.length, 1)
      // no socket is left behind
      while ((yield* aws.connections) > 0) yield* Effect.sleep("5 millis")
    }).pipe(Effect.provide(intake)))

  it.scopedLive("takes the key that the secret was rotated to, without a restart", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      const old = "ffffffffffffffffffffffffffffffff"
      aws.secrets.set(secretArn, old)
      const started = yield* clientFor({ DD_API_KEY_SECRET_ARN: secretArn })
      aws.answer = () => {
        // the first one is told the old key
        if (aws.requests.length === 2) aws.secrets.set(secretArn, theKey)
        return undefined
      }
      const receipt = yield* counted(started)
      assert.deepInclude(receipt.metrics, { delivered: 1, kept: 0 })
      const requests = yield* (yield* LocalIntake.LocalIntake).requests
      assert.deepStrictEqual(requests.map(({ status }) => status), [403, 202])
      assert.strictEqual(aws.requests.length, 2)
      assertTellsNothing([receipt, started.lines], old)
    }).pipe(Effect.provide(intake)))

  it.scopedLive("keeps what it has while AWS refuses, says why, and asks again with the next flush", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      const started = yield* clientFor({ DD_API_KEY_SECRET_ARN: secretArn })
      aws.answer = () => refusal("AccessDeniedException", "not authorized")
      // metrics, distributions and events ask together, and fail together
      yield* started.client.distribution("values", 1)
      yield* started.client.event("title", "text")
      const refused = yield* counted(started)
      assert.deepInclude(refused.metrics, { delivered: 0, kept: 2 })
      assert.isNotEmpty(refused.errors)
      for (const { message } of refused.errors) {
        assert.include(message, "DD_API_KEY_SECRET_ARN: access denied; the role needs secretsmanager:GetSecretValue")
      }
      assert.include(started.lines.map(({ message }) => message).join("\n"), "secretsmanager:GetSecretValue")
      assert.deepStrictEqual(yield* (yield* LocalIntake.LocalIntake).requests, [])
      assert.strictEqual(aws.requests.length, 1)
      aws.answer = () => undefined
      assert.deepInclude((yield* counted(started)).metrics, { delivered: 3, kept: 0 })
      assert.strictEqual(aws.requests.length, 2)
      assertTellsNothing([refused, started.lines, yield* started.client.stats])
    }).pipe(Effect.provide(intake)))

  it.scopedLive("costs no more than the flush may where AWS never answers, and gives the request up", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = () => "nothing"
      const started = yield* clientFor({ DD_API_KEY_SECRET_ARN: secretArn }, { flushTimeout: "300 millis" })
      const [took, receipt] = yield* Effect.timed(counted(started))
      // what the source itself may take is 4 seconds
      assert.isBelow(Duration.toMillis(took), 3000)
      assert.deepInclude(receipt.metrics, { delivered: 0, kept: 1 })
      while (aws.requests.some(({ abandoned }) => !abandoned)) yield* Effect.sleep("5 millis")
      while ((yield* aws.connections) > 0) yield* Effect.sleep("5 millis")
      assert.strictEqual(aws.requests.length, 1)
      aws.answer = () => undefined
      assert.strictEqual((yield* counted(started)).metrics.delivered, 2)
    }).pipe(Effect.provide(intake)))
})

describe("asking", () => {
  it.scopedLive("is given up after its own time, with a word on the route", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = () => "nothing"
      const error = yield* Effect.flip(ApiKey.fromSsm({ name: "/prod/datadog", timeout: "100 millis" }))
      assert.include(
        error.message,
        "ApiKey.fromSsm: no answer from Systems Manager within 100ms; a function in a VPC needs"
      )
      while (aws.requests.some(({ abandoned }) => !abandoned)) yield* Effect.sleep("5 millis")
    }))

  it.scopedLive("ends with the one who asks", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = () => "nothing"
      const fiber = yield* Effect.fork(ApiKey.fromKms({ ciphertext }))
      while (aws.requests.length === 0) yield* Effect.sleep("5 millis")
      yield* Fiber.interrupt(fiber)
      while (aws.requests.some(({ abandoned }) => !abandoned)) yield* Effect.sleep("5 millis")
      while ((yield* aws.connections) > 0) yield* Effect.sleep("5 millis")
      // nor does the SDK try again, which it would within 100 ms
      yield* Effect.sleep("200 millis")
      assert.strictEqual(aws.requests.length, 1)
    }))

  it.scopedLive("is tried once more where AWS fails", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      aws.answer = () => refusal("InternalServiceError", "", 500)
      const error = yield* errorOf({ DD_API_KEY_SECRET_ARN: secretArn })
      assert.strictEqual(
        error.message,
        "DD_API_KEY_SECRET_ARN: Secrets Manager refused (InternalServiceError, status 500)"
      )
      assert.strictEqual(aws.requests.length, 2)
      aws.answer = () => aws.requests.length === 3 ? refusal("InternalServiceError", "", 500) : undefined
      assert.strictEqual(yield* keyOf({ DD_API_KEY_SECRET_ARN: secretArn }), theKey)
    }))

  it.scopedLive("is at FIPS endpoints where the variable or the region says so", () =>
    Effect.gen(function*() {
      const aws = yield* standIn
      yield* withVariables({
        AWS_ENDPOINT_URL_SECRETS_MANAGER: undefined,
        AWS_ENDPOINT_URL_SSM: undefined,
        AWS_ENDPOINT_URL_KMS: undefined
      })
      const hosts: Array<string> = []
      // the name is looked up, and not found
      const dns: { lookup: unknown } = createRequire(import.meta.url)("node:dns")
      const { lookup } = dns
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          dns.lookup = (host: string, _: unknown, done: (error: Error) => void) => {
            hosts.push(host)
            process.nextTick(done, Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" }))
          }
        }),
        () => Effect.sync(() => (dns.lookup = lookup))
      )
      const host = (variables: Record<string, string>) =>
        Effect.map(errorOf(variables), ({ message }) => {
          assert.include(message, "(ENOTFOUND)")
          return [Array.from(new Set(hosts.splice(0))).join(), message.includes("FIPS")]
        })
      const gov = {
        DD_API_KEY_SECRET_ARN: secretArn.replace("aws:", "aws-us-gov:").replace("eu-central", "us-gov-west")
      }
      const secret = { DD_API_KEY_SECRET_ARN: secretArn }
      assert.deepStrictEqual(
        [
          yield* host(secret),
          yield* host({ ...secret, DD_LAMBDA_FIPS_MODE: "true" }),
          yield* host({ ...gov, AWS_REGION: "us-gov-west-1" }),
          yield* host({ ...gov, AWS_REGION: "us-gov-west-1", DD_LAMBDA_FIPS_MODE: "FALSE" }),
          yield* host({ DD_KMS_API_KEY: ciphertext, DD_LAMBDA_FIPS_MODE: "1" }),
          yield* host({
            DD_API_KEY_SSM_ARN: parameterArn.replace("ap-southeast-2", "us-east-2"),
            DD_LAMBDA_FIPS_MODE: "1"
          })
        ],
        [
          ["secretsmanager.eu-central-1.amazonaws.com", false],
          ["secretsmanager-fips.eu-central-1.amazonaws.com", true],
          ["secretsmanager-fips.us-gov-west-1.amazonaws.com", true],
          ["secretsmanager.us-gov-west-1.amazonaws.com", false],
          ["kms-fips.eu-west-1.amazonaws.com", true],
          ["ssm-fips.us-east-2.amazonaws.com", true]
        ]
      )
      assert.deepStrictEqual(aws.requests, [])
    }))
})

describe("a bundle", () => {
  const folder = mkdtempSync(join(tmpdir(), "effect-threadstats-aws-"))
  const beside = join(root, "build/test-aws")

  afterAll(() => {
    for (const one of [folder, beside]) rmSync(one, { recursive: true, force: true })
  })

  const options = (contents: string) => ({
    stdin: { contents, resolveDir: root, loader: "ts" },
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error"
  } as const)

  const bundled = async (contents: string, splitting = false) => {
    const more = { minify: true, write: false, metafile: true, splitting, outdir: folder } as const
    const { metafile, outputFiles } = await build({ ...options(contents), ...more })
    return { inputs: Object.keys(metafile.inputs), text: outputFiles.map((file) => file.text).join("\n") }
  }

  it("of a function with a plain key has nothing of the SDK in it, nor was it looked for", async () => {
    for (const splitting of [false, true]) {
      const { inputs, text } = await bundled(
        `
        import * as Lambda from "effect-threadstats/Lambda"
        import * as ThreadStats from "effect-threadstats/ThreadStats"
        export const handler = Lambda.makeHandler({
          handler: () => ThreadStats.increment("a"),
          layer: ThreadStats.layerFetch
        })
        `,
        splitting
      )
      assert.include(inputs, "src/HttpReporter.ts")
      assert.notInclude(text, "aws-sdk")
      assert.deepStrictEqual(inputs.filter((path) => path.includes("aws-sdk")), [])
    }
  })

  it("of a function with a source of its own has nothing of the SDK in it, nor has one from the barrel", async () => {
    const own = await bundled(`
      import { Effect, Redacted } from "effect"
      import * as ApiKey from "effect-threadstats/ApiKey"
      console.log(ApiKey.layer(Effect.succeed(Redacted.make("k"))), ApiKey.constant, ApiKey.ApiKey, ApiKey.ApiKeyError)
    `)
    const barrel = await bundled(`
      import { ThreadStats } from "effect-threadstats"
      console.log(ThreadStats.layerFetch)
    `)
    for (const { text } of [own, barrel]) assert.notInclude(text, "aws-sdk")
  })

  it("of a function with a secret has the client for that, and no other", async () => {
    const { text } = await bundled(`
      import * as ApiKey from "effect-threadstats/ApiKey"
      console.log(ApiKey.fromSecretsManager({ secretId: "s" }))
    `)
    assert.include(text, "GetSecretValueRequest")
    for (const absent of ["GetParameterRequest", "DecryptRequest"]) assert.notInclude(text, absent)
  })

  /** Written there, and nothing is left external. */
  const written = (outfile: string, more: { readonly external?: Array<string>; readonly banner?: { js: string } }) =>
    Effect.as(
      Effect.promise(() =>
        build({
          ...options(`
            import * as ApiKey from "effect-threadstats/ApiKey"
            import * as ThreadStats from "effect-threadstats/ThreadStats"
            import * as Effect from "effect/Effect"
            import * as Layer from "effect/Layer"
            const program = Effect.zipRight(ThreadStats.increment("jobs"), ThreadStats.flush())
            const layer = ThreadStats.layerFetch.pipe(Layer.provide(ApiKey.layerEnv))
            Effect.runPromise(Effect.provide(program, layer)).then(({ metrics, errors }) => {
              console.log(JSON.stringify({ delivered: metrics.delivered, errors: errors.map(({ message }) => message) }))
            })
          `),
          outfile,
          ...more
        })
      ),
      outfile
    )

  const external = { external: ["@aws-sdk/*"] }

  /** What that program says of its flush. It has to end by itself. */
  const said = Effect.fnUntraced(function*(file: string, variables: Record<string, string>) {
    const aws = yield* standIn
    const { url } = yield* LocalIntake.LocalIntake
    const child = yield* node([file], { ...aws.variables, DATADOG_HOST: url, ...variables })
    const ended = yield* child.ended
    assertTellsNothing(ended, ciphertext)
    assert.deepInclude(ended, { code: 0, signal: null })
    const said: { readonly delivered: number; readonly errors: ReadonlyArray<string> } = JSON.parse(
      ended.stdout.split("\n").find((line) => line.startsWith("{\"delivered\""))!
    )
    return said
  }, Effect.scoped)

  const sources = {
    "@aws-sdk/client-secrets-manager": { DD_API_KEY_SECRET_ARN: secretArn },
    "@aws-sdk/client-ssm": { DD_API_KEY_SSM_NAME: "/prod/datadog" },
    "@aws-sdk/client-kms": { DD_KMS_API_KEY: ciphertext }
  }

  const intake = layerIntake({ apiKey: Redacted.make(theKey) })

  it.live("that holds the SDK delivers with a key from each, and ends by itself", () =>
    Effect.gen(function*() {
      const file = yield* written(join(folder, "whole.mjs"), {
        banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
      })
      for (const variables of Object.values(sources)) {
        assert.deepStrictEqual(yield* said(file, variables), { delivered: 1, errors: [] })
      }
    }).pipe(Effect.provide(intake)))

  it.live("that leaves it external finds it where the program runs", () =>
    Effect.gen(function*() {
      const file = yield* written(join(beside, "external.mjs"), external)
      assert.deepStrictEqual(yield* said(file, sources["@aws-sdk/client-ssm"]), { delivered: 1, errors: [] })
    }).pipe(Effect.provide(intake)))

  it.live(
    "that leaves it external names the package that is missing there, and needs none for a plain key",
    () =>
      Effect.gen(function*() {
        const file = yield* written(join(folder, "external.mjs"), external)
        for (const [name, variables] of Object.entries(sources)) {
          const { delivered, errors } = yield* said(file, variables)
          assert.strictEqual(delivered, 0)
          assert.strictEqual(errors.length, 1)
          const [variable] = Object.keys(variables)
          assert.include(errors[0], `${variable}: the package ${name} cannot be loaded (Cannot find package '${name}'`)
          assert.include(errors[0], "install it")
        }
        assert.deepStrictEqual(yield* said(file, { DD_API_KEY: theKey }), { delivered: 1, errors: [] })
      }).pipe(Effect.provide(intake)),
    60_000
  )

  it.live("without what bundled CommonJS needs says that", () =>
    Effect.gen(function*() {
      const file = yield* written(join(folder, "bare.mjs"), {})
      const { errors } = yield* said(file, sources["@aws-sdk/client-kms"])
      assert.match(errors[0]!, /@aws-sdk\/client-kms cannot be loaded \(Dynamic require of \S+ is not supported\)/)
    }).pipe(Effect.provide(intake)))
})
