import * as Data from "effect/Data"
import { type ApiResponse, describe, type LambdaApiError } from "./runtimeApi.js"

/** A request to the Runtime API failed. */
export class LambdaRuntimeError extends /*#__PURE__*/ Data.TaggedError("LambdaRuntimeError")<{
  /** Request to the Runtime API that failed. */
  readonly operation: "next" | "response" | "error" | "init error"
  /** Kind of the failure. */
  readonly reason: "Connection" | "Truncated" | "Refused" | "Malformed"
  /** Status of the response, if there was a complete one. */
  readonly status: number | undefined
  /** Text of the message after its beginning. */
  readonly description: string
  /** Error of the connection, if there was one. */
  readonly cause?: unknown
}> {
  override get message(): string {
    return `The request "${this.operation}" to the Lambda Runtime API failed: ${this.description}`
  }
}

type Operation = LambdaRuntimeError["operation"]

export const fromApiError =
  (operation: Operation) => ({ cause, message, reason }: LambdaApiError): LambdaRuntimeError =>
    new LambdaRuntimeError({ operation, reason, status: undefined, description: message, cause })

export const refused = (operation: Operation, response: ApiResponse): LambdaRuntimeError =>
  new LambdaRuntimeError({
    operation,
    reason: "Refused",
    status: response.status,
    description: describe(response)
  })
