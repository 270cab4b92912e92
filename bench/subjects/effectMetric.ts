/** Effect's own `Metric`, in three ways. It has no distributions: they are histograms, too. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricState from "effect/MetricState"
import { names, recordAll, type WorkloadSeries } from "../children/workload.js"
import { recordEach } from "./effectLoop.js"
import type { Flushed, MakeSubject } from "./subject.js"

type Any = Metric.Metric<any, number, any>

const boundaries = MetricBoundaries.fromIterable([1, 10, 100, 1000])

const base = ({ kind, name }: Pick<WorkloadSeries, "kind" | "name">): Any => {
  switch (kind) {
    case "count":
      return Metric.counter(name)
    case "gauge":
      return Metric.gauge(name)
    default:
      return Metric.histogram(name, boundaries)
  }
}

const labelsOf = ({ labels: [service, route, customer] }: WorkloadSeries) => [
  MetricLabel.make("service", service),
  MetricLabel.make("route", route),
  MetricLabel.make("customer", customer)
]

/** All that the registry of the process holds, as JSON text; only names with the prefix are looked at. */
const flushOf = (prefix: string) => async (): Promise<Flushed> => {
  const pairs = Metric.unsafeSnapshot()
  const text = JSON.stringify(
    pairs.map(({ metricKey, metricState }) => ({
      name: metricKey.name,
      tags: metricKey.tags.map(({ key, value }) => [key, value]),
      state: metricState
    }))
  )
  const kinds = new Map(names.map(({ kind, name }) => [`${prefix}${name}`, kind]))
  return {
    bytes: Buffer.byteLength(text),
    check: () => {
      const totals = { counts: 0, gauges: 0, histograms: 0, distributions: 0 }
      for (const { metricKey: { name }, metricState } of pairs) {
        if (!kinds.has(name)) continue
        if (MetricState.isCounterState(metricState)) totals.counts += Number(metricState.count)
        else if (MetricState.isGaugeState(metricState)) totals.gauges += Number(metricState.value)
        else if (MetricState.isHistogramState(metricState)) {
          totals[kinds.get(name) === "histogram" ? "histograms" : "distributions"] += metricState.count
        }
      }
      return { totals }
    }
  }
}

const beforehand = () => {
  const metrics: Array<Any> = []
  return {
    metrics,
    prepare: ({ series }: { readonly series: ReadonlyArray<WorkloadSeries> }) => {
      for (const one of series) metrics.push(Metric.taggedWithLabels(base(one), labelsOf(one)))
    }
  }
}

/** Tagged beforehand, called outside of Effect. */
export const makeUnsafe: MakeSubject = async ({ prefix }) => {
  const { metrics, prepare } = beforehand()
  return {
    prepare,
    record: (workload) =>
      recordAll({
        count: ({ index }, value) => metrics[index]!.unsafeUpdate(value, []),
        gauge: ({ index }, value) => metrics[index]!.unsafeUpdate(value, []),
        histogram: ({ index }, value) => metrics[index]!.unsafeUpdate(value, []),
        distribution: ({ index }, value) => metrics[index]!.unsafeUpdate(value, [])
      }, workload),
    flush: flushOf(prefix)
  }
}

/** Tagged beforehand, each call a `yield*`. */
export const makeTagged: MakeSubject = async ({ prefix }) => {
  const { metrics, prepare } = beforehand()
  const update = ({ index }: WorkloadSeries, value: number) => Metric.update(metrics[index]!, value)
  return {
    prepare,
    record: (workload) =>
      Effect.runPromise(
        recordEach({ count: update, gauge: update, histogram: update, distribution: update }, workload)
      ),
    flush: flushOf(prefix)
  }
}

/** Tagged for each call, as tags are that come with a request. */
export const makePerCall: MakeSubject = async ({ prefix }) => {
  const metrics = new Map(
    names.map(({ kind, name }) => [`${prefix}${name}`, base({ kind, name: `${prefix}${name}` })])
  )
  const update = (series: WorkloadSeries, value: number) =>
    Metric.update(Metric.taggedWithLabels(metrics.get(series.name)!, labelsOf(series)), value)
  return {
    record: (workload) =>
      Effect.runPromise(
        recordEach({ count: update, gauge: update, histogram: update, distribution: update }, workload)
      ),
    flush: flushOf(prefix)
  }
}
