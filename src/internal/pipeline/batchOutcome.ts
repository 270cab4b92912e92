import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { emptyReceipt, type Item, type Receipt, ReporterError } from "../model/Delivery.js"

/** Outcome of a batch. The receiver has every item that neither set names. */
export interface BatchOutcome {
  readonly undelivered: ReadonlySet<Item>
  readonly refused: ReadonlySet<Item>
  /** Those of `undelivered` that may have arrived. */
  readonly ambiguous: ReadonlySet<Item>
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

/** Part of a batch that its reporter has received. */
export interface ReceivedPart {
  readonly endpoint: string
  readonly items: ReadonlyArray<Item>
  /** True if this is the whole batch. A reporter sends nothing before. */
  readonly isComplete: boolean
}

const noItems: ReadonlySet<never> = new Set()

/** Outcome of a batch that the reporter has delivered. */
export const deliveredOutcome = (receipt: Receipt): BatchOutcome => ({
  undelivered: noItems,
  refused: noItems,
  ambiguous: noItems,
  receipt,
  error: undefined
})

/** Outcome of a batch whose report was interrupted, or never started. What the reporter has received in whole may have arrived. */
export const interruptedOutcome = ({ isComplete, items }: ReceivedPart): BatchOutcome => {
  const all = new Set(items)
  return { ...deliveredOutcome(emptyReceipt), undelivered: all, ambiguous: isComplete ? all : noItems }
}

const failedOutcome = (error: ReporterError): BatchOutcome => ({
  undelivered: new Set(error.undelivered),
  refused: new Set(error.refused),
  ambiguous: new Set(error.ambiguous),
  receipt: error.receipt,
  error
})

const makeError = (
  { endpoint, isComplete, items }: ReceivedPart,
  reason: "Timeout" | "Defect",
  description: string
): ReporterError =>
  new ReporterError({
    reason,
    endpoint,
    description,
    undelivered: items,
    refused: [],
    ambiguous: isComplete ? items : [],
    receipt: emptyReceipt
  })

/** Outcome of a batch whose reporter did not end in time. `millis` is the time that it had. */
export const timedOutOutcome = (part: ReceivedPart, millis: number): BatchOutcome =>
  failedOutcome(
    makeError(part, "Timeout", `the reporter did not end within ${Duration.format(Duration.millis(millis))}`)
  )

const describeDefect = (cause: Cause.Cause<unknown>): string => {
  if (Cause.isInterruptedOnly(cause)) return "the reporter was interrupted"
  const defect = Option.getOrUndefined(Cause.dieOption(cause))
  return defect instanceof Error ? `${defect.name}: ${defect.message}` : "the reporter died"
}

/** Outcome of a batch whose report failed, died or interrupted itself. */
export const outcomeOfCause = (part: ReceivedPart, cause: Cause.Cause<ReporterError>): BatchOutcome =>
  failedOutcome(
    Option.getOrElse(Cause.failureOption(cause), () => makeError(part, "Defect", describeDefect(cause)))
  )
