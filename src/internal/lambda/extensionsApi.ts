/** The requests of an internal extension to the Lambda Extensions API. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { requestBlocking } from "../runtime/blockingRequest.js"
import { LambdaExtensionError } from "./LambdaExtensionError.js"
import * as runtimeApi from "./runtimeApi.js"
import type { LambdaApi } from "./runtimeApi.js"

/** The start of an invocation, as the extension learns of it. */
export interface InvokeEvent {
  readonly requestId: string
  /** Milliseconds since the epoch. */
  readonly deadline: number
}

type Operation = LambdaExtensionError["operation"]

const path = "/2020-01-01/extension"

const registrationTimeoutMillis = 2000

export const makeError = (
  operation: Operation,
  reason: LambdaExtensionError["reason"],
  description: string,
  more?: { readonly status?: number; readonly cause?: unknown }
): LambdaExtensionError => new LambdaExtensionError({ operation, reason, status: undefined, description, ...more })

const fromApiError = (operation: Operation) => (error: runtimeApi.LambdaApiError) =>
  makeError(operation, error.reason, error.message, { cause: error.cause })

const refused = (operation: Operation, response: runtimeApi.ApiResponse) =>
  makeError(operation, "Refused", runtimeApi.describe(response), { status: response.status })

const timedOut = () =>
  makeError("register", "TimedOut", `Lambda did not respond within ${registrationTimeoutMillis} milliseconds`)

/** Registers the extension for invocations, and returns its identifier. */
export const register = (
  base: URL,
  send: LambdaApi["request"],
  options: { readonly name: string; readonly blocking: boolean }
): Effect.Effect<string, LambdaExtensionError> => {
  const request: runtimeApi.ApiRequest = {
    method: "POST",
    path: `${path}/register`,
    headers: { "Lambda-Extension-Name": options.name },
    body: JSON.stringify({ events: ["INVOKE"] })
  }
  return Effect.flatMap(options.blocking ? sendBlocking(base, request) : sendInTime(send, request), (response) => {
    if (response.status !== 200) return refused("register", response)
    const identifier = response.headers["lambda-extension-identifier"]
    return identifier === undefined || identifier === ""
      ? makeError("register", "Malformed", "the response has no identifier")
      : Effect.succeed(identifier)
  })
}

const sendInTime = (send: LambdaApi["request"], request: runtimeApi.ApiRequest) =>
  send(request).pipe(
    Effect.mapError(fromApiError("register")),
    Effect.timeoutFail({ duration: Duration.millis(registrationTimeoutMillis), onTimeout: timedOut })
  )

const sendBlocking = (
  base: URL,
  request: runtimeApi.ApiRequest
): Effect.Effect<runtimeApi.ApiResponse, LambdaExtensionError> =>
  Effect.try({
    try: () => requestBlocking(runtimeApi.prepare(base, request), registrationTimeoutMillis),
    catch: (cause) => makeError("register", "Unsupported", "no thread could be started", { cause })
  }).pipe(Effect.flatMap((reply) => {
    if (reply === undefined) return timedOut()
    if (reply._tag === "Response") return Effect.succeed(reply)
    const cause = new Error(reply.description)
    return fromApiError("register")(new runtimeApi.LambdaApiError({ reason: reply.reason, cause }))
  }))

const requestEvent = (
  send: LambdaApi["request"],
  identifier: string
): Effect.Effect<InvokeEvent, LambdaExtensionError> =>
  send({
    method: "GET",
    path: `${path}/event/next`,
    headers: { "Lambda-Extension-Identifier": identifier }
  }).pipe(
    Effect.mapError(fromApiError("next")),
    Effect.flatMap((response) => {
      if (response.status !== 200) return refused("next", response)
      const event = Option.getOrUndefined(Option.liftThrowable(JSON.parse)(response.body))
      return event?.eventType === "INVOKE" && typeof event.requestId === "string" && Number.isFinite(event.deadlineMs)
        ? Effect.succeed({ requestId: event.requestId, deadline: event.deadlineMs })
        : makeError("next", "Malformed", "the event is not an invocation")
    })
  )

/** A status of 4xx means that Lambda does not know the extension, or that the request is wrong: it stays so. */
const isRetryable = ({ status }: LambdaExtensionError) => status === undefined || status < 400 || status >= 500

/** Waits for the next event. Requests it again, up to four times, after pauses that double. */
export const nextEvent = (
  send: LambdaApi["request"],
  identifier: string
): Effect.Effect<InvokeEvent, LambdaExtensionError> =>
  Effect.retry(requestEvent(send, identifier), {
    schedule: Schedule.exponential(Duration.millis(50)),
    times: 4,
    while: isRetryable
  })
