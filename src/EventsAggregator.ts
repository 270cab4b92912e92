/**
 * Stores events in order of recording until a flush drains them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Event } from "./Event.js"
import { makeAttach } from "./internal/aggregation/attach.js"
import { highWaterMark } from "./internal/aggregation/highWaterMark.js"
import type { EventDropReason as DropReason } from "./internal/model/AggregatorStats.js"
import { eventWindow } from "./internal/model/datadogLimits.js"
import * as DropCounters from "./internal/model/DropCounters.js"
import { ThreadStatsConfig, type ThreadStatsSettings } from "./ThreadStatsConfig.js"

export type {
  /**
   * Reason for which the aggregator dropped a recorded event.
   *
   * - `TooManyEvents`, `TooManyBytes`: pending events exceed `maxEvents` or `maxBytes`. The aggregator drops the oldest first.
   * - `Expired`: the event was more than 18 hours old when it was drained. Datadog refuses older events.
   * - `TooNew`: the event was more than 2 hours ahead when it was drained, because the clock was set back.
   * - `Closed`: the scope of the client had closed.
   *
   * @since 0.1.0
   * @category models
   */
  EventDropReason as DropReason
} from "./internal/model/AggregatorStats.js"

/**
 * Counts since the layer was built. `received` equals `pending`, plus all drained events, plus the sum of `dropped`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  /** Number of events that the aggregator was given. */
  readonly received: number
  /** Number of pending events. */
  readonly pending: number
  /** Number of dropped events by reason. */
  readonly dropped: { readonly [R in DropReason]?: number }
}

/**
 * Stores events in order of recording until a flush drains them.
 *
 * @since 0.1.0
 * @category tags
 */
export class EventsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/EventsAggregator")<EventsAggregator, Service>()
{}

/** Declared apart from the tag, because `clone` refers to it. */
interface Service {
  /** Adds an event. Never throws; drops and counts the oldest events if a limit is exceeded. */
  readonly unsafeAdd: (event: Event) => void
  /** {@link unsafeAdd} as an Effect. */
  readonly add: (event: Event) => Effect.Effect<void>
  /**
   * Removes and returns all events in order of recording. Drops those that are too old or too far ahead of `now`, in milliseconds since
   * the epoch.
   */
  readonly drain: (now: number) => Effect.Effect<ReadonlyArray<Event>>
  /** Restores drained events that were not delivered, before the events recorded since. */
  readonly restore: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /** Returns the pending events in order. */
  readonly snapshot: Effect.Effect<ReadonlyArray<Event>>
  /** Loads the events of another aggregator, before all events here. */
  readonly load: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /**
   * Attaches a client until the scope closes. Returns false if another client is attached: the two would split the events. After
   * the last one, the aggregator drops every event as `Closed`.
   */
  readonly attach: Effect.Effect<boolean, never, Scope.Scope>
  /** Creates an empty aggregator with the same settings. */
  readonly clone: Effect.Effect<Service>
  /** Returns true if pending events are near a limit, so that a flush should start. */
  readonly isAboveHighWaterMark: () => boolean
  /** Returns true if a flush would drain and warn of nothing. */
  readonly isIdle: () => boolean
  /** Counts since the layer was built. */
  readonly stats: Effect.Effect<Stats>
  /** Removes and returns the drops that no log line has reported yet. */
  readonly drainWarnings: Effect.Effect<ReadonlyArray<DropCounters.UnreportedDrops<DropReason>>>
}

/**
 * Settings of the aggregator. Any resolved {@link ThreadStatsSettings} has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventsAggregatorSettings
  extends Pick<ThreadStatsSettings, "maxEvents" | "maxBytes" | "acceptedTimestamps">
{}

/** Estimated memory of an event besides its texts, in bytes. */
const eventBytes = 500

const bytesOf = (event: Event): number => {
  let bytes = eventBytes + event.title.length + event.text.length
  for (const tag of event.tags) bytes += tag.length
  return bytes
}

/** Pending events, the oldest first, within their limits. */
class EventBuffer {
  events: Array<Event> = []
  /** Memory of the events, in bytes. */
  bytes = 0
  /** True if the client has closed: every event is dropped. */
  isClosed = false
  readonly drops = DropCounters.make<DropReason>()
  private readonly config: EventsAggregatorSettings

  constructor(config: EventsAggregatorSettings) {
    this.config = config
  }

  push(event: Event): void {
    if (this.isClosed) {
      this.drops.count("Closed", event.title)
      return
    }
    this.events.push(event)
    this.bytes += bytesOf(event)
    this.enforceLimits()
  }

  /** Adds older events before the present ones. */
  prepend(events: ReadonlyArray<Event>): void {
    this.events = [...events, ...this.events]
    for (const event of events) this.bytes += bytesOf(event)
    this.enforceLimits()
  }

  /** Removes all events and returns those whose time Datadog accepts. */
  drain(now: number): ReadonlyArray<Event> {
    const window = this.config.acceptedTimestamps === "any" ? { past: Infinity, future: Infinity } : eventWindow
    const oldest = Math.floor((now - window.past) / 1000)
    const newest = Math.floor((now + window.future) / 1000)
    const drained: Array<Event> = []
    for (const event of this.events) {
      const { date_happened = oldest, title } = event
      if (date_happened < oldest) this.drops.count("Expired", title)
      else if (date_happened > newest) this.drops.count("TooNew", title)
      else drained.push(event)
    }
    this.events = []
    this.bytes = 0
    return drained
  }

  isAboveHighWaterMark(): boolean {
    const { maxBytes, maxEvents } = this.config
    return this.isClosed || this.events.length >= maxEvents * highWaterMark || this.bytes >= maxBytes * highWaterMark
  }

  /** Drops the oldest events until the limits hold. */
  private enforceLimits(): void {
    const { maxBytes, maxEvents } = this.config
    const { events } = this
    let dropped = 0
    for (; dropped < events.length; dropped++) {
      const hasTooMany = events.length - dropped > maxEvents
      if (!hasTooMany && this.bytes <= maxBytes) break
      const event = events[dropped]!
      this.bytes -= bytesOf(event)
      this.drops.count(hasTooMany ? "TooManyEvents" : "TooManyBytes", event.title)
    }
    if (dropped > 0) events.splice(0, dropped)
  }
}

const unsafeMake = (config: EventsAggregatorSettings): EventsAggregator["Type"] => {
  const buffer = new EventBuffer(config)
  let received = 0
  const unsafeAdd = (event: Event) => {
    received++
    buffer.push(event)
  }
  return {
    unsafeAdd,
    add: (event) => Effect.sync(() => unsafeAdd(event)),
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
    clone: make(config),
    isAboveHighWaterMark: () => buffer.isAboveHighWaterMark(),
    isIdle: () => buffer.events.length === 0 && !buffer.drops.hasUnreported(),
    stats: Effect.sync(() => ({ received, pending: buffer.events.length, dropped: buffer.drops.totals() })),
    drainWarnings: Effect.sync(() => buffer.drops.drainUnreported())
  }
}

/**
 * Creates an aggregator with resolved settings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: EventsAggregatorSettings): Effect.Effect<EventsAggregator["Type"]> =>
  Effect.sync(() => unsafeMake(settings))

/**
 * Provides an aggregator with the settings of the `ThreadStatsConfig` service.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EventsAggregator, never, ThreadStatsConfig> = /*#__PURE__*/ Layer.effect(
  EventsAggregator,
  /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig, make)
)
