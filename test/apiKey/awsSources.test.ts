import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, LogLevel, Redacted, TestClock } from "effect"
import { ApiKey, LocalIntake, ThreadStats, type ThreadStatsConfig } from "effect-threadstats"
import { fakeSdk, refusal } from "../support/aws.js"
import { untyped } from "../support/clientAssertions.js"
import { layerInProcess } from "../support/intake.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { type Line, logsTo } from "../support/scripted.js"
import {
  assertHidesSecrets,
  ciphertext,
  describeAwsSources,
  keyOf,
  parameterArn,
  secretArn,
  storeKey,
  withSettings
} from "./awsContract.js"

const it = sweepKeys(apiKey)

const makeAws = fakeSdk()

const awsWithKey = Effect.tap(makeAws, (aws) => Effect.sync(() => storeKey(aws)))

describeAwsSources(it.scoped, makeAws)

describe("ApiKey options of AWS sources", () => {
  it.effect("reads a field of a secret in the given region and at the given endpoint", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      aws.secrets.set("prod/datadog", JSON.stringify({ dd_api_key: "another-key", "the key": apiKey }))
      const source = ApiKey.fromSecretsManager({
        secretId: "prod/datadog",
        field: "the key",
        region: "sa-east-1",
        endpoint: aws.url,
        // The SDK refuses FIPS together with an endpoint.
        fips: true
      })
      assert.strictEqual(Redacted.value(yield* source), apiKey)
      assert.deepStrictEqual(aws.clients, [{ region: "sa-east-1", endpoint: aws.url, maxAttempts: 2 }])
    }))

  it.effect("requests FIPS endpoints when DD_LAMBDA_FIPS_MODE or a region of us-gov demands them", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      const govArn = secretArn.replace("aws:", "aws-us-gov:").replace("eu-central", "us-gov-west")
      aws.secrets.set(govArn, apiKey)
      const secret = { DD_API_KEY_SECRET_ARN: secretArn }
      const gov = { DD_API_KEY_SECRET_ARN: govArn, AWS_REGION: "us-gov-west-1" }
      for (
        const variables of [
          secret,
          { ...secret, DD_LAMBDA_FIPS_MODE: "true" },
          gov,
          { ...gov, DD_LAMBDA_FIPS_MODE: "FALSE" },
          { DD_KMS_API_KEY: ciphertext, DD_LAMBDA_FIPS_MODE: "1" },
          { DD_API_KEY_SSM_ARN: parameterArn, DD_LAMBDA_FIPS_MODE: "1" }
        ]
      ) assert.strictEqual(yield* keyOf(variables), apiKey)
      assert.deepStrictEqual(
        aws.clients.map(({ region, useFipsEndpoint = false }) => [region, useFipsEndpoint]),
        [
          ["eu-central-1", false],
          ["eu-central-1", true],
          ["us-gov-west-1", true],
          ["us-gov-west-1", false],
          [undefined, true],
          ["ap-southeast-2", true]
        ]
      )
    }))

  it.effect("fails with an error that names the source and the option when an option is invalid or does not exist", () =>
    Effect.gen(function*() {
      const cases = [
        [
          ApiKey.fromSecretsManager({ secretId: "s", timeout: untyped("soon") }),
          "timeout",
          "expected a duration such as"
        ],
        [ApiKey.fromSsm({ name: "n", timeout: 0 }), "timeout", "expected at least 1 millisecond"],
        [
          ApiKey.fromSsm(untyped({ name: "n", field: "f" })),
          "field",
          "there is no option of this name. Use one of name, "
        ],
        [
          ApiKey.fromKms(untyped({ ciphertext: "eA==", regoin: "eu-west-1" })),
          "regoin",
          "there is no option of this name"
        ]
      ] as const
      for (const [source, name, expected] of cases) {
        assert.match(
          (yield* Effect.flip(source)).message,
          new RegExp(`^ApiKey\\.from\\w+: \\(Invalid data at ${name}: "${expected}`)
        )
      }
    }))

  it.effect("fails when the identifier is missing or the ciphertext is not base64", () =>
    Effect.gen(function*() {
      const cases = [
        [
          ApiKey.fromSecretsManager({ secretId: undefined as never }),
          "ApiKey.fromSecretsManager: the option secretId is missing"
        ],
        [ApiKey.fromSsm({ name: " " }), "ApiKey.fromSsm: the option name is missing"],
        [ApiKey.fromKms({ ciphertext: "" }), "ApiKey.fromKms: the option ciphertext is missing"],
        [ApiKey.fromKms({ ciphertext: "no base64!" }), "ApiKey.fromKms: expected a ciphertext in base64"]
      ] as const
      for (const [source, message] of cases) assert.strictEqual((yield* Effect.flip(source)).message, message)
    }))

  it.effect("fails after `timeout`, with advice on the route, and aborts the request", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      aws.answer = () => "nothing"
      const fiber = yield* Effect.fork(Effect.flip(ApiKey.fromSsm({ name: "/prod/datadog", timeout: "100 millis" })))
      yield* aws.when(() => aws.requests.length === 1)
      yield* TestClock.adjust("99 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.include(
        (yield* Fiber.join(fiber)).message,
        "ApiKey.fromSsm: Systems Manager did not respond within 100ms. A function in a VPC needs"
      )
      yield* aws.when(() => aws.requests[0]!.abandoned && aws.connections() === 0)
    }))

  it.effect("aborts the request and closes the client when the caller is interrupted", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      aws.answer = () => "nothing"
      const fiber = yield* Effect.fork(ApiKey.fromKms({ ciphertext }))
      yield* aws.when(() => aws.requests.length === 1)
      yield* Fiber.interrupt(fiber)
      yield* aws.when(() => aws.requests[0]!.abandoned && aws.connections() === 0)
    }))
})

