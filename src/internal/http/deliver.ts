import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type { ApiKey, ApiKeyError } from "../../ApiKey.js"
import type { Item } from "../../Reporter.js"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { within } from "../runtime/timeLimit.js"
import type { Chunk, Entry, Unencodable } from "./encoder.js"
import * as Encoder from "./encoder.js"
import { DeliveryFailure, type Transport } from "./transport.js"

/** What became of one chunk, or of an item that is in none. */
export type Outcome<A = Item> =
  | { readonly _tag: "Delivered"; readonly chunk: Chunk<A> }
  | {
    readonly _tag: "Failed"
    readonly chunk: Chunk<A>
    readonly failure: DeliveryFailure
    /** One of the times it was sent, it may have arrived. */
    readonly ambiguous: boolean
  }
  | { readonly _tag: "Unencodable"; readonly error: Unencodable<A> }

export interface Options {
  /** When everything has to be done, in milliseconds since the epoch. `Infinity`: every body is sent once. */
  readonly deadline: number
  /** Whether what may have arrived is sent again where it would count twice. */
  readonly repeat: boolean
  /** How old a point may be when it is sent, in milliseconds. */
  readonly maxAge: number
  /** Told where the receiver refused a body in zstd that it took in another encoding. */
  readonly zstdRefused: Effect.Effect<void>
}

/** What became of a batch, and how often one of its bodies was sent again. */
export interface Result<A = Item> {
  readonly outcomes: ReadonlyArray<Outcome<A>>
  readonly retries: number
}

/** The first pause before another try, and the longest one, in milliseconds; each is drawn from zero to twice the last. */
const firstPause = 200
const longestPause = 5_000

/**
 * How many more requests one batch may cost to find what is wrong with it: enough to single out ten bad items among ten
 * thousand.
 */
const maxSplits = 256

/** How long the source of the key may take, in milliseconds, where the flush has more. */
const keyTimeout = 5_000

const isPassing = ({ reason }: DeliveryFailure): boolean =>
  reason === "ServerError" || reason === "RateLimited" || reason === "Timeout" || reason === "Transport"

/** Too large for this receiver, or malformed in a part of it: its halves may do. */
const isWorthASplit = ({ reason, status }: DeliveryFailure): boolean =>
  reason === "PayloadTooLarge" || (reason === "Rejected" && status === 400)

/** Of what was not even sent. */
const unsent = (description: string, reason: DeliveryFailure["reason"] = "Timeout") =>
  new DeliveryFailure({ reason, transient: true, ambiguous: false, description })

const noTime = () => unsent("no time left in this flush")

const noKey = (why: string) => unsent(`there is no API key: ${why}`, "Unauthorized")

/** Points of a chunk became too old while they waited for their turn or for another try. */
class Overdue extends /*#__PURE__*/ Data.TaggedError("Overdue")<{
  readonly now: number
  readonly before: DeliveryFailure | undefined
}> {}

/**
 * Delivers one batch in chunks, each of which succeeds or fails on its own. What fails for the moment is sent again; what
 * is refused as too large or as malformed is halved until what is wrong with it stands alone, within a bounded number of
 * requests. Nothing is given up for being in zstd: it is sent once more in what every receiver knows.
 */
