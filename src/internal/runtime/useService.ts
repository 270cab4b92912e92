import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/**
 * Runs `use` with a service of the fiber's context. Behaves like `Effect.asVoid(Effect.map(tag, use))`, in one fiber operation
 * instead of three, for calls that a program makes in its inner loops. In Effect 4 this is `Effect.withFiber`.
 */
export const useService = <Id, Service>(
  tag: Context.Tag<Id, Service>,
  use: (service: Service) => void
): Effect.Effect<void, never, Id> =>
  Effect.withFiberRuntime<void, never, Id>((fiber) => {
    use(Context.unsafeGet(fiber.currentContext, tag))
    return Effect.void
  })
