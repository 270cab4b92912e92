/** Log of requests and datagrams, with their answers and verdicts. */
import type { PendingChanges } from "./changes.js"
import type { Arrival } from "./entries.js"
import type { Health, RequestRow } from "./feedProtocol.js"
import type { Findings } from "./findings.js"
import type { IntakeLimits, IntakeRequest, Writable } from "./model.js"
import type { Verdict } from "./verdict.js"

/** Maximum number of verdicts of one request. */
const maxVerdicts = 20

/** Parts of a {@link RequestRow} that are known on arrival. */
export type ReceivedRow = Pick<
  RequestRow,
  "at" | "protocol" | "target" | "userAgent" | "encoding" | "bytes" | "unpackedBytes" | "items"
>

/** Parts of a {@link RequestRow} that the answer sets. */
export type AnswerFields = Partial<Pick<RequestRow, "status" | "duration" | "fault" | "reason" | "items" | "points">>

export class RequestLog {
  private readonly limits: IntakeLimits
  private readonly health: Writable<Health>
  private readonly changes: PendingChanges
  private readonly findings: Findings
  private readonly nextId: () => number
  private readonly arrivals: Array<Arrival> = []
  private bodyBytes = 0

  constructor(
    limits: IntakeLimits,
    health: Writable<Health>,
    changes: PendingChanges,
    findings: Findings,
    nextId: () => number
  ) {
    this.limits = limits
    this.health = health
    this.changes = changes
    this.findings = findings
    this.nextId = nextId
  }

  /** Returns all requests and datagrams, oldest first. */
  all(): ReadonlyArray<Arrival> {
    return this.arrivals
  }

  /** Adds a request, or a datagram if the request is absent. */
  add(received: ReceivedRow, request: Writable<IntakeRequest> | undefined): Arrival {
    const row: RequestRow = {
      id: this.nextId(),
      ...received,
      points: 0,
      status: null,
      duration: null,
      fault: null,
      reason: null,
      verdicts: [],
      more: 0
    }
    const arrival: Arrival = { row, request, isRetained: true }
    if (request === undefined) this.health.datagrams++
    else this.health.requests++
    this.health.bytes += row.bytes
    this.health.unpackedBytes += row.unpackedBytes
    this.arrivals.push(arrival)
    while (this.arrivals.length > this.limits.requests) this.evictOldest()
    if (request?.body !== undefined) this.enforceBodyLimit(row.unpackedBytes)
    this.changes.addArrival(arrival)
    return arrival
  }

  /** Sets parts of the answer, and adds verdicts. */
  update(arrival: Arrival, answer: AnswerFields, verdicts: ReadonlyArray<Verdict> = []): void {
    const { request, row } = arrival
    Object.assign(row, answer)
    if (verdicts.length > 0) {
      this.findings.add(verdicts)
      const all = [...row.verdicts, ...verdicts]
      row.more += Math.max(0, all.length - maxVerdicts)
      row.verdicts = all.slice(0, maxVerdicts)
    }
    if (request !== undefined) {
      request.status = row.status ?? undefined
      request.duration = row.duration ?? undefined
      request.fault = row.fault ?? undefined
      request.reason = row.reason ?? undefined
      request.verdicts = row.verdicts
      const { status } = answer
      if (status !== undefined && status !== null && (status < 200 || status > 299)) this.health.refused++
    }
    if (arrival.isRetained) this.changes.addArrival(arrival)
  }

  clear(): void {
    for (const arrival of this.arrivals) arrival.isRetained = false
    this.arrivals.length = 0
    this.bodyBytes = 0
  }

  private evictOldest(): void {
    const evicted = this.arrivals.shift()!
    evicted.isRetained = false
    this.changes.evictArrival(evicted)
    this.evictBody(evicted)
    this.health.evicted++
  }

  private evictBody({ request, row }: Arrival): void {
    if (request?.body === undefined) return
    this.bodyBytes -= row.unpackedBytes
    request.body = undefined
  }

  private enforceBodyLimit(addedBytes: number): void {
    this.bodyBytes += addedBytes
    for (const arrival of this.arrivals) {
      if (this.bodyBytes <= this.limits.bodyBytes) return
      if (arrival.request?.body === undefined) continue
      this.evictBody(arrival)
      this.health.evicted++
    }
  }
}
