import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import {
  AutoReporter,
  DogStatsDReporter,
  EventsAggregator,
  HttpReporter,
  LogReporter,
  MetricsAggregator,
  Reporter,
  ThreadStats,
  ThreadStatsConfig
} from "effect-threadstats"
import { untyped } from "../support/clientAssertions.js"

/** Variables of which each fails the reporter that reads it. */
const invalid = {
  DD_DOGSTATSD_URL: "http://agent",
  DD_THREADSTATS_DOGSTATSD_PROFILE: "statsd",
  DD_PROXY_HTTPS: "no address",
  DD_FLUSH_TO_LOG: "perhaps"
}

const layers: {
  readonly [name: string]: Layer.Layer<Reporter.Reporter, unknown, ThreadStatsConfig.ThreadStatsConfig>
} = {
  "HttpReporter.layer": HttpReporter.layer,
  "DogStatsDReporter.layer": DogStatsDReporter.layer,
  "DogStatsDReporter.layerWith": DogStatsDReporter.layerWith({ port: 0 }),
  "DogStatsDReporter.layerConfig": DogStatsDReporter.layerConfig({ agentHost: Config.string("MISSING") }),
  "LogReporter.layerWith": LogReporter.layerWith({ output: untyped("stderr") }),
  "AutoReporter.layer": AutoReporter.layer,
  "Reporter.combine": Reporter.combine(DogStatsDReporter.layer, HttpReporter.layer)
}

describe("a disabled client over layerReporter", () => {
  for (const [name, layer] of Object.entries(layers)) {
    it.effect(`reads no setting of ${name}`, () => {
      const client = (variables: Record<string, string>) =>
        ThreadStats.flush().pipe(
          Effect.provide(ThreadStats.layerReporter.pipe(
            Layer.provide(layer),
            Layer.provide([MetricsAggregator.layer, EventsAggregator.layer]),
            Layer.provide(ThreadStatsConfig.layer),
            Layer.fresh
          )),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
        )
      return Effect.gen(function*() {
        const { payloads } = yield* client({ ...invalid, DATADOG_HOST: "no address", DD_THREADSTATS_DISABLED: "true" })
        assert.strictEqual(payloads, 0)
        assert.strictEqual((yield* Effect.exit(client(invalid)))._tag, "Failure")
      })
    })
  }
})
