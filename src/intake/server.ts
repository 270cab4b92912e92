/** The HTTP side of an intake: the handlers of {@link IntakeApi}, and the one app they make. */
import * as Headers from "@effect/platform/Headers"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Socket } from "node:net"
import * as Endpoints from "../internal/http/endpoints.js"
import type { Answer, IntakeRequest, View } from "../LocalIntake.js"
import { prefersHtml, refusalOf, securityHeaders, withPolicy } from "./accessControl.js"
import { IntakeApi, KeyHeader, PresentedKey } from "./api.js"
import type { Fault } from "./faultInjection.js"
import type { FeedServer } from "./feedServer.js"
import { type Desk, type NotTaken, notTaken, type Taken } from "./ingest.js"
import * as Page from "./pageAsset.js"
import * as Body from "./requestBody.js"
import type { Memory, Writable } from "./store.js"

type Handler = Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>

export interface Parts {
  readonly memory: Memory
  readonly desk: {
    readonly series: Desk
    readonly seriesV2: Desk
    readonly distributionPoints: Desk
    readonly event: Desk
  }
  readonly feed: FeedServer
  readonly view: () => View
  readonly clear: Effect.Effect<void>
  readonly apiKey: Redacted.Redacted | undefined
  readonly limitsOf: (limits: Endpoints.Limits) => Endpoints.Limits
  readonly faults: ReadonlyArray<Fault>
  /** The answer that is scripted for the next request to a path. */
  readonly scripted: (path: string) => Answer | undefined
  /** Names by which the server may be found, in lower case. */
  readonly names: ReadonlyArray<string>
  /** Whoever waits is answered with this when the intake closes. */
  readonly closing: Deferred.Deferred<HttpServerResponse.HttpServerResponse>
}

const secretHeaders = [Endpoints.keyHeader, "dd-application-key", "authorization", "proxy-authorization", "cookie"]

const visible = (headers: Headers.Headers): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretHeaders.includes(name) ? "<redacted>" : value])
  )

/** The connection of a request, where the server is Node.js's. */
const socketOf = ({ source }: HttpServerRequest.HttpServerRequest): Socket | undefined =>
  typeof source === "object" && source !== null && "socket" in source && source.socket instanceof Socket
    ? source.socket
    : undefined

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?", 1)[0]!

const checkKey = (presented: Redacted.Redacted, good: Redacted.Redacted | undefined): Either.Either<void, NotTaken> => {
  const key = Redacted.value(presented)
  return key === ""
    ? Either.mapLeft(Body.refuse(403, "NoKey", "API key required"), notTaken)
    : good === undefined || key === Redacted.value(good)
    ? Either.void
    : Either.mapLeft(Body.refuse(403, "WrongKey", "Forbidden"), notTaken)
}

