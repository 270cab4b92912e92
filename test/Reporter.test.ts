import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import { LocalIntake } from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as Series from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { layerInProcess } from "./support/intake.js"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "./support/layers.js"
import { type Arrived, distributions, events, metrics, reporterContract, samples } from "./support/reporterContract.js"
import { type Line, logsTo } from "./support/scripted.js"
import { aggregatedOf, WireReporter } from "./support/wireReporter.js"

describe("Reporter.layerNoop", () => {
  reporterContract(Reporter.layerNoop, {})
})

describe("Reporter.layerMemory", () => {
  const arrived = Effect.gen(function*() {
    const memory = yield* Reporter.MemoryReporter
    return {
      metrics: yield* memory.metrics,
      distributions: yield* memory.distributions,
      events: yield* memory.events
    }
  })

  reporterContract(Reporter.layerMemory, { arrived })

  describe("with samples", () => {
    reporterContract(Reporter.layerMemoryWith({ temporality: "delta", samples: true }), {
      // The memory reporter holds samples apart from series.
      arrived: Effect.flatMap(Reporter.MemoryReporter, ({ distributions, events, metrics, samples }) =>
        Effect.all({
          metrics: Effect.zipWith(metrics, samples, (a, b) => [...a, ...b]),
          distributions,
          events
        })),
      samples: { metrics: samples }
    })
  })

  it.effect("returns snapshots, and is empty when it was cleared", () =>
    Effect.gen(function*() {
      const reporter = yield* WireReporter
      const memory = yield* Reporter.MemoryReporter
      yield* reporter.flushMetrics(metrics)
      const before = yield* memory.metrics
      yield* memory.clear
      assert.deepStrictEqual(yield* arrived, { metrics: [], distributions: [], events: [] })
      assert.strictEqual(before.length, metrics.length)
    }).pipe(Effect.provide(Reporter.layerMemory)))

  it.effect("shares no items with another layer", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(Layer.fresh(Reporter.layerMemory))
      const other = yield* Layer.build(Layer.fresh(Reporter.layerMemory))
      yield* Context.get(one, Reporter.Reporter).reportEvents(events)
      assert.deepStrictEqual(yield* Context.get(other, Reporter.MemoryReporter).events, [])
    }).pipe(Effect.scoped))

  it.effect("has the temporality of its options, and `total` by default", () =>
    Effect.gen(function*() {
      const { temporality } = yield* Effect.provide(
        Reporter.Reporter,
        Reporter.layerMemoryWith({ temporality: "delta" })
      )
      assert.strictEqual(temporality, "delta")
      assert.strictEqual((yield* Effect.provide(Reporter.Reporter, Reporter.layerMemory)).temporality, "total")
    }))
})

class Lines extends Context.Tag("test/Lines")<Lines, Array<string>>() {}

describe("Reporter.layerConsole", () => {
  const layerLines = Layer.unwrapEffect(Effect.map(Console.consoleWith(Effect.succeed), (console) => {
    const lines: Array<string> = []
    const unsafe: Console.UnsafeConsole = {
      ...console.unsafe,
      log: (line: unknown) => {
        lines.push(String(line))
      }
    }
    return Layer.merge(
      Layer.succeed(Lines, lines),
      Console.setConsole({ ...console, log: (line) => Effect.sync(() => unsafe.log(line)), unsafe })
    )
  }))

  const arrived = Effect.map(Lines, (lines): Arrived => {
    const items = lines.map((line): Record<string, unknown> => JSON.parse(line))
    return {
      metrics: items.filter(({ type }) => type === "gauge" || type === "rate" || type === "count"),
      distributions: items.filter(({ type }) => type === "distribution"),
      events: items.filter(({ title }) => title !== undefined)
    }
  })

  reporterContract(Layer.provideMerge(Reporter.layerConsole, layerLines), { arrived })
})

describe("HttpReporter", () => {
  const settings: HttpReporter.HttpReporterSettings = {
    apiUrl: "http://127.0.0.1:8080",
    apiKey: Option.some(Redacted.make("key")),
    compress: true,
    delivery: "at-least-once",
    disabled: false,
    requestTimeout: Duration.seconds(3)
  }
  const arrived = Effect.gen(function*() {
    const intake = yield* LocalIntake
    return {
      metrics: yield* intake.series,
      distributions: yield* intake.distributions,
      events: yield* intake.events
    }
  })
  const layerReporter = Layer.effect(Reporter.Reporter, HttpReporter.make(settings))
  const layerUnreachable = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("unreachable") }))
    )
  )

  reporterContract(Layer.provideMerge(layerReporter, layerInProcess()), {
    arrived,
    dead: layerReporter.pipe(Layer.provide(layerUnreachable), Layer.orDie)
  })
})

