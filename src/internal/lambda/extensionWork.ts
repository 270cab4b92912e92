/**
 * Work after the response. The extension holds the event of an invocation, and with it the execution environment, while a handler
 * serves the invocation and until its work has ended.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { oneTurn } from "../runtime/eventLoop.js"
import { within } from "../runtime/timeLimit.js"
import type { InvokeEvent } from "./extensionsApi.js"
import { type HeldEvent, HeldEvents } from "./HeldEvents.js"
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

export const make = (clock: Clock.Clock): ExtensionWork => {
  const events = new HeldEvents()
  const workFibers = new Set<Fiber.RuntimeFiber<unknown>>()

  const interruptWork = Effect.suspend(() => Effect.forEach(workFibers, Fiber.interruptFork, { discard: true }))

  /** Holds the environment from now until the work has ended. */
  const forkWork = (work: Effect.Effect<void>) =>
    Effect.zipRight(
      Effect.sync(() => events.beginWork()),
      Effect.zipRight(responseLeaves, work).pipe(
        Effect.interruptible,
        Effect.exit,
        Effect.zipRight(Effect.sync(() => events.endWork())),
        Effect.forkDaemon,
        Effect.map((fiber) => {
          workFibers.add(fiber)
          fiber.addObserver(() => workFibers.delete(fiber))
        })
      )
    ).pipe(Effect.uninterruptible)

  return {
    service: {
      isAlive: Effect.sync(() => events.isAlive),
      begin: (requestId) =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => events.begin(requestId)),
            (invocation) => Effect.sync(() => events.end(invocation))
          )
        ),
      unsafeBegin: (requestId) => {
        const invocation = events.begin(requestId)
        return () => events.end(invocation)
      },
      afterResponse: (requestId, work) =>
        Effect.suspend(() => {
          const safeWork = Effect.catchAllCause(work, () => Effect.void)
          return events.canHold(requestId) ? forkWork(safeWork) : safeWork
        })
    },
    holdEvent: ({ deadline, requestId }) =>
      Effect.gen(function*() {
        const event: HeldEvent = { requestId, released: yield* Deferred.make<void>(), isBegun: false }
        events.hold(event)
        const left = Math.max(deadline - releaseMarginMillis - clock.unsafeCurrentTimeMillis(), 0)
        const awaitReleased = (millis: number) =>
          within(Effect.as(Deferred.await(event.released), true), millis, () => Effect.succeed(false))
        const beginTime = Math.min(beginMillis, left)
        let isReleased = yield* awaitReleased(beginTime)
        if (!isReleased && !event.isBegun) yield* invocationArrives
        if (!isReleased && event.isBegun) isReleased = yield* awaitReleased(left - beginTime)
        events.forget(event)
        // Work that ignores its interruption must not hold the environment beyond the deadline, so nothing waits for it.
        if (!isReleased) yield* interruptWork
      }),
    stop: Effect.sync(() => {
      const wasAlive = events.isAlive
      events.isAlive = false
      return wasAlive
    }),
    close: Effect.suspend(() => Fiber.interruptAll(Array.from(workFibers))).pipe(
      Effect.zipRight(Effect.sync(() => events.release()))
    )
  }
}
