/** The errors of an invocation as Lambda receives them. */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/** The invocation was interrupted and nothing else failed. */
export class LambdaInterrupted extends /*#__PURE__*/ Data.TaggedError("LambdaInterrupted")<{
  readonly cause: Cause.Cause<never>
}> {
  override get message(): string {
    return "The invocation has no result: its program was interrupted"
  }
}

/**
 * Returns the failure of a cause, else its defect, else a {@link LambdaInterrupted}.
 *
 * Effect carries a proxy of the error inside a span, and Lambda expects the error itself. AWS's runtime clients report type and
 * message of an `Error` only, and end the environment if they cannot turn a value into text. Any other object therefore becomes an
 * `Error` with the type and the message of its report.
 */
export const toRejection = (cause: Cause.Cause<unknown>): unknown => {
  if (Cause.isInterruptedOnly(cause)) return new LambdaInterrupted({ cause: cause as Cause.Cause<never> })
  const thrown = Option.getOrUndefined(Option.orElse(Cause.failureOption(cause), () => Cause.dieOption(cause)))
  const error = readOr(thrown, () => Cause.originalError(thrown))
  const isReported = error !== null && error !== undefined && !Predicate.isObject(error) ||
    readOr(false, () => isError(error))
  return isReported ? error : toError(error)
}

/** Reads a part of a failure. Its properties, its traps and its methods may throw. */
const readOr = <A>(otherwise: A, read: () => A): A => {
  try {
    return read()
  } catch {
    return otherwise
  }
}

const isError = (error: unknown): error is Error => error instanceof Error

const toError = (error: unknown): Error => {
  const { errorMessage, errorType } = toReport(error)
  return Object.assign(new Error(errorMessage, { cause: error }), {
    name: errorType,
    // The frames of this module would mislead.
    stack: `${errorType}: ${errorMessage}`
  })
}

/** An error in the form of the Runtime API. */
export interface ErrorReport {
  readonly errorType: string
  readonly errorMessage: string
  readonly stackTrace: ReadonlyArray<string>
}

/** Maximum length of a reported message or stack, in characters. Lambda refuses a report that is too large. */
const maxTextLength = 100_000

/** Describes any value: an error by name and message, any other object by its tag and its message, or its JSON text. */
export const toReport = (error: unknown): ErrorReport => {
  const textOf = (key: string): string | undefined =>
    readOr(undefined, () => {
      const value: unknown = Predicate.isObject(error) ? Reflect.get(error, key) : undefined
      return typeof value === "string" && value !== "" ? value : undefined
    })
  const stack = textOf("stack")
  const hasErrorForm = stack !== undefined || readOr(false, () => isError(error))
  const isConfigError = readOr(false, () => ConfigError.isConfigError(error))
  const type = isConfigError
    ? "ConfigError"
    : hasErrorForm
    ? textOf("name") ?? "Error"
    : textOf("_tag") ?? (error === null ? "null" : typeof error)
  const message = isConfigError ? readOr(undefined, () => String(error)) : textOf("message")
  return {
    errorType: type.slice(0, maxTypeLength),
    errorMessage: (message ?? (hasErrorForm ? "" : textOfValue(error))).slice(0, maxTextLength),
    stackTrace: (stack ?? "").slice(0, maxTextLength).split("\n").filter((line) => line !== "")
  }
}

/** Maximum length of a reported type, in characters. */
const maxTypeLength = 200

/** Returns the JSON text of an object, with references to an outer object left out, or the text of any other value. */
const textOfValue = (value: unknown): string =>
  readOr("The error could not be described: one of its properties throws", () => {
    if (!Predicate.isObject(value) || typeof value === "function") return String(value)
    const outer: Array<unknown> = []
    const json = JSON.stringify(value, function(this: unknown, _key, part: unknown) {
      while (outer.length > 0 && outer.at(-1) !== this) outer.pop()
      if (typeof part === "bigint") return `${part}n`
      if (!Predicate.isObject(part)) return part
      if (outer.includes(part)) return undefined
      outer.push(part)
      return part
    })
    return json ?? String(value)
  })

/** Encodes the type of an error as the value of a header. */
export const toHeaderValue = (errorType: string): string =>
  errorType.replaceAll(/[^\x21-\x7e]/g, "_").slice(0, 200) || "Error"
