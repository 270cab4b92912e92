/**
 * A model of Datadog's Agent: rolls up DogStatsD values without a timestamp in buckets of ten seconds, by time of arrival, and
 * sends closed buckets on. Histograms and timings become the aggregates that the Agent sends by default.
 */
import type { AcceptedDistribution, AcceptedSeries } from "../model.js"
import type { SeriesDescription } from "../seriesTable.js"
import type { Store } from "../store.js"
import type { MetricLine } from "./parser.js"

/** Seconds. */
export const bucketLength = 10

/** Maximum number of set members or values of one series in one bucket. */
const maxValues = 10_000

/** Maximum number of series in one bucket. The oldest series is sent early beyond it. */
const maxSeries = 10_000

/** Values that are ordered except in distributions, each with the number of values that it stands for. */
type WeightedValues = Array<readonly [value: number, weight: number]>

/** Roll-up of one series in one bucket. */
interface AgentRollUp {
  readonly description: Omit<SeriesDescription, "kind">
  readonly type: MetricLine["type"]
  /** Sum of a count, or last value of a gauge. */
  value: number
  readonly members: Set<string>
  readonly values: WeightedValues
}

/** Payloads that the Agent sends to Datadog. */
interface AgentPayloads {
  readonly series: Array<AcceptedSeries>
  readonly distributions: Array<AcceptedDistribution>
}

const insertOrdered = (values: WeightedValues, value: number, weight: number): void => {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]![0] <= value) low = middle + 1
    else high = middle
  }
  values.splice(low, 0, [value, weight])
}

const sumWeights = (values: WeightedValues): number => values.reduce((sum, [, weight]) => sum + weight, 0)

/** Returns the smallest value whose cumulative weight reaches the rank, which is from 0 to 1. */
const quantileOf = (values: WeightedValues, rank: number, totalWeight: number): number => {
  const needed = Math.max(1, Math.ceil(rank * totalWeight))
  let seen = 0
  for (const [value, weight] of values) {
    seen += weight
    if (seen >= needed) return value
  }
  return values.at(-1)![0]
}

/** Returns the series that the Agent sends for a roll-up, by the suffix of the name. */
const aggregatesOf = ({ members, type, value, values }: AgentRollUp): ReadonlyArray<
  readonly [suffix: string, kind: "gauge" | "rate", value: number]
> => {
  if (type === "c") return [["", "rate", value / bucketLength]]
  if (type === "g") return [["", "gauge", value]]
  if (type === "s") return [["", "gauge", members.size]]
  if (type === "d" || values.length === 0) return []
  const total = sumWeights(values)
  return [
    [".max", "gauge", values.at(-1)![0]],
    [".median", "gauge", quantileOf(values, 0.5, total)],
    [".avg", "gauge", values.reduce((sum, [value, weight]) => sum + value * weight, 0) / total],
    [".count", "rate", total / bucketLength],
    [".95percentile", "gauge", quantileOf(values, 0.95, total)]
  ]
}

const appendPayloads = (payloads: AgentPayloads, start: number, rollUp: AgentRollUp): void => {
  const { device, host, metric, tags } = rollUp.description
  const common = {
    tags: tags ?? [],
    ...(host === undefined ? undefined : { host }),
    ...(device === undefined ? undefined : { device }),
    interval: bucketLength
  }
  if (rollUp.type === "d") {
    const values = rollUp.values.map(([value]) => value)
    payloads.distributions.push({ metric, points: [[start, values]], type: "distribution", ...common })
  }
  for (const [suffix, type, value] of aggregatesOf(rollUp)) {
    payloads.series.push({ metric: `${metric}${suffix}`, points: [[start, value]], type, ...common })
  }
}

export class Agent {
  private readonly store: Store
  /** Buckets by their start, in seconds since the epoch. */
  private readonly buckets = new Map<number, Map<string, AgentRollUp>>()

