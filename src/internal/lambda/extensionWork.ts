/**
 * Work after the response. The extension holds the event of an invocation, and with it the execution environment, while a handler
 * serves the invocation and until its work has ended.
 *
 * An environment serves one invocation at a time. An invocation that begins while an event is held therefore belongs to this event,
 * also if its context has another request id.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { oneTurn } from "../runtime/eventLoop.js"
import type { InvokeEvent } from "./extensionsApi.js"
import type { LambdaExtension } from "./LambdaExtension.js"

export interface ExtensionWork {
  readonly service: Context.Tag.Service<LambdaExtension>
  /** Waits until the invocation and its work have ended, or until shortly before its deadline. */
  readonly holdEvent: (event: InvokeEvent) => Effect.Effect<void>
  /** Marks the extension as not alive. Returns whether it was alive. */
  readonly stop: Effect.Effect<boolean>
  /** Interrupts running work and releases the current event. */
  readonly close: Effect.Effect<void>
}

/** Time between the release of an event and the invocation's deadline, in milliseconds. */
const releaseMarginMillis = 100

/** Time that a handler has to begin the invocation of an event, in milliseconds. It is billed if no handler does. */
const beginMillis = 20

/** Lambda's runtime client sends the response from promise callbacks and in a following turn of the event loop. */
const responseLeaves = /*#__PURE__*/ Effect.repeatN(oneTurn, 2)

/** A busy thread runs the timer before it reads the invocation from its socket. */
const invocationArrives = responseLeaves

/** The event that the extension holds. */
interface HeldEvent {
  readonly requestId: string
  readonly released: Deferred.Deferred<void>
  /** True if a handler has begun its invocation. */
  isBegun: boolean
}

/** An invocation between its begin and its end. */
interface OpenInvocation {
  readonly requestId: string
  /** Undefined if the event has not arrived, or was released before the invocation began. */
  event: HeldEvent | undefined
  /** True if the last event was released before any invocation began: it may have been the event of this one. */
  readonly mayBeLate: boolean
}

export const make = (clock: Clock.Clock): ExtensionWork => {
  let isAlive = true
  let runningCount = 0
  let currentEvent: HeldEvent | undefined
  let lastReleased: HeldEvent | undefined
  /** True if an invocation has ended whose event has not arrived. */
  let hasEarlyEnd = false
  const openInvocations = new Set<OpenInvocation>()
  const workFibers = new Set<Fiber.RuntimeFiber<unknown>>()

  const isOpen = (event: HeldEvent) => Array.from(openInvocations).some((invocation) => invocation.event === event)

  const unsafeReleaseEvent = (): void => {
    if (currentEvent === undefined || runningCount > 0) return
    if (isAlive && (!currentEvent.isBegun || isOpen(currentEvent))) return
    Deferred.unsafeDone(currentEvent.released, Effect.void)
  }
  const interruptWork = Effect.suspend(() => Effect.forEach(workFibers, Fiber.interruptFork, { discard: true }))

  /** Assigns invocations that began before their event arrived. */
  const assignEvent = (event: HeldEvent): void => {
    event.isBegun = hasEarlyEnd || runningCount > 0
    hasEarlyEnd = false
    for (const invocation of openInvocations) {
      if (invocation.event !== undefined) continue
      invocation.event = event
      event.isBegun = true
    }
  }

  const findOpen = (requestId: string) =>
    Array.from(openInvocations).findLast((invocation) => invocation.requestId === requestId)

  const begin = (requestId: string): OpenInvocation => {
    // A handler and its program each begin the same invocation.
    const mayBeLate = currentEvent === undefined &&
      (findOpen(requestId)?.mayBeLate ?? lastReleased?.isBegun === false)
    const invocation: OpenInvocation = { requestId, event: currentEvent, mayBeLate }
    const event = mayBeLate ? lastReleased : currentEvent
    if (event !== undefined) event.isBegun = true
    openInvocations.add(invocation)
    return invocation
  }
  const end = (invocation: OpenInvocation): void => {
    if (!openInvocations.delete(invocation)) return
    if (invocation.event === undefined && !invocation.mayBeLate) hasEarlyEnd = true
    unsafeReleaseEvent()
  }

  /** Returns whether the environment can be kept awake for the invocation. Lambda retries an event under its old request id. */
  const canHold = (requestId: string): boolean => {
    if (!isAlive) return false
    const invocation = findOpen(requestId)
    const event = invocation === undefined && currentEvent?.requestId === requestId ? currentEvent : invocation?.event
    if (event !== undefined) return event === currentEvent
    return invocation?.mayBeLate !== true && requestId !== lastReleased?.requestId
  }

  const forkWork = (work: Effect.Effect<void>) =>
    Effect.zipRight(responseLeaves, work).pipe(
      Effect.interruptible,
      Effect.exit,
      Effect.zipRight(Effect.sync(() => {
        runningCount--
        unsafeReleaseEvent()
      })),
      Effect.forkDaemon,
      Effect.map((fiber) => {
        workFibers.add(fiber)
        fiber.addObserver(() => workFibers.delete(fiber))
      }),
      Effect.uninterruptible
    )

  return {
    service: {
      isAlive: Effect.sync(() => isAlive),
      begin: (requestId) =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => begin(requestId)),
            (invocation) => Effect.sync(() => end(invocation))
          )
        ),
      unsafeBegin: (requestId) => {
        const invocation = begin(requestId)
        return () => end(invocation)
      },
      afterResponse: (requestId, work) =>
        Effect.suspend(() => {
          const safeWork = Effect.catchAllCause(work, () => Effect.void)
          if (!canHold(requestId)) return safeWork
          if (currentEvent === undefined) hasEarlyEnd = true
          else currentEvent.isBegun = true
          runningCount++
          return forkWork(safeWork)
        })
    },
    holdEvent: ({ deadline, requestId }) =>
      Effect.gen(function*() {
        const event: HeldEvent = { requestId, released: yield* Deferred.make<void>(), isBegun: false }
        currentEvent = event
        assignEvent(event)
        unsafeReleaseEvent()
        const left = Math.max(deadline - releaseMarginMillis - clock.unsafeCurrentTimeMillis(), 0)
        const awaitReleased = (millis: number) =>
          Effect.timeoutOption(Deferred.await(event.released), Duration.millis(millis))
        const beginTime = Math.min(beginMillis, left)
        let released = yield* awaitReleased(beginTime)
        if (Option.isNone(released) && !event.isBegun) yield* invocationArrives
        if (Option.isNone(released) && event.isBegun) released = yield* awaitReleased(left - beginTime)
        currentEvent = undefined
        lastReleased = event
        // Work that ignores its interruption must not hold the environment beyond the deadline, so nothing waits for it.
        if (Option.isNone(released)) yield* interruptWork
      }),
    stop: Effect.sync(() => {
      const wasAlive = isAlive
      isAlive = false
      return wasAlive
    }),
    close: Effect.suspend(() => {
      const running = Array.from(workFibers)
      return Effect.zipRight(interruptWork, Effect.forEach(running, Fiber.await, { discard: true }))
    }).pipe(Effect.zipRight(Effect.sync(unsafeReleaseEvent)))
  }
}
