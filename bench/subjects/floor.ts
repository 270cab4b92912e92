/**
 * The floor of a call: it stores the value and does nothing else. It has no clock, no interval, no limit, no count, no validation and
 * no flush.
 */
import { SeriesIndex } from "../../src/internal/aggregation/seriesIndex.js"
import type { SeriesKey } from "../../src/internal/aggregation/seriesKey.js"
import { metricKinds } from "../../src/internal/model/metricKinds.js"
import * as SeriesIdentity from "../../src/internal/model/seriesIdentity.js"
import { recordAll, type Workload, type WorkloadSeries } from "../children/workload.js"
import { Counter, Distribution, Gauge, Histogram, type Metric } from "./bare.js"
import type { MakeSubject } from "./subject.js"

const types = { count: Counter, gauge: Gauge, histogram: Histogram, distribution: Distribution }
const kinds = { count: "counter", gauge: "gauge", histogram: "histogram", distribution: "distribution" } as const

const accumulatorOf = ({ kind, name, tags }: WorkloadSeries): Metric => new types[kind](name, tags, undefined)

const totalsOf = (accumulators: Iterable<Metric>) => {
  let [counts, gauges, histograms, distributions, sum] = [0, 0, 0, 0, 0]
  for (const one of accumulators) {
    if (one instanceof Counter) counts += one.count
    else if (one instanceof Gauge) gauges += one.value
    else if (one instanceof Histogram) histograms += one.count
    else if (one instanceof Distribution) {
      distributions += one.values.length
      for (const value of one.values) sum += value
    }
  }
  return { counts, gauges, histograms, distributions, sum }
}

/** The caller holds the accumulators of all its series, and calls them directly. */
export const makeHeld: MakeSubject = async () => {
  const accumulators: Array<Metric> = []
  const at = <A extends Metric>(index: number) => accumulators[index] as A
  return {
    prepare: ({ series }: Workload) => {
      for (const one of series) accumulators.push(accumulatorOf(one))
    },
    record: (workload: Workload) =>
      recordAll({
        count: ({ index }, value) => at<Counter>(index).addPoint(value),
        gauge: ({ index }, value) => at<Gauge>(index).addPoint(value),
        histogram: ({ index }, value) => at<Histogram>(index).addPoint(value),
        distribution: ({ index }, value) => at<Distribution>(index).addPoint(value)
      }, workload),
    flush: async () => ({ check: () => ({ totals: totalsOf(accumulators) }) })
  }
}

/** They are found by name and tags, which the call has in a fresh array. */
export const makeFound: MakeSubject = async () => {
  const index = new SeriesIndex<Metric>({
    maxSize: Infinity,
    seed: 1,
    accumulationOf: (kind) => metricKinds[kind],
    identity: SeriesIdentity.make({ tags: [], hostname: undefined, attachHost: false })
  })
  const all: Array<Metric> = []
  const make = (series: WorkloadSeries, tags: ReadonlyArray<string>) => {
    const made = accumulatorOf(series)
    const known = index.intern(kinds[series.kind], series.name, tags, null) as SeriesKey<Metric>
    known.newestEntry = made
    all.push(made)
    return made
  }
  const find = <A extends Metric>(series: WorkloadSeries): A => {
    const [a, b, c] = series.tags
    const tags = [a, b, c]
    return (index.find(kinds[series.kind], series.name, tags, null)?.newestEntry ?? make(series, tags)) as A
  }
  return {
    record: (workload: Workload) =>
      recordAll({
        count: (series, value) => find<Counter>(series).addPoint(value),
        gauge: (series, value) => find<Gauge>(series).addPoint(value),
        histogram: (series, value) => find<Histogram>(series).addPoint(value),
        distribution: (series, value) => find<Distribution>(series).addPoint(value)
      }, workload),
    flush: async () => ({ check: () => ({ totals: totalsOf(all) }) })
  }
}
