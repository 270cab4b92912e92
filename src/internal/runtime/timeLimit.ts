import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as alarm from "./timer.js"

/**
 * Ends as `effect` does or, where that takes longer than `limit` milliseconds, as `late`. It is `Effect.disconnect` and
 * `Effect.timeoutTo` in one, with one fiber rather than three: the effect has a fiber of its own, which is interrupted, and
 * left to itself, when its time is over or the caller is interrupted. So the limit holds for an effect that cannot be
 * interrupted, and for a caller that cannot. `services` are provided to the effect, which costs nothing here.
 */
export const within = <A, E, R, A2, E2, S = never>(
  effect: Effect.Effect<A, E, R>,
  limit: number,
  late: () => Effect.Effect<A2, E2>,
  services: Context.Context<S> = Context.empty() as Context.Context<S>
): Effect.Effect<A | A2, E | E2, Exclude<R, S>> =>
  Effect.withFiberRuntime<A | A2, E | E2, Exclude<R, S>>((parent, { runtimeFlags }) => {
    const runtime = Runtime.make({
      context: Context.merge(parent.currentContext, services) as Context.Context<any>,
      runtimeFlags,
      fiberRefs: parent.getFiberRefs()
    })
    // not at once: an interruption that comes before it waits for its own fibers would not reach them
    const fiber = Runtime.runFork(runtime)(effect, { immediate: false })
    return Effect.async<A | A2, E | E2>((resume) => {
      const leave = () => fiber.unsafeInterruptAsFork(parent.id())
      const clock = Context.get(parent.currentDefaultServices, Clock.Clock)
      const off = alarm.set(clock, runtime as Runtime.Runtime<never>, limit, () => {
        resume(Effect.suspend(late))
        leave()
      }, { unref: false })
      fiber.addObserver((exit) => {
        off()
        resume(exit)
      })
      return Effect.sync(() => {
        off()
        leave()
      })
    })
  })
