import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Event } from "../../Event.js"
import type { Held, RetainedStore, RetainedStoreError } from "../../RetainedStore.js"
import type { BucketSnapshot, SerializedSeries } from "../model/AggregatedSeries.js"
import { isAdditive } from "../model/metricKinds.js"
import { within } from "../runtime/timeLimit.js"
import type { Options } from "./Pipeline.js"

/** What a client has to do with its store. None of it fails, or takes longer than until `deadline`. */
export interface Retention {
  /** Takes over what an earlier process left: now, or later if the store cannot be read now. */
  readonly adopt: (deadline: number) => Effect.Effect<void>
  /**
   * Drains the aggregators, which is to be sent. A store that holds totals must not hold older ones than the receiver, or
   * they would undercut them after a restart: it is brought up to date first, to the very moment of the draining. What
   * is not to arrive twice must not be there at all.
   */
  readonly beforeSending: <A>(drain: Effect.Effect<A>, deadline: number) => Effect.Effect<A>
  /** After a flush: writes all that is held if it could not deliver everything, else removes what was delivered. */
  readonly afterFlush: (complete: boolean, deadline: number) => Effect.Effect<void>
  /** What went wrong since the last call. */
  readonly takeNews: () => { readonly message: string } | undefined
}

/** Where a store has {@link make}: what only clients with a store need is in no other client's bundle. */
export const retention: unique symbol = Symbol.for("effect-threadstats/internal/retention")

export type Make = (
  store: RetainedStore["Type"],
  client: Options,
  options: {
    /** Is told, once, how many points and events could not be read. */
    readonly lose: (points: number, events: number) => void
    /** Says in a log whose it is. */
    readonly log: (effect: Effect.Effect<void>) => Effect.Effect<void>
  }
) => Retention

export const make: Make = (store, { aggregator: metrics, config, eventsAggregator: events, outlet }, { log, lose }) => {
  let adopted = false
  let news: { readonly message: string } | undefined

  const note = (message: string) => {
    news = { message }
  }

  /**
   * Leaves alone, when time is up, what is at work in the store, and calls off what waits for that: with a store that
   * hangs there is never more than one.
   */
  const inTime = Effect.fnUntraced(function*(deadline: number, effect: Effect.Effect<void, RetainedStoreError>) {
    const fiber = yield* Effect.forkDaemon(Effect.interruptible(effect))
    const left = Math.max(0, deadline - (yield* Clock.currentTimeMillis))
    // on a fiber of its own: the flush that waits here has taken out what it has to book
    const waiting = yield* Effect.forkDaemon(
      within(Effect.interruptible(Fiber.await(fiber)), left, () => Effect.succeed(undefined))
    )
    const ended = yield* Fiber.join(waiting)
    if (ended === undefined) {
      note("the store for undelivered data took too long")
      yield* Fiber.interruptFork(fiber)
    } else if (Exit.isFailure(ended)) {
      const failure = Cause.failureOption(ended.cause)
      note(Option.isSome(failure) ? failure.value.message : "the store for undelivered data died")
    }
  })

  const adopt = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(store.load), (loaded) =>
      Effect.suspend(() => {
        if (adopted) return Effect.void
        adopted = true
        lose(loaded.lost.points, loaded.lost.events)
        return Effect.all([
          metrics.load(loaded.metrics),
          events.load(loaded.events),
          loaded.skipped > 0
            ? log(Effect.logWarning(`Skipped ${loaded.skipped} unreadable entries of the store`))
            : Effect.void
        ], { discard: true })
      }))
  )

  /** What is there is not to be overwritten before it was taken over. */
  const save = (take: Parameters<typeof store.save>[0]) =>
    Effect.zipRight(Effect.suspend(() => adopted ? Effect.void : adopt), store.save(take))

  const hold = (buckets: Effect.Effect<ReadonlyArray<BucketSnapshot>>, waiting: Effect.Effect<ReadonlyArray<Event>>) =>
    Effect.zipWith(buckets, waiting, (metrics, events): Held => ({ metrics, events }))

  const everything = (known: ReadonlyMap<number, number>) => hold(metrics.snapshot(known), events.snapshot)

  const noEvents = Effect.succeed<ReadonlyArray<Event>>([])

  /** Of what the store has, what is still held. */
  const leftOf = (known: ReadonlyMap<number, number>) =>
    hold(Effect.map(metrics.snapshot(known), (buckets) => buckets.filter(({ start }) => known.has(start))), noEvents)

  /** What may arrive twice. */
  const isRepeatable = ({ kind }: SerializedSeries) =>
    kind === "gauge" || (outlet.temporality === "total" && !isAdditive(kind, metrics.counters))

  const onlyRepeatable = () =>
    hold(
      Effect.map(metrics.snapshot(new Map()), (buckets) =>
        buckets.map(({ contexts, start, version }) => ({
          start,
          // not the version of all that is in the bucket
          version: -version,
          contexts: contexts?.filter(isRepeatable)
        }))),
      noEvents
    )

  const repeatable = config.delivery === "at-least-once" ? everything : onlyRepeatable

  return {
    adopt: (deadline) => inTime(deadline, adopt),
    beforeSending: (drain, deadline) =>
      Effect.suspend(() => {
        if (store.isEmpty()) return drain
        let drained: Option.Option<Effect.Effect.Success<typeof drain>> = Option.none()
        const once = Effect.suspend(() =>
          Option.isSome(drained) ? Effect.succeed(drained.value) : Effect.tap(drain, (all) => {
            drained = Option.some(all)
          })
        )
        // too late, what is being sent would be missing
        const take = (known: ReadonlyMap<number, number>) =>
          Effect.suspend(() => Option.isSome(drained) ? Effect.interrupt : Effect.zipLeft(repeatable(known), once))
            .pipe(
              // nothing may be recorded between the two
              Effect.withMaxOpsBeforeYield(Number.MAX_SAFE_INTEGER)
            )
        return Effect.zipRight(inTime(deadline, save(take)), once)
      }),
    afterFlush: (complete, deadline) =>
      Effect.suspend(() =>
        complete && store.isEmpty() ? Effect.void : inTime(deadline, save(complete ? leftOf : everything))
      ),
    takeNews: () => {
      const last = news
      news = undefined
      return last
    }
  }
}
