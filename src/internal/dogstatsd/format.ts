/** The receiver's rules for lines, and the lines of an item. */
import type { Reason } from "../model/Delivery.js"
import type { Profile, Sets, TagFormat } from "./options.js"

/** Rules of the receiver, and fields of every line. */
export interface LineFormat {
  readonly profile: Profile
  /** Form of a set: a line for each member, or a gauge with the number of members. */
  readonly sets: Sets
  readonly tagFormat: TagFormat
  /** Whether values of one series share a line. */
  readonly packed: boolean
  /** Counts that carry the time of their interval. Gauges carry it unless this is `"never"`. */
  readonly timestamps: "late" | "always" | "never"
  /** Maximum size of a packet with more than one line, in bytes. */
  readonly packetSize: number
  /** Sanitized tags of every line. */
  readonly tags: ReadonlyArray<string>
  /** Fields that identify the container of every line: empty, or starting with `|`. */
  readonly origin: string
}

/** Size of the buffers of Agent and extension, in bytes. A packet of one line may have this size. */
export const bufferSize = 8192

export const maxLineSize = ({ packetSize }: LineFormat): number => Math.max(packetSize, bufferSize)

/** One or more values of an item. If `packed`, as many as fit share one `head` and `tail`. */
export interface Line {
  readonly head: string
  readonly values: Iterable<string>
  readonly tail: string
  readonly packed: boolean
}

/** Item that the protocol or the receiver does not support. */
export interface RefusedItem {
  readonly _tag: "Refused"
  readonly index: number
  readonly reason: Reason
  readonly description: string
}

export const refuse = (index: number, reason: Reason, description: string): RefusedItem => ({
  _tag: "Refused",
  index,
  reason,
  description
})

export const refuseTooLarge = (index: number, bytes: number): RefusedItem =>
  refuse(index, "PayloadTooLarge", `a line of ${bytes} bytes exceeds the receiver's buffer`)