export const make = (parts: Parts): Effect.Effect<HttpApp.Default, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { closing, desk, faults, feed, limitsOf, memory } = parts
    const page = yield* Page.make
    const unlessClosing = Effect.raceFirst(Deferred.await(closing))

    /** The fault that is played on this request, if there is one. */
    const draw = (path: string): Effect.Effect<Fault | undefined> =>
      Effect.gen(function*() {
        for (const fault of faults) {
          if (fault.path !== undefined && fault.path !== path) continue
          if (fault.rate === 1 || (yield* Random.next) < fault.rate) return fault
        }
        return undefined
      })

    const reset = (request: HttpServerRequest.HttpServerRequest): Handler =>
      Effect.suspend(() => {
        const socket = socketOf(request)
        socket?.resetAndDestroy()
        return socket === undefined
          ? Effect.succeed(HttpServerResponse.empty({ status: 503 }))
          : unlessClosing(Effect.never)
      })

    const play = ({ action, delay }: Fault, request: HttpServerRequest.HttpServerRequest, usual: Handler): Handler => {
      const then: Handler = action._tag === "Usual"
        ? usual
        : action._tag === "Answer"
        ? Effect.succeed(action.response)
        : action._tag === "Hang"
        ? unlessClosing(Effect.never)
        : reset(request)
      return Duration.equals(delay, Duration.zero)
        ? then
        : Effect.flatten(Effect.raceFirst(
          Effect.as(Effect.sleep(delay), then),
          Effect.map(Deferred.await(closing), Effect.succeed<HttpServerResponse.HttpServerResponse>)
        ))
    }

    /** A request in Datadog's name: written down, whatever becomes of it, and answered. */
    const route = (spec: {
      /** Without one, a body is not looked at. */
      readonly endpoint?: Endpoints.Endpoint
      readonly key?: Redacted.Redacted
      readonly desk: Desk
    }): Handler =>
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const limits = limitsOf(spec.endpoint?.limits ?? Endpoints.limits)
        const received = yield* Body.read(request, limits.bytes)
        const now = yield* Clock.currentTimeMillis
        const encoding = (request.headers["content-encoding"] ?? "identity").trim().toLowerCase()
        const body = yield* spec.endpoint === undefined
          ? Effect.succeed(Either.right<Body.Content>({ value: undefined, length: received.length }))
          : Effect.either(Body.parse(spec.endpoint, limits, encoding, received))
        const path = pathOf(request)
        const unpackedBytes = Either.match(body, { onLeft: () => received.length, onRight: ({ length }) => length })
        const entry: Writable<IntakeRequest> = {
          receivedAt: now,
          method: request.method,
          path,
          headers: visible(request.headers),
          bytes: received.length,
          unpackedBytes,
          encoding,
          body: Either.match(body, { onLeft: () => undefined, onRight: ({ value }) => value }),
          status: undefined,
          duration: undefined,
          fault: undefined,
          reason: undefined,
          verdicts: []
        }
        const arrival = memory.arrived({
          at: now,
          protocol: "http",
          target: `${request.method} ${path}`,
          userAgent: request.headers["user-agent"] ?? "",
          encoding,
          bytes: received.length,
          unpackedBytes,
          items: 0,
          points: 0,
          status: null,
          duration: null,
          fault: null,
          reason: null,
          verdicts: [],
          more: 0
        }, entry)

        const usual = Effect.sync(() =>
          (spec.key === undefined ? Either.void : checkKey(spec.key, parts.apiKey)).pipe(
            Either.flatMap(() => Either.mapLeft(body, notTaken)),
            Either.flatMap(({ value }) => spec.desk(value, now)),
            Either.match({
              onRight: ({ items, points, response, verdicts }: Taken) => {
                memory.answered(arrival, { items, points }, verdicts)
                return response
              },
              onLeft: ({ refusal, verdicts }: NotTaken) => {
                memory.answered(arrival, { reason: refusal.reason }, verdicts)
                return refusal.response
              }
            })
          )
        )
        const scripted = parts.scripted(path)
        const fault = scripted === undefined ? yield* draw(path) : undefined
        if (fault !== undefined) memory.answered(arrival, { fault: fault.text })
        const response = yield* fault !== undefined
          ? play(fault, request, usual)
          : scripted === undefined || scripted === "usual"
          ? usual
          : unlessClosing(scripted)
        memory.answered(arrival, {
          status: response.status,
          duration: (yield* Clock.currentTimeMillis) - now
        })
        return response
      })

    const withKey = (endpoint: Endpoints.Endpoint | undefined, desk: Desk) => () =>
      Effect.flatMap(
        PresentedKey,
        (key) => route({ ...(endpoint === undefined ? undefined : { endpoint }), key, desk })
      )

    const valid: Desk = () =>
      Either.right({
        response: HttpServerResponse.unsafeJson({ valid: true }),
        items: 0,
        points: 0,
        verdicts: []
      })

    const unknown: Desk = () => Either.mapLeft(Body.refuse(404, "NotFound", "Not found"), notTaken)

    const datadog = HttpApiBuilder.group(IntakeApi, "datadog", (handlers) =>
      handlers
        .handleRaw("series", withKey(Endpoints.series, desk.series))
        .handleRaw("seriesV2", withKey(Endpoints.seriesV2, desk.seriesV2))
        .handleRaw("distributionPoints", withKey(Endpoints.distributionPoints, desk.distributionPoints))
        .handleRaw("event", withKey(Endpoints.events, desk.event))
        .handleRaw("validate", withKey(undefined, valid)))

    const own = HttpApiBuilder.group(IntakeApi, "intake", (handlers) =>
      handlers
        .handle("view", ({ request }) =>
          prefersHtml(request.headers["accept"])
            ? page
            : Effect.sync(() =>
              HttpServerResponse.unsafeJson(parts.view(), { headers: { ...securityHeaders, vary: "accept" } })
            ))
        .handle("feed", ({ request }) =>
          Effect.succeed(
            HttpServerResponse.stream(feed.open(() => socketOf(request)?.destroy()), {
              contentType: "text/event-stream",
              headers: { ...securityHeaders, "cache-control": "no-store" }
            })
          ))
        .handle("clear", () => parts.clear))

    const others = HttpApiBuilder.Router.use((router) =>
      Effect.zipRight(
        Effect.zipRight(router.get("/docs", reference), router.get("/openapi.json", document)),
        router.all(
          "*",
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
            // a browser asks for icons and the like on its own
            request.headers["sec-fetch-site"] === undefined
              ? route({ desk: unknown })
              : Effect.succeed(HttpServerResponse.empty({ status: 404 })))
        )
      )
    )

    const context = yield* Layer.build(
      others.pipe(
        Layer.provideMerge(HttpApiBuilder.api(IntakeApi)),
        Layer.provide([datadog, own]),
        Layer.provide(Layer.succeed(KeyHeader, { apiKey: Effect.succeed })),
        Layer.provideMerge(
          Layer.mergeAll(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer, HttpServer.layerContext)
        )
      )
    )
    const routes = yield* Effect.provide(HttpApiBuilder.httpApp, context)
    return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const reason = refusalOf(request, parts.names)
      return reason === undefined
        ? Effect.provide(routes, context)
        : Effect.succeed(new Body.Refusal({ status: 403, code: "Elsewhere", reason }).response)
    })
  })

/** Made when it is asked for: it takes longer than all the rest of an intake. */
const document = Effect.sync(() => HttpServerResponse.unsafeJson(OpenApi.fromApi(IntakeApi)))

/** The page of `/docs`, which is loaded when it is asked for: it is larger than all the rest. */
const reference = Effect.promise(() => import("@effect/platform/HttpApiSwagger")).pipe(
  Effect.flatMap(({ layer }) =>
    HttpApiBuilder.Router.router.pipe(
      Effect.provide(
        layer().pipe(
          Layer.provide(Layer.succeed(HttpApi.Api, { api: IntakeApi as never, context: Context.empty() })),
          Layer.provideMerge(HttpApiBuilder.Router.Live)
        )
      )
    )
  ),
  Effect.flatten,
  Effect.map(HttpServerResponse.setHeaders(
    withPolicy("script-src 'unsafe-inline'", "style-src 'unsafe-inline'", "img-src data:", "connect-src 'self'")
  )),
  Effect.orDie
)
