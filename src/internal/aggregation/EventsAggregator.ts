import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EventDropReason, EventsAggregatorStats } from "../model/AggregatorStats.js"
import type { UnreportedDrops } from "../model/DropCounters.js"
import type { Event } from "../model/Event.js"
import { makeAttach } from "./attach.js"
import { EventBuffer, type EventsAggregatorSettings } from "./eventBuffer.js"

/** Operations of the public service. */
export interface EventsAggregatorService {
  /**
   * Adds an event. Returns true if pending events are near a limit, so that a flush should start. Never throws; drops and counts the
   * oldest events if a limit is exceeded.
   */
  readonly unsafeAdd: (event: Event) => boolean
  /** {@link unsafeAdd} as an Effect. */
  readonly add: (event: Event) => Effect.Effect<void>
  /**
   * Removes and returns all events in order of recording. Drops those that are too old or too far ahead of `now`, in milliseconds since
   * the epoch.
   */
  readonly drain: (now: number) => Effect.Effect<ReadonlyArray<Event>>
  /** Restores drained events that were not delivered, before the events recorded since. */
  readonly restore: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /** Counts since the layer was built. */
  readonly stats: Effect.Effect<EventsAggregatorStats>
}

/** Operations of the aggregator in a pipeline. */
export interface PipelineEventsAggregatorService extends EventsAggregatorService {
  /** Settings of the aggregator. */
  readonly settings: EventsAggregatorSettings
  /** Returns the pending events in order. */
  readonly snapshot: Effect.Effect<ReadonlyArray<Event>>
  /** Loads the events of another aggregator, before all events here. */
  readonly load: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /**
   * Attaches a client until the scope closes. Returns false if another client is attached: the two would split the events. After
   * the last one, the aggregator drops every event as `Closed`.
   */
  readonly attach: Effect.Effect<boolean, never, Scope.Scope>
  /** Returns true if a flush would drain and warn of nothing. */
  readonly isIdle: () => boolean
  /** Removes and returns the drops that no log line has reported yet. */
  readonly drainWarnings: Effect.Effect<ReadonlyArray<UnreportedDrops<EventDropReason>>>
}

/** The events aggregator in a pipeline. See `PipelineMetricsAggregator`. */
export class PipelineEventsAggregator extends /*#__PURE__*/ Context.Tag("effect-threadstats/EventsAggregator/Pipeline")<
  PipelineEventsAggregator,
  PipelineEventsAggregatorService
>() {}

const unsafeMake = (settings: EventsAggregatorSettings): PipelineEventsAggregatorService => {
  const buffer = new EventBuffer(settings)
  let received = 0
  const unsafeAdd = (event: Event) => {
    received++
    buffer.push(event)
    return buffer.isAboveHighWaterMark()
  }
  return {
    settings,
    unsafeAdd,
    add: (event) => Effect.sync(() => void unsafeAdd(event)),
    drain: (now) => Effect.sync(() => buffer.drain(now)),
    restore: (events) => Effect.sync(() => buffer.prepend(events)),
    snapshot: Effect.sync(() => buffer.events.slice()),
    load: (events) =>
      Effect.sync(() => {
        received += events.length
        buffer.prepend(events)
      }),
    attach: makeAttach((isClosed) => {
      buffer.isClosed = isClosed
    }),
    isIdle: () => buffer.events.length === 0 && !buffer.drops.hasUnreported(),
    stats: Effect.sync(() => ({ received, pending: buffer.events.length, dropped: buffer.drops.totals() })),
    drainWarnings: Effect.sync(() => buffer.drops.drainUnreported())
  }
}

/** Creates an empty aggregator. */
export const make = (settings: EventsAggregatorSettings): Effect.Effect<PipelineEventsAggregatorService> =>
  Effect.sync(() => unsafeMake(settings))
