import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { monotonicMillis } from "../model/time.js"
import type { Chunk } from "./chunker.js"
import { ExpiredPoints, hasExpired } from "./expiredPoints.js"
import { type DeliveryFailure, unsent } from "./httpFailure.js"
import type { BatchKey } from "./keyRefresh.js"
import type { Transport } from "./transport.js"

/** Bounds of the pause before an attempt, in milliseconds. It is random, from zero to a value that doubles with each attempt. */
const firstPause = 200
const longestPause = 5_000

/** Number of attempts for a payload whose response is not Datadog's. It stays pending for the next flush. */
const maxUnexpected = 3

/** Limits of a delivery. */
export interface RetryOptions {
  /** Time by which everything must end, in milliseconds of the monotonic time. With `Infinity`, every payload is sent once. */
  readonly deadline: number
  /** True to send a payload again that may have arrived and would count twice. */
  readonly resendAmbiguous: boolean
  /** Age in milliseconds of the oldest point that is sent. */
  readonly maxAge: number
}

/** One batch on its way. Its chunks share the key and the count of retries. */
export interface RetryContext extends RetryOptions {
  readonly transport: Transport
  readonly key: BatchKey
  readonly countRetry: () => void
}

/** True if the receiver may accept the same payload shortly after. */
const isRetryable = ({ reason }: DeliveryFailure, tries: number): boolean =>
  reason === "ServerError" || reason === "RateLimited" || reason === "Timeout" || reason === "Transport" ||
  (reason === "UnexpectedResponse" && tries + 1 < maxUnexpected)

const maySendAgain = (failure: DeliveryFailure, { endpoint }: Chunk, tries: number, options: RetryOptions): boolean =>
  options.deadline !== Infinity && isRetryable(failure, tries) &&
  (options.resendAmbiguous || endpoint.idempotent || !failure.ambiguous)

/**
 * Sends a chunk until it is accepted, or sending again cannot help. Sends again:
 *
 * - at once, one time, if the connection broke;
 * - at once, one time, if the key was refused and the source has another key;
 * - after a growing random pause, or the longer one that the receiver requests, after other failures that may pass.
 *
 * `onAmbiguous` runs for each attempt that may have arrived.
 */
export const sendWithRetry = (
  context: RetryContext,
  chunk: Chunk,
  onAmbiguous: () => void
): Effect.Effect<void, DeliveryFailure | ExpiredPoints> => {
  const { countRetry, deadline, key, maxAge, transport } = context
  let isRefreshed = false

  const attempt = (
    tries: number,
    previous?: DeliveryFailure
  ): Effect.Effect<void, DeliveryFailure | ExpiredPoints> =>
    Effect.clockWith((clock) => {
      const left = deadline - monotonicMillis(clock)
      if (left < 1) return Effect.fail(previous ?? unsent("no time left in this flush"))
      const oldestAccepted = clock.unsafeCurrentTimeMillis() - maxAge
      if (deadline !== Infinity && hasExpired(chunk, oldestAccepted)) {
        return Effect.fail(new ExpiredPoints({ oldestAccepted, previous }))
      }
      if (tries > 0) countRetry()
      const used = key.current()
      return Effect.catchAll(transport.send(chunk, used, left), (failure) => {
        if (failure.ambiguous) onAmbiguous()
        if (failure.reason !== "Unauthorized") return sendAgainLater(failure, tries, previous)
        if (isRefreshed) return Effect.fail(failure)
        isRefreshed = true
        return Effect.flatMap(key.refresh(used), (isNew) => isNew ? attempt(tries + 1, failure) : Effect.fail(failure))
      })
    })

  const sendAgainLater = (failure: DeliveryFailure, tries: number, previous: DeliveryFailure | undefined) => {
    if (!maySendAgain(failure, chunk, tries, context)) return Effect.fail(failure)
    if (failure.reset === true && tries === 0) return attempt(1, failure)
    return Effect.flatMap(Random.next, (random) =>
      Effect.clockWith((clock) => {
        const backoff = random * Math.min(longestPause, firstPause * 2 ** tries)
        const pause = Math.max(backoff, failure.retryAfter ?? 0)
        const left = deadline - monotonicMillis(clock)
        if (pause < left) return Effect.zipRight(Effect.sleep(pause), attempt(tries + 1, failure))
        // An attempt that the end of the flush cut short explains less than the one before.
        const isCutShort = failure.reason === "Timeout" && left < 1
        return Effect.fail(isCutShort ? previous ?? failure : failure)
      }))
  }

  return attempt(0)
}
