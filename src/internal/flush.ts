import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Deadline, emptyReceipt, type Item, type Receipt, ReporterError } from "../Reporter.js"
import { within } from "./within.js"

/** What became of a batch. Items in neither set were delivered. */
export interface Outcome {
  readonly undelivered: ReadonlySet<Item>
  readonly refused: ReadonlySet<Item>
  /** Of the undelivered, those that may have arrived all the same. */
  readonly ambiguous: ReadonlySet<Item>
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

const none: ReadonlySet<Item> = new Set()

export const nothing: Outcome = {
  undelivered: none,
  refused: none,
  ambiguous: none,
  receipt: emptyReceipt,
  error: undefined
}

/** Nothing of the batch was delivered, as far as is known. */
export const allUndelivered = (batch: ReadonlyArray<Item>, error: ReporterError | undefined): Outcome => {
  const items = new Set(batch)
  return { undelivered: items, refused: none, ambiguous: items, receipt: emptyReceipt, error }
}

/**
 * The part of the time that a reporter is told of. It knows best what it has delivered when it ends by itself; the rest
 * is for one that does not.
 */
const reporterShare = 0.95

const failure = (reason: "Timeout" | "Defect", endpoint: string, batch: ReadonlyArray<Item>, description: string) =>
  new ReporterError({
    reason,
    endpoint,
    description,
    undelivered: batch,
    refused: [],
    ambiguous: batch,
    receipt: emptyReceipt
  })

/**
 * Hands a batch to a reporter and says what became of it, whatever the reporter does: fail, die, interrupt itself, or
 * never come back. It can be interrupted, at once, even where the reporter cannot.
 */
export const deliver = <I extends Item>(
  endpoint: string,
  batch: ReadonlyArray<I>,
  report: (batch: ReadonlyArray<I>) => Effect.Effect<Receipt, ReporterError>,
  limit: Duration.Duration
): Effect.Effect<Outcome> =>
  batch.length === 0
    ? Effect.succeed(nothing)
    : Effect.clockWith((clock) => {
      const millis = Duration.toMillis(limit)
      const reported = Effect.suspend(() => report(batch)).pipe(
        Effect.provideService(Deadline, clock.unsafeCurrentTimeMillis() + millis * reporterShare),
        Effect.withTracerEnabled(false)
      )
      return within(
        reported,
        millis,
        () => failure("Timeout", endpoint, batch, `no end after ${Duration.format(limit)}`)
      )
    }).pipe(
      Effect.matchCause({
        onSuccess: (receipt): Outcome => ({ ...nothing, receipt }),
        onFailure: (cause): Outcome => {
          const error = Cause.failureOption(cause)
          return error._tag === "Some"
            ? {
              undelivered: new Set(error.value.undelivered),
              refused: new Set(error.value.refused),
              ambiguous: new Set(error.value.ambiguous),
              receipt: error.value.receipt,
              error: error.value
            }
            : allUndelivered(batch, failure("Defect", endpoint, batch, describe(cause)))
        }
      })
    )

const describe = (cause: Cause.Cause<unknown>): string => {
  const defect = Cause.squash(cause)
  return Cause.isInterruptedOnly(cause)
    ? "the reporter was interrupted"
    : defect instanceof Error
    ? `${defect.name}: ${defect.message}`
    : "the reporter died"
}
