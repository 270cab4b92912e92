import type { Totals, Workload } from "../children/workload.js"

/** A client that is measured. */
export interface Subject {
  /** What is done beforehand, once; its time does not count, its memory does. */
  readonly prepare?: (workload: Workload) => void
  /** Makes all calls of a workload. */
  readonly record: (workload: Workload) => void | Promise<void>
  /** Turns all that was recorded into what would go over the network, and goes no further. */
  readonly flush: () => Promise<Flushed>
}

export interface Flushed {
  /** Of all bodies, as they would go over the network. */
  readonly bytes?: number | undefined
  /** What is in the bodies; not part of what is measured. */
  readonly check: () => { readonly totals: Totals; readonly jsonBytes?: number | undefined }
}

/** `prefix` is before all names of the workload, and tells two clients apart where they share a registry. */
export type MakeSubject = (options: { readonly prefix: string }) => Promise<Subject>

/** What a subject is that does not exist (yet). */
export class NotAvailable {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}
