import * as Data from "effect/Data"

/** The extension is not available. */
export class LambdaExtensionError extends /*#__PURE__*/ Data.TaggedError("LambdaExtensionError")<{
  /** Request to the Extensions API that failed. */
  readonly operation: "register" | "next"
  /** Kind of the failure. */
  readonly reason: "Unsupported" | "Connection" | "Truncated" | "TimedOut" | "Refused" | "Malformed"
  /** Status of the response, if there was a complete one. */
  readonly status: number | undefined
  /** Text of the message after its beginning. */
  readonly description: string
  /** Error of the connection, if there was one. */
  readonly cause?: unknown
}> {
  override get message(): string {
    return `The request "${this.operation}" to the Lambda Extensions API failed: ${this.description}`
  }
}
