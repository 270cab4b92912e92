/**
 * Mark of an event in Datadog's event explorer.
 * Source: Datadog API reference, `POST /api/v1/events`.
 *
 * @since 0.1.0
 * @category models
 */
export type AlertType = "error" | "warning" | "info" | "success" | "user_update" | "recommendation" | "snapshot"

/**
 * Priority of an event.
 *
 * @since 0.1.0
 * @category models
 */
export type Priority = "normal" | "low"

/**
 * One event. Datadog takes one per request.
 *
 * `date_happened` is in whole seconds since the epoch. Datadog refuses events older than 18 hours.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly title: string
  readonly text: string
  readonly alert_type?: AlertType
  readonly aggregation_key?: string
  readonly source_type_name?: string
  readonly date_happened?: number
  readonly priority?: Priority
  readonly host?: string
  readonly device_name?: string
  readonly related_event_id?: number
  readonly tags: ReadonlyArray<string>
}
