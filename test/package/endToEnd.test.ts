import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import { assert, beforeAll, describe } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { build } from "esbuild"
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { node } from "../support/childProcess.js"
import { socketPath, streamServer, udpServer } from "../support/dogstatsd.js"
import { layerIntake } from "../support/intake.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { eventually } from "../support/wait.js"

const it = sweepKeys(apiKey)

const root = fileURLToPath(new URL("../..", import.meta.url))

// A busy machine must not reach a time limit of the client.
const limits = { periodicFlush: false, flushTimeout: "30 seconds", requestTimeout: "30 seconds" } as const

const intake = layerIntake({ apiKey: Redacted.make(apiKey) })

describe("ThreadStats over a socket", () => {
  type Client = Layer.Layer<ThreadStats.ThreadStats, ConfigError.ConfigError>

  const overHttpClient =
    (client: Layer.Layer<HttpClient.HttpClient>) => (options: ThreadStatsConfig.ThreadStatsOptions): Client =>
      Layer.provide(ThreadStats.layerHttpClientWith(options), client)

  const transports: { readonly [transport: string]: (options: ThreadStatsConfig.ThreadStatsOptions) => Client } = {
    "node:http": ThreadStats.layerWith,
    "fetch": overHttpClient(FetchHttpClient.layer),
    "NodeHttpClient.layer": overHttpClient(NodeHttpClient.layer),
    "NodeHttpClient.layerUndici": overHttpClient(NodeHttpClient.layerUndici)
  }
  for (const [transport, layer] of Object.entries(transports)) {
    it.live(`delivers a counter, a distribution and an event over ${transport}`, () =>
      Effect.gen(function*() {
        const { distributions, events, series, url } = yield* LocalIntake.LocalIntake
        const receipt = yield* Effect.gen(function*() {
          yield* ThreadStats.increment("orders.received", 3, { tags: { shop: "eu" } })
          yield* ThreadStats.distribution("orders.value", 12.5)
          yield* ThreadStats.event("Deployed", "version 2")
          return yield* ThreadStats.flush()
        }).pipe(Effect.provide(layer({ ...limits, apiKey: Redacted.make(apiKey), apiUrl: url })))
        assert.deepStrictEqual(receipt.errors, [])
        assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered], [2, 1])
        const [counter] = yield* series
        assert.deepInclude(counter, { metric: "orders.received", type: "rate", tags: ["shop:eu"] })
        assert.closeTo(counter!.points[0]![1] * counter!.interval!, 3, 1e-9)
        const [distribution] = yield* distributions
        assert.strictEqual(distribution?.metric, "orders.value")
        assert.deepStrictEqual(distribution?.points[0]?.[1], [12.5])
        assert.deepInclude((yield* events)[0], { title: "Deployed", text: "version 2" })
      }).pipe(Effect.provide(intake)))
  }

  const receivers = {
    "UDP": udpServer(),
    "a Unix stream socket": Effect.flatMap(socketPath, (path) => streamServer(path))
  }
  for (const [transport, server] of Object.entries(receivers)) {
    it.scopedLive(`delivers a counter as DogStatsD over ${transport}`, () =>
      Effect.gen(function*() {
        const receiver = yield* server
        const receipt = yield* Effect.zipRight(
          ThreadStats.increment("orders.received", 3, { tags: { shop: "eu" } }),
          ThreadStats.flush()
        ).pipe(Effect.provide(ThreadStats.layerDogStatsDWith({ ...limits, dogstatsd: { url: receiver.url } })))
        assert.deepStrictEqual(receipt.errors, [])
        yield* eventually(() => receiver.lines().length > 0)
        assert.match(receiver.lines()[0]!, /^orders\.received:3\|c\|#shop:eu(\||$)/)
      }))
  }
})

