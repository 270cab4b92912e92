import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalIntake } from "effect-threadstats"
import type { HttpReporter, Series } from "effect-threadstats"
import { layerInProcess } from "../support/intake.js"
import { reply, reporter as scripted } from "../support/scriptedHttp.js"
import { gauge } from "./deliveryRun.js"
import { reporterToIntake } from "./fakeClient.js"
import { testEqualPoints } from "./seriesVersions.js"

const path = "/api/v2/series"
const at = 1_700_000_000

describe("seriesV2", () => {
  /** Returns the series of the body that the reporter sends for a batch. */
  const encodeBatch = Effect.fnUntraced(
    function*(batch: ReadonlyArray<Series.Series>, more?: Partial<HttpReporter.HttpReporterSettings>) {
      const { reporter, requests } = yield* scripted(() => reply(202, {}, `{"errors":[]}`), {
        seriesVersion: "v2",
        ...more
      })
      yield* reporter.flushMetrics(batch)
      assert.deepStrictEqual(requests.map(({ path }) => path), [path])
      return requests[0]!.body.series as ReadonlyArray<unknown>
    }
  )

  it.effect("encodes the type as a number, the time in whole seconds, and host and device as resources", () =>
    Effect.gen(function*() {
      const batches: ReadonlyArray<ReadonlyArray<Series.Series>> = [
        [
          {
            metric: "shop.orders",
            type: "count",
            points: [[at, 3]],
            host: "web-1",
            device: "eth0",
            tags: ["env:test"],
            interval: 10
          },
          { metric: "shop.orders", type: "count", points: [[at + 10, 0.5]], device: "eth0", tags: [], interval: 10 }
        ],
        [{ metric: "shop.rate", type: "rate", points: [[at + 0.9, -1]], host: "名", tags: [], interval: 1 }],
        [{ metric: "shop.queue", type: "gauge", points: [[at, 1e300]], device: "d", tags: [], interval: 60 }]
      ]
      assert.deepStrictEqual(
        (yield* Effect.forEach(batches, (batch) => encodeBatch(batch))).flat(),
        [
          {
            metric: "shop.orders",
            type: 1,
            points: [{ timestamp: at, value: 3 }],
            resources: [{ type: "host", name: "web-1" }, { type: "device", name: "eth0" }],
            tags: ["env:test"],
            interval: 10
          },
          {
            metric: "shop.orders",
            type: 1,
            points: [{ timestamp: at + 10, value: 0.5 }],
            resources: [{ type: "device", name: "eth0" }],
            tags: [],
            interval: 10
          },
          {
            metric: "shop.rate",
            type: 2,
            points: [{ timestamp: at, value: -1 }],
            resources: [{ type: "host", name: "名" }],
            tags: [],
            interval: 1
          },
          {
            metric: "shop.queue",
            type: 3,
            points: [{ timestamp: at, value: 1e300 }],
            resources: [{ type: "device", name: "d" }],
            tags: [],
            interval: 60
          }
        ]
      )
    }))

  it.effect("omits resources when host and device are absent or empty", () =>
    Effect.gen(function*() {
      for (const absent of [{}, { host: null, device: null }, { host: "", device: "" }, { host: undefined }]) {
        const [series] = yield* encodeBatch([{ ...gauge("m"), ...absent }])
        assert.deepStrictEqual(series, {
          metric: "m",
          type: 3,
          points: [{ timestamp: at, value: 1 }],
          tags: [],
          interval: 10
        })
      }
    }))

  it.effect("adds the unit of a metric, also to the aggregates of its histogram", () =>
    Effect.gen(function*() {
      const units = JSON.parse(`{
        "shop.latency": "second",
        "shop.size": "byte",
        "shop.size.max": "kibibyte",
        "a.99": "x",
        "__proto__": "apdex"
      }`)
      const expected = {
        "shop.latency": "second",
        "shop.latency.avg": "second",
        "shop.latency.max": "second",
        "shop.latency.median": "second",
        "shop.latency.min": "second",
        "shop.latency.sum": "second",
        "shop.latency.95percentile": "second",
        "shop.latency.99.9percentile": "second",
        "shop.latency.count": undefined,
        "shop.latency.other": undefined,
        "shop.latency.avg.x": undefined,
        "shop.latencyavg": undefined,
        "latency": undefined,
        "shop.size.max": "kibibyte",
        "shop.size.min": "byte",
        "a.99.9percentile": undefined,
        "constructor": undefined,
        "toString.max": undefined
      }
      const unitsOf = (series: ReadonlyArray<unknown>) => series.map((item) => (item as Series.SeriesV2).unit)
      const batch = [...Object.keys(expected), "__proto__"].map((metric) => gauge(metric))
      assert.deepStrictEqual(unitsOf(yield* encodeBatch(batch, { units })), [...Object.values(expected), "apdex"])
      assert.isTrue(unitsOf(yield* encodeBatch(batch)).every((unit) => unit === undefined))
      assert.isTrue(unitsOf(yield* encodeBatch(batch, { units: {} })).every((unit) => unit === undefined))
    }))

  it.effect("sends units to the local intake, which v1 does not", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const units = { m: "byte" }
      yield* Effect.flatMap(reporterToIntake({ units }), (reporter) => reporter.flushMetrics([gauge("m")]))
      yield* Effect.flatMap(
        reporterToIntake({ units, seriesVersion: "v1" }),
        (reporter) => reporter.flushMetrics([gauge("m")])
      )
      assert.deepStrictEqual((yield* intake.series).map(({ unit }) => unit), ["byte", undefined])
      assert.deepStrictEqual((yield* intake.requests).map(({ path }) => path), [path, "/api/v1/series"])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("replaces half a surrogate pair", () =>
    Effect.gen(function*() {
      const [series] = yield* encodeBatch([{ ...gauge("m\ud800"), host: "h\udc00", tags: ["t\ud800"] }])
      assert.deepInclude(series, {
        metric: "m\ufffd",
        tags: ["t\ufffd"],
        resources: [{ type: "host", name: "h\ufffd" }]
      })
    }))
})

describe("seriesV2 and seriesV1", () => {
  testEqualPoints(8)
})
