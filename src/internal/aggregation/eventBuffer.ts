import type { EventDropReason } from "../model/AggregatorStats.js"
import { eventWindow } from "../model/datadogLimits.js"
import * as DropCounters from "../model/DropCounters.js"
import type { Event } from "../model/Event.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import { highWaterMark } from "./highWaterMark.js"

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
export class EventBuffer {
  events: Array<Event> = []
  /** Memory of the events, in bytes. */
  bytes = 0
  /** True if the client has closed: every event is dropped. */
  isClosed = false
  readonly drops = DropCounters.make<EventDropReason>()
  private readonly settings: EventsAggregatorSettings

  constructor(settings: EventsAggregatorSettings) {
    this.settings = settings
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
    const window = this.settings.acceptedTimestamps === "any" ? { past: Infinity, future: Infinity } : eventWindow
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
    const { maxBytes, maxEvents } = this.settings
    return this.isClosed || this.events.length >= maxEvents * highWaterMark || this.bytes >= maxBytes * highWaterMark
  }

  /** Drops the oldest events until the limits hold. */
  private enforceLimits(): void {
    const { maxBytes, maxEvents } = this.settings
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
