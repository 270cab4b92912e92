/** The response of an invocation: its result or its error, as the Runtime API expects it. */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as LambdaStream from "../../LambdaStream.js"
import { logFrom } from "../runtime/log.js"
import { type ErrorReport, toHeaderValue, toRejection, toReport } from "./lambdaError.js"
import { fromApiError, type LambdaRuntimeError, refused } from "./LambdaRuntimeError.js"
import type { PendingInvocation } from "./pendingInvocation.js"
import * as runtimeApi from "./runtimeApi.js"

const basePath = "/2018-06-01/runtime"
const errorTypeHeader = "Lambda-Runtime-Function-Error-Type"
const errorBodyHeader = "Lambda-Runtime-Function-Error-Body"

/** Maximum size of a response, in bytes. Lambda may break the connection of a larger one instead of responding with 413. */
const maxResponseBytes = 6 * 1024 * 1024

/** Its message has the length only, because the parser's message would quote the event. */
export class UnmarshalError extends /*#__PURE__*/ Data.TaggedError("Runtime.UnmarshalError")<{
  readonly length: number
}> {
  override get message(): string {
    return `The event could not be read: it is not JSON (${this.length} characters)`
  }
}

class MarshalError extends /*#__PURE__*/ Data.TaggedError("Runtime.MarshalError")<{ readonly description: string }> {
  override get message(): string {
    return `The result could not be sent: ${this.description}`
  }
}

class ResponseTooLarge extends /*#__PURE__*/ Data.TaggedError("Runtime.ResponseTooLarge")<{ readonly length: number }> {
  override get message(): string {
    return `The result could not be sent: its size of ${this.length} bytes exceeds Lambda's limit`
  }
}

const log = /*#__PURE__*/ logFrom("LambdaRuntime")

const pathOf = ({ id }: PendingInvocation) => `invocation/${encodeURIComponent(id)}`

const reportCause = (cause: Cause.Cause<unknown>): ErrorReport => toReport(toRejection(cause))

const stringify = (value: unknown): Effect.Effect<string, MarshalError> =>
  Effect.try({
    try: () => JSON.stringify(value) ?? "null",
    catch: (error) => new MarshalError({ description: error instanceof Error ? error.message : String(error) })
  })

/** Encodes an error as trailers. A receiver may take no more than 16 kB of trailers. */
const toTrailers = (report: ErrorReport) => {
  const short = { ...report, errorMessage: report.errorMessage.slice(0, 1000), stackTrace: [] }
  const body = [report, short].map((report) => JSON.stringify(report)).find((json) => Buffer.byteLength(json) < 8000)
  return {
    [errorTypeHeader]: toHeaderValue(report.errorType),
    [errorBodyHeader]: Buffer.from(body ?? "{}").toString("base64")
  }
}

const isAccepted = ({ status }: runtimeApi.ApiResponse) => status >= 200 && status < 300

/**
 * Checks the API's response to a post for an invocation. A 4xx concerns that invocation alone. A 5xx means that the environment
 * is beyond repair, and the Runtime API gives no other status.
 */
const checkAccepted =
  (invocation: PendingInvocation, operation: "response" | "error") =>
  (response: runtimeApi.ApiResponse): Effect.Effect<void, LambdaRuntimeError> => {
    if (isAccepted(response)) return Effect.void
    return response.status >= 400 && response.status < 500
      ? log(Effect.logWarning(
        `The ${operation} of invocation ${invocation.id} was refused: ${runtimeApi.describe(response)}`
      ))
      : refused(operation, response)
  }

const postError = (api: runtimeApi.LambdaApi, path: string, report: ErrorReport) =>
  api.request({
    method: "POST",
    path: `${basePath}/${path}/error`,
    headers: { [errorTypeHeader]: toHeaderValue(report.errorType) },
    body: JSON.stringify(report)
  })

/** Logs a failure with type and message, and with its cause, at which a logger may throw. */
const logFailure = (invocation: PendingInvocation, cause: Cause.Cause<unknown>) =>
  Effect.suspend(() => {
    const { errorMessage, errorType } = reportCause(cause)
    return log(Effect.logError(`Invocation ${invocation.id} failed: ${errorType}: ${errorMessage}`, cause))
  })

const sendError = (api: runtimeApi.LambdaApi, invocation: PendingInvocation, cause: Cause.Cause<unknown>) =>
  logFailure(invocation, cause).pipe(
    Effect.zipRight(postError(api, pathOf(invocation), reportCause(cause))),
    Effect.mapError(fromApiError("error")),
    Effect.flatMap(checkAccepted(invocation, "error"))
  )

