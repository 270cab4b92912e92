/** Changes of the store since the last update of the feed. */
import type { Arrival, SeriesEntry } from "./entries.js"
import type { EventRow, Health, Update } from "./feedProtocol.js"
import { toPoint } from "./logHistogram.js"

/** Parts of the store that an update publishes. */
export interface UpdateContent {
  readonly series: Iterable<SeriesEntry>
  /** Seconds with new data, by series. */
  readonly seconds: Iterable<readonly [entry: SeriesEntry, seconds: Iterable<number>]>
  readonly events: Iterable<EventRow>
  readonly arrivals: Iterable<Arrival>
  /** Identifiers of evicted series. */
  readonly evicted: Iterable<number>
}

/** Builds an update in the form of the feed. */
export const makeUpdate = (content: UpdateContent, now: number, health: Health): Update => {
  const points: Array<Update["points"][number]> = []
  const distributions: Array<Update["distributions"][number]> = []
  for (const [{ histograms, points: values, published }, seconds] of content.seconds) {
    for (const second of seconds) {
      const value = values.get(second)
      const histogram = histograms.get(second)
      if (value !== undefined) points.push([published.id, second, value])
      if (histogram !== undefined) distributions.push(toPoint(published.id, second, histogram))
    }
  }
  return {
    now,
    series: Array.from(content.series, ({ published }) => published),
    points,
    distributions,
    events: Array.from(content.events),
    requests: Array.from(content.arrivals, ({ row }) => row),
    health: { ...health },
    evicted: Array.from(content.evicted)
  }
}

/** Collects changes for the next update. It collects nothing while the feed has no reader. */
export class PendingChanges {
  private isCollecting = false
  private readonly series = new Set<SeriesEntry>()
  private readonly seconds = new Map<SeriesEntry, Set<number>>()
  private readonly events = new Set<EventRow>()
  private readonly arrivals = new Set<Arrival>()
  private readonly evicted = new Set<number>()

  start(): void {
    this.isCollecting = true
  }

  stop(): void {
    this.isCollecting = false
    this.clear()
  }

  clear(): void {
    for (const changed of [this.series, this.seconds, this.events, this.arrivals, this.evicted]) changed.clear()
  }

  addSeries(entry: SeriesEntry): void {
    if (this.isCollecting) this.series.add(entry)
  }

  addPoint(entry: SeriesEntry, second: number): void {
    if (!this.isCollecting) return
    const seconds = this.seconds.get(entry)
    if (seconds === undefined) this.seconds.set(entry, new Set([second]))
    else seconds.add(second)
  }

  addEvent(event: EventRow): void {
    if (this.isCollecting) this.events.add(event)
  }

  addArrival(arrival: Arrival): void {
    if (this.isCollecting) this.arrivals.add(arrival)
  }

  /** Announces an eviction to all readers. The store does not track which readers know the series. */
  evictSeries(entry: SeriesEntry): void {
    this.series.delete(entry)
    this.seconds.delete(entry)
    if (this.isCollecting) this.evicted.add(entry.published.id)
  }

  evictPoint(entry: SeriesEntry, second: number): void {
    this.seconds.get(entry)?.delete(second)
  }

  evictEvent(event: EventRow): void {
    this.events.delete(event)
  }

  evictArrival(arrival: Arrival): void {
    this.arrivals.delete(arrival)
  }

  /** Returns the collected changes as an update and begins anew; `undefined` if nothing changed. */
  drain(now: number, health: Health): Update | undefined {
    const { arrivals, events, evicted, seconds, series } = this
    if (arrivals.size + events.size + evicted.size + seconds.size + series.size === 0) return undefined
    const update = makeUpdate({ arrivals, events, evicted, seconds, series }, now, health)
    this.clear()
    return update
  }
}
