import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as alarm from "./timer.js"

/**
 * Ends as the callback says, or as `late` after `limit` milliseconds, and cancels then. It is `Effect.async` and `Effect.timeoutFail` in
 * one, without a fiber for either. The limit holds for a caller that cannot be interrupted, too.
 */
export const asyncWithin = <A, E>(
  register: (resume: (effect: Effect.Effect<A, E>) => void) => (() => void) | undefined,
  limit: number,
  late: () => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.withFiberRuntime<A, E>((fiber, { runtimeFlags }) =>
    Effect.async<A, E>((resume) => {
      const runtime = Runtime.make({
        context: fiber.currentContext as Context.Context<never>,
        runtimeFlags,
        fiberRefs: fiber.getFiberRefs()
      })
      const clock = Context.get(fiber.currentDefaultServices, Clock.Clock)
      let cancel: (() => void) | undefined
      const clear = alarm.set(clock, runtime, limit, () => {
        resume(Effect.suspend(late))
        cancel?.()
      }, { unref: false })
      cancel = register((effect) => {
        clear()
        resume(effect)
      })
      return Effect.sync(() => {
        clear()
        cancel?.()
      })
    })
  )
