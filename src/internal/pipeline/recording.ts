import * as Duration from "effect/Duration"
import type { SeriesOptions, Value } from "../model/AggregatedSeries.js"
import type { Event } from "../model/Event.js"
import type { Kind } from "../model/metricKinds.js"
import type { PipelineServices } from "./PipelineOptions.js"

/** The part of a pipeline that records. None of its functions throws. */
export interface Recording {
  /** Adds a point, and starts a flush above the high-water mark. All times are in milliseconds since the epoch. */
  readonly unsafeAdd: (
    kind: Kind,
    name: string,
    value: Value,
    time: number,
    now: number,
    series: SeriesOptions | undefined
  ) => void
  /** Returns a function that adds points of one series at the time of `now`. Default of a counter's value: 1. */
  readonly bind: (
    kind: Kind,
    name: string,
    series: SeriesOptions | undefined,
    now: () => number
  ) => (value?: Value) => void
  /** Adds an event, and starts a flush above the high-water mark. */
  readonly unsafeAddEvent: (event: Event, now: number) => void
}

/** Makes the functions that record. They call `onHighWaterMark` with the time of each point while pending data is near a limit. */
export const makeRecording = (
  { aggregator, eventsAggregator }: Pick<PipelineServices, "aggregator" | "eventsAggregator">,
  onHighWaterMark: (now: number) => void
): Recording => ({
  unsafeAdd(kind, name, value, time, now, series) {
    if (aggregator.unsafeAdd(kind, name, value, time, series)) onHighWaterMark(now)
  },
  bind: (kind, name, series, now) => aggregator.bind(kind, name, series, { now, onHighWaterMark }),
  unsafeAddEvent(event, now) {
    if (eventsAggregator.unsafeAdd(event)) onHighWaterMark(now)
  }
})

/**
 * Makes the function that flushes above a high-water mark, at most once per flush timeout: if it does not help, the limit itself
 * has to.
 */
export const makeFlushEarly = (flushTimeout: Duration.Duration, flush: () => void): (now: number) => void => {
  const pause = Duration.toMillis(flushTimeout)
  let last = -Infinity
  return (now) => {
    // The wall clock, which every point has at hand. A clock that was set back ends the pause as well.
    if (now >= last && now - last < pause) return
    last = now
    flush()
  }
}
