/**
 * The routes of an intake, once: the server's handlers, a client and the document at `/openapi.json` come out of this.
 *
 * What is documented as JSON may come packed, and is read as raw bytes: a body is refused as Datadog refuses it, not as a
 * framework would.
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
import * as Endpoints from "../internal/http/endpoints.js"
import { version } from "../internal/runtime/version.js"
import {
  DistributionPayload,
  DistributionSeriesFromWire,
  SeriesFromWire,
  SeriesPayload,
  SeriesV2Payload
} from "../Series.js"

/** The key a request came with; empty without one. */
export class PresentedKey extends /*#__PURE__*/ Context.Tag("effect-threadstats/LocalIntake/PresentedKey")<
  PresentedKey,
  Redacted.Redacted
>() {}

/** Reads the key. Whether it is good is said with the answer, after the request is written down. */
export class KeyHeader extends HttpApiMiddleware.Tag<KeyHeader>()("effect-threadstats/LocalIntake/KeyHeader", {
  provides: PresentedKey,
  security: { apiKey: HttpApiSecurity.apiKey({ key: Endpoints.keyHeader, in: "header" }) }
}) {}

const Refused = Schema.Struct({ errors: Schema.Array(Schema.String) })

const Ok = Schema.Struct({ status: Schema.Literal("ok") })

const post = <Name extends string>(name: Name, path: `/${string}`, description: string) =>
  HttpApiEndpoint.post(name, path)
    .annotate(OpenApi.Description, description)
    .addError(Refused, { status: 400 })
    .addError(Refused, { status: 403 })
    .addError(Refused, { status: 413 })

const packed = (encodings: ReadonlyArray<Endpoints.Encoding>): string =>
  `The body may be packed: ${encodings.filter((encoding) => encoding !== "identity").join(", ")}.`

const datadog = HttpApiGroup.make("datadog")
  .annotate(OpenApi.Description, "As Datadog has them.")
  .add(
    post("series", Endpoints.series.path, `Gauges, rates and counts. ${packed(Endpoints.series.encodings)}`)
      .setPayload(SeriesPayload)
      .addSuccess(Ok, { status: 202 })
  )
  .add(
    post("seriesV2", Endpoints.seriesV2.path, `The same in another form. ${packed(Endpoints.seriesV2.encodings)}`)
      .setPayload(SeriesV2Payload)
      .addSuccess(Schema.Struct({ errors: Schema.Array(Schema.String) }), { status: 202 })
  )
  .add(
    post(
      "distributionPoints",
      Endpoints.distributionPoints.path,
      `The values of distributions. ${packed(Endpoints.distributionPoints.encodings)}`
    )
      .setPayload(DistributionPayload)
      .addSuccess(Ok, { status: 202 })
  )
  .add(
    post("event", Endpoints.events.path, `One event. ${packed(Endpoints.events.encodings)}`)
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
      .annotate(OpenApi.Description, "Whether the key is good.")
      .addSuccess(Schema.Struct({ valid: Schema.Literal(true) }))
      .addError(Refused, { status: 403 })
  )
  .middleware(KeyHeader)

const View = Schema.Struct({
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

const own = HttpApiGroup.make("intake", { topLevel: true })
  .annotate(OpenApi.Description, "The intake's own.")
  .add(
    HttpApiEndpoint.get("view", "/")
      .annotate(OpenApi.Description, "What arrived, for those who would have JSON. Browsers are shown a page.")
      .addSuccess(View)
  )
  .add(
    HttpApiEndpoint.get("feed", "/feed")
      .annotate(OpenApi.Description, "What arrives, as server-sent events: hello, snapshot, update, clear.")
      .addSuccess(Schema.String.pipe(HttpApiSchema.withEncoding({ kind: "Text", contentType: "text/event-stream" })))
  )
  .add(
    HttpApiEndpoint.post("clear", "/clear")
      .annotate(OpenApi.Description, "Forgets what arrived.")
      .addSuccess(HttpApiSchema.NoContent)
  )

/** @see LocalIntake.Api */
export class IntakeApi extends HttpApi.make("intake")
  .add(datadog)
  .add(own)
  .annotate(OpenApi.Title, "Local Datadog intake")
  .annotate(OpenApi.Version, version)
  .annotate(OpenApi.Description, "What effect-threadstats answers in Datadog's place.")
{}
