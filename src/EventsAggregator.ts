/**
 * Keeps events, in order, until they are flushed.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Event } from "./Event.js"
import * as Ledger from "./internal/model/DropCounters.js"
import { eventWindow, nearlyFull } from "./internal/model/limits.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

/**
 * Why an event was dropped that had been taken.
 *
 * - `TooManyEvents`, `TooManyBytes`: over `maxEvents` or `maxBytes`; the oldest goes first
 * - `Expired`: it waited until Datadog would no longer take it, which is 18 hours
 *
 * @since 0.1.0
 * @category models
 */
export type DropReason = "TooManyEvents" | "TooManyBytes" | "Expired"

/**
 * Counts since the layer was built. `received` = `held` + what was taken out + the sum of `dropped`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  readonly received: number
  readonly held: number
  readonly dropped: { readonly [R in DropReason]?: number }
}

/**
 * An ordered buffer of events.
 *
 * @since 0.1.0
 * @category tags
 */
export class EventsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/EventsAggregator")<EventsAggregator, Service>()
{}

/** Apart from the tag, because it speaks of itself. */
interface Service {
  readonly unsafeAdd: (event: Event) => void
  readonly add: (event: Event) => Effect.Effect<void>
  /** Takes out all events, in order of recording. `now` (milliseconds since the epoch) tells which are too old. */
  readonly drain: (now: number) => Effect.Effect<ReadonlyArray<Event>>
  /** Puts back events that were taken out and not delivered, before those recorded since. */
  readonly restore: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /** What waits now, in order. */
  readonly snapshot: Effect.Effect<ReadonlyArray<Event>>
  /** Takes over what another aggregator held, before everything recorded here. */
  readonly load: (events: ReadonlyArray<Event>) => Effect.Effect<void>
  /** Another one with the same settings, which holds nothing. */
  readonly clone: Effect.Effect<Service>
  /** Whether a limit is near, so that it is time to flush. */
  readonly isAboveHighWaterMark: () => boolean
  /** Whether there is nothing to do at a flush: nothing to take out or to warn of. */
  readonly isIdle: () => boolean
  readonly stats: Effect.Effect<Stats>
  /** What was dropped since the last call. */
  readonly drainWarnings: Effect.Effect<ReadonlyArray<Ledger.UnreportedDrops<DropReason>>>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<ThreadStatsConfig.ThreadStatsOptions, "maxEvents" | "maxBytes" | "timestamps"> {}

/** About how much memory an event takes. */
const bytesOf = (event: Event): number => {
  let bytes = 500 + event.title.length + event.text.length
  for (const tag of event.tags) bytes += tag.length
  return bytes
}

const unsafeMake = (
  config: Pick<ThreadStatsConfig.ThreadStatsSettings, keyof Options>
): EventsAggregator["Type"] => {
  const ledger = Ledger.make<DropReason>()
  const maxAge = config.timestamps === "any" ? Infinity : eventWindow.past
  let buffer: Array<Event> = []
  let bytes = 0
  let received = 0
  const trim = () => {
    let over = 0
    for (; over < buffer.length; over++) {
      const reason = buffer.length - over > config.maxEvents
        ? "TooManyEvents"
        : bytes > config.maxBytes
        ? "TooManyBytes"
        : undefined
      if (reason === undefined) break
      bytes -= bytesOf(buffer[over]!)
      ledger.count(reason, buffer[over]!.title)
    }
    if (over > 0) buffer.splice(0, over)
  }
  const putBack = (events: ReadonlyArray<Event>) => {
    buffer = [...events, ...buffer]
    for (const event of events) bytes += bytesOf(event)
    trim()
  }
  const unsafeAdd = (event: Event) => {
    received++
    buffer.push(event)
    bytes += bytesOf(event)
    trim()
  }
  return {
    unsafeAdd,
    add: (event) => Effect.sync(() => unsafeAdd(event)),
    drain: (now) =>
      Effect.sync(() => {
        const oldest = (now - maxAge) / 1000
        const taken: Array<Event> = []
        for (const event of buffer) {
          if (event.date_happened === undefined || event.date_happened >= Math.floor(oldest)) taken.push(event)
          else ledger.count("Expired", event.title)
        }
        buffer = []
        bytes = 0
        return taken
      }),
    restore: (events) => Effect.sync(() => putBack(events)),
    snapshot: Effect.sync(() => buffer.slice()),
    load: (events) =>
      Effect.sync(() => {
        received += events.length
        putBack(events)
      }),
    clone: fromConfig(config),
    isAboveHighWaterMark: () => buffer.length >= config.maxEvents * nearlyFull || bytes >= config.maxBytes * nearlyFull,
    isIdle: () => buffer.length === 0 && !ledger.hasUnreported(),
    stats: Effect.sync(() => ({ received, held: buffer.length, dropped: ledger.totals() })),
    drainWarnings: Effect.sync(() => ledger.drainUnreported())
  }
}

/**
 * A buffer for settings that are resolved already.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig = (
  config: Pick<ThreadStatsConfig.ThreadStatsSettings, keyof Options>
): Effect.Effect<EventsAggregator["Type"]> => Effect.sync(() => unsafeMake(config))

/**
 * A buffer with the options given, else what the environment says, else the defaults.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<EventsAggregator["Type"], ConfigError> =>
  Effect.flatMap(ThreadStatsConfig.make(options), fromConfig)

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options?: Options): Layer.Layer<EventsAggregator, ConfigError> =>
  Layer.effect(EventsAggregator, make(options))

/**
 * A buffer with the defaults, whatever the environment says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<EventsAggregator> = /*#__PURE__*/ Layer.effect(
  EventsAggregator,
  /*#__PURE__*/ fromConfig(ThreadStatsConfig.defaults)
)
