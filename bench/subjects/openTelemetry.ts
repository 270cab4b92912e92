import { names, recordAll, type Recorder, type WorkloadSeries } from "../children/workload.js"
import type { OpenTelemetry } from "../peers.js"
import type { MakeSubject } from "./subject.js"

const { MeterProvider, MetricReader }: OpenTelemetry = require("@opentelemetry/sdk-metrics")

class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** It has no distributions: they are histograms, too. Its limit on series is lifted. */
export const make: MakeSubject = async () => {
  const reader = new Reader({ cardinalitySelector: () => 1_000_000 })
  const meter = new MeterProvider({ readers: [reader] }).getMeter("bench")
  const instruments = <A>(kinds: ReadonlyArray<string>, make: (name: string) => A) =>
    new Map(names.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => [name, make(name)]))
  const counters = instruments(["count"], (name) => meter.createCounter(name))
  const gauges = instruments(["gauge"], (name) => meter.createGauge(name))
  const histograms = instruments(["histogram", "distribution"], (name) =>
    meter.createHistogram(name, {
      advice: { explicitBucketBoundaries: [1, 10, 100, 1000] }
    }))
  const attributesOf = ({ labels: [service, route, customer] }: WorkloadSeries) => ({ service, route, customer })
  const recorder: Recorder = {
    count: (series, value) => counters.get(series.name)!.add(value, attributesOf(series)),
    gauge: (series, value) => gauges.get(series.name)!.record(value, attributesOf(series)),
    histogram: (series, value) => histograms.get(series.name)!.record(value, attributesOf(series)),
    distribution: (series, value) => histograms.get(series.name)!.record(value, attributesOf(series))
  }
  return {
    record: (workload) => recordAll(recorder, workload),
    flush: async () => {
      const { resourceMetrics } = await reader.collect()
      const metrics = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
      const text = JSON.stringify(metrics.map(({ dataPoints, descriptor }) => ({ name: descriptor.name, dataPoints })))
      const sumOf = (kind: string, value: (point: (typeof metrics)[0]["dataPoints"][0]) => number) =>
        metrics.filter(({ descriptor }) => names.some((one) => one.name === descriptor.name && one.kind === kind))
          .flatMap(({ dataPoints }) => dataPoints)
          .reduce((sum, point) => sum + value(point), 0)
      const valueOf = ({ value }: { readonly value: unknown }) => value as number
      const countOf = ({ value }: { readonly value: unknown }) => (value as { readonly count: number }).count
      return {
        bytes: Buffer.byteLength(text),
        check: () => ({
          totals: {
            counts: sumOf("count", valueOf),
            gauges: sumOf("gauge", valueOf),
            histograms: sumOf("histogram", countOf),
            distributions: sumOf("distribution", countOf)
          }
        })
      }
    }
  }
}
