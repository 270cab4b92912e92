/**
 * Wire form of events: the type and the codec of the body that Datadog's v1 `events` endpoint accepts.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as limits from "./internal/model/datadogLimits.js"

export type {
  /**
   * Mark of an event in Datadog's event explorer.
   * Source: Datadog API reference, `POST /api/v1/events`.
   *
   * @since 0.1.0
   * @category models
   */
  AlertType,
  /**
   * One event in its wire form. Datadog accepts one event per request.
   *
   * @since 0.1.0
   * @category models
   */
  Event,
  /**
   * Priority of an event.
   *
   * @since 0.1.0
   * @category models
   */
  Priority
} from "./internal/model/Event.js"

/**
 * Codec of the body of `POST /api/v1/events`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventPayload = Schema.Struct({
  title: Schema.NonEmptyString,
  text: Schema.String.pipe(Schema.maxLength(limits.event.text)),
  alert_type: Schema.optional(
    Schema.Literal("error", "warning", "info", "success", "user_update", "recommendation", "snapshot")
  ),
  aggregation_key: Schema.optional(Schema.String.pipe(Schema.maxLength(limits.event.aggregationKey))),
  source_type_name: Schema.optional(Schema.String),
  date_happened: Schema.optional(Schema.Finite),
  priority: Schema.optional(Schema.NullOr(Schema.Literal("normal", "low"))),
  host: Schema.optional(Schema.NullOr(Schema.String)),
  device_name: Schema.optional(Schema.NullOr(Schema.String)),
  related_event_id: Schema.optional(Schema.Int),
  tags: Schema.optional(Schema.NullOr(Schema.Array(Schema.String)))
})
