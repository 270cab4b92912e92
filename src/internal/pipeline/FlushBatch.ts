import * as Effect from "effect/Effect"
import type { Receipt, ReporterError } from "../model/Delivery.js"
import type { FlushCounts } from "../model/Stats.js"
import {
  type BatchOutcome,
  deliveredOutcome,
  interruptedOutcome,
  outcomeOfCause,
  type ReceivedPart,
  timedOutOutcome
} from "./batchOutcome.js"

/** A batch that was settled: its items by fate, and its outcome. */
export interface SettledBatch {
  readonly counts: FlushCounts
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

/** One batch of a flush, from its report to the settlement. */
export class FlushBatch {
  private outcome: BatchOutcome | undefined
  private readonly options: {
    readonly report: () => Effect.Effect<Receipt, ReporterError>
    /** Returns the part that the reporter has received so far. */
    readonly received: () => ReceivedPart
    readonly applyOutcome: (outcome: BatchOutcome) => Effect.Effect<FlushCounts>
  }

  constructor(options: FlushBatch["options"]) {
    this.options = options
  }

  /** Runs the report and notes its outcome, whatever the reporter does: fail, die or interrupt itself. */
  get report(): Effect.Effect<void> {
    return Effect.matchCause(Effect.suspend(this.options.report), {
      onSuccess: (receipt) => this.end(deliveredOutcome(receipt)),
      onFailure: (cause) => this.end(outcomeOfCause(this.options.received(), cause))
    })
  }

  /** Notes that the time limit of the reports, in milliseconds, is over. */
  timeOut(limit: number): void {
    this.end(timedOutOutcome(this.options.received(), limit))
  }

  /** Applies the outcome: that of an interruption if the report has not ended. */
  get settle(): Effect.Effect<SettledBatch> {
    return Effect.suspend(() => {
      const { applyOutcome, received } = this.options
      const outcome = this.outcome ?? interruptedOutcome(received())
      const { error, receipt } = outcome
      return Effect.map(applyOutcome(outcome), (counts) => ({ counts, receipt, error }))
    })
  }

  /** Notes the first outcome. A reporter that was left to itself may end later. */
  private end(outcome: BatchOutcome): void {
    this.outcome ??= outcome
  }
}
