import * as Effect from "effect/Effect"

/** Annotates log lines with their module. The outcome of a program does not depend on its loggers, also if one throws. */
export const logSafely = (module: string) => (line: Effect.Effect<void>): Effect.Effect<void> =>
  line.pipe(
    Effect.annotateLogs({ package: "effect-threadstats", module }),
    Effect.catchAllCause(() => Effect.void)
  )
