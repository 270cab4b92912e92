/** Log of requests and datagrams, with their answers and verdicts. */
import { type Budget, measureJson, sizeOfText } from "./budget.js"
import type { PendingChanges } from "./changes.js"
import type { Arrival } from "./entries.js"
import { EvictingList } from "./evictingList.js"
import type { Health, RequestRow } from "./feedProtocol.js"
import type { Findings } from "./findings.js"
import type { IntakeLimits, IntakeRequest, Writable } from "./model.js"
import { cutToLine, type Verdict } from "./verdict.js"

/** Maximum number of verdicts of one request. */
const maxVerdicts = 20

/** Estimated memory of a row and its verdicts, in bytes. */
const rowMemory = 2048

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
  private readonly arrivals = new EvictingList<Arrival>(({ memory }) => memory)
  /** Arrivals whose body is kept. */
  private readonly bodies = new EvictingList<Arrival>(({ bodyMemory }) => bodyMemory)

  constructor(
    limits: IntakeLimits,
    health: Writable<Health>,
    changes: PendingChanges,
    findings: Findings,
    budget: Budget,
    nextId: () => number
  ) {
    this.limits = limits
    this.health = health
    this.changes = changes
    this.findings = findings
    this.nextId = nextId
    budget.add({ bytes: () => this.arrivals.bytes, evictOldest: () => this.evictOldest() })
    budget.add({ bytes: () => this.bodies.bytes, evictOldest: () => this.evictOldestBody() })
  }

  /** Returns all requests and datagrams, oldest first. */
  all(): ReadonlyArray<Arrival> {
    return this.arrivals.all()
  }

  /** Adds a request with the memory of its body, or a datagram if the request is absent. */
  add(received: ReceivedRow, request: Writable<IntakeRequest> | undefined, bodyMemory = 0): Arrival {
    const row: RequestRow = {
      id: this.nextId(),
      ...received,
      target: cutToLine(received.target),
      userAgent: cutToLine(received.userAgent),
      encoding: cutToLine(received.encoding),
      points: 0,
      status: null,
      duration: null,
      fault: null,
      reason: null,
      verdicts: [],
      more: 0
    }
    const headers = request === undefined ? 0 : measureJson(request.headers).bytes + sizeOfText(request.path)
    const arrival: Arrival = { row, request, memory: rowMemory + headers, bodyMemory, isRetained: true }
    if (request === undefined) this.health.datagrams++
    else this.health.requests++
    this.health.bytes += row.bytes
    this.health.unpackedBytes += row.unpackedBytes
    this.arrivals.add(arrival)
    if (request?.body !== undefined) this.bodies.add(arrival)
    while (this.arrivals.length > this.limits.requests) this.evictOldest()
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
    for (const arrival of this.arrivals.all()) arrival.isRetained = false
    this.arrivals.clear()
    this.bodies.clear()
  }

  private evictOldest(): boolean {
    const evicted = this.arrivals.oldest
    if (evicted === undefined) return false
    if (this.bodies.oldest === evicted) this.evictOldestBody()
    this.arrivals.evict()
    evicted.isRetained = false
    this.changes.evictArrival(evicted)
    this.health.evicted++
    return true
  }

  private evictOldestBody(): boolean {
    const evicted = this.bodies.evict()
    if (evicted?.request === undefined) return false
    evicted.request.body = undefined
    this.health.evicted++
    return true
  }
}
