/** The events that the extension holds, and the invocations that handlers have begun. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** An event that the extension holds. */
export interface HeldEvent {
  readonly requestId: string
  readonly released: Deferred.Deferred<void>
  /** True if a handler has begun its invocation. */
  isBegun: boolean
}

/** An invocation between its begin and its end. */
export interface OpenInvocation {
  readonly requestId: string
  /** Undefined if the event has not arrived, or was released before the invocation began. */
  event: HeldEvent | undefined
  /** True if the last event was released before any invocation began: it may have been the event of this one. */
  readonly mayBeLate: boolean
}

/**
 * Pairs events with invocations. An environment serves one invocation at a time. An invocation that begins while an event is held
 * therefore belongs to this event, also if its context has another request id.
 */
export class HeldEvents {
  isAlive = true
  private runningWork = 0
  private current: HeldEvent | undefined
  private lastReleased: HeldEvent | undefined
  /** True if an invocation has ended whose event has not arrived. */
  private hasEarlyEnd = false
  private readonly openInvocations = new Set<OpenInvocation>()

  /** Releases the current event if no invocation and no work needs it any more. */
  release(): void {
    const { current } = this
    if (current === undefined || this.runningWork > 0) return
    if (this.isAlive && (!current.isBegun || this.isOpen(current))) return
    Deferred.unsafeDone(current.released, Effect.void)
  }

  /** Holds an event, and assigns it to invocations that began before it arrived. */
  hold(event: HeldEvent): void {
    this.current = event
    event.isBegun = this.hasEarlyEnd || this.runningWork > 0
    this.hasEarlyEnd = false
    for (const invocation of this.openInvocations) {
      if (invocation.event !== undefined) continue
      invocation.event = event
      event.isBegun = true
    }
    this.release()
  }

  /** Forgets the current event, which was released. */
  forget(event: HeldEvent): void {
    this.current = undefined
    this.lastReleased = event
  }

  begin(requestId: string): OpenInvocation {
    // A handler and its program each begin the same invocation.
    const mayBeLate = this.current === undefined &&
      (this.findOpen(requestId)?.mayBeLate ?? this.lastReleased?.isBegun === false)
    const invocation: OpenInvocation = { requestId, event: this.current, mayBeLate }
    const event = mayBeLate ? this.lastReleased : this.current
    if (event !== undefined) event.isBegun = true
    this.openInvocations.add(invocation)
    return invocation
  }

  end(invocation: OpenInvocation): void {
    if (!this.openInvocations.delete(invocation)) return
    if (invocation.event === undefined && !invocation.mayBeLate) this.hasEarlyEnd = true
    this.release()
  }

  /** Returns whether the environment can be kept awake for the invocation. Lambda retries an event under its old request id. */
  canHold(requestId: string): boolean {
    if (!this.isAlive) return false
    const { current } = this
    const invocation = this.findOpen(requestId)
    const event = invocation === undefined && current?.requestId === requestId ? current : invocation?.event
    if (event !== undefined) return event === current
    return invocation?.mayBeLate !== true && requestId !== this.lastReleased?.requestId
  }

  /** Counts work that begins after the response. */
  beginWork(): void {
    if (this.current === undefined) this.hasEarlyEnd = true
    else this.current.isBegun = true
    this.runningWork++
  }

  /** Counts work that has ended. */
  endWork(): void {
    this.runningWork--
    this.release()
  }

  private isOpen(event: HeldEvent): boolean {
    return Array.from(this.openInvocations).some((invocation) => invocation.event === event)
  }

  private findOpen(requestId: string): OpenInvocation | undefined {
    return Array.from(this.openInvocations).findLast((invocation) => invocation.requestId === requestId)
  }
}
