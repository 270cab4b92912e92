/** Work after the response: it holds the invocation's event, and with it the execution environment, until it has ended. */
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
  /** Waits until the work of an invocation has ended, or until shortly before its deadline. */
  readonly holdEvent: (event: InvokeEvent) => Effect.Effect<void>
  /** Marks the extension as not alive. Returns whether it was alive. */
  readonly stop: Effect.Effect<boolean>
  /** Interrupts running work and releases the current event. */
  readonly close: Effect.Effect<void>
}

/** Time between the release of an event and the invocation's deadline, in milliseconds. */
const releaseMarginMillis = 100

/** Lambda's runtime client sends the response from promise callbacks and in a following turn of the event loop. */
const responseLeaves = /*#__PURE__*/ Effect.repeatN(oneTurn, 2)

export const make = (clock: Clock.Clock): ExtensionWork => {
  let isAlive = true
  let runningCount = 0
  let currentEvent: { readonly requestId: string; readonly released: Deferred.Deferred<void> } | undefined
  let releasedRequestId: string | undefined
  /** The event of an invocation may arrive after its work. */
  const invocationsWithWork = new Set<string>()
  const workFibers = new Set<Fiber.RuntimeFiber<unknown>>()

  const releaseEvent = Effect.suspend(() =>
    currentEvent !== undefined && runningCount === 0 && (!isAlive || invocationsWithWork.has(currentEvent.requestId))
      ? Deferred.succeed(currentEvent.released, undefined)
      : Effect.void
  )
  const interruptWork = Effect.suspend(() => Effect.forEach(workFibers, Fiber.interruptFork, { discard: true }))

  const forkWork = (work: Effect.Effect<void>) =>
    Effect.zipRight(responseLeaves, work).pipe(
      Effect.interruptible,
      Effect.exit,
      Effect.zipRight(Effect.suspend(() => {
        runningCount--
        return releaseEvent
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
      afterResponse: (requestId, work) =>
        Effect.suspend(() => {
          const safeWork = Effect.catchAllCause(work, () => Effect.void)
          if (!isAlive || requestId === releasedRequestId) return safeWork
          invocationsWithWork.add(requestId)
          runningCount++
          return forkWork(safeWork)
        })
    },
    holdEvent: ({ deadline, requestId }) =>
      Effect.gen(function*() {
        const released = yield* Deferred.make<void>()
        currentEvent = { requestId, released }
        yield* releaseEvent
        const left = Math.max(deadline - releaseMarginMillis - clock.unsafeCurrentTimeMillis(), 0)
        const inTime = yield* Effect.timeoutOption(Deferred.await(released), Duration.millis(left))
        currentEvent = undefined
        releasedRequestId = requestId
        invocationsWithWork.clear()
        // Work that ignores its interruption must not hold the environment beyond the deadline, so nothing waits for it.
        if (Option.isNone(inTime)) yield* interruptWork
      }),
    stop: Effect.sync(() => {
      const wasAlive = isAlive
      isAlive = false
      return wasAlive
    }),
    close: Effect.suspend(() => {
      const running = Array.from(workFibers)
      return Effect.zipRight(interruptWork, Effect.forEach(running, Fiber.await, { discard: true }))
    }).pipe(Effect.zipRight(releaseEvent))
  }
}
