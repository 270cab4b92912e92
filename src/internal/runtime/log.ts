import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Logger from "effect/Logger"

/**
 * Makes a logger that never throws. Effect's runtime inspects a thrown value, and a value whose inspection throws as well would
 * end the fiber without an exit: nothing that waits for it would go on.
 */
const guardLogger = (logger: Logger.Logger<unknown, unknown>): Logger.Logger<unknown, unknown> =>
  Logger.make((options) => {
    try {
      return logger.log(options)
    } catch {
      return undefined
    }
  })

/**
 * Annotates the logs of an effect with the module that writes them. A logger that throws does not fail the effect, whatever it
 * throws. Stands for `Effect.annotateLogs`.
 */
export const logFrom = (module: string) => <R>(log: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
  Effect.locallyWith(
    Effect.catchAllCause(
      Effect.annotateLogs(log, { package: "effect-threadstats", module }),
      () => Effect.void
    ),
    FiberRef.currentLoggers,
    HashSet.map(guardLogger)
  )
