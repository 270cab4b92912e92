import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Item, Receipt, ReporterError } from "../model/Delivery.js"
import type { FlushCounts } from "../model/Stats.js"
import { exportBatch, interruptedOutcome, type Outcome, unsentOutcome } from "./exportBatch.js"

/** A batch that was settled: its items by fate, and its outcome. */
export interface SettledBatch {
  readonly counts: FlushCounts
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

/** One batch of a flush, from its report to the settlement. */
export class FlushBatch {
  private isStarted = false
  private outcome: Outcome | undefined
  private readonly options: {
    readonly endpoint: string
    readonly report: () => Effect.Effect<Receipt, ReporterError>
    /** Returns the items that the reporter has received so far. */
    readonly items: () => ReadonlyArray<Item>
    /** Returns true if the reporter has received the whole batch, and so may have sent some of it. */
    readonly isComplete: () => boolean
    readonly applyOutcome: (outcome: Outcome) => Effect.Effect<FlushCounts>
  }

  constructor(options: FlushBatch["options"]) {
    this.options = options
  }

  /** Runs the report for at most `limit`. Never fails. */
  run(limit: Duration.Duration): Effect.Effect<void> {
    const { endpoint, isComplete, items, report } = this.options
    const started = Effect.suspend(() => {
      this.isStarted = true
      return report()
    })
    return Effect.map(exportBatch({ endpoint, items, isComplete, limit, report: started }), (outcome) => {
      this.outcome = outcome
    })
  }

  /** Applies the outcome. A report that was interrupted may have delivered the items that it had received. */
  get settle(): Effect.Effect<SettledBatch> {
    return Effect.suspend(() => {
      const { applyOutcome, isComplete, items } = this.options
      const mayHaveArrived = this.isStarted && isComplete()
      const outcome = this.outcome ?? (mayHaveArrived ? interruptedOutcome(items()) : unsentOutcome(items()))
      const { error, receipt } = outcome
      return Effect.map(applyOutcome(outcome), (counts) => ({ counts, receipt, error }))
    })
  }
}