describe("ReporterError", () => {
  const error = new Reporter.ReporterError({
    reason: "RateLimited",
    endpoint: "https://api.example.com/api/v1/series",
    description: "slow down",
    status: 429,
    undelivered: metrics.flatMap(aggregatedOf),
    refused: distributions.flatMap(aggregatedOf),
    ambiguous: [],
    receipt: Reporter.emptyReceipt
  })

  it("has a message with reason, endpoint, status and description", () => {
    assert.strictEqual(
      error.message,
      "RateLimited at https://api.example.com/api/v1/series (status 429): slow down"
    )
    assert.strictEqual(error._tag, "ReporterError")
  })
})

describe("a reporter of three methods", () => {
  /** A reporter without temporality and warm-up, and the points of the series that it got. */
  const makeMinimal = () => {
    const points: Array<ReadonlyArray<unknown>> = []
    const report = (batch: Reporter.SeriesBatch) =>
      Effect.map(Reporter.pullAll(batch), (series) => {
        points.push(
          ...series.flatMap((each) => Series.fromAggregated(each, batch.enrichment)).map(({ points }) => points)
        )
        return { ...Reporter.emptyReceipt, items: series.length, payloads: 1 }
      })
    const layer = Layer.sync(Reporter.Reporter, () =>
      Reporter.Reporter.of({
        reportSeries: report,
        reportDistributions: report,
        reportEvents: (batch) => Effect.succeed({ ...Reporter.emptyReceipt, items: batch.length })
      }))
    return { layer, points }
  }

  it.effect("gets totals, and is warmed without an effect", () => {
    const { layer, points } = makeMinimal()
    const lines: Array<Line> = []
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      yield* client.warm
      for (const value of [2, 3]) {
        yield* client.increment("orders", value)
        yield* client.flush()
      }
      assert.deepStrictEqual(points, [[[0, 0.2]], [[0, 0.5]]])
      assert.deepStrictEqual(lines, [])
    }).pipe(
      Effect.provide(layerReporterWith({ periodicFlush: false })),
      Effect.provide([layer, layerMetricsAggregator, layerEventsAggregator]),
      Logger.withMinimumLogLevel(LogLevel.Debug),
      Effect.provide(logsTo(lines))
    )
  })

  it.effect("has the temporality total, and no warm-up, within a combined reporter", () =>
    Effect.gen(function*() {
      const { temporality, warm } = yield* Reporter.Reporter
      assert.strictEqual(temporality, "total")
      yield* warm ?? Effect.fail("absent")
    }).pipe(Effect.provide(Reporter.combine(makeMinimal().layer, makeMinimal().layer))))
})

describe("Reporter.combine", () => {
  it.effect("delivers to two sites, each with its own key, when each reporter of a combination is built afresh", () => {
    const seen = new Set<string>()
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        seen.add(`${new URL(request.url).host} ${request.headers["dd-api-key"]}`)
        return HttpClientResponse.fromWeb(request, new Response("{\"status\":\"ok\"}", { status: 202 }))
      })
    )
    const keys = { "datadoghq.com": "0".repeat(32), "datadoghq.eu": "e".repeat(32) }
    const reporterOf = (site: keyof typeof keys) =>
      Layer.fresh(HttpReporter.layerHttpClient).pipe(
        Layer.provide(ThreadStatsConfig.layerWith({ site, apiKey: Redacted.make(keys[site]) }))
      )
    return Effect.gen(function*() {
      yield* ThreadStats.gauge("x", 1)
      yield* ThreadStats.flush()
      assert.sameMembers(Array.from(seen), Object.entries(keys).map(([site, key]) => `api.${site} ${key}`))
    }).pipe(Effect.provide(
      ThreadStats.layerReporter.pipe(
        Layer.provide(Reporter.combine(reporterOf("datadoghq.com"), reporterOf("datadoghq.eu"))),
        Layer.provide([layerMetricsAggregator, layerEventsAggregator]),
        Layer.provide(ThreadStatsConfig.layerWith({ periodicFlush: false })),
        Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
      )
    ))
  })
})

describe("Reporter.addReceipts", () => {
  it("sums all numbers of two receipts", () => {
    const receipt = { items: 1, payloads: 2, bytes: 3, retries: 4 }
    assert.deepStrictEqual(Reporter.addReceipts(receipt, Reporter.emptyReceipt), receipt)
    assert.deepStrictEqual(Reporter.addReceipts(receipt, receipt), { items: 2, payloads: 4, bytes: 6, retries: 8 })
  })
})
