/** Events and service checks as Datadog takes them from its clients: more than its API reference documents. */
import * as Schema from "effect/Schema"
import { EventPayload } from "../Event.js"

const optionalOrNull = <A, I>(schema: Schema.Schema<A, I>) => Schema.optional(Schema.NullOr(schema))

const { alert_type, ...fields } = EventPayload.fields

/**
 * The body of `POST /api/v1/events`. Clients such as datadogpy send `null` for absent fields, and Datadog takes an empty title.
 */
export const EventFromWire = Schema.Struct({
  ...fields,
  title: Schema.String,
  alert_type: optionalOrNull(alert_type.from),
  aggregation_key: optionalOrNull(fields.aggregation_key.from),
  source_type_name: optionalOrNull(fields.source_type_name.from),
  date_happened: optionalOrNull(fields.date_happened.from),
  related_event_id: optionalOrNull(fields.related_event_id.from)
})

const ServiceCheckFromWire = Schema.Struct({
  check: Schema.NonEmptyString,
  host_name: optionalOrNull(Schema.String),
  status: Schema.Literal(0, 1, 2, 3),
  tags: optionalOrNull(Schema.Array(Schema.String)),
  message: optionalOrNull(Schema.String),
  timestamp: optionalOrNull(Schema.Finite)
})

/** The body of `POST /api/v1/check_run`: a list of service checks, or one. */
export const ServiceChecksFromWire = Schema.Union(Schema.Array(ServiceCheckFromWire), ServiceCheckFromWire)
