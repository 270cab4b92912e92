import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"
import { toPrintable, toPrintableLines } from "../model/printableText.js"

/**
 * Annotates the logs of an effect with the module that writes them, and escapes control characters in their texts. A logger that throws
 * does not fail the effect, whatever it throws. Stands for `Effect.annotateLogs`.
 */
export const logFrom = (module: string) => <R>(log: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.locallyWith(
    Effect.catchAllCause(
      Effect.annotateLogs(log, { package: "effect-threadstats", module }),
      () => Effect.void
    ),
    FiberRef.currentLoggers,
    withPrintableText
  )

/**
 * Passes messages and causes on to the loggers as printable text. It stands for `Logger.mapInputOptions` on each logger, of which it needs
 * one only. It never throws: Effect's runtime inspects a thrown value, and a value whose inspection throws as well would end the fiber
 * without an exit.
 */
const withPrintableText = (
  loggers: HashSet.HashSet<Logger.Logger<unknown, unknown>>
): HashSet.HashSet<Logger.Logger<unknown, unknown>> =>
  HashSet.make(Logger.make<unknown, void>((options) =>
    ignoreThrown(() => {
      const printable = { ...options, message: printableMessage(options.message), cause: printableCause(options.cause) }
      for (const logger of loggers) logWithout(logger, printable)
    })
  ))

/** Passes a line on. A logger that throws at the cause gets the line without it. */
const logWithout = (logger: Logger.Logger<unknown, unknown>, options: Logger.Logger.Options<unknown>): void =>
  ignoreThrown(() => {
    try {
      logger.log(options)
    } catch (error) {
      if (Cause.isEmpty(options.cause)) throw error
      logger.log({ ...options, cause: Cause.empty })
    }
  })

const ignoreThrown = (log: () => unknown): void => {
  try {
    log()
  } catch {
    // The program goes on without this line.
  }
}

const printableMessage = (message: unknown): unknown =>
  Array.isArray(message)
    ? message.map(printableMessage)
    : typeof message === "string"
    ? toPrintable(message)
    : message

/** Keeps a cause as it is unless its text has control characters. */
const printableCause = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  if (Cause.isEmpty(cause)) return cause
  try {
    return toPrintableCause(cause)
  } catch {
    return Cause.die(new Error("an error that cannot be printed"))
  }
}

const toPrintableCause = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const text = Cause.pretty(cause, { renderErrorCause: true })
  const printable = toPrintableLines(text)
  return printable === text
    ? cause
    : Cause.die(Object.assign(new Error(printable.split("\n", 1)[0]), { stack: printable }))
}
