/** HTTP server of the intake: the handlers of {@link IntakeApi} as one app. */
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { findAccessViolation, prefersHtml, securityHeaders } from "./accessControl.js"
import { IntakeApi, KeyHeader, NoRequest, PresentedKey } from "./api.js"
import { type DatadogRouteOptions, handleRequest } from "./datadogRoute.js"
import { openApiDocument, swaggerPage } from "./documentation.js"
import * as Endpoints from "./endpoints.js"
import type { FeedServer } from "./feedServer.js"
import { type Ingest, type IngestBody, reject } from "./ingest.js"
import type { IntakeView } from "./model.js"
import { socketOf } from "./nodeSocket.js"
import * as PageAsset from "./pageAsset.js"
import { Refusal, refusalResponse, refuse } from "./requestBody.js"

export interface ServerOptions extends DatadogRouteOptions {
  readonly ingest: Ingest
  readonly feed: FeedServer
  readonly view: () => IntakeView
  readonly clear: Effect.Effect<void>
  /** Allowed host names, in lower case. */
  readonly hosts: ReadonlyArray<string>
}

const confirmKey: IngestBody = () =>
  Either.right({ response: HttpServerResponse.unsafeJson({ valid: true }), items: 0, points: 0, verdicts: [] })

const refuseUnknownPath: IngestBody = () => Either.mapLeft(refuse(404, "NotFound", "Not found"), reject)

/** Handlers of the routes of Datadog. */
const makeDatadogHandlers = (options: ServerOptions) => {
  const { ingest } = options
  const handle = (endpoint: Endpoints.IntakeEndpoint | undefined, ingestBody: IngestBody) => () =>
    Effect.flatMap(PresentedKey, (key) => handleRequest(options, { endpoint, key, ingest: ingestBody }))
  return HttpApiBuilder.group(IntakeApi, "datadog", (handlers) =>
    handlers
      .handleRaw("series", handle(Endpoints.series, ingest.series))
      .handleRaw("seriesV2", handle(Endpoints.seriesV2, ingest.seriesV2))
      .handleRaw("distributionPoints", handle(Endpoints.distributionPoints, ingest.distributionPoints))
      .handleRaw("event", handle(Endpoints.events, ingest.event))
      .handleRaw("validate", handle(undefined, confirmKey)))
}

/** Answers with headers and body of a request. A body that cannot be serialized is left out. */
const answerRequest = (
  { store }: ServerOptions,
  id: number
): Effect.Effect<HttpServerResponse.HttpServerResponse, NoRequest> => {
  for (const { request, row } of store.requests.all()) {
    if (row.id !== id || request === undefined) continue
    const { body, headers } = request
    return Either.try(() => HttpServerResponse.unsafeJson({ headers, body }, { headers: securityHeaders })).pipe(
      Either.orElse(() => Either.right(HttpServerResponse.unsafeJson({ headers }, { headers: securityHeaders })))
    )
  }
  return Effect.fail(new NoRequest())
}

/** Handlers of the routes of the intake itself. */
const makeIntakeHandlers = (
  options: ServerOptions,
  page: Effect.Effect<HttpServerResponse.HttpServerResponse>
) => {
  const { clear, feed, view } = options
  return HttpApiBuilder.group(IntakeApi, "intake", (handlers) =>
    handlers
      .handle("request", ({ path }) => answerRequest(options, path.id))
      .handle("view", ({ request }) =>
        prefersHtml(request.headers["accept"])
          ? page
          : Effect.sync(() =>
            HttpServerResponse.unsafeJson(view(), { headers: { ...securityHeaders, vary: "accept" } })
          ))
      .handle("feed", ({ request }) =>
        Effect.succeed(
          HttpServerResponse.stream(feed.open(() => socketOf(request)?.destroy()), {
            contentType: "text/event-stream",
            headers: { ...securityHeaders, "cache-control": "no-store" }
          })
        ))
      .handle("clear", () => clear))
}

/** Routes outside the API: its documentation, and 404 for other paths. */
const makeOtherRoutes = (options: ServerOptions) =>
  HttpApiBuilder.Router.use((router) =>
    Effect.zipRight(
      Effect.zipRight(router.get("/docs", swaggerPage), router.get("/openapi.json", openApiDocument)),
      router.all(
        "*",
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          // Browsers request icons on their own. These requests are not recorded.
          request.headers["sec-fetch-site"] === undefined
            ? handleRequest(options, { ingest: refuseUnknownPath })
            : Effect.succeed(HttpServerResponse.empty({ status: 404 })))
      )
    )
  )

/** Creates the app of the intake. */
export const make = (options: ServerOptions): Effect.Effect<HttpApp.Default, never, Scope.Scope> =>
  Effect.gen(function*() {
    const page = yield* PageAsset.make
    const context = yield* Layer.build(
      makeOtherRoutes(options).pipe(
        Layer.provideMerge(HttpApiBuilder.api(IntakeApi)),
        Layer.provide([makeDatadogHandlers(options), makeIntakeHandlers(options, page)]),
        Layer.provide(Layer.succeed(KeyHeader, { apiKey: Effect.succeed })),
        Layer.provideMerge(
          Layer.mergeAll(HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer, HttpServer.layerContext)
        )
      )
    )
    const app = yield* Effect.provide(HttpApiBuilder.httpApp, context)
    return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const reason = findAccessViolation(request, options.hosts)
      return reason === undefined
        ? Effect.provide(app, context)
        : Effect.succeed(refusalResponse(new Refusal({ status: 403, code: "ForeignPage", reason })))
    })
  })
