/**
 * Keeps events, in order, until they are flushed.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Event } from "./Event.js"

/**
 * Counts since the layer was built. `received` = `held` + what was taken out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  readonly received: number
  readonly held: number
}

/**
 * An ordered buffer of events.
 *
 * @since 0.1.0
 * @category tags
 */
export class EventsAggregator extends Context.Tag("effect-threadstats/EventsAggregator")<EventsAggregator, {
  readonly unsafeAdd: (event: Event) => void
  readonly add: (event: Event) => Effect.Effect<void>
  /** Takes out all events, in order of recording. */
  readonly flush: Effect.Effect<ReadonlyArray<Event>>
  /** Puts back events that were taken out and not delivered, before those recorded since. */
  readonly restore: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  readonly stats: Effect.Effect<Stats>
}>() {}

const unsafeMake = (): EventsAggregator["Type"] => {
  let buffer: Array<Event> = []
  let received = 0
  const unsafeAdd = (event: Event) => {
    received++
    buffer.push(event)
  }
  return {
    unsafeAdd,
    add: (event) => Effect.sync(() => unsafeAdd(event)),
    flush: Effect.sync(() => {
      const taken = buffer
      buffer = []
      return taken
    }),
    restore: (events) =>
      Effect.sync(() => {
        buffer = [...events, ...buffer]
      }),
    stats: Effect.sync(() => ({ received, held: buffer.length }))
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<EventsAggregator["Type"]> = /*#__PURE__*/ Effect.sync(unsafeMake)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EventsAggregator> = /*#__PURE__*/ Layer.effect(EventsAggregator, make)
