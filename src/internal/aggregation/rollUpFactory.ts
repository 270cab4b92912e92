import * as Duration from "effect/Duration"
import type { PCGRandom } from "effect/Utils"
import type { HistogramState, State, Value } from "../model/AggregatedSeries.js"
import { accumulationOf, type Aggregate, type Kind, type SubmissionType } from "../model/metricKinds.js"
import { Distribution } from "./distribution.js"
import { Histogram, type HistogramDeps } from "./histogram.js"
import { makeRandomBelow } from "./reservoir.js"
import { noValues, type RollUp } from "./rollUp.js"
import { Counter, DistributedCounter, Gauge } from "./scalars.js"
import { makeSummarize } from "./summary.js"
import { UniqueSet } from "./uniqueSet.js"

export interface RollUpOptions {
  /** Interval that rates are computed for. */
  readonly rollUpInterval: Duration.Duration
  /** Percentiles of histograms and timings, each above 0 and below 1. */
  readonly percentiles: ReadonlyArray<number>
  /** Aggregates of histograms and timings. */
  readonly aggregates: ReadonlyArray<Aggregate>
  /** Form in which counters, histograms and timings are sent. */
  readonly submitAs: SubmissionType
  /** Maximum number of values that a histogram stores. Beyond, it stores a uniform sample of all values. */
  readonly sampleSize: number
  /** Source of random numbers for the sample. */
  readonly random: PCGRandom
}

export type MakeRollUp = (kind: Kind, state?: State | undefined) => RollUp

/** Returns the values of a state. A histogram's state was stored when `submitAs` was "series". */
const valuesOf = (state: State | undefined): ReadonlyArray<number> =>
  state === undefined
    ? noValues
    : Array.isArray(state)
    ? state as ReadonlyArray<number>
    : (state as HistogramState).sample

/** Creates a histogram from a state. An array of values was stored when `submitAs` was "distributions". */
const makeHistogram = (deps: HistogramDeps, state: State | undefined): Histogram => {
  if (!Array.isArray(state)) return new Histogram(deps, state as HistogramState | undefined)
  const histogram = new Histogram(deps)
  for (const value of state) histogram.add(value)
  return histogram
}

/** Creates a function that creates roll-ups, empty or with the `state` of another roll-up of the same kind. */
export const makeRollUpFactory = (options: RollUpOptions): MakeRollUp => {
  const { random, sampleSize, submitAs } = options
  const seconds = Duration.toSeconds(options.rollUpInterval)
  const deps = { random, randomBelow: makeRandomBelow(random), sampleSize, summarize: makeSummarize(options, seconds) }
  return (kind, state) => {
    const accumulation = accumulationOf(kind, submitAs)
    switch (accumulation) {
      case "sum":
        return submitAs === "distributions"
          ? new DistributedCounter(state as number | undefined)
          : new Counter(seconds, state as number | undefined)
      case "last":
        return new Gauge(state as number | undefined)
      case "unique":
        return new UniqueSet(state as ReadonlyArray<Value> | undefined)
      case "summary":
        return makeHistogram(deps, state)
      case "values":
        return new Distribution(valuesOf(state))
    }
  }
}
