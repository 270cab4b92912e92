/**
 * A model of Datadog's Agent: rolls up DogStatsD values without a timestamp in buckets of ten seconds, by time of arrival, and
 * sends closed buckets on. Histograms and timings become the aggregates that the Agent sends by default.
 */
import { sizeOfText } from "../budget.js"
import type { AcceptedDistribution, AcceptedSeries } from "../model.js"
import type { SeriesDescription } from "../seriesTable.js"
import type { Store } from "../store.js"
import type { MetricLine } from "./parser.js"

/** Seconds. */
export const bucketLength = 10

/** Maximum number of set members or values of one series in one bucket. */
const maxValues = 10_000

/** Maximum number of values of distributions in one bucket, where a sampled value counts as often as its rate says. */
const maxBucketValues = 1_000_000

/** Maximum number of series in one bucket. The oldest series is sent early beyond it. */
const maxSeries = 10_000

/** Estimated memory of a roll-up without its values, and of a value, in bytes. */
const rollUpBytes = 1024
const valueBytes = 64

/** Values that are ordered except in distributions, each with the number of values that it stands for. */
type WeightedValues = Array<readonly [value: number, weight: number]>

/** Roll-up of one series in one bucket. */
interface AgentRollUp {
  readonly description: Omit<SeriesDescription, "kind">
  readonly type: MetricLine["type"]
  /** Sum of a count, last value of a gauge, or sum of a histogram. */
  value: number
  readonly members: Set<string>
  readonly values: WeightedValues
  /** Number of values that a distribution sends. */
  count: number
  /** Estimated memory, in bytes. */
  bytes: number
}

/** All series of ten seconds. */
interface Bucket {
  readonly rollUps: Map<string, AgentRollUp>
  /** Number of values of its distributions. */
  values: number
}

/** Payloads that the Agent sends to Datadog. */
interface AgentPayloads {
  readonly series: Array<AcceptedSeries>
  readonly distributions: Array<AcceptedDistribution>
}

/** Tags, device and resources of a series. */
interface SeriesTags {
  readonly tags: ReadonlyArray<string>
  readonly device: string | undefined
}

/** Turns the tags of a device and of resources into fields, as the Agent does for every series but a distribution. */
export const splitSeriesTags = (tags: ReadonlyArray<string>): SeriesTags => ({
  tags: tags.filter((tag) => !tag.startsWith("device:") && !tag.startsWith("dd.internal.resource:")),
  device: tags.findLast((tag) => tag.startsWith("device:"))?.slice("device:".length)
})

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

/** Returns the series that the Agent sends for a roll-up, by the suffix of the name. Datadog drops a value that is not finite. */
const aggregatesOf = ({ members, type, value, values }: AgentRollUp): ReadonlyArray<
  readonly [suffix: string, kind: "gauge" | "rate", value: number]
> => {
  if (type === "c") return [["", "rate", value / bucketLength]]
  if (type === "g") return [["", "gauge", value]]
  if (type === "s") return [["", "gauge", members.size]]
  if (type === "d" || values.length === 0) return []
  const total = sumWeights(values)
  const aggregates = [
    [".max", "gauge", values.at(-1)![0]],
    [".median", "gauge", quantileOf(values, 0.5, total)],
    [".avg", "gauge", value / total],
    [".count", "rate", total / bucketLength],
    [".95percentile", "gauge", quantileOf(values, 0.95, total)]
  ] as const
  return aggregates.filter(([, , value]) => Number.isFinite(value))
}

/** Repeats each value of a distribution as often as its weight says. */
const expand = ({ count, values }: AgentRollUp): ReadonlyArray<number> => {
  const expanded = new Array<number>(count)
  let at = 0
  for (const [value, weight] of values) expanded.fill(value, at, at += weight)
  return expanded
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
    payloads.distributions.push({ metric, points: [[start, expand(rollUp)]], type: "distribution", ...common })
  }
  for (const [suffix, type, value] of aggregatesOf(rollUp)) {
    payloads.series.push({ metric: `${metric}${suffix}`, points: [[start, value]], type, ...common })
  }
}

/** Passes the values that a series or distribution has after a line. Each value of a distribution stands for `weight` values. */
export type PlotRollUp = (
  description: SeriesDescription,
  second: number,
  value: number | { readonly values: ReadonlyArray<number>; readonly weight: number }
) => void

export class Agent {
  private readonly store: Store
  /** Buckets by their start, in seconds since the epoch. */
  private readonly buckets = new Map<number, Bucket>()
  private bytes = 0

  constructor(store: Store) {
    this.store = store
    store.budget.add({ bytes: () => this.bytes, evictOldest: () => this.sendOldest() })
  }

  /** Sends the buckets that ended at `now`, in seconds since the epoch, or before. */
  closeBuckets(now: number): void {
    for (const [start, { rollUps }] of this.buckets) {
      if (start + bucketLength > now) continue
      this.buckets.delete(start)
      for (const rollUp of rollUps.values()) this.send(start, rollUp)
    }
  }

