// By path: the name of the package would load many thousand files more.
import * as client from "@datadog/datadog-api-client/dist/packages/datadog-api-client-common/index.js"
import type { MetricPayload } from "@datadog/datadog-api-client/dist/packages/datadog-api-client-v2/models/MetricPayload.js"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { Data, Effect, Option, Redacted } from "effect"
import { HttpReporter, LocalIntake } from "effect-threadstats"
import type { Series } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"
import { apiKey as validKey, sweepKeys } from "../support/keySweep.js"
import { toWire } from "../support/wireReporter.js"
import { gauge } from "./deliveryRun.js"
import { settings } from "./fakeClient.js"
import { testEqualPoints } from "./seriesVersions.js"

const it = sweepKeys(validKey)

const path = "/api/v2/series"
const at = 1_700_000_000
const key = Redacted.make(validKey)

/** A reporter that delivers to the intake. */
const reporterTo = (more?: Partial<HttpReporter.HttpReporterSettings>) =>
  Effect.flatMap(
    LocalIntake.LocalIntake,
    ({ url }) =>
      Effect.map(HttpReporter.make(settings(url, { seriesVersion: "v2", ...more })), toWire).pipe(
        Effect.provide(NodeHttpClient.layer)
      )
  )

describe("seriesV2 and Datadog's own client", () => {
  const loaded = Effect.promise(() =>
    import("@datadog/datadog-api-client/dist/packages/datadog-api-client-v2/apis/MetricsApi.js")
  )

  const vendor = (apiKey = Redacted.value(key)) =>
    Effect.gen(function*() {
      const { MetricsApi } = yield* loaded
      const { url } = yield* LocalIntake.LocalIntake
      const configuration = client.createConfiguration({
        serverIndex: 1,
        authMethods: { apiKeyAuth: apiKey }
      })
      configuration.setServerVariables({ protocol: "http", name: new URL(url).host })
      return new MetricsApi(configuration)
    })

  class Refused extends Data.TaggedError("Refused")<{ readonly code: number; readonly reasons: unknown }> {}

  /** Returns the refusal that Datadog's client throws. Anything else that it throws is a defect. */
  const refusal = (send: () => Promise<unknown>) =>
    Effect.tryPromise({
      try: send,
      catch: (error) =>
        error instanceof client.ApiException
          ? new Refused({ code: error.code, reasons: (error.body as { readonly errors: unknown }).errors })
          : undefined
    }).pipe(
      Effect.catchAll((refused) => refused === undefined ? Effect.dieMessage("no ApiException") : Effect.fail(refused)),
      Effect.flip
    )

  const series: ReadonlyArray<Series.Series> = [
    { metric: "shop.queue", type: "gauge", points: [[at, -3.25]], tags: [], interval: 60 },
    { metric: "shop.queue", type: "gauge", points: [[at + 10, 4]], tags: [], interval: 60 },
    { metric: "shop.größe", type: "count", points: [[at, 1e-7]], host: "名", tags: ["名:値", "🚀:x"], interval: 60 }
  ]
  /** A batch with a device. A client has one device and one interval. */
  const deviceSeries: ReadonlyArray<Series.Series> = [{
    metric: "shop.orders",
    type: "rate",
    points: [[at, 0.1]],
    host: "web-1",
    device: "eth0",
    tags: ["env:test", "urgent"],
    interval: 10
  }]
  const units = { "shop.größe": "byte" }

  /** Numbers of the types in the reference. */
  const types = { count: 1, rate: 2, gauge: 3 } as const

  const payload = (items: ReadonlyArray<Series.Series>): MetricPayload => ({
    series: items.map(({ device, host, interval, metric, points, tags, type }) => ({
      metric,
      type: types[type],
      points: points.map(([timestamp, value]) => ({ timestamp, value })),
      tags: [...tags],
      interval,
      ...(host === undefined
        ? {}
        : {
          resources: [
            { type: "host", name: host! },
            ...(device === undefined ? [] : [{ type: "device", name: device! }])
          ]
        }),
      ...(metric in units ? { unit: units[metric as keyof typeof units] } : {})
    }))
  })

  /** Returns the accepted series and the requests since the last call. */
  const takeAccepted = Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const accepted = yield* intake.series
    const stored = yield* intake.stored
    const requests = (yield* intake.requests).map(({ body, headers, path, status }) => ({
      body,
      type: headers["content-type"],
      path,
      status
    }))
    yield* intake.clear
    return { accepted, stored, requests }
  })

  for (const [contentEncoding, compress] of [[undefined, false], ["deflate", true], ["gzip", true]] as const) {
    it.effect(
      `send equal bodies when the encoding is ${contentEncoding ?? "identity"}`,
      () =>
        Effect.gen(function*() {
          const metrics = yield* vendor()
          for (const batch of [series, deviceSeries]) {
            const answer = yield* Effect.promise(() =>
              metrics.submitMetrics({
                body: payload(batch),
                ...(contentEncoding === undefined ? {} : { contentEncoding })
              })
            )
            assert.deepStrictEqual({ ...answer }, { errors: [] })
            const theirs = yield* takeAccepted
            yield* Effect.flatMap(reporterTo({ compress, units }), (reporter) => reporter.flushMetrics(batch))
            const ours = yield* takeAccepted
            assert.deepStrictEqual(ours, theirs)
            assert.deepStrictEqual(ours.requests.map(({ path, status }) => [path, status]), [[path, 202]])
            assert.strictEqual(ours.stored.series.length, new Set(batch.map(({ metric }) => metric)).size)
          }
        }).pipe(Effect.provide(layerIntake({ apiKey: key })))
    )
  }

  it.effect(
    "read the same refusals of a wrong key, of an invalid value, and of a body that is too large",
    () =>
      Effect.gen(function*() {
        const compare = (apiKey: string, items: ReadonlyArray<Series.Series>, status: number) =>
          Effect.gen(function*() {
            const metrics = yield* vendor(apiKey)
            const { code, reasons } = yield* refusal(() => metrics.submitMetrics({ body: payload(items) }))
            const reporter = yield* reporterTo({ compress: false, apiKey: Option.some(Redacted.make(apiKey)) })
            const error = yield* Effect.flip(reporter.flushMetrics(items))
            assert.deepStrictEqual([code, error.status], [status, status])
            // The reporter adds a hint for a wrong key.
            assert.deepStrictEqual(reasons, [error.description.split(";", 1)[0]])
            const { accepted, requests } = yield* takeAccepted
            assert.deepStrictEqual([accepted, requests.map(({ status }) => status)], [[], [status, status]])
          })
        yield* compare("wrong", series, 403)
        yield* compare(Redacted.value(key), [gauge("m", Number.NaN)], 400)
        yield* compare(Redacted.value(key), [{ ...gauge("m"), tags: ["x".repeat(600)] }], 413)
      }).pipe(Effect.provide(layerIntake({ apiKey: key, maxBodyBytes: 500 })))
  )
})

describe("seriesV2 and seriesV1", () => {
  testEqualPoints(40)
})
