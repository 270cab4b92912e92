import type { SeriesOptions, Value } from "../model/AggregatedSeries.js"
import type { DropReason } from "../model/AggregatorStats.js"
import type { Kind } from "../model/metricKinds.js"
import type { Entry, Series } from "./bucket.js"
import { canGrow } from "./capacity.js"
import { addFast, addToSeries, internSeries } from "./record.js"
import type { AggregatorState } from "./state.js"
import { isValidValue, validateSeries, type ValidSeries } from "./validation.js"

export interface BindOptions {
  /** Returns the time of a point, in milliseconds since the epoch. */
  readonly now: () => number
  /** Runs after a point, with its time, while pending points are near a limit. */
  readonly onHighWaterMark: (now: number) => void
}

/** Records values of one series. The default value, for counters, is 1. */
export type RecordValue = (value?: Value) => void

/** Series that is validated once and looked up again only after eviction. */
class BoundSeries {
  private readonly state: AggregatorState
  private readonly kind: Kind
  private readonly name: string
  private readonly validation: ValidSeries | DropReason
  private series: Series | undefined = undefined

  constructor(state: AggregatorState, kind: Kind, name: string, point: SeriesOptions | undefined) {
    this.state = state
    this.kind = kind
    this.name = name
    this.validation = validateSeries(name, point)
  }

  /** Adds a value, or counts it as dropped. Returns the series' newest entry, for the next value. */
  addSlow(value: Value | undefined, time: number): Entry | undefined {
    const reason = this.add(value, time)
    if (reason !== undefined) this.state.drops.count(reason, this.name)
    return this.series?.newestEntry
  }

  private add(value: Value | undefined, time: number): DropReason | undefined {
    const { kind, validation } = this
    if (value === undefined || !isValidValue(kind, value)) return "InvalidValue"
    if (!Number.isFinite(time)) return "InvalidTimestamp"
    if (typeof validation === "string") return validation
    const series = this.resolveSeries(validation)
    return typeof series === "string" ? series : addToSeries(this.state, series, value, time)
  }

  private resolveSeries({ host, tags }: ValidSeries): Series | DropReason {
    if (this.series?.canonical !== undefined) return this.series
    const { kind, name, state } = this
    const series = state.index.find(kind, name, tags, host) ?? internSeries(state, kind, name, tags, host)
    this.series = typeof series === "string" ? undefined : series
    return series
  }
}

const bindCounter = (state: AggregatorState, bound: BoundSeries, options: BindOptions): RecordValue => {
  const { now, onHighWaterMark } = options
  let entry: Entry | undefined
  return (value = 1) => {
    const time = now()
    if (
      entry?.bucket !== state.currentBucket || time !== state.currentTime || entry.pending === 0 ||
      !Number.isFinite(value)
    ) {
      entry = bound.addSlow(value, time)
    } else {
      entry.bucket.isChanged = true
      entry.pending++
      state.pendingPoints++
      entry.value += value as number
    }
    if (state.isAboveHighWaterMark) onHighWaterMark(time)
  }
}

const bindGauge = (state: AggregatorState, bound: BoundSeries, options: BindOptions): RecordValue => {
  const { now, onHighWaterMark } = options
  let entry: Entry | undefined
  return (value) => {
    const time = now()
    if (
      entry?.bucket !== state.currentBucket || time !== state.currentTime || entry.pending === 0 ||
      !Number.isFinite(value)
    ) {
      entry = bound.addSlow(value, time)
    } else {
      entry.bucket.isChanged = true
      entry.pending++
      state.pendingPoints++
      entry.value = value as number
    }
    if (state.isAboveHighWaterMark) onHighWaterMark(time)
  }
}

const bindRollUp = (state: AggregatorState, kind: Kind, bound: BoundSeries, options: BindOptions): RecordValue => {
  const { now, onHighWaterMark } = options
  const accumulation = state.accumulationOf(kind)
  let entry: Entry | undefined
  return (value) => {
    const time = now()
    if (
      entry?.bucket !== state.currentBucket || time !== state.currentTime || entry.pending === 0 ||
      !canGrow(state, accumulation) || !Number.isFinite(value)
    ) {
      entry = bound.addSlow(value, time)
    } else {
      addFast(state, accumulation, entry, value as number)
    }
    if (state.isAboveHighWaterMark) onHighWaterMark(time)
  }
}

/** Binds a series: validates name, tags and host once, and returns a function that records values. */
export const bindSeries = (
  state: AggregatorState,
  kind: Kind,
  name: string,
  point: SeriesOptions | undefined,
  options: BindOptions
): RecordValue => {
  const bound = new BoundSeries(state, kind, name, point)
  switch (state.accumulationOf(kind)) {
    case "sum":
      return bindCounter(state, bound, options)
    case "last":
      return bindGauge(state, bound, options)
    default:
      return bindRollUp(state, kind, bound, options)
  }
}
