import type * as Clock from "effect/Clock"
import { maxSuffixLength } from "../../RollUp.js"
import type { Value } from "../model/AggregatedSeries.js"
import type { TruncationReason } from "../model/AggregatorStats.js"
import * as limits from "../model/datadogLimits.js"
import * as DropCounters from "../model/DropCounters.js"
import type { Event } from "../model/Event.js"
import { buildEvent, type EventFault, type EventOptions } from "../model/eventBuilder.js"
import type { InstrumentOptions, PointOptions } from "../model/instruments.js"
import { type Kind, kinds } from "../model/metricKinds.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import type { EventDropReason, MetricDropReason } from "../model/Stats.js"
import { toMillis, windowFault } from "../model/time.js"
import type { Pipeline } from "../pipeline/Pipeline.js"
import type { PreAggregationDrops } from "../pipeline/PipelineState.js"
import * as coarseClock from "../runtime/coarseClock.js"

/** Receives everything that a program records. None of its functions throws. */
export interface RecordSink {
  readonly point: (kind: Kind, name: string, value: Value, options: PointOptions | undefined) => void
  readonly bind: (kind: Kind, name: string, options: InstrumentOptions | undefined) => (value?: Value) => void
  readonly event: (title: string, text: string, options: EventOptions | undefined) => void
}

/** Sink of a disabled client, which discards everything. */
export const discard: RecordSink = { point() {}, bind: () => () => {}, event() {} }

/** Creates the counters of points and events that are dropped before they reach an aggregator. */
export const makePreAggregationDrops = (): PreAggregationDrops => ({
  received: { metrics: 0, events: 0 },
  metricDrops: DropCounters.make<MetricDropReason>(),
  eventDrops: DropCounters.make<EventDropReason>(),
  truncations: DropCounters.make<TruncationReason>()
})

/** Returns a predicate for names that exceed Datadog's limit with namespace and suffix. */
const makeIsTooLong = (config: ThreadStatsSettings): (kind: Kind, name: unknown) => boolean => {
  const prefixLength = config.namespace === "" ? 0 : config.namespace.length + 1
  const maxLengths = Object.fromEntries(
    kinds.map((kind) => [kind, limits.nameLength - prefixLength - maxSuffixLength(kind, config)])
  ) as { readonly [K in Kind]: number }
  const smallest = Math.min(...Object.values(maxLengths))
  // Most names are shorter than the smallest limit, and comparing two numbers is cheaper than a lookup by kind.
  return (kind, name) => typeof name === "string" && name.length > smallest && name.length > maxLengths[kind]
}

/** Creates the sink that validates names, times and events, counts the rejected ones, and passes the others to the pipeline. */
export const makeRecordSink = ({ clock, config, drops, pipeline }: {
  readonly config: ThreadStatsSettings
  readonly clock: Clock.Clock
  readonly pipeline: Pick<Pipeline, "bind" | "unsafeAdd" | "unsafeAddEvent">
  readonly drops: PreAggregationDrops
}): RecordSink => {
  const readNow = coarseClock.make(clock)
  const isTooLong = makeIsTooLong(config)
  const pointWindow = config.acceptedTimestamps === "any" ? undefined : limits.pointWindow
  const dropPoint = (reason: MetricDropReason, name: unknown) => {
    drops.received.metrics++
    drops.metricDrops.count(reason, name)
  }
  return {
    point(kind, name, value, options) {
      if (isTooLong(kind, name)) return dropPoint("NameTooLong", name)
      const now = readNow()
      if (options === undefined) return pipeline.unsafeAdd(kind, name, value, now, now, undefined)
      try {
        const timestamp = options?.timestamp
        if (timestamp === undefined) return pipeline.unsafeAdd(kind, name, value, now, now, options)
        const time = toMillis(timestamp)
        const fault = windowFault(time, now, pointWindow)
        return fault === undefined
          ? pipeline.unsafeAdd(kind, name, value, time, now, options)
          : dropPoint(fault, name)
      } catch {
        // A getter or a proxy among the options threw.
        dropPoint("InvalidTimestamp", name)
      }
    },
    bind: (kind, name, options) =>
      isTooLong(kind, name)
        ? () => dropPoint("NameTooLong", name)
        : pipeline.bind(kind, name, options, readNow),
    event(title, text, options = {}) {
      const now = readNow()
      let built: Event | EventFault
      try {
        built = buildEvent(config, now, title, text, options, (reason) => drops.truncations.count(reason, title))
      } catch {
        built = "InvalidEvent"
      }
      if (typeof built !== "string") return pipeline.unsafeAddEvent(built, now)
      drops.received.events++
      drops.eventDrops.count(built, title)
    }
  }
}
