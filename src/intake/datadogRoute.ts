/** Requests to the routes of Datadog: each one is recorded, and answered like Datadog answers it or with a fault. */
import type * as Headers from "@effect/platform/Headers"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { type BodyLimits, defaultBodyLimits, type IntakeEndpoint, keyHeader } from "./endpoints.js"
import type { Arrival } from "./entries.js"
import { drawFault, injectFault } from "./faultInjection.js"
import type { InjectedFault } from "./faults.js"
import { type Accepted, type IngestBody, reject, type Rejected } from "./ingest.js"
import * as Body from "./requestBody.js"
import type { Store } from "./store.js"
import { isAccepted } from "./verdict.js"

type Response = HttpServerResponse.HttpServerResponse

type RequestHandler = Effect.Effect<Response, never, HttpServerRequest.HttpServerRequest>

/**
 * Answer to a request in a test: `"usual"` answers like Datadog; an effect answers with its response, and the intake accepts
 * nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type ScriptedAnswer = "usual" | Effect.Effect<HttpServerResponse.HttpServerResponse>

export interface DatadogRouteOptions {
  readonly store: Store
  /** The only valid key; `undefined` if any key is valid. */
  readonly apiKey: Redacted.Redacted | undefined
  /** Returns the limits of a body, given those of Datadog. */
  readonly limitsOf: (limits: BodyLimits) => BodyLimits
  readonly faults: ReadonlyArray<InjectedFault>
  /** Takes the scripted answer for the next request to a path. */
  readonly takeScripted: (path: string) => ScriptedAnswer | undefined
  /** Completed with the answer to pending requests when the intake closes. */
  readonly closing: Deferred.Deferred<Response>
}

/** A route: how its requests are ingested. */
export interface DatadogRoute {
  /** Endpoint whose body is parsed; the body is ignored without one. */
  readonly endpoint?: IntakeEndpoint | undefined
  /** Key of the request; it is not checked without one. */
  readonly key?: Redacted.Redacted
  readonly ingest: IngestBody
}

/** A request that is recorded, and not answered yet. */
interface ReceivedRequest {
  readonly now: number
  readonly path: string
  readonly arrival: Arrival
  readonly body: Either.Either<Body.ParsedBody, Body.Refusal>
}

const secretHeaders = [keyHeader, "dd-application-key", "authorization", "proxy-authorization", "cookie"]

const redactHeaders = (headers: Headers.Headers): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretHeaders.includes(name) ? "<redacted>" : value])
  )

const checkKey = (
  presented: Redacted.Redacted,
  valid: Redacted.Redacted | undefined
): Either.Either<void, Rejected> => {
  const key = Redacted.value(presented)
  return key === ""
    ? Either.mapLeft(Body.refuse(403, "NoKey", "API key required"), reject)
    : valid === undefined || key === Redacted.value(valid)
    ? Either.void
    : Either.mapLeft(Body.refuse(403, "WrongKey", "Forbidden"), reject)
}

/** Reads the body of a request, and adds the request to the log. */
const receive = (
  { limitsOf, store }: DatadogRouteOptions,
  { endpoint }: DatadogRoute,
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<ReceivedRequest> =>
  Effect.gen(function*() {
    const limits = limitsOf(endpoint?.limits ?? defaultBodyLimits)
    const raw = yield* Body.readBody(request, limits.bytes)
    const now = yield* Clock.currentTimeMillis
    const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase()
    const body = yield* endpoint === undefined
      ? Effect.succeed(Either.right<Body.ParsedBody>({ value: undefined, length: raw.length }))
      : Effect.either(Body.parseBody(endpoint, limits, encoding, raw))
    const path = request.url.split("?", 1)[0]!
    store.countRequest(raw.length)
    const unpackedBytes = Either.isRight(body) ? body.right.length : raw.length
    const arrival = store.requests.add({
      at: now,
      protocol: "http",
      target: `${request.method} ${path}`,
      userAgent: request.headers["user-agent"] ?? "",
      encoding,
      bytes: raw.length,
      unpackedBytes,
      items: 0
    }, {
      receivedAt: now,
      method: request.method,
      path,
      headers: redactHeaders(request.headers),
      bytes: raw.length,
      unpackedBytes,
      encoding,
      body: Either.isRight(body) ? body.right.value : undefined,
      status: undefined,
      duration: undefined,
      fault: undefined,
      reason: undefined,
      verdicts: []
    })
    return { now, path, arrival, body }
  })

/** Answers a request like Datadog does. */
const answerAsDatadog = (
  { apiKey, store }: DatadogRouteOptions,
  { ingest, key }: DatadogRoute,
  { arrival, body, now }: ReceivedRequest
): Effect.Effect<Response> =>
  Effect.sync(() =>
    (key === undefined ? Either.void : checkKey(key, apiKey)).pipe(
      Either.flatMap(() => Either.mapLeft(body, reject)),
      Either.flatMap(({ value }) => ingest(value, now)),
      Either.match({
        onRight: ({ items, points, response, verdicts }: Accepted) => {
          store.requests.update(arrival, { items, points }, verdicts)
          if (items > 0 && verdicts.some(isAccepted)) store.countOutcome("accepted")
          return response
        },
        onLeft: ({ refusal, verdicts }: Rejected) => {
          store.requests.update(arrival, { reason: refusal.reason }, verdicts)
          store.countOutcome("refused")
          return Body.refusalResponse(refusal)
        }
      })
    )
  )

/** Records and answers a request. A scripted answer comes first, then a fault, then the answer of Datadog. */
export const handleRequest = (options: DatadogRouteOptions, route: DatadogRoute): RequestHandler =>
  Effect.gen(function*() {
    const { closing, faults, store, takeScripted } = options
    const request = yield* HttpServerRequest.HttpServerRequest
    const received = yield* receive(options, route, request)
    const { arrival, now, path } = received
    const usual = answerAsDatadog(options, route, received)
    const scripted = takeScripted(path)
    const fault = scripted === undefined ? yield* drawFault(faults, path) : undefined
    if (fault !== undefined) store.requests.update(arrival, { fault: fault.text })
    const isFaulted = fault === undefined
      ? scripted !== undefined && scripted !== "usual"
      : fault.action._tag !== "Usual"
    if (isFaulted) store.countOutcome("faulted")
    const response = yield* fault !== undefined
      ? injectFault(fault, request, usual, closing)
      : scripted === undefined || scripted === "usual"
      ? usual
      : Effect.raceFirst(scripted, Deferred.await(closing))
    const duration = (yield* Clock.currentTimeMillis) - now
    store.requests.update(arrival, { status: response.status, duration })
    return response
  })
