import * as Effect from "effect/Effect"

/** Annotates the logs of an effect with the module that writes them. A logger that throws does not fail the effect. */
export const logFrom = (module: string) => <R>(log: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.catchAllCause(
    Effect.annotateLogs(log, { package: "effect-threadstats", module }),
    () => Effect.void
  )