  constructor(store: Store) {
    this.store = store
  }

  /** Sends the buckets that ended at `now`, in seconds since the epoch, or before. */
  closeBuckets(now: number): void {
    for (const [start, rollUps] of this.buckets) {
      if (start + bucketLength > now) continue
      this.buckets.delete(start)
      for (const rollUp of rollUps.values()) this.send(start, rollUp)
    }
  }

  /** Returns the payloads of open buckets. */
  openPayloads(): AgentPayloads {
    const payloads: AgentPayloads = { series: [], distributions: [] }
    for (const [start, rollUps] of this.buckets) {
      for (const rollUp of rollUps.values()) appendPayloads(payloads, start, rollUp)
    }
    return payloads
  }

  /**
   * Adds values without a timestamp to the bucket of `now`, in seconds since the epoch. It passes the aggregates, or the added
   * values of a distribution, to `plot`.
   */
  rollUp(
    metric: MetricLine,
    now: number,
    plot: (description: SeriesDescription, second: number, value: number | ReadonlyArray<number>) => void
  ): void {
    const start = Math.floor(now / bucketLength) * bucketLength
    const rollUp = this.rollUpOf(start, metric)
    const { description } = rollUp
    if (metric.type === "d") {
      const added = metric.values.flatMap((value) =>
        typeof value === "number" ? this.addDistributionValue(rollUp, value, metric.rate) : []
      )
      plot({ ...description, kind: "distribution" }, start, added)
      return
    }
    for (const value of metric.values) this.addValue(rollUp, value, metric.rate)
    for (const [suffix, kind, value] of aggregatesOf(rollUp)) {
      plot({ ...description, metric: `${description.metric}${suffix}`, kind }, start, value)
    }
  }

  clear(): void {
    this.buckets.clear()
  }

  private send(start: number, rollUp: AgentRollUp): void {
    const payloads: AgentPayloads = { series: [], distributions: [] }
    appendPayloads(payloads, start, rollUp)
    for (const item of payloads.series) this.store.acceptSeries(item)
    for (const item of payloads.distributions) this.store.acceptDistribution(item)
  }

  private rollUpOf(start: number, metric: MetricLine): AgentRollUp {
    let rollUps = this.buckets.get(start)
    if (rollUps === undefined) this.buckets.set(start, rollUps = new Map())
    const { device, host, name, tags, type } = metric
    const key = JSON.stringify([name, type, host, device, ...new Set(tags.toSorted())])
    const known = rollUps.get(key)
    if (known !== undefined) return known
    const rollUp: AgentRollUp = {
      description: { metric: name, tags, host, device, interval: bucketLength },
      type,
      value: 0,
      members: new Set(),
      values: []
    }
    rollUps.set(key, rollUp)
    if (rollUps.size > maxSeries) {
      const [oldest] = rollUps
      rollUps.delete(oldest![0])
      this.send(start, oldest![1])
    }
    return rollUp
  }

  private addValue(rollUp: AgentRollUp, value: number | string, rate: number): void {
    if (typeof value === "string") {
      if (rollUp.members.size < maxValues) rollUp.members.add(value)
    } else if (rollUp.type === "c") rollUp.value += value / rate
    else if (rollUp.type === "g") rollUp.value = value
    else if (rollUp.values.length < maxValues) insertOrdered(rollUp.values, value, Math.floor(1 / rate))
    else this.store.countEvicted(1)
  }

  /** Adds a value as often as its sample rate says, because the Agent sends each value to Datadog. Returns the added values. */
  private addDistributionValue(rollUp: AgentRollUp, value: number, rate: number): ReadonlyArray<number> {
    const wanted = Math.floor(1 / rate)
    const added = Math.min(wanted, maxValues - rollUp.values.length)
    this.store.countEvicted(wanted - added)
    for (let i = 0; i < added; i++) rollUp.values.push([value, 1])
    return new Array<number>(added).fill(value)
  }
}
