/**
 * Memory of the intake. It keeps the accepted payloads as they arrived, and a second view for the page: series as Datadog
 * identifies them, with one value per second. The oldest data beyond the limits is evicted and counted.
 */
import { makeUpdate, PendingChanges } from "./changes.js"
import { emptyHealth, type EventRow, type Health, type Update } from "./feedProtocol.js"
import { Findings } from "./findings.js"
import type {
  AcceptedDistribution,
  AcceptedEvent,
  AcceptedSeries,
  IntakeLimits,
  IntakeSummary,
  Writable
} from "./model.js"
import { RequestLog } from "./requestLog.js"
import { SeriesTable } from "./seriesTable.js"
import { countValues, emptySummary } from "./totals.js"
import type { Verdict } from "./verdict.js"

export class Store {
  readonly changes: PendingChanges
  readonly findings: Findings
  readonly requests: RequestLog
  readonly table: SeriesTable
  private readonly limits: IntakeLimits
  private readonly totals: Writable<Health> = { ...emptyHealth }
  private readonly counts: Writable<IntakeSummary> = { ...emptySummary }
  private readonly acceptedSeries: Array<AcceptedSeries> = []
  private readonly acceptedDistributions: Array<AcceptedDistribution> = []
  private readonly acceptedEvents: Array<AcceptedEvent> = []
  private readonly eventRows: Array<EventRow> = []
  private lastId = 0

  constructor(limits: IntakeLimits) {
    const nextId = () => ++this.lastId
    this.limits = limits
    this.changes = new PendingChanges()
    this.findings = new Findings(this.totals)
    this.requests = new RequestLog(limits, this.totals, this.changes, this.findings, nextId)
    this.table = new SeriesTable(limits, this.totals, this.changes, nextId)
  }

  get health(): Health {
    return this.totals
  }

  /** Counts since the start or the last clear, without open DogStatsD buckets. */
  get summary(): IntakeSummary {
    return this.counts
  }

  get series(): ReadonlyArray<AcceptedSeries> {
    return this.acceptedSeries
  }

  get distributions(): ReadonlyArray<AcceptedDistribution> {
    return this.acceptedDistributions
  }

  get events(): ReadonlyArray<AcceptedEvent> {
    return this.acceptedEvents
  }

  acceptSeries(item: AcceptedSeries): void {
    this.totals.points += item.points.length
    this.counts.series++
    this.counts.points += item.points.length
    this.append(this.acceptedSeries, item, this.limits.accepted)
  }

  acceptDistribution(item: AcceptedDistribution): void {
    const values = countValues(item)
    this.totals.values += values
    this.counts.distributions++
    this.counts.values += values
    this.append(this.acceptedDistributions, item, this.limits.accepted)
  }

  acceptEvent(event: AcceptedEvent, verdicts: ReadonlyArray<Verdict>, now: number): void {
    this.totals.events++
    this.counts.events++
    this.append(this.acceptedEvents, event, this.limits.events)
    const row: EventRow = {
      id: ++this.lastId,
      timestamp: event.date_happened ?? Math.floor(now / 1000),
      title: event.title,
      text: event.text,
      alertType: event.alert_type ?? "info",
      priority: event.priority ?? "normal",
      tags: event.tags ?? [],
      host: event.host ?? "",
      verdicts
    }
    this.eventRows.push(row)
    this.changes.addEvent(row)
    if (this.eventRows.length > this.limits.events) this.changes.evictEvent(this.eventRows.shift()!)
  }

  /** Counts a request, with the length of its body on the wire. */
  countRequest(bytes: number): void {
    this.counts.requests++
    this.counts.bytes += bytes
  }

  /** Counts a request or datagram by what became of it. */
  countOutcome(outcome: "accepted" | "refused" | "faulted"): void {
    this.counts[outcome]++
  }

  /** Counts data that a limit discards. */
  countEvicted(count: number): void {
    this.totals.evicted += count
  }

  /** Returns the changes since the last call; `undefined` if nothing changed. */
  drainChanges(now: number): Update | undefined {
    return this.changes.drain(now, this.totals)
  }

  /** Returns the whole content for a new reader of the feed. */
  snapshot(now: number): Update {
    const series = Array.from(this.table.all())
    return makeUpdate(
      {
        series,
        seconds: series.map((entry) => [entry, [...entry.points.keys(), ...entry.histograms.keys()]] as const),
        events: this.eventRows,
        arrivals: this.requests.all(),
        evicted: []
      },
      now,
      this.totals
    )
  }

  clear(): void {
    this.requests.clear()
    this.table.clear()
    this.findings.clear()
    this.changes.clear()
    for (const list of [this.acceptedSeries, this.acceptedDistributions, this.acceptedEvents, this.eventRows]) {
      list.length = 0
    }
    Object.assign(this.totals, emptyHealth)
    Object.assign(this.counts, emptySummary)
  }

  private append<A>(list: Array<A>, item: A, limit: number): void {
    list.push(item)
    while (list.length > limit) {
      list.shift()
      this.countEvicted(1)
    }
  }
}
