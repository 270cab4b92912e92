/** What a process holds. */
export interface Sample {
  /** Bytes in use after a collection. */
  readonly heap: number
  /** What keeps the event loop busy, by kind. */
  readonly resources: Readonly<Record<string, number>>
  /** Listeners of the process's own events. */
  readonly listeners: Readonly<Record<string, number>>
}
