/** A client that reports Effect's metrics to memory. */
import * as EffectMetrics from "effect-threadstats/EffectMetrics"
import * as Testing from "effect-threadstats/testing"
import type * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * Options that leave out metrics whose names do not begin with the prefix. Effect's registry belongs to the process, so that
 * every test has a prefix of its own.
 */
export const only = (
  prefix: string,
  options: EffectMetrics.EffectMetricsOptions = {}
): EffectMetrics.EffectMetricsOptions => ({
  filter: ({ name }) => `${name}`.startsWith(prefix),
  ...options
})

export const layerRecorded = (
  options: EffectMetrics.EffectMetricsOptions,
  client?: ThreadStatsConfig.ThreadStatsOptions
): Layer.Layer<ThreadStats.ThreadStats | Testing.Recorded> =>
  EffectMetrics.layerWith(options).pipe(Layer.provideMerge(Layer.orDie(Testing.layerWith(client))))

/** Flushes, and returns the points recorded since the last call: kind, name with tags, values. */
export const takeRecorded = Effect.gen(function*() {
  const { metrics } = yield* Testing.recording
  yield* Testing.clear
  return metrics.map(({ kind, name, tags, values }) => [kind, [name, ...tags].join(" "), ...values])
})

export const indexes = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

/** The number of values up to each boundary and above the one before. */
export const bucketsOf = (
  values: ReadonlyArray<number>,
  boundaries: ReadonlyArray<number>
): ReadonlyArray<number> =>
  boundaries.map((boundary, i) =>
    values.filter((value) => value <= boundary && value > (boundaries[i - 1] ?? -Infinity)).length
  )

export const sumOf = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)
