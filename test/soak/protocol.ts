/** Resources of a process. */
export interface Sample {
  /** Bytes in use after a garbage collection. */
  readonly heap: number
  /** Numbers of resources that keep the event loop alive, by kind. */
  readonly resources: Readonly<Record<string, number>>
  /** Numbers of listeners, by event of the process. */
  readonly listeners: Readonly<Record<string, number>>
}
