import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { ApiKey, ApiKeyError } from "../../ApiKey.js"
import { monotonicMillis } from "../model/time.js"
import { within } from "../runtime/timeLimit.js"
import { type DeliveryFailure, unsent } from "./httpFailure.js"

/** Time limit of one read of the key, in milliseconds, if the flush has more time left. */
const readTimeout = 5_000

/** API key of one batch. Its chunks share the key, and the key that replaces a refused one. */
export interface BatchKey {
  readonly current: () => Redacted.Redacted
  /** Reads the source again after Datadog refused a key. Returns true if there is another key now. */
  readonly refresh: (refused: Redacted.Redacted) => Effect.Effect<boolean>
}

const noKey = (description: string): DeliveryFailure => unsent(`there is no API key: ${description}`, "Unauthorized")

/** Reads a key until the deadline. A source that fails, dies or hangs is a failure. */
const readKey = (
  key: Effect.Effect<Redacted.Redacted, ApiKeyError>,
  deadline: number
): Effect.Effect<Redacted.Redacted, DeliveryFailure> => {
  const read = Effect.catchAllCause(key, (cause): Effect.Effect<never, DeliveryFailure> => {
    const failure = Option.getOrUndefined(Cause.failureOption(cause))
    if (failure !== undefined) return Effect.fail(noKey(failure.message))
    return Cause.isInterruptedOnly(cause)
      ? Effect.failCause(cause as Cause.Cause<never>)
      : Effect.fail(noKey("its source died"))
  })
  // A constant key needs no fiber.
  if (Exit.isExit(key)) return read
  return Effect.clockWith((clock) => {
    const limit = Math.max(0, Math.min(deadline - monotonicMillis(clock), readTimeout))
    return within(Effect.interruptible(read), limit, () => Effect.fail(unsent("no time left in this flush")))
  })
}

/** Reads the key for a batch, until the deadline, in milliseconds of the monotonic time. */
export const makeBatchKey = (
  source: ApiKey["Type"],
  deadline: number
): Effect.Effect<BatchKey, DeliveryFailure> =>
  Effect.map(readKey(source.get, deadline), (first) => {
    let current = first
    return {
      current: () => current,
      refresh: (refused) =>
        Effect.map(
          Effect.orElseSucceed(readKey(source.refresh(refused), deadline), () => refused),
          (fresh) => {
            const isNew = Redacted.value(fresh) !== Redacted.value(refused)
            if (isNew) current = fresh
            return isNew
          }
        )
    }
  })
