import * as Effect from "effect/Effect"

/** The event loop comes round once: timers, sockets, whatever else there is. */
export const oneTurn: Effect.Effect<void> = /*#__PURE__*/ Effect.async<void>((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})
