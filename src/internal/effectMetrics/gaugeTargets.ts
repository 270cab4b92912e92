import type * as Clock from "effect/Clock"
import { joinSortedTags, type SeriesIdentity } from "../model/seriesIdentity.js"
import type { Sink } from "./sink.js"

/** A gauge at Datadog. More than one metric may write to it. */
interface GaugeTarget {
  readonly name: string
  readonly tags: ReadonlyArray<string>
  value: number | undefined
  hasChanged: boolean
  /** Period in which the gauge was reported last. */
  period: number
}

/** Writes the current value of one metric to its target. */
export type UpdateGauge = (value: number | undefined) => void

export interface GaugeTargets {
  readonly add: (name: string, tags: ReadonlyArray<string>) => UpdateGauge
  /** Reports changed gauges, and unchanged ones once per period. */
  readonly report: (sink: Sink) => void
}

export const make = (clock: Clock.Clock, intervalMillis: number, identity: SeriesIdentity): GaugeTargets => {
  const targets = new Map<string, GaugeTarget>()

  const getTarget = (name: string, tags: ReadonlyArray<string>): GaugeTarget => {
    const id = JSON.stringify([identity.storedName(name), joinSortedTags(identity.distinctTags(tags).stored)])
    let target = targets.get(id)
    if (target === undefined) {
      target = { name, tags, value: undefined, hasChanged: false, period: Number.NaN }
      targets.set(id, target)
    }
    return target
  }

  return {
    add: (name, tags) => {
      const target = getTarget(name, tags)
      let lastValue: number | undefined
      return (value) => {
        // An unchanged metric must not overwrite the value of another one with the same target.
        if (Object.is(value, lastValue)) return
        lastValue = value
        target.value = value
        target.hasChanged = true
      }
    },
    report: (sink) => {
      const period = intervalMillis === 0 ? Number.NaN : Math.floor(clock.unsafeCurrentTimeMillis() / intervalMillis)
      for (const target of targets.values()) {
        const { hasChanged, value } = target
        if (value === undefined || (!hasChanged && target.period === period)) continue
        // The client drops and counts a non-finite value. Once is enough.
        if (!hasChanged && !Number.isFinite(value)) continue
        target.hasChanged = false
        target.period = period
        sink.unsafeGauge(target.name, value, { tags: target.tags })
      }
    }
  }
}
