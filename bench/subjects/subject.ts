import type { Totals, Workload } from "../children/workload.js"

/** A client that is measured. */
export interface Subject {
  /** Preparation. Its time does not count, its memory does. */
  readonly prepare?: (workload: Workload) => void
  /** Makes all calls of a workload. */
  readonly record: (workload: Workload) => void | Promise<void>
  /** Encodes all recorded points for the network, and stops there. */
  readonly flush: () => Promise<Flushed>
}

export interface Flushed {
  /** Size of all bodies on the wire. */
  readonly bytes?: number | undefined
  /** Returns the contents of the bodies. Not part of the measurement. */
  readonly check: () => { readonly totals: Totals; readonly jsonBytes?: number | undefined }
}

/** `prefix` precedes all names of the workload, and distinguishes two clients of one registry. */
export type MakeSubject = (options: { readonly prefix: string }) => Promise<Subject>

/** The reason why a subject cannot be measured. */
export class NotAvailable {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}