export const deliver = <A extends Item | AggregatedSeries>(
  transport: Transport,
  keys: ApiKey["Type"],
  encoded: Encoder.Encoded<A>,
  concurrency: number,
  options: Options
): Effect.Effect<Result<A>> => {
  let splits = maxSplits
  let retries = 0
  let current: Redacted.Redacted

  const inTime = (key: Effect.Effect<Redacted.Redacted, ApiKeyError>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const asked = Effect.catchAllCause(key, (cause): Effect.Effect<never, DeliveryFailure> => {
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        if (failure !== undefined) return noKey(failure.message)
        return Cause.isInterruptedOnly(cause)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : noKey("its source died")
      })
      // a key that is there costs no fiber
      if (Exit.isExit(key)) return asked
      return within(Effect.interruptible(asked), Math.max(0, Math.min(options.deadline - now, keyTimeout)), noTime)
    })

  /** Datadog takes a point by its timestamp, and drops one that is too old without a word. */
  const isOverdue = (now: number) => ({ item }: Entry<A>): boolean => {
    const time = "title" in item ? undefined : "timestamp" in item ? item.timestamp : item.points[0]?.[0]
    return time !== undefined && time * 1000 < now - options.maxAge
  }

  const hasOverdue = (now: number, chunk: Chunk<A>): boolean =>
    chunk.lines === undefined
      ? chunk.entries.some(isOverdue(now))
      : chunk.lines.oldest * 1000 < now - options.maxAge

  /**
   * Sends a chunk again and again while that can help and there is time: at once, and once, after a broken connection; with
   * a fresh key, and once, after one was refused; else after a pause that grows, or the one that the receiver asks for.
   */
  const persist = (chunk: Chunk<A>, doubt: () => void): Effect.Effect<void, DeliveryFailure | Overdue> => {
    let renewed = false
    const attempt = (tries: number, before?: DeliveryFailure): Effect.Effect<void, DeliveryFailure | Overdue> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (options.deadline - now < 1) return Effect.fail(before ?? noTime())
        if (options.deadline !== Infinity && hasOverdue(now, chunk)) {
          return Effect.fail(new Overdue({ now, before }))
        }
        if (tries > 0) retries++
        const key = current
        return Effect.catchAll(
          transport.send(chunk, key, options.deadline - now),
          (failure) => {
            if (failure.ambiguous) doubt()
            if (failure.reason !== "Unauthorized") return pauseAndRepeat(failure, tries, before)
            return renewed ? Effect.fail(failure) : renew(key, failure, tries)
          }
        )
      })
    const renew = (refused: Redacted.Redacted, failure: DeliveryFailure, tries: number) =>
      Effect.flatMap(Effect.catchAll(inTime(keys.refresh(refused)), () => Effect.succeed(refused)), (fresh) => {
        renewed = true
        if (Redacted.value(fresh) === Redacted.value(refused)) return Effect.fail(failure)
        current = fresh
        return attempt(tries + 1, failure)
      })
    const pauseAndRepeat = (failure: DeliveryFailure, tries: number, before: DeliveryFailure | undefined) => {
      const mayRepeat = options.repeat || chunk.endpoint.idempotent || !failure.ambiguous
      if (!isPassing(failure) || !mayRepeat || options.deadline === Infinity) return Effect.fail(failure)
      if (failure.reset === true && tries === 0) return attempt(1, failure)
      return Effect.flatMap(Effect.all([Clock.currentTimeMillis, Random.next]), ([now, random]) => {
        const backoff = random * Math.min(longestPause, firstPause * 2 ** tries)
        const pause = Math.max(backoff, failure.retryAfter ?? 0)
        if (now + pause < options.deadline) return Effect.zipRight(Effect.sleep(pause), attempt(tries + 1, failure))
        // a try that the end of the flush cut short says less than the one before
        const cutShort = failure.reason === "Timeout" && options.deadline - now < 1
        return Effect.fail(cutShort ? before ?? failure : failure)
      })
    }
    return attempt(0)
  }

  const deliverOne = (chunk: Chunk<A>, doubted: boolean): Effect.Effect<ReadonlyArray<Outcome<A>>> => {
    let ambiguous = doubted
    const doubt = () => {
      ambiguous = true
    }
    return Effect.matchEffect(persist(chunk, doubt), {
      onSuccess: () => Effect.succeed([{ _tag: "Delivered", chunk } as const]),
      onFailure: (failure) => {
        if (failure._tag === "Overdue") return withoutOverdue(chunk, failure, ambiguous)
        if (chunk.encoding === "zstd" && failure.reason === "Rejected") return withoutZstd(chunk, ambiguous)
        if (!isWorthASplit(failure) || Encoder.countOf(chunk) === 1 || splits < 2) {
          return Effect.succeed([{ _tag: "Failed", chunk, failure, ambiguous } as const])
        }
        splits -= 2
        return Effect.flatMap(Encoder.split(chunk), (halves) => deliverAll(halves, 1, ambiguous))
      }
    })
  }

  /** What is overdue goes back, to be dropped for its age; the rest is sent. */
  const withoutOverdue = (chunk: Chunk<A>, { before, now }: Overdue, ambiguous: boolean) => {
    const isOld = isOverdue(now)
    const left = chunk.entries.filter((entry) => !isOld(entry))
    const failed: Outcome<A> = {
      _tag: "Failed",
      chunk: {
        endpoint: chunk.endpoint,
        entries: chunk.entries.filter(isOld),
        body: chunk.body,
        encoding: chunk.encoding
      },
      failure: before ?? unsent("too old before it could be sent"),
      ambiguous
    }
    return Effect.map(
      Effect.flatMap(Encoder.chunk(chunk.endpoint, left, chunk.encoding), (rest) => deliverAll(rest, 1, ambiguous)),
      (outcomes) => [failed, ...outcomes]
    )
  }

  /** Where all of it arrives this way, the encoding was what was wrong, and not the content. */
  const withoutZstd = ({ endpoint, entries }: Chunk<A>, ambiguous: boolean) => {
    retries++
    return Effect.tap(
      Effect.flatMap(
        Encoder.chunk(endpoint, entries, endpoint.compression),
        (again) => deliverAll(again, 1, ambiguous)
      ),
      (outcomes) => outcomes.every(({ _tag }) => _tag === "Delivered") ? options.zstdRefused : Effect.void
    )
  }

  const deliverAll = (
    encoded: Encoder.Encoded<A>,
    concurrency: number,
    doubted = false
  ): Effect.Effect<ReadonlyArray<Outcome<A>>> =>
    Effect.map(
      Effect.forEach(encoded.chunks, (chunk) => deliverOne(chunk, doubted), {
        // one alone needs no fiber
        concurrency: Math.min(concurrency, encoded.chunks.length)
      }),
      (outcomes) => [
        ...encoded.unencodable.map((error): Outcome<A> => ({ _tag: "Unencodable", error })),
        ...outcomes.flat()
      ]
    )

  return Effect.matchEffect(inTime(keys.get), {
    onSuccess: (key) => {
      current = key
      return Effect.map(deliverAll(encoded, concurrency), (outcomes) => ({ outcomes, retries }))
    },
    onFailure: (failure) =>
      Effect.succeed({
        outcomes: [
          ...encoded.unencodable.map((error): Outcome<A> => ({ _tag: "Unencodable", error })),
          ...encoded.chunks.map((chunk): Outcome<A> => ({ _tag: "Failed", chunk, failure, ambiguous: false }))
        ],
        retries
      })
  })
}
