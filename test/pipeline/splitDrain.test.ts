import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"

describe("SeriesBatch.pull", () => {
  const many = 3000

  /** A reporter that pulls one slice of series and all distributions, and the names that it has received. */
  const makeImpatient = () => {
    const series: Array<string> = []
    const distributions: Array<string> = []
    const receive = (names: Array<string>) => (pulled: ReadonlyArray<Reporter.Item>) => {
      for (const item of pulled) if ("name" in item) names.push(item.name)
      return { ...Reporter.emptyReceipt, items: pulled.length, payloads: 1 }
    }
    const layer = Layer.succeed(Reporter.Reporter, {
      temporality: "total",
      reportSeries: (batch) => Effect.map(batch.pull, receive(series)),
      reportDistributions: (batch) => Effect.map(Reporter.pullAll(batch), receive(distributions)),
      reportEvents: () => Effect.succeed(Reporter.emptyReceipt),
      warm: Effect.void
    })
    const layerClient = layerReporterWith({ periodicFlush: false }).pipe(
      Layer.provide(Layer.mergeAll(
        layer,
        Layer.fresh(layerMetricsAggregatorWith()),
        Layer.fresh(layerEventsAggregatorWith())
      )),
      Layer.orDie
    )
    return { series, distributions, layerClient }
  }

  it.effect("leaves the rest of a batch pending, for the next flush, when the reporter stops early", () => {
    const { distributions, layerClient, series } = makeImpatient()
    return Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      for (let i = 0; i < many; i++) {
        client.unsafeGauge(`g${i}`, i)
        client.unsafeDistribution(`d${i}`, i)
      }
      const first = yield* ThreadStats.flush()
      assert.isBelow(series.length, many)
      assert.lengthOf(distributions, many)
      const { metrics } = yield* ThreadStats.stats
      assert.deepStrictEqual(
        [metrics.received, metrics.delivered, metrics.pending, metrics.dropped],
        [2 * many, series.length + many, many - series.length, {}]
      )
      assert.strictEqual(first.metrics.delivered, series.length + many)
      while ((yield* ThreadStats.stats).metrics.pending > 0) yield* ThreadStats.flush()
      assert.lengthOf(series, many)
      assert.strictEqual(new Set(series).size, many)
      assert.lengthOf(distributions, many)
    }).pipe(Effect.provide(layerClient))
  })
})
