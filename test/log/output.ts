/** An output in memory for the LogReporter, and the metrics that Datadog's forwarder reads from it. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { LogReporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import type { Series } from "effect-threadstats"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import { toWire } from "../support/wireReporter.js"

export const bytesOf = (text: string): number => Buffer.byteLength(text)

/** One metric as the forwarder reads it. */
export interface Metric {
  readonly m: string
  readonly v: number
  readonly e: number
  readonly t: ReadonlyArray<string>
}

export const metric = (m: string, v: number, e: number, ...t: ReadonlyArray<string>): Metric => ({ m, v, e, t })

/** The forwarder takes a line for a metric if it has all four keys, `t` is a list and `v` a number. Other lines are logs. */
export const asMetric = (line: string): Metric | undefined => {
  try {
    const value = JSON.parse(line)
    return typeof value === "object" && value !== null && ["m", "v", "e", "t"].every((key) => key in value) &&
        Array.isArray(value.t) && typeof value.v === "number"
      ? value
      : undefined
  } catch {
    return undefined
  }
}

/** The lines of a text, each of which is one event in CloudWatch. CloudWatch ignores empty lines. */
export const linesIn = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

export const metricsIn = (text: string): ReadonlyArray<Metric> => linesIn(text).flatMap((line) => asMetric(line) ?? [])

export interface MemoryOutput extends LogReporter.LogOutput {
  readonly writes: Array<string>
  /** Answers a write. By default the output takes it at once. */
  answer: (callback: (error?: unknown) => void) => void
  bytesWritten: number | undefined
  /** Number of listeners for errors. */
  listeners: number
  readonly text: () => string
  /** Writes as another part of the program would. */
  readonly writeOther: (text: string) => void
  /** Waits until the last listener for errors is gone. */
  readonly unobserved: Effect.Effect<void>
}

export const makeOutput = (): MemoryOutput => {
  const write = (text: string) => {
    output.writes.push(text)
    if (output.bytesWritten !== undefined) output.bytesWritten += bytesOf(text)
  }
  let waiting: Array<Deferred.Deferred<void>> = []
  const output: MemoryOutput = {
    writes: [],
    answer: (callback) => callback(),
    bytesWritten: 0,
    listeners: 0,
    text: () => output.writes.join(""),
    writeOther: write,
    unobserved: Effect.flatMap(Deferred.make<void>(), (deferred) => {
      if (output.listeners === 0) return Effect.void
      waiting.push(deferred)
      return Deferred.await(deferred)
    }),
    write: (text, callback) => {
      write(text)
      output.answer(callback)
    },
    on: () => output.listeners++,
    off: () => {
      output.listeners--
      if (output.listeners > 0) return
      for (const deferred of waiting) Deferred.unsafeDone(deferred, Effect.void)
      waiting = []
    }
  }
  return output
}

export const makeReporter = (output: LogReporter.LogOutput) => Effect.map(LogReporter.make({ output }), toWire)

export const layerClient = (
  output: LogReporter.LogOutput,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
): Layer.Layer<ThreadStats.ThreadStats> =>
  layerReporterWith({ periodicFlush: false, ...options }).pipe(
    Layer.provide(Layer.mergeAll(
      Layer.provide(LogReporter.layerWith({ output }), ThreadStatsConfig.layerTest),
      Layer.fresh(layerMetricsAggregatorWith(options)),
      Layer.fresh(layerEventsAggregatorWith(options))
    )),
    Layer.orDie
  )

export const distribution = (metric: string, values: ReadonlyArray<number>, tags: ReadonlyArray<string> = []) =>
  ({
    metric,
    points: [[1_700_000_000, values]],
    type: "distribution",
    tags,
    interval: 10
  }) satisfies Series.DistributionSeries

const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.pending + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

/** The counts of the client, after a check that received = delivered + pending + dropped. */
export const checkedStats = Effect.map(ThreadStats.stats, (stats) => {
  assert.strictEqual(stats.metrics.received, sumOf(stats.metrics))
  assert.strictEqual(stats.events.received, sumOf(stats.events))
  return stats
})
