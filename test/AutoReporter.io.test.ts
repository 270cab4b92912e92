import { assert, describe } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { fileURLToPath } from "node:url"
import { ExtensionPath } from "../src/internal/reporters/extensionPath.js"
import { bundle, node } from "./support/childProcess.js"
import { udpServer } from "./support/dogstatsd.js"
import { layerIntake } from "./support/intake.js"
import { apiKey, sweepKeys } from "./support/keySweep.js"

const it = sweepKeys(apiKey)

/** Records one counter with the reporter that this environment selects. The extension is not installed. */
const record = (environment: Record<string, string>) =>
  Effect.provide(ThreadStats.increment("orders", 3), ThreadStats.layerAuto).pipe(
    Effect.provideService(ExtensionPath, `${fileURLToPath(import.meta.url)}.missing`),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(environment))))
  )

describe("ThreadStats.layerAuto", () => {
  it.effect("delivers over node:http on Lambda without an HttpClient", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* record({ DD_API_KEY: apiKey, AWS_LAMBDA_FUNCTION_NAME: "shop", DATADOG_HOST: intake.url })
      // a retry would deliver it twice
      const points = (yield* intake.distributions).map(({ metric, points }) => [metric, points[0]?.[1]])
      assert.deepInclude(points, ["orders", [3]])
    }).pipe(Effect.provide(layerIntake())))

  it.scoped("delivers to the Agent that DD_DOGSTATSD_URL names", () =>
    Effect.gen(function*() {
      const server = yield* udpServer()
      yield* record({ DD_DOGSTATSD_URL: server.url, DD_ORIGIN_DETECTION_ENABLED: "false" })
      yield* server.drained
      assert.deepStrictEqual(server.lines().map((line) => line.replace(/\|T\d+$/, "")), ["orders:3|c"])
    }))

  it.scopedLive("writes log lines in a bundle of one file when DD_FLUSH_TO_LOG is true", () =>
    Effect.gen(function*() {
      const path = yield* Effect.promise(() => bundle("test/log/auto.ts"))
      const child = yield* node([path], { AWS_LAMBDA_FUNCTION_NAME: "shop", DD_FLUSH_TO_LOG: "true", DD_ENV: "test" })
      const { code, stderr, stdout } = yield* child.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepInclude(JSON.parse(stdout), { m: "orders", v: 3, t: ["shop:eu", "env:test"] })
    }))
})