  /** Returns the payloads of open buckets. */
  openPayloads(): AgentPayloads {
    const payloads: AgentPayloads = { series: [], distributions: [] }
    for (const [start, { rollUps }] of this.buckets) {
      for (const rollUp of rollUps.values()) appendPayloads(payloads, start, rollUp)
    }
    return payloads
  }

  /** Adds values without a timestamp to the bucket of `now`, in seconds since the epoch, and plots the result. */
  rollUp(metric: MetricLine, now: number, plot: PlotRollUp): void {
    const start = Math.floor(now / bucketLength) * bucketLength
    const bucket = this.bucketOf(start)
    const rollUp = this.rollUpOf(start, bucket, metric)
    const { description } = rollUp
    const weight = weightOf(metric)
    if (metric.type === "d") {
      const values: Array<number> = []
      for (const value of metric.values) {
        if (typeof value === "number" && this.addDistributionValue(bucket, rollUp, value, weight)) values.push(value)
      }
      if (values.length > 0) plot({ ...description, kind: "distribution" }, start, { values, weight })
      return
    }
    for (const value of metric.values) this.addValue(rollUp, value, metric.rate, weight)
    for (const [suffix, kind, value] of aggregatesOf(rollUp)) {
      plot({ ...description, metric: `${description.metric}${suffix}`, kind }, start, value)
    }
  }

  clear(): void {
    this.buckets.clear()
    this.bytes = 0
  }

  private send(start: number, rollUp: AgentRollUp): void {
    this.bytes -= rollUp.bytes
    const payloads: AgentPayloads = { series: [], distributions: [] }
    appendPayloads(payloads, start, rollUp)
    for (const item of payloads.series) this.store.acceptSeries(item)
    for (const item of payloads.distributions) this.store.acceptDistribution(item)
  }

  /** Sends the oldest series of the oldest bucket early. */
  private sendOldest(): boolean {
    for (const [start, { rollUps }] of this.buckets) {
      for (const [key, rollUp] of rollUps) {
        rollUps.delete(key)
        this.send(start, rollUp)
        return true
      }
    }
    return false
  }

  private bucketOf(start: number): Bucket {
    let bucket = this.buckets.get(start)
    if (bucket === undefined) this.buckets.set(start, bucket = { rollUps: new Map(), values: 0 })
    return bucket
  }

  private rollUpOf(start: number, { rollUps }: Bucket, metric: MetricLine): AgentRollUp {
    const { host, name, type } = metric
    const { device, tags } = type === "d" ? { tags: metric.tags, device: undefined } : splitSeriesTags(metric.tags)
    const key = JSON.stringify([name, type, host, device, ...new Set(tags.toSorted())])
    const known = rollUps.get(key)
    if (known !== undefined) return known
    const rollUp: AgentRollUp = {
      description: { metric: name, tags, host, device, interval: bucketLength },
      type,
      value: 0,
      members: new Set(),
      values: [],
      count: 0,
      bytes: rollUpBytes + 2 * sizeOfText(key)
    }
    this.bytes += rollUp.bytes
    rollUps.set(key, rollUp)
    if (rollUps.size > maxSeries) {
      const [oldest] = rollUps
      rollUps.delete(oldest![0])
      this.send(start, oldest![1])
    }
    return rollUp
  }

  private addBytes(rollUp: AgentRollUp, bytes: number): void {
    rollUp.bytes += bytes
    this.bytes += bytes
  }

  private addValue(rollUp: AgentRollUp, value: number | string, rate: number, weight: number): void {
    const { members, type, values } = rollUp
    if (typeof value === "string") {
      if (members.size >= maxValues || members.has(value)) return
      members.add(value)
      this.addBytes(rollUp, valueBytes + sizeOfText(value))
    } else if (type === "c") rollUp.value += value / rate
    else if (type === "g") rollUp.value = value
    else if (values.length < maxValues) {
      rollUp.value += value / (rate === 0 ? 1 : rate)
      insertOrdered(values, value, weight)
      this.addBytes(rollUp, valueBytes)
    } else this.store.countEvicted(1)
  }

  /** Adds a value that the Agent sends as often as its weight says. Returns `false` if a limit discards it. */
  private addDistributionValue(bucket: Bucket, rollUp: AgentRollUp, value: number, weight: number): boolean {
    if (rollUp.count + weight > maxValues || bucket.values + weight > maxBucketValues) {
      this.store.countEvicted(weight)
      return false
    }
    rollUp.count += weight
    bucket.values += weight
    rollUp.values.push([value, weight])
    this.addBytes(rollUp, valueBytes)
    return true
  }
}

/** Returns the number of values that each value of a line stands for. The Agent reads a rate that is not between 0 and 1 as 1. */
const weightOf = ({ rate, type }: MetricLine): number => {
  if (type === "d") return rate > 0 && rate <= 1 ? Math.floor(1 / rate) : 1
  const weight = Math.trunc(1 / (rate === 0 ? 1 : rate))
  return Number.isFinite(weight) ? weight : 0
}
