/**
 * Mark of an event in Datadog's event explorer.
 * Source: Datadog API reference, `POST /api/v1/events`.
 */
export type AlertType = "error" | "warning" | "info" | "success" | "user_update" | "recommendation" | "snapshot"

/** Priority of an event. Source: Datadog API reference, `POST /api/v1/events`. */
export type Priority = "normal" | "low"

/** One event in its wire form. Datadog accepts one event per request. */
export interface Event {
  readonly title: string
  readonly text: string
  readonly alert_type?: AlertType
  readonly aggregation_key?: string
  readonly source_type_name?: string
  /** Whole seconds since the epoch. Datadog refuses events older than 18 hours. */
  readonly date_happened?: number
  readonly priority?: Priority
  readonly host?: string
  readonly device_name?: string
  readonly related_event_id?: number
  readonly tags: ReadonlyArray<string>
}
