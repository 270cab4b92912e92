import * as Data from "effect/Data"

/** The extension is not available. */
export class LambdaExtensionError extends /*#__PURE__*/ Data.TaggedError("LambdaExtensionError")<{
  readonly operation: "register" | "next"
  readonly reason: "Unsupported" | "Connection" | "Truncated" | "TimedOut" | "Refused" | "Malformed"
  /** Status of the response, if there was a complete one. */
  readonly status: number | undefined
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `The request "${this.operation}" to the Lambda Extensions API failed: ${this.description}`
  }
}
