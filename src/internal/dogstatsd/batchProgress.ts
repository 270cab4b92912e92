import * as Arr from "effect/Array"
import type { Reason } from "../model/Delivery.js"
import type { Packet } from "./packets.js"
import type { SocketError } from "./socketError.js"

/** `Ambiguous`: not delivered as far as the sender can tell, but some of the item's packets may have arrived. */
export type DeliveryStatus = "Delivered" | "Undelivered" | "Ambiguous" | "Refused"

export interface SendProblem {
  readonly reason: Reason
  readonly description: string
}

/** Outcome of a batch. */
export interface SendResult {
  readonly statusOf: (index: number) => DeliveryStatus
  readonly payloads: number
  readonly bytes: number
  readonly retries: number
  /** First problem that kept an item from its receiver, and the number of problems. */
  readonly problem: SendProblem | undefined
  readonly problems: number
}

const none = 0
const arrived = 1
const failed = 2
const ambiguous = 4
const refused = 8

const statusOfState = (state: number): DeliveryStatus =>
  (state & refused) !== 0
    ? "Refused"
    : (state & ambiguous) !== 0 || (state & (failed | arrived)) === (failed | arrived)
    ? "Ambiguous"
    : (state & failed) !== 0
    ? "Undelivered"
    : "Delivered"

/** Age up to which an error of a remote machine may concern a packet, in milliseconds. */
const recentMillis = 1_000

/** Packet that left over the current connection. */
interface SentPacket {
  readonly first: number
  readonly last: number
  readonly bytes: number
  readonly time: number
}

/** Progress of one batch: the states of its items, and the packets that left. */
export class BatchProgress {
  retries = 0
  private readonly states: Uint8Array
  private sent: Array<SentPacket> = []
  private payloads = 0
  private bytes = 0
  private problem: SendProblem | undefined
  private problems = 0

  constructor(items: number) {
    this.states = new Uint8Array(items)
  }

  /** Whether a packet left over the current connection. */
  hasSent(): boolean {
    return this.sent.length > 0
  }

  addSent({ body: { byteLength }, first, last }: Packet, time: number): void {
    this.payloads++
    this.bytes += byteLength
    this.mark(first, last, arrived)
    this.sent.push({ first, last, bytes: byteLength, time })
  }

  addRefused(first: number, last: number, reason: Reason, description: string): void {
    this.mark(first, last, refused)
    this.addProblem(reason, description)
  }

  /** Marks the packet and all later items as failed. */
  addFailure({ first, last }: Packet, error: SocketError): void {
    this.mark(first, this.states.length - 1, failed)
    if (error.isAmbiguous) this.mark(first, last, ambiguous)
    this.addProblem(error.kind === "Timeout" ? "Timeout" : "Transport", error.description)
  }

  /** Marks the packets as ambiguous that the error puts in doubt. They counted as arrived before. */
  revokeLost({ description, lostBefore }: SocketError, now: number): void {
    const [kept, lost] = Arr.partition(
      this.sent,
      ({ time }) => lostBefore === "all" || (lostBefore === "recent" && time >= now - recentMillis)
    )
    this.sent = kept
    if (lost.length > 0) this.addProblem("Transport", description)
    for (const { bytes, first, last } of lost) {
      this.mark(first, last, ambiguous)
      this.payloads--
      this.bytes -= bytes
    }
  }

  /** Forgets the packets of a connection that is closed. Errors of the next one do not concern them. */
  forgetSent(): void {
    this.sent = []
  }

  result(): SendResult {
    const { bytes, payloads, problem, problems, retries, states } = this
    return { statusOf: (index) => statusOfState(states[index] ?? none), payloads, bytes, retries, problem, problems }
  }

  private mark(first: number, last: number, state: number): void {
    for (let i = first; i <= last; i++) this.states[i]! |= state
  }

  private addProblem(reason: Reason, description: string): void {
    this.problems++
    this.problem ??= { reason, description }
  }
}
