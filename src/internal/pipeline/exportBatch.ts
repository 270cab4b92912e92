import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Deadline, type Item, type Receipt, ReporterError } from "../../Reporter.js"
import { lazily } from "../http/lazyError.js"
import { emptyReceipt } from "../model/receipt.js"
import { within } from "../runtime/timeLimit.js"

/** What became of a batch. Items in neither set were delivered. */
export interface Outcome<A = Item> {
  readonly undelivered: ReadonlySet<A>
  readonly refused: ReadonlySet<A>
  /** Of the undelivered, those that may have arrived all the same. */
  readonly ambiguous: ReadonlySet<A>
  readonly receipt: Receipt
  readonly error: ReporterError | undefined
}

const none: ReadonlySet<never> = new Set()

export const nothing: Outcome<never> = {
  undelivered: none,
  refused: none,
  ambiguous: none,
  receipt: emptyReceipt,
  error: undefined
}

/** Nothing of the batch was delivered, as far as is known. */
export const allUndelivered = <A>(batch: ReadonlyArray<A>, error: ReporterError | undefined): Outcome<A> => {
  const items = new Set(batch)
  return { undelivered: items, refused: none, ambiguous: items, receipt: emptyReceipt, error }
}

/** Nothing of the batch was on its way yet when the flush was called off, or its time was over. */
export const allUnsent = <A>(batch: ReadonlyArray<A>, endpoint: string, isLate: boolean): Outcome<A> => ({
  ...nothing,
  undelivered: new Set(batch),
  error: isLate && batch.length > 0 ? failure("Timeout", endpoint, () => [], "no time left to send it") : undefined
})

/**
 * What was not delivered of what was written for other things than items of a batch. The error tells of items all the same.
 */
export interface Undelivered<A> extends Record<"undelivered" | "refused" | "ambiguous", ReadonlyArray<A>> {
  readonly error: ReporterError
}

/** A batch that a reporter has in a form of its own. */
export interface Load<A> {
  readonly batch: ReadonlyArray<A>
  readonly report: Effect.Effect<Receipt, Undelivered<A>>
  /** Of an error that is about all of it. */
  readonly items: () => ReadonlyArray<Item>
}

/**
 * The part of the time that a reporter is told of. It knows best what it has delivered when it ends by itself; the rest
 * is for one that does not.
 */
const reporterShare = 0.95

const failure = (
  reason: "Timeout" | "Defect",
  endpoint: string,
  items: () => ReadonlyArray<Item>,
  description: string
) =>
  lazily(
    new ReporterError({
      reason,
      endpoint,
      description,
      undelivered: [],
      refused: [],
      ambiguous: [],
      receipt: emptyReceipt
    }),
    { undelivered: items, ambiguous: items }
  )

/** A batch as the public seam has it. */
export const loadOf = <I extends Item>(
  batch: ReadonlyArray<I>,
  report: (batch: ReadonlyArray<I>) => Effect.Effect<Receipt, ReporterError>
): Load<Item> => ({
  batch,
  report: Effect.mapError(Effect.suspend(() => report(batch)), (error) => ({
    error,
    undelivered: error.undelivered,
    refused: error.refused,
    ambiguous: error.ambiguous
  })),
  items: () => batch
})

/**
 * Has a reporter deliver a batch and says what became of it, whatever the reporter does: fail, die, interrupt itself, or
 * never come back. It can be interrupted, at once, even where the reporter cannot.
 */
export const deliver = <A>(
  endpoint: string,
  { batch, items, report }: Load<A>,
  limit: Duration.Duration
): Effect.Effect<Outcome<A>> =>
  batch.length === 0
    ? Effect.succeed(nothing)
    : Effect.clockWith((clock) => {
      const millis = Duration.toMillis(limit)
      const reported = report.pipe(
        Effect.provideService(Deadline, clock.unsafeCurrentTimeMillis() + millis * reporterShare),
        Effect.withTracerEnabled(false)
      )
      return within(reported, millis, () => {
        const error = failure("Timeout", endpoint, items, `no end after ${Duration.format(limit)}`)
        return Effect.fail({ error, undelivered: batch, refused: [], ambiguous: batch })
      })
    }).pipe(
      Effect.matchCause({
        onSuccess: (receipt): Outcome<A> => ({ ...nothing, receipt }),
        onFailure: (cause): Outcome<A> => {
          const failed = Cause.failureOption(cause)
          return failed._tag === "Some"
            ? {
              undelivered: new Set(failed.value.undelivered),
              refused: new Set(failed.value.refused),
              ambiguous: new Set(failed.value.ambiguous),
              receipt: failed.value.error.receipt,
              error: failed.value.error
            }
            : allUndelivered(batch, failure("Defect", endpoint, items, describe(cause)))
        }
      })
    )

const describe = (cause: Cause.Cause<unknown>): string => {
  if (Cause.isInterruptedOnly(cause)) return "the reporter was interrupted"
  const defect = Option.getOrUndefined(Cause.dieOption(cause))
  return defect instanceof Error ? `${defect.name}: ${defect.message}` : "the reporter died"
}
