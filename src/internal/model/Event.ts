/**
 * Mark of an event in Datadog's event explorer.
 * Source: Datadog API reference, `POST /api/v1/events`.
 */
export type AlertType = "error" | "warning" | "info" | "success" | "user_update" | "recommendation" | "snapshot"

/** Priority of an event. Source: Datadog API reference, `POST /api/v1/events`. */
export type Priority = "normal" | "low"

/** One event in its wire form. Datadog accepts one event per request. */
export interface Event {
  /** Title. Datadog refuses an event without one. */
  readonly title: string
  /** Text, at most 4000 characters. Datadog renders Markdown between `%%%` lines. */
  readonly text: string
  /** Mark of the event. Datadog shows `info` by default. */
  readonly alert_type?: AlertType
  /** Key that groups events, at most 100 characters. */
  readonly aggregation_key?: string
  /** Name of the source. */
  readonly source_type_name?: string
  /** Whole seconds since the epoch. Datadog refuses events older than 18 hours. */
  readonly date_happened?: number
  /** Priority. Datadog shows `normal` by default. */
  readonly priority?: Priority
  /** Host name. */
  readonly host?: string
  /** Device. */
  readonly device_name?: string
  /** Id of the parent event. */
  readonly related_event_id?: number
  /** Tags, with those of the client. */
  readonly tags: ReadonlyArray<string>
}
