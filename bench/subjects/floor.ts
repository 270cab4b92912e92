/**
 * The floor of a call: it stores the value and does nothing else. It has no clock, no interval, no limit, no count, no validation and
 * no flush.
 */
import { SeriesIndex } from "../../src/internal/aggregation/seriesIndex.js"
import type { SeriesKey } from "../../src/internal/aggregation/seriesKey.js"
import { metricKinds } from "../../src/internal/model/metricKinds.js"
import * as SeriesIdentity from "../../src/internal/model/seriesIdentity.js"
import { type Context, recordAll, type Workload } from "../children/workload.js"
import { Counter, Distribution, Gauge, Histogram, type Metric } from "./bare.js"
import type { MakeSubject } from "./subject.js"

const types = { count: Counter, gauge: Gauge, histogram: Histogram, distribution: Distribution }
const kinds = { count: "counter", gauge: "gauge", histogram: "histogram", distribution: "distribution" } as const

const accumulatorOf = ({ kind, name, tags }: Context): Metric => new types[kind](name, tags, undefined)

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
    prepare: ({ contexts }: Workload) => {
      for (const context of contexts) accumulators.push(accumulatorOf(context))
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
  const make = (context: Context, tags: ReadonlyArray<string>) => {
    const made = accumulatorOf(context)
    const known = index.intern(kinds[context.kind], context.name, tags, null) as SeriesKey<Metric>
    known.newestEntry = made
    all.push(made)
    return made
  }
  const find = <A extends Metric>(context: Context): A => {
    const [a, b, c] = context.tags
    const tags = [a, b, c]
    return (index.find(kinds[context.kind], context.name, tags, null)?.newestEntry ?? make(context, tags)) as A
  }
  return {
    record: (workload: Workload) =>
      recordAll({
        count: (context, value) => find<Counter>(context).addPoint(value),
        gauge: (context, value) => find<Gauge>(context).addPoint(value),
        histogram: (context, value) => find<Histogram>(context).addPoint(value),
        distribution: (context, value) => find<Distribution>(context).addPoint(value)
      }, workload),
    flush: async () => ({ check: () => ({ totals: totalsOf(all) }) })
  }
}