describe("ApiKey.layerEnv", () => {
  const buildClient = (variables: Record<string, string>, options?: ThreadStatsConfig.ThreadStatsOptions) =>
    Layer.build(
      ThreadStats.layerHttpClientWith(options).pipe(
        Layer.provide([FetchHttpClient.layer, ApiKey.layerEnv])
      )
    ).pipe(Effect.scoped, Effect.exit, withSettings(variables))

  const wrong: ReadonlyArray<readonly [Record<string, string>, ReadonlyArray<string>]> = [
    [{}, ["DD_API_KEY_SECRET_ARN", "DD_KMS_API_KEY", "DATADOG_API_KEY"]],
    [{ DD_API_KEY_SECRET_ARN: parameterArn }, ["DD_API_KEY_SECRET_ARN", "arn:aws:secretsmanager:"]],
    [{ DD_API_KEY_SECRET_ARN: apiKey, DD_API_KEY: "plain" }, ["DD_API_KEY_SECRET_ARN", "arn:aws:secretsmanager:"]],
    [{ DD_API_KEY_SSM_ARN: "/prod/datadog" }, ["DD_API_KEY_SSM_ARN", "arn:aws:ssm:"]],
    [{ DD_KMS_API_KEY: `${apiKey}!` }, ["DD_KMS_API_KEY", "base64"]],
    [{ DD_API_KEY_SSM_NAME: "/prod/datadog", DD_LAMBDA_FIPS_MODE: apiKey }, ["DD_LAMBDA_FIPS_MODE", "true or false"]]
  ]
  for (const [variables, parts] of wrong) {
    const names = Object.keys(variables)
    const setting = names.length === 0 ? "no variable is set" : `${names.join(" and ")} cannot be used`
    it.effect(`fails to build, unless the client is disabled, when ${setting}`, () =>
      Effect.gen(function*() {
        const exit = yield* buildClient(variables)
        if (Exit.isSuccess(exit)) return assert.fail("the layer was built")
        for (const part of parts) assert.include(Cause.pretty(exit.cause), part)
        assertHidesSecrets(exit)
        assert.isTrue(Exit.isSuccess(yield* buildClient(variables, { disabled: true })))
        assert.isTrue(Exit.isSuccess(yield* buildClient({ ...variables, DD_THREADSTATS_DISABLED: "true" })))
      }))
  }

  it.effect("builds without a request when the variables are valid", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      for (
        const variables of [
          { DD_API_KEY_SECRET_ARN: "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-c" },
          { DD_API_KEY_SSM_NAME: "datadog" },
          { DD_KMS_API_KEY: ciphertext, DD_LAMBDA_FIPS_MODE: "False" },
          { DD_API_KEY: apiKey }
        ] as ReadonlyArray<Record<string, string>>
      ) {
        const exit = yield* buildClient(variables)
        assert.isTrue(Exit.isSuccess(exit), String(exit))
      }
      assert.deepStrictEqual([aws.clients, aws.requests], [[], []])
    }))

  it.effect("is named by the error of a client that needs it and does not have it", () =>
    Effect.gen(function*() {
      const without = (variables: Record<string, string>) =>
        Layer.build(Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer)).pipe(
          Effect.scoped,
          Effect.exit,
          withSettings(variables)
        )
      for (const [name, value] of Object.entries({ DD_API_KEY_SECRET_ARN: secretArn, DD_KMS_API_KEY: ciphertext })) {
        const exit = yield* without({ [name]: value })
        assert.isTrue(Exit.isFailure(exit))
        assert.include(String(exit), `${name} is set`)
        assert.include(String(exit), "Layer.provide(ApiKey.layerEnv)")
        assert.isTrue(Exit.isSuccess(yield* without({ [name]: value, DD_API_KEY: apiKey })))
      }
      assert.notInclude(String(yield* without({})), "layerEnv")
    }))
})

