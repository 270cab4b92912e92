import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { ApiKey, LocalIntake, ThreadStats } from "effect-threadstats"
import { build } from "esbuild"
import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { refusal, serve, withVariables } from "../support/aws.js"
import { node } from "../support/childProcess.js"
import { layerIntake } from "../support/intake.js"
import { apiKey } from "../support/keySweep.js"
import {
  assertHidesSecrets,
  ciphertext,
  describeAwsSources,
  errorOf,
  keyOf,
  parameterArn,
  secretArn,
  storeKey,
  withSettings
} from "./awsContract.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** A server for the SDK, and the variables in this process that direct the SDK to it. */
const makeAws = Effect.tap(serve, (aws) => withVariables(aws.variables))

const awsWithKey = Effect.tap(makeAws, (aws) => Effect.sync(() => storeKey(aws)))

describe("with the AWS SDK", () => {
  describeAwsSources(it.scopedLive, makeAws)

  describe("ApiKey options of AWS sources", () => {
    it.scopedLive("reads a field of a secret in the given region and at the given endpoint", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        yield* withVariables({ AWS_ENDPOINT_URL_SECRETS_MANAGER: undefined })
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
        assert.deepStrictEqual(aws.requests.map(({ region }) => region), ["sa-east-1"])
      }))

    it.scopedLive("connects to FIPS endpoints when DD_LAMBDA_FIPS_MODE or a region of us-gov demands them", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        yield* withVariables({
          AWS_ENDPOINT_URL_SECRETS_MANAGER: undefined,
          AWS_ENDPOINT_URL_SSM: undefined,
          AWS_ENDPOINT_URL_KMS: undefined
        })
        const hosts: Array<string> = []
        // Every name lookup fails, so that no request leaves the machine.
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
        const hostOf = (variables: Record<string, string>) =>
          Effect.map(errorOf(variables), ({ message }) => {
            assert.include(message, "(ENOTFOUND)")
            return [Array.from(new Set(hosts.splice(0))).join(), message.includes("FIPS")]
          })
        const secret = { DD_API_KEY_SECRET_ARN: secretArn }
        const gov = {
          DD_API_KEY_SECRET_ARN: secretArn.replace("aws:", "aws-us-gov:").replace("eu-central", "us-gov-west"),
          AWS_REGION: "us-gov-west-1"
        }
        assert.deepStrictEqual(
          [
            yield* hostOf(secret),
            yield* hostOf({ ...secret, DD_LAMBDA_FIPS_MODE: "true" }),
            yield* hostOf(gov),
            yield* hostOf({ ...gov, DD_LAMBDA_FIPS_MODE: "FALSE" }),
            yield* hostOf({ DD_KMS_API_KEY: ciphertext, DD_LAMBDA_FIPS_MODE: "1" }),
            yield* hostOf({
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

    it.scopedLive("fails after `timeout` and closes the connection when AWS does not answer", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        // The first request loads the SDK, which may take longer than the time-out below.
        assert.strictEqual(yield* keyOf({ DD_API_KEY_SSM_NAME: "/prod/datadog" }), apiKey)
        aws.answer = () => "nothing"
        const error = yield* Effect.flip(ApiKey.fromSsm({ name: "/prod/datadog", timeout: "1 second" }))
        assert.include(error.message, "ApiKey.fromSsm: Systems Manager did not respond within 1s")
        yield* aws.when(() => aws.requests.slice(1).every(({ abandoned }) => abandoned) && aws.connections() === 0)
      }))

    it.scopedLive("aborts the request, without a retry, when the caller is interrupted", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.answer = () => "nothing"
        const fiber = yield* Effect.fork(ApiKey.fromKms({ ciphertext, timeout: "2 minutes" }))
        yield* aws.when(() => aws.requests.length === 1)
        yield* Fiber.interrupt(fiber)
        yield* aws.when(() => aws.requests[0]!.abandoned && aws.connections() === 0)
        // The SDK would retry within 100 ms. A second request that times out later shows that it does not.
        yield* Effect.flip(ApiKey.fromKms({ ciphertext, timeout: "500 millis" }))
        yield* aws.when(() => aws.connections() === 0)
        assert.isAtMost(aws.requests.length, 2)
      }))

    it.scopedLive("sends a request at most twice when AWS fails", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        aws.answer = () => refusal("InternalServiceError", "", 500)
        const error = yield* errorOf({ DD_API_KEY_SECRET_ARN: secretArn })
        assert.strictEqual(
          error.message,
          "DD_API_KEY_SECRET_ARN: Secrets Manager refused the request (InternalServiceError, status 500)"
        )
        assert.strictEqual(aws.requests.length, 2)
        aws.answer = () => aws.requests.length === 3 ? refusal("InternalServiceError", "", 500) : undefined
        assert.strictEqual(yield* keyOf({ DD_API_KEY_SECRET_ARN: secretArn }), apiKey)
      }))
  })

  describe("ApiKeyError", () => {
    it.scopedLive("names a refused connection, a missing region, a wrong endpoint and missing credentials", () =>
      Effect.gen(function*() {
        yield* awsWithKey
        const secret = { DD_API_KEY_SECRET_ARN: secretArn }
        yield* Effect.scoped(Effect.gen(function*() {
          yield* withVariables({ AWS_ENDPOINT_URL_SECRETS_MANAGER: "http://127.0.0.1:9" })
          assert.include((yield* errorOf(secret)).message, "the connection to Secrets Manager failed (ECONNREFUSED)")
        }))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* withVariables({ AWS_REGION: undefined })
          assert.strictEqual(
            (yield* errorOf({ DD_API_KEY_SSM_NAME: "/prod/datadog" })).message,
            "DD_API_KEY_SSM_NAME: Region is missing. Set AWS_REGION, or use an ARN"
          )
        }))
        assert.strictEqual(
          (yield* errorOf({ ...secret, DD_LAMBDA_FIPS_MODE: "true" })).message,
          "DD_API_KEY_SECRET_ARN: the AWS SDK found no endpoint: Invalid Configuration: FIPS and custom endpoint are not supported"
        )
        yield* withVariables({ AWS_ACCESS_KEY_ID: undefined })
        assert.strictEqual((yield* errorOf(secret)).message, "DD_API_KEY_SECRET_ARN: the AWS SDK found no credentials")
      }))
  })

  describe("ThreadStats with a key in AWS", () => {
    it.scopedLive("requests the key once for ten flushes and closes the connection to AWS", () =>
      Effect.gen(function*() {
        const aws = yield* awsWithKey
        const { url } = yield* LocalIntake.LocalIntake
        const context = yield* Layer.build(
          ThreadStats.layerHttpClientWith({ apiUrl: url, periodicFlush: false, flushTimeout: "2 minutes" }).pipe(
            Layer.provide([
              FetchHttpClient.layer,
              ApiKey.layer(ApiKey.fromSecretsManager({ secretId: secretArn, timeout: "2 minutes" }))
            ])
          )
        ).pipe(withSettings({}))
        for (let i = 1; i <= 10; i++) {
          yield* Effect.provide(Effect.zipRight(ThreadStats.increment("jobs"), ThreadStats.flush()), context)
        }
        const { metrics } = yield* Effect.provide(ThreadStats.stats, context)
        assert.deepInclude(metrics, { received: 10, delivered: 10 })
        assert.strictEqual(aws.requests.length, 1)
        yield* aws.when(() => aws.connections() === 0)
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(apiKey) }))))
  })
})

