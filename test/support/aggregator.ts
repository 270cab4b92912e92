/** A `MetricsAggregator` for tests, and the calls that they make of it at one fixed time. */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { MetricsAggregator } from "effect-threadstats"
import type { Reporter, RollUp, ThreadStatsConfig } from "effect-threadstats"
import type { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { layerMetricsAggregator, layerMetricsAggregatorWith } from "./layers.js"

/** The time of every point and drain that names no other, in milliseconds: the middle of a bucket. */
export const now = 1_700_000_005_000

export const minute = 60_000

export const drain = (temporality: Reporter.Temporality = "total", upTo?: number, at = now) =>
  Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.drain({ temporality, now: at, upTo }))

export const add = (
  kind: RollUp.Kind,
  name: string,
  value: RollUp.Value,
  series?: MetricsAggregator.SeriesOptions,
  time = now
) => Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.add(kind, name, value, time, series))

export const restore = (items: ReadonlyArray<MetricsAggregator.AggregatedSeries>) =>
  Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.restore(items))

export const stats = Effect.flatMap(MetricsAggregator.MetricsAggregator, (self) => self.stats)

/** Name, start and first value of each aggregated series. */
export const firstValues = (items: ReadonlyArray<MetricsAggregator.AggregatedSeries>) =>
  items.map(({ name, points, timestamp }) => [name, timestamp, points[0]?.value] as const)

/** Registers a test that runs with an aggregator of its own. */
export const itAggregates = <E>(
  name: string,
  test: () => Effect.Effect<void, E, MetricsAggregator.MetricsAggregator | PipelineMetricsAggregator>,
  options?: ThreadStatsConfig.ThreadStatsOptions
) =>
  it.effect(name, () =>
    Effect.provide(
      test(),
      options === undefined ? layerMetricsAggregator : layerMetricsAggregatorWith(options)
    ))
