/** Publishers: each records the changes of one metric since its last call. */
import type * as MetricKey from "effect/MetricKey"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import { percentileSuffix } from "../model/percentile.js"
import type { GaugeTargets, UpdateGauge } from "./gaugeTargets.js"
import * as HistogramDelta from "./histogramDelta.js"
import { metricTag } from "./names.js"
import type { HistogramForm } from "./options.js"
import type { Sink } from "./sink.js"

export type Publisher = (state: MetricState.MetricState.Untyped, sink: Sink) => void

/** Ignores a metric that is not reported. */
export const noopPublisher: Publisher = () => {}

export interface PublisherContext {
  readonly gauges: GaugeTargets
  readonly asGauge: (key: MetricKey.MetricKey.Untyped) => boolean
  readonly histograms: HistogramForm
  readonly histogramValues: number
  readonly percentiles: ReadonlyArray<number>
}

/** Makes the publisher for the kind of the metric. */
export const make = (
  key: MetricKey.MetricKey.Untyped,
  name: string,
  tags: ReadonlyArray<string>,
  context: PublisherContext
): Publisher => {
  const type: unknown = key.keyType
  if (MetricKeyType.isCounterKey(type)) return makeCounter(key, name, tags, context)
  if (MetricKeyType.isGaugeKey(type)) return makeGauge(name, tags, context)
  if (MetricKeyType.isFrequencyKey(type)) return makeFrequency(name, tags)
  if (MetricKeyType.isSummaryKey(type)) return makeSummary(name, tags, context)
  if (MetricKeyType.isHistogramKey(type)) return makeHistogram(name, tags, context)
  return noopPublisher
}

/** Records the increments of a total. The part of a bigint that a double cannot hold stays for the next call. */
const makeIncrements = (name: string, tags: ReadonlyArray<string>) => {
  let published: number | bigint = 0
  let lastTotal: unknown = 0
  return (total: number | bigint, sink: Sink) => {
    if (Object.is(total, lastTotal)) return
    lastTotal = total
    const delta = typeof total === "bigint" ? Number(total - BigInt(published)) : total - Number(published)
    if (delta === 0) return
    sink.unsafeIncrement(name, delta, { tags })
    if (Number.isFinite(delta)) published = typeof total === "bigint" ? BigInt(published) + BigInt(delta) : total
  }
}

const makeCounter = (
  key: MetricKey.MetricKey.Untyped,
  name: string,
  tags: ReadonlyArray<string>,
  { asGauge, gauges }: PublisherContext
): Publisher => {
  const keyType: MetricKeyType.MetricKeyType.Counter<number | bigint> = key.keyType
  const countIn = (state: MetricState.MetricState.Untyped) =>
    (state as MetricState.MetricState.Counter<number | bigint>).count
  if (!keyType.incremental && asGauge(key)) {
    const update = gauges.add(name, tags)
    return (state) => update(Number(countIn(state)))
  }
  const increment = makeIncrements(name, tags)
  return (state, sink) => increment(countIn(state), sink)
}

const makeGauge = (name: string, tags: ReadonlyArray<string>, { gauges }: PublisherContext): Publisher => {
  const update = gauges.add(name, tags)
  return (state) => update(Number((state as MetricState.MetricState.Gauge<number | bigint>).value))
}

const makeFrequency = (name: string, tags: ReadonlyArray<string>): Publisher => {
  const published = new Map<string, number>()
  return (state, sink) => {
    for (const [word, count] of (state as MetricState.MetricState.Frequency).occurrences) {
      const delta = count - (published.get(word) ?? 0)
      if (delta === 0) continue
      published.set(word, count)
      sink.unsafeIncrement(name, delta, { tags: [...tags, metricTag("key", word)] })
    }
  }
}

const makeSummary = (name: string, tags: ReadonlyArray<string>, { gauges }: PublisherContext): Publisher => {
  const incrementCount = makeIncrements(`${name}.count`, tags)
  const incrementSum = makeIncrements(`${name}.sum`, tags)
  const updateMin = gauges.add(`${name}.min`, tags)
  const updateMax = gauges.add(`${name}.max`, tags)
  const quantiles = new Map<number, UpdateGauge>()
  return (state, sink) => {
    const summary = state as MetricState.MetricState.Summary
    if (summary.count === 0) return
    incrementCount(summary.count, sink)
    incrementSum(summary.sum, sink)
    updateMin(summary.min)
    updateMax(summary.max)
    for (const [quantile, value] of summary.quantiles) {
      let update = quantiles.get(quantile)
      if (update === undefined) {
        update = gauges.add(`${name}.${percentileSuffix(quantile)}`, tags)
        quantiles.set(quantile, update)
      }
      update(Option.getOrUndefined(value))
    }
  }
}

const makeHistogram = (
  name: string,
  tags: ReadonlyArray<string>,
  { histogramValues, histograms, percentiles }: PublisherContext
): Publisher => {
  const point = { tags }
  const incrementSum = makeIncrements(`${name}.sum`, tags)
  let before = HistogramDelta.emptySnapshot
  let lastCount = 0

  const recordDistribution = (delta: HistogramDelta.HistogramDelta, sink: Sink) => {
    for (const value of HistogramDelta.valuesOf(HistogramDelta.synthesize(delta, histogramValues))) {
      sink.unsafeDistribution(name, value, point)
    }
  }

  const recordAggregates = (delta: HistogramDelta.HistogramDelta, sum: number, sink: Sink) => {
    const values = HistogramDelta.synthesize(delta)
    sink.unsafeIncrement(`${name}.count`, delta.count, point)
    incrementSum(sum, sink)
    sink.unsafeGauge(`${name}.min`, HistogramDelta.minOf(values), point)
    sink.unsafeGauge(`${name}.max`, HistogramDelta.maxOf(values), point)
    for (const p of percentiles) {
      sink.unsafeGauge(`${name}.${percentileSuffix(p)}`, HistogramDelta.percentileOf(values, p), point)
    }
  }

  return (state, sink) => {
    const histogram = state as MetricState.MetricState.Histogram
    if (histogram.count === lastCount) return
    lastCount = histogram.count
    const now = HistogramDelta.takeSnapshot(histogram)
    const delta = HistogramDelta.computeDelta(before, now, histogram.buckets)
    before = now
    // The client drops and counts this point.
    if (delta.invalid > 0) sink.unsafeDistribution(name, Number.NaN, point)
    if (delta.count === 0) return
    if (histograms !== "aggregates") recordDistribution(delta, sink)
    if (histograms !== "distribution") recordAggregates(delta, histogram.sum, sink)
  }
}