describe("ApiKey in a bundle", () => {
  const folder = mkdtempSync(join(tmpdir(), "effect-threadstats-aws-"))
  const besideModules = join(root, "build/test-aws")

  afterAll(() => {
    for (const path of [folder, besideModules]) rmSync(path, { recursive: true, force: true })
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

  const bundleOf = async (contents: string, splitting = false) => {
    const { metafile, outputFiles } = await build({
      ...options(contents),
      minify: true,
      write: false,
      metafile: true,
      splitting,
      outdir: folder
    })
    return { inputs: Object.keys(metafile.inputs), text: outputFiles.map((file) => file.text).join("\n") }
  }

  it("neither bundles nor reads the SDK for a function with a plain key", async () => {
    for (const splitting of [false, true]) {
      const { inputs, text } = await bundleOf(
        `
        import * as Lambda from "effect-threadstats/Lambda"
        import * as ThreadStats from "effect-threadstats/ThreadStats"
        export const handler = Lambda.makeHandler({
          handler: () => ThreadStats.increment("a"),
          layer: ThreadStats.layer
        })
        `,
        splitting
      )
      assert.include(inputs, "src/HttpReporter.ts")
      assert.notInclude(text, "aws-sdk")
      assert.deepStrictEqual(inputs.filter((path) => path.includes("aws-sdk")), [])
    }
  })

  it("does not bundle the SDK for a source of the user's own or an import from the barrel", async () => {
    const ownSource = await bundleOf(`
      import { Effect, Redacted } from "effect"
      import * as ApiKey from "effect-threadstats/ApiKey"
      console.log(ApiKey.layer(Effect.succeed(Redacted.make("k"))), ApiKey.constant, ApiKey.ApiKey, ApiKey.ApiKeyError)
    `)
    const barrel = await bundleOf(`
      import { ThreadStats } from "effect-threadstats"
      console.log(ThreadStats.layerHttpClient)
    `)
    for (const { text } of [ownSource, barrel]) assert.notInclude(text, "aws-sdk")
  })

  it("bundles only the client of Secrets Manager for a secret", async () => {
    const { text } = await bundleOf(`
      import * as ApiKey from "effect-threadstats/ApiKey"
      console.log(ApiKey.fromSecretsManager({ secretId: "s" }))
    `)
    assert.include(text, "GetSecretValueRequest")
    for (const absent of ["GetParameterRequest", "DecryptRequest"]) assert.notInclude(text, absent)
  })

  /**
   * Bundles a program that prints the receipt of one point. The program flushes again while its error is a time limit, which a
   * busy machine may exceed when it loads the SDK.
   */
  const bundleProgram = (
    outfile: string,
    more: { readonly external?: Array<string>; readonly banner?: { readonly js: string } }
  ) =>
    Effect.as(
      Effect.promise(() =>
        build({
          ...options(`
            import * as ApiKey from "effect-threadstats/ApiKey"
            import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
            import * as ThreadStats from "effect-threadstats/ThreadStats"
            import * as Effect from "effect/Effect"
            import * as Layer from "effect/Layer"
            const isLimit = ({ message }) => /did not respond|no time left|timed out/i.test(message)
            const flush = Effect.repeat(ThreadStats.flush(), { while: ({ errors }) => errors.some(isLimit) })
            const layer = ThreadStats.layerHttpClientWith({ flushTimeout: "30 seconds", requestTimeout: "30 seconds" }).pipe(
              Layer.provide([FetchHttpClient.layer, ApiKey.layerEnv])
            )
            const program = Effect.zipRight(ThreadStats.increment("jobs"), flush)
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

  /** Runs the program, and returns the receipt that it prints. The program has to end without a signal. */
  const receiptOf = Effect.fnUntraced(function*(file: string, variables: Record<string, string>) {
    const aws = yield* awsWithKey
    const { url } = yield* LocalIntake.LocalIntake
    const child = yield* node([file], { ...aws.variables, DATADOG_HOST: url, ...variables })
    const ended = yield* child.ended
    assertHidesSecrets(ended, ciphertext)
    assert.deepInclude(ended, { code: 0, signal: null })
    const receipt: { readonly delivered: number; readonly errors: ReadonlyArray<string> } = JSON.parse(
      ended.stdout.split("\n").find((line) => line.startsWith("{\"delivered\""))!
    )
    return receipt
  }, Effect.scoped)

  const packages = {
    "@aws-sdk/client-secrets-manager": { DD_API_KEY_SECRET_ARN: secretArn },
    "@aws-sdk/client-ssm": { DD_API_KEY_SSM_NAME: "/prod/datadog" },
    "@aws-sdk/client-kms": { DD_KMS_API_KEY: ciphertext }
  }

  const intake = layerIntake({ apiKey: Redacted.make(apiKey) })

  it.live("delivers with a key from each source, and ends, when the SDK is bundled", () =>
    Effect.gen(function*() {
      const file = yield* bundleProgram(join(folder, "whole.mjs"), {
        banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
      })
      for (const variables of Object.values(packages)) {
        assert.deepStrictEqual(yield* receiptOf(file, variables), { delivered: 1, errors: [] })
      }
    }).pipe(Effect.provide(intake)))

  it.live("delivers with an external SDK that is installed beside the program", () =>
    Effect.gen(function*() {
      const file = yield* bundleProgram(join(besideModules, "external.mjs"), external)
      assert.deepStrictEqual(yield* receiptOf(file, packages["@aws-sdk/client-ssm"]), { delivered: 1, errors: [] })
    }).pipe(Effect.provide(intake)))

  it.live("names the missing package of an external SDK, and delivers with a plain key without it", () =>
    Effect.gen(function*() {
      const file = yield* bundleProgram(join(folder, "external.mjs"), external)
      for (const [name, variables] of Object.entries(packages)) {
        const { delivered, errors } = yield* receiptOf(file, variables)
        assert.strictEqual(delivered, 0)
        assert.strictEqual(errors.length, 1)
        const [variable] = Object.keys(variables)
        assert.include(errors[0], `${variable}: loading the package ${name} failed: Cannot find package '${name}'`)
        assert.include(errors[0], "Install it")
      }
      assert.deepStrictEqual(yield* receiptOf(file, { DD_API_KEY: apiKey }), { delivered: 1, errors: [] })
    }).pipe(Effect.provide(intake)))

  it.live("names the missing `require` when the SDK is bundled without one", () =>
    Effect.gen(function*() {
      const file = yield* bundleProgram(join(folder, "bare.mjs"), {})
      const { errors } = yield* receiptOf(file, packages["@aws-sdk/client-kms"])
      assert.match(errors[0]!, /@aws-sdk\/client-kms failed: Dynamic require of \S+ is not supported/)
    }).pipe(Effect.provide(intake)))
})
