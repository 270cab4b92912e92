/**
 * The routes of the intake. The handlers of the server, a typed client and the document at `/openapi.json` derive from them.
 *
 * The server reads payloads as raw bytes: they may be compressed, and an invalid one is refused like Datadog refuses it.
 */
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiMiddleware from "@effect/platform/HttpApiMiddleware"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpApiSecurity from "@effect/platform/HttpApiSecurity"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Context from "effect/Context"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { EventPayload } from "../Event.js"
import { version } from "../internal/model/version.js"
import {
  DistributionPayload,
  DistributionSeriesFromWire,
  SeriesFromWire,
  SeriesPayload,
  SeriesV2Payload
} from "../Series.js"
import * as Endpoints from "./endpoints.js"

/** API key of the request; empty if it has none. */
export class PresentedKey extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake/PresentedKey")<
  PresentedKey,
  Redacted.Redacted
>() {}

/** Reads the API key. The handler checks it after the request is recorded. */
export class KeyHeader extends HttpApiMiddleware.Tag<KeyHeader>()("effect-threadstats/LocalIntake/KeyHeader", {
  provides: PresentedKey,
  security: { apiKey: HttpApiSecurity.apiKey({ key: Endpoints.keyHeader, in: "header" }) }
}) {}

const ErrorBody = Schema.Struct({ errors: Schema.Array(Schema.String) })

const OkBody = Schema.Struct({ status: Schema.Literal("ok") })

const postRoute = <Name extends string>(name: Name, path: `/${string}`, description: string) =>
  HttpApiEndpoint.post(name, path)
    .annotate(OpenApi.Description, description)
    .addError(ErrorBody, { status: 400 })
    .addError(ErrorBody, { status: 403 })
    .addError(ErrorBody, { status: 413 })

const describeEncodings = (encodings: ReadonlyArray<Endpoints.BodyEncoding>): string =>
  `The body may be compressed: ${encodings.filter((encoding) => encoding !== "identity").join(", ")}.`

const datadog = HttpApiGroup.make("datadog")
  .annotate(OpenApi.Description, "Routes of Datadog.")
  .add(
    postRoute(
      "series",
      Endpoints.series.path,
      `Gauges, rates and counts. ${describeEncodings(Endpoints.series.encodings)}`
    )
      .setPayload(SeriesPayload)
      .addSuccess(OkBody, { status: 202 })
  )
  .add(
    postRoute(
      "seriesV2",
      Endpoints.seriesV2.path,
      `Gauges, rates and counts in the form of version 2. ${describeEncodings(Endpoints.seriesV2.encodings)}`
    )
      .setPayload(SeriesV2Payload)
      .addSuccess(Schema.Struct({ errors: Schema.Array(Schema.String) }), { status: 202 })
  )
  .add(
    postRoute(
      "distributionPoints",
      Endpoints.distributionPoints.path,
      `Values of distributions. ${describeEncodings(Endpoints.distributionPoints.encodings)}`
    )
      .setPayload(DistributionPayload)
      .addSuccess(OkBody, { status: 202 })
  )
  .add(
    postRoute("event", Endpoints.events.path, `One event. ${describeEncodings(Endpoints.events.encodings)}`)
      .setPayload(EventPayload)
      .addSuccess(
        Schema.Struct({
          status: Schema.Literal("ok"),
          event: Schema.Struct({ id: Schema.Number, id_str: Schema.String, title: Schema.String, text: Schema.String })
        }),
        { status: 202 }
      )
  )
  .add(
    HttpApiEndpoint.get("validate", Endpoints.validatePath)
      .annotate(OpenApi.Description, "Checks the API key.")
      .addSuccess(Schema.Struct({ valid: Schema.Literal(true) }))
      .addError(ErrorBody, { status: 403 })
  )
  .middleware(KeyHeader)

const ViewBody = Schema.Struct({
  series: Schema.Array(SeriesFromWire),
  distributions: Schema.Array(DistributionSeriesFromWire),
  events: Schema.Array(EventPayload),
  requests: Schema.Array(Schema.Struct({
    receivedAt: Schema.Number,
    method: Schema.String,
    path: Schema.String,
    headers: Schema.Record({ key: Schema.String, value: Schema.String }),
    bytes: Schema.Number,
    encoding: Schema.String,
    status: Schema.optional(Schema.Number),
    reason: Schema.optional(Schema.String)
  }))
})

/** The intake has no such request, or no longer. */
export class NoRequest extends HttpApiSchema.EmptyError<NoRequest>()({ tag: "NoRequest", status: 404 }) {}

const intake = HttpApiGroup.make("intake", { topLevel: true })
  .annotate(OpenApi.Description, "Routes of the intake itself.")
  .add(
    HttpApiEndpoint.get("view", "/")
      .annotate(OpenApi.Description, "All accepted payloads and all requests as JSON. A browser gets the page.")
      .addSuccess(ViewBody)
  )
  .add(
    HttpApiEndpoint.get("request")`/requests/${HttpApiSchema.param("id", Schema.NumberFromString)}`
      .annotate(OpenApi.Description, "Headers and parsed body of one request, by its identifier in the feed.")
      .addSuccess(Schema.Struct({
        headers: Schema.Record({ key: Schema.String, value: Schema.String }),
        body: Schema.optional(Schema.Unknown)
      }))
      .addError(NoRequest)
  )
  .add(
    HttpApiEndpoint.get("feed", "/feed")
      .annotate(OpenApi.Description, "Changes as server-sent events: hello, snapshot, update, clear.")
      .addSuccess(Schema.String.pipe(HttpApiSchema.withEncoding({ kind: "Text", contentType: "text/event-stream" })))
  )
  .add(
    HttpApiEndpoint.post("clear", "/clear")
      .annotate(OpenApi.Description, "Clears everything that was received.")
      .addSuccess(HttpApiSchema.NoContent)
  )

/** @see LocalIntake.Api */
export class IntakeApi extends HttpApi.make("intake")
  .add(datadog)
  .add(intake)
  .annotate(OpenApi.Title, "Local Datadog intake")
  .annotate(OpenApi.Version, version)
  .annotate(OpenApi.Description, "A server that answers like Datadog, for development and tests.")
{}
