/** The errors of an invocation as Lambda receives them. */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Inspectable from "effect/Inspectable"
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
 * Effect carries a proxy of the error inside a span, and Lambda expects the error itself. A `ConfigError` is a plain
 * object, and Lambda reports type and message of an `Error` only.
 */
export const toRejection = (cause: Cause.Cause<unknown>): unknown => {
  if (Cause.isInterruptedOnly(cause)) return new LambdaInterrupted({ cause: cause as Cause.Cause<never> })
  const thrown = Option.orElse(Cause.failureOption(cause), () => Cause.dieOption(cause))
  const error = Cause.originalError(Option.getOrUndefined(thrown))
  return ConfigError.isConfigError(error)
    ? Object.assign(new Error(String(error), { cause: error }), { name: "ConfigError" })
    : error
}

/** An error in the form of the Runtime API. */
export interface ErrorReport {
  readonly errorType: string
  readonly errorMessage: string
  readonly stackTrace: ReadonlyArray<string>
}

/** Maximum length of a reported message or stack, in characters. Lambda refuses a report that is too large. */
const maxTextLength = 100_000

/** Describes any value. Properties of an error may throw. */
export const toReport = (error: unknown): ErrorReport => {
  try {
    if (!Predicate.isObject(error)) {
      return { errorType: typeof error, errorMessage: String(error).slice(0, maxTextLength), stackTrace: [] }
    }
    const text = (key: string): string | undefined => {
      const value: unknown = Reflect.get(error, key)
      return typeof value === "string" && value !== "" ? value : undefined
    }
    const isError = error instanceof Error || text("stack") !== undefined
    return {
      errorType: (isError ? text("name") : text("_tag")) ?? (isError ? "Error" : typeof error),
      errorMessage: (text("message") ?? (isError ? "" : Inspectable.toStringUnknown(error, 0))).slice(0, maxTextLength),
      stackTrace: (text("stack") ?? "").slice(0, maxTextLength).split("\n").filter((line) => line !== "")
    }
  } catch {
    return {
      errorType: typeof error,
      errorMessage: "The error could not be described: one of its properties throws",
      stackTrace: []
    }
  }
}

/** Encodes the type of an error as the value of a header. */
export const toHeaderValue = (errorType: string): string =>
  errorType.replaceAll(/[^\x21-\x7e]/g, "_").slice(0, 200) || "Error"
