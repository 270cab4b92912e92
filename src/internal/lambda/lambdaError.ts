/** How an error of a program looks to Lambda. */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/**
 * What is reported for a cause: the very failure, else the defect, else what `interrupted` makes of it.
 *
 * Inside a span, Effect carries a proxy of the error. And `ConfigError` is a plain object, but Lambda reports type and
 * message of an `Error` only.
 */
export const rejection = (
  cause: Cause.Cause<unknown>,
  interrupted: (cause: Cause.Cause<never>) => unknown
): unknown => {
  if (Cause.isInterruptedOnly(cause)) return interrupted(cause as Cause.Cause<never>)
  const said = Option.orElse(Cause.failureOption(cause), () => Cause.dieOption(cause))
  const error = Cause.originalError(Option.getOrUndefined(said))
  return ConfigError.isConfigError(error)
    ? Object.assign(new Error(String(error), { cause: error }), { name: "ConfigError" })
    : error
}

/** The form in which the Runtime API takes an error. */
export interface Report {
  readonly errorType: string
  readonly errorMessage: string
  readonly stackTrace: ReadonlyArray<string>
}

/** Characters of a message or a stack that are reported. A report that is too large would be refused. */
const longest = 100_000

/** `error` may be anything, and even its properties may throw. */
export const report = (error: unknown): Report => {
  try {
    if (!Predicate.isObject(error)) {
      return { errorType: typeof error, errorMessage: String(error).slice(0, longest), stackTrace: [] }
    }
    const text = (key: string): string | undefined => {
      const value: unknown = Reflect.get(error, key)
      return typeof value === "string" && value !== "" ? value : undefined
    }
    const isError = error instanceof Error || text("stack") !== undefined
    return {
      errorType: (isError ? text("name") : text("_tag")) ?? (isError ? "Error" : typeof error),
      errorMessage: (text("message") ?? (isError ? "" : Inspectable.toStringUnknown(error, 0))).slice(0, longest),
      stackTrace: (text("stack") ?? "").slice(0, longest).split("\n").filter((line) => line !== "")
    }
  } catch {
    return { errorType: typeof error, errorMessage: "the error could not be read", stackTrace: [] }
  }
}

/** An error's type as the value of a header. */
export const headerValue = (errorType: string): string =>
  errorType.replaceAll(/[^\x21-\x7e]/g, "_").slice(0, 200) || "Error"
