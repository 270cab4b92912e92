import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Event } from "../Event.js"
import type { EventsAggregator } from "../EventsAggregator.js"
import type { MetricsAggregator, Retained, Snapshot } from "../MetricsAggregator.js"
import type { Held, Loaded, RetainedStore, RetainedStoreError } from "../RetainedStore.js"

/** What a client has to do with its store. None of it fails, or takes longer than until `deadline`. */
export interface Retention {
  /** Takes over what an earlier process left. */
  readonly adopt: (deadline: number) => Effect.Effect<Pick<Loaded, "skipped" | "lost">>
  /**
   * Before anything is sent: a store that holds totals must not hold older ones than the receiver, or they would undercut
   * them after a restart. What is not to arrive twice must not be there at all.
   */
  readonly beforeSending: (deadline: number) => Effect.Effect<void>
  /** After a flush: writes all that is held if it could not deliver everything, else removes what was delivered. */
  readonly afterFlush: (complete: boolean, deadline: number) => Effect.Effect<void>
  /** What went wrong since the last call. */
  readonly takeNews: () => RetainedStoreError | undefined
}

const nothing: Pick<Loaded, "skipped" | "lost"> = { skipped: 0, lost: { points: 0, events: 0 } }

export const make = (
  store: RetainedStore["Type"],
  metrics: MetricsAggregator["Type"],
  events: EventsAggregator["Type"],
  /** What may arrive twice. Default: everything. */
  isRepeatable?: (item: Retained) => boolean
): Retention => {
  let failed: RetainedStoreError | undefined

  /** Goes on where it was when time is up. */
  const within = <A>(deadline: number, otherwise: A, effect: Effect.Effect<A, RetainedStoreError>) =>
    Effect.gen(function*() {
      const noted = Effect.catchAll(effect, (error) =>
        Effect.sync(() => {
          failed = error
          return otherwise
        }))
      const fiber = yield* Effect.forkDaemon(noted)
      const left = Math.max(0, deadline - (yield* Clock.currentTimeMillis))
      return yield* Fiber.join(fiber).pipe(
        Effect.disconnect,
        Effect.timeoutTo({ duration: left, onSuccess: (a: A) => a, onTimeout: () => otherwise }),
        Effect.catchAllDefect(() => Effect.succeed(otherwise))
      )
    })

  const hold = (buckets: Effect.Effect<ReadonlyArray<Snapshot>>, waiting: Effect.Effect<ReadonlyArray<Event>>) =>
    Effect.zipWith(buckets, waiting, (metrics, events): Held => ({ metrics, events }))

  const everything = (known: ReadonlyMap<number, number>) => hold(metrics.snapshot(known), events.snapshot)

  const noEvents = Effect.succeed<ReadonlyArray<Event>>([])

  /** Of what the store has, what is still held. */
  const leftOf = (known: ReadonlyMap<number, number>) =>
    hold(Effect.map(metrics.snapshot(known), (buckets) => buckets.filter(({ start }) => known.has(start))), noEvents)

  const onlyRepeatable = (isRepeatable: (item: Retained) => boolean) => () =>
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

  return {
    adopt: (deadline) =>
      within(
        deadline,
        nothing,
        Effect.tap(store.load, (loaded) => Effect.zipRight(metrics.adopt(loaded.metrics), events.adopt(loaded.events)))
      ),
    beforeSending: (deadline) =>
      store.isEmpty()
        ? Effect.void
        : within(
          deadline,
          undefined,
          store.save(isRepeatable === undefined ? everything : onlyRepeatable(isRepeatable))
        ),
    afterFlush: (complete, deadline) =>
      complete && store.isEmpty()
        ? Effect.void
        : within(deadline, undefined, store.save(complete ? leftOf : everything)),
    takeNews: () => {
      const error = failed
      failed = undefined
      return error
    }
  }
}
