import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Chunk, Unencodable } from "./encoder.js"
import * as Encoder from "./encoder.js"
import { DeliveryFailure, type Transport } from "./transport.js"

/** What became of one chunk, or of an item that is in none. */
export type Outcome =
  | { readonly _tag: "Delivered"; readonly chunk: Chunk }
  | { readonly _tag: "Failed"; readonly chunk: Chunk; readonly failure: DeliveryFailure }
  | { readonly _tag: "Unencodable"; readonly error: Unencodable }

export interface Options extends Encoder.Options {
  /** When everything has to be done, in milliseconds since the epoch. `Infinity`: every body is sent once. */
  readonly deadline: number
}

/** The first pause before another try, and the longest one, in milliseconds; each is drawn from zero to twice the last. */
const firstPause = 200
const longestPause = 5_000

/**
 * How many more requests one batch may cost to find what is wrong with it: enough to single out ten bad items among ten
 * thousand.
 */
const maxSplits = 256

const isWorthATry = ({ reason }: DeliveryFailure): boolean =>
  reason === "ServerError" || reason === "RateLimited" || reason === "Timeout" || reason === "Transport"

/** Too large for this receiver, or malformed in a part of it: its halves may do. */
const isWorthASplit = ({ reason, status }: DeliveryFailure): boolean =>
  reason === "PayloadTooLarge" || (reason === "Rejected" && status === 400)

/**
 * Sends a chunk again and again while that can help and there is time: at once, and once, after a broken connection; else
 * after a pause that grows, or the one that the receiver asks for.
 */
const persist = (transport: Transport, chunk: Chunk, deadline: number): Effect.Effect<void, DeliveryFailure> => {
  const attempt = (tries: number): Effect.Effect<void, DeliveryFailure> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (deadline <= now) {
        return Effect.fail(
          new DeliveryFailure({ reason: "Timeout", transient: true, description: "no time left in this flush" })
        )
      }
      return Effect.catchAll(
        transport.send(chunk, deadline - now),
        (failure) => isWorthATry(failure) && deadline !== Infinity ? again(failure, tries) : Effect.fail(failure)
      )
    })
  const again = (failure: DeliveryFailure, tries: number): Effect.Effect<void, DeliveryFailure> => {
    if (failure.reset === true && tries === 0) return attempt(1)
    return Effect.flatMap(Effect.all([Clock.currentTimeMillis, Random.next]), ([now, random]) => {
      const backoff = random * Math.min(longestPause, firstPause * 2 ** tries)
      const pause = Math.max(backoff, failure.retryAfter ?? 0)
      return now + pause < deadline
        ? Effect.zipRight(Effect.sleep(pause), attempt(tries + 1))
        : Effect.fail(failure)
    })
  }
  return attempt(0)
}

/**
 * Delivers one batch in chunks, each of which succeeds or fails on its own. A chunk that is refused as too large or as
 * malformed is halved until what is wrong with it stands alone, within a bounded number of requests.
 */
export const make = (transport: Transport, options: Options) => {
  let splits = maxSplits

  const deliver = (chunk: Chunk): Effect.Effect<ReadonlyArray<Outcome>> =>
    Effect.matchEffect(persist(transport, chunk, options.deadline), {
      onSuccess: () => Effect.succeed([{ _tag: "Delivered", chunk } as const]),
      onFailure: (failure) => {
        if (!isWorthASplit(failure) || chunk.entries.length === 1 || splits < 2) {
          return Effect.succeed([{ _tag: "Failed", chunk, failure } as const])
        }
        splits -= 2
        return Effect.flatMap(Encoder.split(chunk, options), deliverAll(1))
      }
    })

  const deliverAll = (concurrency: number) => (encoded: Encoder.Encoded): Effect.Effect<ReadonlyArray<Outcome>> =>
    Effect.map(
      Effect.forEach(encoded.chunks, deliver, { concurrency }),
      (outcomes) => [
        ...encoded.unencodable.map((error): Outcome => ({ _tag: "Unencodable", error })),
        ...outcomes.flat()
      ]
    )

  return deliverAll
}
