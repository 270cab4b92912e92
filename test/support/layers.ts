/** Layers with settings of their own, for tests that put a client together from its parts. */
import { Effect, Layer } from "effect"
import { EventsAggregator, HttpReporter, MetricsAggregator, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { make } from "../../src/internal/aggregation/MetricsAggregator.js"

/** A client with these options, over aggregators and a reporter that the test provides. */
export const layerReporterWith = (options?: ThreadStatsConfig.ThreadStatsOptions) =>
  Layer.provide(ThreadStats.layerReporter, ThreadStatsConfig.layerWith(options))

export const layerMetricsAggregatorWith = (options?: ThreadStatsConfig.ThreadStatsOptions) =>
  Layer.provide(MetricsAggregator.layer, ThreadStatsConfig.layerWith(options))

/** An aggregator with the defaults, regardless of the environment. */
export const layerMetricsAggregator = Layer.provide(MetricsAggregator.layer, ThreadStatsConfig.layerTest)

export const layerEventsAggregatorWith = (options?: ThreadStatsConfig.ThreadStatsOptions) =>
  Layer.provide(EventsAggregator.layer, ThreadStatsConfig.layerWith(options))

/** An aggregator with the defaults, regardless of the environment. */
export const layerEventsAggregator = Layer.provide(EventsAggregator.layer, ThreadStatsConfig.layerTest)

/** Makes an aggregator with these options, as a pipeline uses it. */
export const makeMetricsAggregator = (options?: ThreadStatsConfig.ThreadStatsOptions) =>
  Effect.flatMap(ThreadStatsConfig.make(options), make)

/** A reporter with these options, over the test's `HttpClient`. */
export const layerHttpReporterWith = (options?: ThreadStatsConfig.ThreadStatsOptions) =>
  Layer.provide(HttpReporter.layerHttpClient, ThreadStatsConfig.layerWith(options))
