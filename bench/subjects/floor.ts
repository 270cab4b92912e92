/**
 * What a call cannot cost less than: the values go where they have to, and nothing else is done with them. No clock, no
 * interval, no limit, no count, no check, no flush.
 */
import * as Contexts from "../../src/internal/contexts.js"
import { type Context, recordAll, type Workload } from "../children/workload.js"
import type { MakeSubject } from "./subject.js"

const sampleSize = 1000

class Total {
  value = 0
  add(value: number): void {
    this.value += value
  }
}

class Last {
  value = 0
  add(value: number): void {
    this.value = value
  }
}

class Values {
  readonly values: Array<number> = []
  add(value: number): void {
    this.values.push(value)
  }
}

class Histogram {
  min = Infinity
  max = -Infinity
  sum = 0
  count = 0
  readonly sample: Array<number> = []
  add(value: number): void {
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
    this.sum += value
    this.count++
    if (this.sample.length < sampleSize) this.sample.push(value)
    else this.sample[Math.floor(Math.random() * sampleSize)] = value
  }
}

const types = { count: Total, gauge: Last, histogram: Histogram, distribution: Values }
const kinds = { count: "counter", gauge: "gauge", histogram: "histogram", distribution: "distribution" } as const

type Accumulator = Total | Last | Histogram | Values

const totalsOf = (accumulators: Iterable<Accumulator>) => {
  let [counts, gauges, histograms, distributions, sum] = [0, 0, 0, 0, 0]
  for (const one of accumulators) {
    if (one instanceof Total) counts += one.value
    else if (one instanceof Last) gauges += one.value
    else if (one instanceof Histogram) histograms += one.count
    else {
      distributions += one.values.length
      for (const value of one.values) sum += value
    }
  }
  return { counts, gauges, histograms, distributions, sum }
}

/** The caller holds the accumulators of all its series, and calls them directly. */
export const makeHeld: MakeSubject = async () => {
  const accumulators: Array<Accumulator> = []
  const at = <A extends Accumulator>(index: number) => accumulators[index] as A
  return {
    prepare: ({ contexts }: Workload) => {
      for (const { kind } of contexts) accumulators.push(new types[kind]())
    },
    record: (workload: Workload) =>
      recordAll({
        count: ({ index }, value) => at<Total>(index).add(value),
        gauge: ({ index }, value) => at<Last>(index).add(value),
        histogram: ({ index }, value) => at<Histogram>(index).add(value),
        distribution: ({ index }, value) => at<Values>(index).add(value)
      }, workload),
    flush: async () => ({ check: () => ({ totals: totalsOf(accumulators) }) })
  }
}

/** They are found by name and tags, which the call has in a fresh array. */
export const makeFound: MakeSubject = async () => {
  const contexts = Contexts.make<Accumulator>(Infinity, 1)
  const all: Array<Accumulator> = []
  const make = ({ kind, name }: Context, tags: ReadonlyArray<string>) => {
    const made = new types[kind]()
    const context = contexts.intern(kinds[kind], name, tags, null) as Contexts.Context<Accumulator>
    context.latest = made
    all.push(made)
    return made
  }
  const find = <A extends Accumulator>(context: Context): A => {
    const [a, b, c] = context.tags
    const tags = [a, b, c]
    return (contexts.find(kinds[context.kind], context.name, tags, null)?.latest ?? make(context, tags)) as A
  }
  return {
    record: (workload: Workload) =>
      recordAll({
        count: (context, value) => find<Total>(context).add(value),
        gauge: (context, value) => find<Last>(context).add(value),
        histogram: (context, value) => find<Histogram>(context).add(value),
        distribution: (context, value) => find<Values>(context).add(value)
      }, workload),
    flush: async () => ({ check: () => ({ totals: totalsOf(all) }) })
  }
}
