import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"

/**
 * Starts an effect in a fiber that nobody supervises, with more services than its caller has:
 *
 * - without spans, because the client does not watch itself;
 * - without the log line of a fiber that failed: Effect writes it, by loggers that may throw, before it notifies those that wait;
 * - without a place in Effect's own fiber metrics. `EffectMetrics` publishes these: a flush that counted its own fiber would leave
 *   something to flush each time.
 *
 * Await the fiber instead of joining it: a join would pass its services on to the caller. It stands for `Effect.forkDaemon` with
 * `Effect.provide`, `Effect.withTracerEnabled`, `Effect.withUnhandledErrorLogLevel` and `Effect.withRuntimeFlagsPatch`, in one
 * operation of the fiber instead of some ninety.
 */
export const fork = <A, E, R, S>(
  effect: Effect.Effect<A, E, R>,
  services: Context.Context<S>
): Effect.Effect<Fiber.RuntimeFiber<A, E>, never, Exclude<R, S>> =>
  Effect.withFiberRuntime<Fiber.RuntimeFiber<A, E>, never, Exclude<R, S>>((parent, { runtimeFlags }) => {
    const runtime = Runtime.make({
      context: Context.merge(parent.currentContext, services) as Context.Context<any>,
      runtimeFlags: RuntimeFlags.disable(runtimeFlags, RuntimeFlags.RuntimeMetrics),
      fiberRefs: parent.getFiberRefs()
    })
    return Effect.succeed(
      Runtime.runFork(runtime)(effect, {
        // Not at once: an interruption that comes before the effect waits for its own fibers would not reach them.
        immediate: false,
        updateRefs: (refs, fiberId) =>
          FiberRefs.updateManyAs(refs, {
            entries: [
              [FiberRef.currentTracerEnabled, [[fiberId, false]]],
              [FiberRef.unhandledErrorLogLevel, [[fiberId, Option.none()]]]
            ]
          })
      })
    )
  })
