import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import os from "node:os"
import { layerInProcess } from "../support/intake.js"

/** Runs an effect on a machine with this name. */
const onMachine = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const { hostname } = os
      os.hostname = () => name
      return hostname
    }),
    () => effect,
    (hostname) =>
      Effect.sync(() => {
        os.hostname = hostname
      })
  )

/** Hosts of two series, a distribution and two events that the intake gets. */
const hostsAt = (
  name: string,
  options: ThreadStatsConfig.ThreadStatsOptions = {},
  variables: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function*() {
    yield* Effect.gen(function*() {
      yield* ThreadStats.gauge("own", 1, { host: "" })
      yield* ThreadStats.gauge("plain", 1)
      yield* ThreadStats.distribution("values", 1, { host: "" })
      yield* ThreadStats.event("plain", "")
      yield* ThreadStats.event("other", "", { host: "db-1" })
      assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
    }).pipe(
      Effect.provide(
        ThreadStats.layerHttpClientWith({
          apiUrl: "http://127.0.0.1",
          periodicFlush: false,
          submitAs: "series",
          ...options
        })
      ),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries({ DD_API_KEY: "key", ...variables }))))
    )
    const intake = yield* LocalIntake.LocalIntake
    return Object.fromEntries([
      ...(yield* intake.series).map(({ host, metric }) => [metric, host ?? null]),
      ...(yield* intake.distributions).map(({ host, metric }) => [metric, host ?? null]),
      ...(yield* intake.events).map(({ host, title }) => [`event ${title}`, host ?? null])
    ])
  }).pipe(Effect.provide(Layer.fresh(layerInProcess())), (effect) => onMachine(name, effect))

const hosts = (own: string | null, plain: string | null = null) => ({
  own: own ?? "",
  plain,
  values: own ?? "",
  "event plain": own,
  "event other": "db-1"
})

describe("HttpReporter", () => {
  it.effect("sends events, and points with an empty host, under the name of the machine", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hostsAt("web-7.example.com"), hosts("web-7.example.com"))
    }))

  it.effect("sends every point under the name of the machine with `attachHost`", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hostsAt("web-7", { attachHost: true }), hosts("web-7", "web-7"))
    }))

  it.effect("prefers the host of the client", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hostsAt("web-7", { hostname: "shop" }), hosts("shop"))
      assert.deepStrictEqual(yield* hostsAt("web-7", {}, { DD_HOSTNAME: "shop" }), hosts("shop"))
    }))

  it.effect("sends one series for points with an empty host and points without a host on AWS Lambda", () =>
    Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("orders", 7, { host: "" })
        yield* ThreadStats.increment("orders", 3)
        yield* ThreadStats.flush()
      }).pipe(
        Effect.provide(ThreadStats.layerHttpClientWith({ apiUrl: "http://127.0.0.1", submitAs: "series" })),
        Effect.withConfigProvider(
          ConfigProvider.fromMap(new Map(Object.entries({ DD_API_KEY: "key", AWS_LAMBDA_FUNCTION_NAME: "f" })))
        )
      )
      const { series } = yield* LocalIntake.LocalIntake
      assert.deepStrictEqual((yield* series).map(({ points }) => points[0]?.[1]), [1])
    }).pipe(Effect.provide(Layer.fresh(layerInProcess()))))

  it.effect("sends no name of the machine on AWS Lambda, for an empty host, or if the machine has a local or invalid one", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* hostsAt("web-7", {}, { AWS_LAMBDA_FUNCTION_NAME: "f" }), hosts(null))
      assert.deepStrictEqual(yield* hostsAt("web-7", { hostname: "" }), hosts(null))
      for (const name of ["localhost", "ip6-localhost", "web_7", "-web", "", "w".repeat(256)]) {
        assert.deepStrictEqual(yield* hostsAt(name), hosts(null))
      }
    }))
})
