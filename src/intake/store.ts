/**
 * Memory of the intake. It keeps the accepted payloads as they arrived, and a second view for the page: series as Datadog
 * identifies them, with one value per second. The oldest data beyond the limits is evicted and counted.
 */
import { Budget, measureJson } from "./budget.js"
import { makeUpdate, PendingChanges } from "./changes.js"
import { EvictingList } from "./evictingList.js"
import { emptyHealth, type EventRow, type Health, type Update } from "./feedProtocol.js"
import { Findings } from "./findings.js"
import type {
  AcceptedDistribution,
  AcceptedEvent,
  AcceptedSeries,
  IntakeLimits,
  IntakeSummary,
  ServiceCheck,
  Writable
} from "./model.js"
import { RequestLog } from "./requestLog.js"
import { SeriesTable } from "./seriesTable.js"
import { countValues, emptySummary } from "./totals.js"
import type { Verdict } from "./verdict.js"

/** An accepted item with its estimated memory, in bytes. */
interface Kept<A> {
  readonly item: A
  readonly bytes: number
}

type OldestFirst = Pick<EvictingList<unknown>, "bytes" | "evict">

/** Maximum number of verdicts of one event. */
const maxVerdicts = 20

export class Store {
  readonly budget: Budget
  readonly changes: PendingChanges
  readonly findings: Findings
  readonly requests: RequestLog
  readonly table: SeriesTable
  private readonly limits: IntakeLimits
  private readonly totals: Writable<Health> = { ...emptyHealth }
  private readonly counts: Writable<IntakeSummary> = { ...emptySummary }
  private readonly acceptedSeries = this.makeList<AcceptedSeries>()
  private readonly acceptedDistributions = this.makeList<AcceptedDistribution>()
  private readonly acceptedChecks = this.makeList<ServiceCheck>()
  private readonly acceptedEvents = this.makeList<{ readonly event: AcceptedEvent; readonly row: EventRow }>()
  private lastId = 0

  constructor(limits: IntakeLimits) {
    const nextId = () => ++this.lastId
    this.limits = limits
    this.budget = new Budget(limits.bytes)
    this.changes = new PendingChanges()
    this.findings = new Findings(this.totals)
    this.requests = new RequestLog(limits, this.totals, this.changes, this.findings, this.budget, nextId)
    this.table = new SeriesTable(limits, this.totals, this.changes, this.budget, nextId)
    const lists: ReadonlyArray<OldestFirst> = [this.acceptedSeries, this.acceptedDistributions, this.acceptedChecks]
    for (const list of lists) {
      this.budget.add({ bytes: () => list.bytes, evictOldest: () => this.evictOldest(list) })
    }
    this.budget.add({ bytes: () => this.acceptedEvents.bytes, evictOldest: () => this.evictOldestEvent() })
  }

  get health(): Health {
    return this.totals
  }

  /** Counts since the start or the last clear, without open DogStatsD buckets. */
  get summary(): IntakeSummary {
    return this.counts
  }

  get series(): ReadonlyArray<AcceptedSeries> {
    return this.acceptedSeries.all().map(({ item }) => item)
  }

  get distributions(): ReadonlyArray<AcceptedDistribution> {
    return this.acceptedDistributions.all().map(({ item }) => item)
  }

  get events(): ReadonlyArray<AcceptedEvent> {
    return this.acceptedEvents.all().map(({ item }) => item.event)
  }

  get serviceChecks(): ReadonlyArray<ServiceCheck> {
    return this.acceptedChecks.all().map(({ item }) => item)
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

  acceptServiceCheck(check: ServiceCheck): void {
    this.append(this.acceptedChecks, check, this.limits.events)
  }

  acceptEvent(event: AcceptedEvent, verdicts: ReadonlyArray<Verdict>, now: number): void {
    this.totals.events++
    this.counts.events++
    const row: EventRow = {
      id: ++this.lastId,
      timestamp: event.date_happened ?? Math.floor(now / 1000),
      title: event.title,
      text: event.text,
      alertType: event.alert_type ?? "info",
      priority: event.priority ?? "normal",
      tags: event.tags ?? [],
      host: event.host ?? "",
      verdicts: verdicts.slice(0, maxVerdicts)
    }
    // The row shares its text with the event.
    this.acceptedEvents.add({ item: { event, row }, bytes: measureJson(event).bytes + measureJson(row.verdicts).bytes })
    this.changes.addEvent(row)
    while (this.acceptedEvents.length > this.limits.events) this.evictOldestEvent()
  }

  /** Evicts what exceeds the budget. A caller calls it after each request or datagram. */
  enforceBudget(): void {
    this.budget.enforce()
  }

  /** Counts a request, with the length of its body on the wire. */
  countRequest(bytes: number): void {
    this.counts.requests++
    this.counts.bytes += bytes
  }

  /** Counts a request or datagram by its outcome. */
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
        events: this.acceptedEvents.all().map(({ item }) => item.row),
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
    for (const list of [this.acceptedSeries, this.acceptedDistributions, this.acceptedChecks, this.acceptedEvents]) {
      list.clear()
    }
    Object.assign(this.totals, emptyHealth)
    Object.assign(this.counts, emptySummary)
  }

  private makeList<A>(): EvictingList<Kept<A>> {
    return new EvictingList(({ bytes }) => bytes)
  }

  private append<A>(list: EvictingList<Kept<A>>, item: A, limit: number): void {
    list.add({ item, bytes: measureJson(item).bytes })
    while (list.length > limit) this.evictOldest(list)
  }

  private evictOldest(list: OldestFirst): boolean {
    if (list.evict() === undefined) return false
    this.countEvicted(1)
    return true
  }

  private evictOldestEvent(): boolean {
    const evicted = this.acceptedEvents.evict()
    if (evicted === undefined) return false
    this.changes.evictEvent(evicted.item.row)
    this.countEvicted(1)
    return true
  }
}