/** Reports that the environment could not be built. Logs a failure of the report, so that the caller keeps its own error. */
export const sendInitError = (api: runtimeApi.LambdaApi, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  postError(api, "init", reportCause(cause)).pipe(
    Effect.mapError(fromApiError("init error")),
    Effect.filterOrFail(isAccepted, (response) => refused("init error", response)),
    Effect.catchAll((error) => log(Effect.logWarning(error.message)))
  )

/** Sends a result, and replaces one that is too large by an error. */
const sendResult = (api: runtimeApi.LambdaApi, invocation: PendingInvocation, body: string) => {
  const length = Buffer.byteLength(body)
  const tooLarge = Effect.suspend(() => sendError(api, invocation, Cause.fail(new ResponseTooLarge({ length }))))
  return Effect.matchEffect(
    api.request({ method: "POST", path: `${basePath}/${pathOf(invocation)}/response`, body }),
    {
      onFailure: (error) => length > maxResponseBytes ? tooLarge : fromApiError("response")(error),
      onSuccess: (response) => response.status === 413 ? tooLarge : checkAccepted(invocation, "response")(response)
    }
  )
}

/** A response that is sent while its stream runs. */
interface StreamedResponse {
  /** Sends the chunks. The first one starts the request, so that a failure before it is an error of the invocation. */
  readonly send: (stream: LambdaStream.LambdaStream) => Effect.Effect<void, unknown>
  /** Ends the request if the stream has started one. */
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<boolean, LambdaRuntimeError>
}

const makeStreamedResponse = (
  api: runtimeApi.LambdaApi,
  invocation: PendingInvocation
): Effect.Effect<StreamedResponse, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let upload: runtimeApi.Upload | undefined

    const start = (stream: LambdaStream.LambdaStream) =>
      Effect.gen(function*() {
        if (upload !== undefined) return upload
        const { contentType, prelude } = yield* LambdaStream.head(stream)
        const started = yield* api.upload({
          path: `${basePath}/${pathOf(invocation)}/response`,
          headers: { "Lambda-Runtime-Function-Response-Mode": "streaming", "content-type": contentType },
          trailers: [errorTypeHeader, errorBodyHeader]
        }).pipe(
          Scope.extend(scope),
          Effect.tap((started) => {
            upload = started
          }),
          Effect.uninterruptible
        )
        if (Option.isSome(prelude)) yield* started.write(prelude.value)
        return started
      })

    return {
      send: (stream) =>
        LambdaStream.runForEach(stream, (chunk) => Effect.flatMap(start(stream), (upload) => upload.write(chunk))).pipe(
          Effect.zipRight(start(stream)),
          Effect.mapError((error) =>
            error instanceof LambdaStream.LambdaStreamError
              ? new MarshalError({ description: error.description })
              : error
          )
        ),
      end: (exit) =>
        Effect.gen(function*() {
          if (upload === undefined) return false
          if (Exit.isFailure(exit) && !isUploadEnded(exit.cause)) yield* logFailure(invocation, exit.cause)
          const response = yield* upload.end(Exit.isFailure(exit) ? toTrailers(reportCause(exit.cause)) : {}).pipe(
            Effect.mapError(fromApiError("response"))
          )
          yield* checkAccepted(invocation, "response")(response)
          return true
        })
    }
  })

/** The receiver ended the request early. That is not a failure of the handler. */
const isUploadEnded = (cause: Cause.Cause<unknown>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error instanceof runtimeApi.UploadEnded)

/**
 * Runs a handler and sends its result once its scope is closed. A stream is sent while it runs, but its request ends after the
 * scope is closed too, so that the trailers can report a failure of the scope.
 */
export const respond = <E, R>(
  api: runtimeApi.LambdaApi,
  invocation: PendingInvocation,
  handled: Effect.Effect<unknown, E, R>
): Effect.Effect<void, LambdaRuntimeError, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const streamed = yield* makeStreamedResponse(api, invocation)
    const exit = yield* handled.pipe(
      Effect.flatMap((result): Effect.Effect<string, unknown> =>
        Option.match(LambdaStream.fromResult(result), {
          onNone: () => stringify(result),
          onSome: (stream) => Effect.as(streamed.send(stream), "")
        })
      ),
      Effect.scoped,
      Effect.exit
    )
    if (yield* streamed.end(exit)) return
    yield* Exit.isFailure(exit) ? sendError(api, invocation, exit.cause) : sendResult(api, invocation, exit.value)
  }).pipe(Effect.scoped)