describe("ThreadStats with a key in AWS", () => {
  interface Client {
    readonly client: ThreadStats.ThreadStats["Type"]
    readonly lines: Array<Line>
  }

  /** A client that reads its key from AWS and reports to the intake in process. */
  const makeClient = Effect.fnUntraced(function*(options: ThreadStatsConfig.ThreadStatsOptions = {}) {
    const lines: Array<Line> = []
    const { url } = yield* LocalIntake.LocalIntake
    const http = yield* HttpClient.HttpClient
    const context = yield* Layer.build(
      ThreadStats.layerHttpClientWith({ apiUrl: url, periodicFlush: false, ...options }).pipe(
        Layer.provide([Layer.succeed(HttpClient.HttpClient, http), ApiKey.layerEnv]),
        Layer.provideMerge(Layer.mergeAll(logsTo(lines), Logger.minimumLogLevel(LogLevel.All)))
      )
    ).pipe(withSettings({ DD_API_KEY_SECRET_ARN: secretArn }))
    const client = yield* Effect.provide(ThreadStats.ThreadStats, context)
    return { client, lines } satisfies Client
  })

  const recordAndFlush = ({ client }: Client) => Effect.zipRight(client.increment("jobs"), client.flush())

  const intake = layerInProcess({ apiKey: Redacted.make(apiKey) })

  it.scoped("requests the key with the first payload, once for ten flushes, and closes its client", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      const client = yield* makeClient()
      yield* client.client.warm
      yield* client.client.flush()
      assert.deepStrictEqual(aws.requests, [])
      for (let i = 0; i < 10; i++) assert.strictEqual((yield* recordAndFlush(client)).metrics.delivered, 1)
      assert.strictEqual(aws.requests.length, 1)
      assert.strictEqual(aws.connections(), 0)
    }).pipe(Effect.provide(intake)))

  it.scoped("delivers with the new key when the secret was rotated", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      const old = "ffffffffffffffffffffffffffffffff"
      aws.secrets.set(secretArn, old)
      const client = yield* makeClient()
      aws.answer = () => {
        if (aws.requests.length === 2) aws.secrets.set(secretArn, apiKey)
        return undefined
      }
      const receipt = yield* recordAndFlush(client)
      assert.deepInclude(receipt.metrics, { delivered: 1, pending: 0 })
      const requests = yield* (yield* LocalIntake.LocalIntake).requests
      assert.deepStrictEqual(requests.map(({ status }) => status), [403, 202])
      assert.strictEqual(aws.requests.length, 2)
      assertHidesSecrets([receipt, client.lines], old)
    }).pipe(Effect.provide(intake)))

  it.scoped("keeps points pending while AWS refuses, reports the cause, and requests the key again at the next flush", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      const client = yield* makeClient()
      aws.answer = () => refusal("AccessDeniedException", "not authorized")
      // Series, distributions and events request the key together, and fail together.
      yield* client.client.distribution("values", 1)
      yield* client.client.event("title", "text")
      const refused = yield* recordAndFlush(client)
      assert.deepInclude(refused.metrics, { delivered: 0, pending: 2 })
      assert.isNotEmpty(refused.errors)
      for (const { message } of refused.errors) {
        assert.include(message, "DD_API_KEY_SECRET_ARN: access denied. The role needs secretsmanager:GetSecretValue")
      }
      assert.include(client.lines.map(({ message }) => message).join("\n"), "secretsmanager:GetSecretValue")
      assert.deepStrictEqual(yield* (yield* LocalIntake.LocalIntake).requests, [])
      assert.strictEqual(aws.requests.length, 1)
      aws.answer = () => undefined
      assert.deepInclude((yield* recordAndFlush(client)).metrics, { delivered: 3, pending: 0 })
      assert.strictEqual(aws.requests.length, 2)
      assertHidesSecrets([refused, client.lines, yield* client.client.stats])
    }).pipe(Effect.provide(intake)))

  it.scoped("ends the flush after `flushTimeout` and aborts the request when AWS does not answer", () =>
    Effect.gen(function*() {
      const aws = yield* awsWithKey
      aws.answer = () => "nothing"
      const client = yield* makeClient({ flushTimeout: "300 millis" })
      const flush = yield* Effect.fork(recordAndFlush(client))
      yield* aws.when(() => aws.requests.length === 1)
      yield* TestClock.adjust("300 millis")
      assert.deepInclude((yield* Fiber.join(flush)).metrics, { delivered: 0, pending: 1 })
      yield* aws.when(() => aws.requests[0]!.abandoned && aws.connections() === 0)
      assert.strictEqual(aws.requests.length, 1)
      aws.answer = () => undefined
      assert.strictEqual((yield* recordAndFlush(client)).metrics.delivered, 2)
    }).pipe(Effect.provide(intake)))
})
