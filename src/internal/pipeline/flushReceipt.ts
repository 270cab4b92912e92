import { emptyReceipt, type Reason, ReporterError } from "../model/Delivery.js"
import type { FlushCounts, FlushReceipt } from "../model/Stats.js"

const noCounts: FlushCounts = { delivered: 0, pending: 0, dropped: 0 }

/** Receipt of a flush that had nothing to do. */
export const emptyFlush: FlushReceipt = {
  metrics: noCounts,
  events: noCounts,
  payloads: 0,
  bytes: 0,
  retries: 0,
  errors: [],
  skipped: false
}

/**
 * Reason why a flush did not run to its end.
 *
 * - `NoTimeLeft`: its time limit passed while it waited for an earlier flush
 * - `Nested`: a reporter or a store requested it within a running flush
 * - `Died`: it ended with a defect
 */
export type FlushFault = "NoTimeLeft" | "Nested" | "Died"

const faults: { readonly [F in FlushFault]: readonly [Reason, description: string] } = {
  NoTimeLeft: [
    "Timeout",
    "no time was left after the flush before it, and everything stays pending. Raise flushTimeout, or the timeout of the flush"
  ],
  Nested: [
    "Defect",
    "a running flush requested this one, which would wait for it. Do not flush in a reporter or a RetainedStore"
  ],
  Died: ["Defect", "the flush died. The log line \"A flush died\" has the cause: report it as a bug"]
}

/** Makes the receipt of a flush that did not run to its end. Its error explains the reason. */
export const failedFlush = (fault: FlushFault): FlushReceipt => {
  const [reason, description] = faults[fault]
  return {
    ...emptyFlush,
    errors: [
      new ReporterError({
        reason,
        endpoint: "flush",
        description,
        undelivered: [],
        refused: [],
        ambiguous: [],
        receipt: emptyReceipt
      })
    ]
  }
}

export const addFlushCounts = (self: FlushCounts, that: FlushCounts): FlushCounts => ({
  delivered: self.delivered + that.delivered,
  pending: self.pending + that.pending,
  dropped: self.dropped + that.dropped
})

export const addFlushReceipts = (self: FlushReceipt, that: FlushReceipt): FlushReceipt => ({
  metrics: addFlushCounts(self.metrics, that.metrics),
  events: addFlushCounts(self.events, that.events),
  payloads: self.payloads + that.payloads,
  bytes: self.bytes + that.bytes,
  retries: self.retries + that.retries,
  errors: [...self.errors, ...that.errors],
  skipped: self.skipped && that.skipped
})
