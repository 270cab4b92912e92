/** Documentation of the routes: the document at `/openapi.json` and the page at `/docs`. */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { withPolicy } from "./accessControl.js"
import { IntakeApi } from "./api.js"

/** Builds the OpenAPI document for each request: it takes longer than the start of an intake. */
export const openApiDocument = Effect.sync(() => HttpServerResponse.unsafeJson(OpenApi.fromApi(IntakeApi)))

/** Loads the Swagger page for each request: it is larger than the rest of the intake. */
export const swaggerPage = Effect.promise(() => import("@effect/platform/HttpApiSwagger")).pipe(
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
