/** The part of the peers' types that the benchmarks use. They load the peers by `require`, so that the type check works without them. */

type Labels = Readonly<Record<string, string>>

interface PromOptions {
  readonly name: string
  readonly help: string
  readonly labelNames: ReadonlyArray<string>
  readonly registers: ReadonlyArray<PromRegistry>
}

interface PromRegistry {
  readonly metrics: () => Promise<string>
}

export interface PromClient {
  readonly Registry: new() => PromRegistry
  readonly Counter: new(options: PromOptions) => { readonly inc: (labels: Labels, value: number) => void }
  readonly Gauge: new(options: PromOptions) => { readonly set: (labels: Labels, value: number) => void }
  readonly Histogram: new(
    options: PromOptions & { readonly buckets: ReadonlyArray<number> }
  ) => { readonly observe: (labels: Labels, value: number) => void }
}

type RecordTagged = (name: string, value: number, tags: ReadonlyArray<string>) => void

export interface DatadogMetrics {
  readonly BufferedMetricsLogger: new(options: {
    readonly apiKey: string
    readonly flushIntervalSeconds: number
    readonly histogram?: { readonly aggregates: ReadonlyArray<string>; readonly percentiles: ReadonlyArray<number> }
    readonly reporter?: { readonly report: (series: ReadonlyArray<{ readonly type: string }>) => Promise<void> }
  }) => {
    readonly increment: RecordTagged
    readonly gauge: RecordTagged
    readonly histogram: RecordTagged
    readonly distribution: RecordTagged
    readonly flush: () => Promise<void>
  }
}

interface OtelMetric {
  readonly descriptor: { readonly name: string }
  readonly dataPoints: ReadonlyArray<{ readonly attributes: Labels; readonly value: unknown }>
}

interface OtelReader {
  readonly collect: () => Promise<{
    readonly resourceMetrics: {
      readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<OtelMetric> }>
    }
  }>
}

interface OtelRecorder {
  readonly record: (value: number, attributes: Labels) => void
}

interface OtelMeter {
  readonly createCounter: (name: string) => { readonly add: (value: number, attributes: Labels) => void }
  readonly createGauge: (name: string) => OtelRecorder
  readonly createHistogram: (
    name: string,
    options: { readonly advice: { readonly explicitBucketBoundaries: ReadonlyArray<number> } }
  ) => OtelRecorder
}

export interface OpenTelemetry {
  readonly MetricReader: new(options: { readonly cardinalitySelector: () => number }) => OtelReader
  readonly MeterProvider: new(options: { readonly readers: ReadonlyArray<OtelReader> }) => {
    readonly getMeter: (name: string) => OtelMeter
  }
}

export interface HotShots {
  readonly StatsD: new(options: {
    readonly aggregation: { readonly flushInterval: number; readonly maxContexts: number }
    readonly maxBufferSize: number
    readonly bufferFlushInterval: number
    readonly protocol: "stream"
    readonly stream: NodeJS.WritableStream
  }) => {
    readonly increment: RecordTagged
    readonly gauge: RecordTagged
    readonly histogram: RecordTagged
    readonly distribution: RecordTagged
    readonly flush: (callback: () => void) => void
  }
}

export interface DatadogLambda {
  readonly datadog: (
    handler: () => Promise<string>,
    config: {
      readonly logForwarding: boolean
      readonly enhancedMetrics: boolean
      readonly apiKey?: string
      readonly siteURL?: string
    }
  ) => (event: unknown, context: unknown) => Promise<string>
  readonly sendDistributionMetric: (name: string, value: number, ...tags: ReadonlyArray<string>) => void
}

interface LambdaDistribution {
  readonly name: string
}

export interface DatadogLambdaModel {
  readonly Distribution: new(
    name: string,
    points: ReadonlyArray<{ readonly timestamp: Date; readonly value: number }>,
    ...tags: ReadonlyArray<string>
  ) => LambdaDistribution
}

export interface DatadogLambdaBatcher {
  readonly Batcher: new() => {
    readonly add: (metric: LambdaDistribution) => void
    readonly toAPIMetrics: () => ReadonlyArray<{
      readonly metric: string
      readonly points: ReadonlyArray<readonly [number, ReadonlyArray<number>]>
      readonly tags: ReadonlyArray<string>
    }>
  }
}