describe("the package in plain Node.js", () => {
  const folder = join(root, "build/end-to-end")
  const installed = join(folder, "node_modules/effect-threadstats")
  const manifest: {
    readonly name: string
    readonly bin: { readonly [name: string]: string }
    readonly exports: { readonly [path: string]: { readonly default: string } | string | null }
  } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

  const filesIn = (path: string): Array<string> =>
    readdirSync(join(root, path), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join(root, path, file))

  beforeAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(installed, { recursive: true })
    const compile = (entryPoints: Array<string>, outdir: string) =>
      build({ entryPoints, outdir, format: "esm", platform: "node", target: "node20", logLevel: "error" })
    await Promise.all([
      compile(
        filesIn("src").filter((file) => !file.startsWith(join(root, "src/intake/page/"))),
        join(installed, "dist")
      ),
      compile(["handler", "documents"].map((name) => join(root, `examples/orders/${name}.ts`)), folder)
    ])
    cpSync(join(root, "package.json"), join(installed, "package.json"))
    execFileSync(process.execPath, ["--import", "tsx", join(root, "src/build/entries.ts"), installed], { cwd: root })
    // Without a package of its own, the program would resolve the name to this project.
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    cpSync(join(root, "examples/orders/events"), join(folder, "events"), { recursive: true })
    cpSync(join(root, "test/package/endToEndProgram.mjs"), join(folder, "program.mjs"))
  })

  it.scopedLive("exports the names of src by every entry, and delivers metrics of the demo's function on Lambda", () =>
    Effect.gen(function*() {
      const { distributions, events, series, url } = yield* LocalIntake.LocalIntake
      const files = Object.entries(manifest.exports).flatMap(([path, target]) =>
        typeof target === "object" && target !== null
          ? [[path.replace(/^\./, manifest.name), target.default] as const]
          : []
      )
      const child = yield* node([join(folder, "program.mjs"), ...files.map(([entry]) => entry)], {
        AWS_LAMBDA_FUNCTION_NAME: "orders",
        AWS_REGION: "eu-central-1",
        DATADOG_HOST: url,
        DD_API_KEY: apiKey,
        DD_THREADSTATS_FLUSH_TIMEOUT: "30 seconds",
        DD_THREADSTATS_REQUEST_TIMEOUT: "30 seconds"
      })
      const { code, stderr, stdout } = yield* child.ended
      assert.strictEqual(code, 0, stderr)
      const { exported, response } = JSON.parse(stdout)

      assert.isAbove(files.length, 20)
      for (const [entry, file] of files) {
        const source = join(root, "src", basename(file).replace(/\.js$/, ".ts"))
        const module: object = yield* Effect.promise(() => import(source))
        assert.deepStrictEqual(exported[entry], Object.keys(module).sort(), entry)
        assert.isNotEmpty(exported[entry], entry)
      }

      // The payment of the second order is declined.
      const declined = "2e1424d4-f796-459a-8184-9c92662be6da"
      assert.deepStrictEqual(response, { batchItemFailures: [{ itemIdentifier: declined }] })
      const arrived = yield* distributions
      const valuesOf = (name: string) =>
        arrived.filter(({ metric }) => metric === name).flatMap(({ points }) => points.flatMap(([, values]) => values))
      assert.deepStrictEqual(valuesOf("orders.received"), [2])
      assert.deepStrictEqual(valuesOf("orders.value"), [129.5])
      assert.lengthOf(valuesOf("payments.duration"), 2)
      assert.include((yield* series).map(({ metric }) => metric), "orders.customers")
      assert.deepStrictEqual((yield* events).map(({ title }) => title), ["Payment declined"])
    }).pipe(Effect.provide(intake)))

  it.scopedLive("runs the command of `bin`", () =>
    Effect.gen(function*() {
      for (const [name, file] of Object.entries(manifest.bin)) {
        const child = yield* node([join(installed, file), "intake", "--help"], {})
        const { code, stderr, stdout } = yield* child.ended
        assert.strictEqual(code, 0, stderr)
        assert.include(stdout, name)
        assert.include(stdout, "--port")
      }
    }))
})
