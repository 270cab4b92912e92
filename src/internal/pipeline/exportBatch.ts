import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Deadline, emptyReceipt, type Item, type Receipt, ReporterError } from "../model/Delivery.js"
import { within } from "../runtime/timeLimit.js"

/** Outcome of a batch. The receiver has every item that neither set names. */
export interface Outcome {
  readonly undelivered: ReadonlySet<Item>
  readonly refused: ReadonlySet<Item>
  /** Those of `undelivered` that may have arrived. */
  readonly ambiguous: ReadonlySet<Item>
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

const noItems: ReadonlySet<never> = new Set()

/** Outcome of a batch without items. */
export const emptyOutcome: Outcome = {
  undelivered: noItems,
  refused: noItems,
  ambiguous: noItems,
  receipt: emptyReceipt,
  error: undefined
}

/** Outcome of a batch whose report was interrupted. */
export const interruptedOutcome = (items: ReadonlyArray<Item>): Outcome => {
  const all = new Set(items)
  return { ...emptyOutcome, undelivered: all, ambiguous: all }
}

/** Outcome of a batch whose report was never started. */
export const unsentOutcome = (items: ReadonlyArray<Item>): Outcome => ({
  ...emptyOutcome,
  undelivered: new Set(items)
})

/**
 * Share of the time limit that the reporter gets as its `Deadline`. A reporter that ends by itself knows best which items
 * arrived; the rest of the limit is for one that does not.
 */
const reporterShare = 0.95

const outcomeOfError = (error: ReporterError): Outcome => ({
  undelivered: new Set(error.undelivered),
  refused: new Set(error.refused),
  ambiguous: new Set(error.ambiguous),
  receipt: error.receipt,
  error
})

const describeDefect = (cause: Cause.Cause<unknown>): string => {
  if (Cause.isInterruptedOnly(cause)) return "the reporter was interrupted"
  const defect = Option.getOrUndefined(Cause.dieOption(cause))
  return defect instanceof Error ? `${defect.name}: ${defect.message}` : "the reporter died"
}

/**
 * Runs a report and returns its outcome, whatever the reporter does: fail, die, interrupt itself, or never end. An
 * interruption takes effect at once, also if the reporter cannot be interrupted.
 */
export const exportBatch = (options: {
  readonly endpoint: string
  readonly report: Effect.Effect<Receipt, ReporterError>
  /** Returns the items of the batch that the reporter has received so far. */
  readonly items: () => ReadonlyArray<Item>
  /** Returns true if the reporter has received the whole batch. It sends nothing before. */
  readonly isComplete: () => boolean
  readonly limit: Duration.Duration
}): Effect.Effect<Outcome> => {
  const { endpoint, isComplete, items, limit, report } = options
  const failure = (reason: "Timeout" | "Defect", description: string) =>
    new ReporterError({
      reason,
      endpoint,
      description,
      undelivered: items(),
      refused: [],
      ambiguous: isComplete() ? items() : [],
      receipt: emptyReceipt
    })
  return Effect.clockWith((clock) => {
    const millis = Duration.toMillis(limit)
    return within(
      report.pipe(
        Effect.provideService(Deadline, clock.unsafeCurrentTimeMillis() + millis * reporterShare),
        Effect.withTracerEnabled(false)
      ),
      millis,
      () => Effect.fail(failure("Timeout", `the reporter did not end within ${Duration.format(limit)}`))
    )
  }).pipe(
    Effect.matchCause({
      onSuccess: (receipt): Outcome => ({ ...emptyOutcome, receipt }),
      onFailure: (cause): Outcome => {
        const failed = Option.getOrUndefined(Cause.failureOption(cause))
        return outcomeOfError(failed ?? failure("Defect", describeDefect(cause)))
      }
    })
  )
}
