/**
 * Keeps what could not be delivered across restarts of a long-running process, in any `KeyValueStore` of
 * `@effect/platform`.
 *
 * A client that is built with a {@link RetainedStore} around it writes down all that it holds after every flush that did not
 * deliver everything, and takes it over when it is built again: points that were recorded before the last such flush survive
 * `kill -9`. If the store needs longer than the flush has, the client logs a warning and ends the write later. While everything
 * is delivered, nothing is written.
 *
 * One client, one store: two processes must not share a directory.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import type * as Path from "@effect/platform/Path"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Event } from "./Event.js"
import { EventPayload } from "./Event.js"
import type { BucketSnapshot, SerializedSeries } from "./internal/model/AggregatedSeries.js"

/**
 * What an earlier process left.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loaded {
  readonly metrics: ReadonlyArray<SerializedSeries>
  readonly events: ReadonlyArray<Event>
  /** Entries that could not be read, and were skipped. */
  readonly skipped: number
  /** The points and events in them, as far as that is known. */
  readonly lost: { readonly points: number; readonly events: number }
}

/**
 * What a client holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Held {
  readonly metrics: ReadonlyArray<BucketSnapshot>
  readonly events: ReadonlyArray<Event>
}

/**
 * The store could not be read or written. What the client holds is not affected.
 *
 * @since 0.1.0
 * @category errors
 */
export class RetainedStoreError extends /*#__PURE__*/ Data.TaggedError("RetainedStoreError")<{
  readonly cause: PlatformError
}> {
  override get message(): string {
    return `The retained store failed: ${this.cause.message}`
  }
}

/**
 * Keeps undelivered series and events across restarts. Provide it to a client to use it.
 *
 * {@link make} is one over a `KeyValueStore`; `RetainedStore.of` makes one of your own.
 *
 * @since 0.1.0
 * @category tags
 */
export class RetainedStore
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/RetainedStore")<RetainedStore, Service>()
{}

/** Declared separately because the interface is recursive. */
interface Service {
  /** Loads the stored series and events. Skips and counts corrupt or incomplete entries. */
  readonly load: Effect.Effect<Loaded, RetainedStoreError>
  /**
   * Replaces the contents of the store. `take` receives the versions of the stored buckets by their start, and returns the
   * new contents. A process that dies during a save leaves the previous contents. A save can be interrupted while it waits
   * for another one, and not from `take` on.
   */
  readonly save: (
    take: (known: ReadonlyMap<number, number>) => Effect.Effect<Held>
  ) => Effect.Effect<void, RetainedStoreError>
  /** Returns true if the store certainly is empty, and no save is running. */
  readonly isEmpty: () => boolean
  /**
   * Returns the store of another pipeline of the same client, counted from 1; it shares nothing with this one. With a
   * combined reporter the first pipeline uses this store itself, and so finds the data of a client with one reporter.
   */
  readonly branch: (index: number) => Service
}

/** How many contexts, or events, are put into one entry. */
const pageSize = 500

/** Made when the store is: a client without one must not pay for schemas. */
const makeCodecs = () => {
  const positive = Schema.Int.pipe(Schema.positive())
  const notNegative = Schema.Int.pipe(Schema.nonNegative())
  const values = Schema.NonEmptyArray(Schema.Finite)
  const common = {
    name: Schema.NonEmptyString,
    host: Schema.NullOr(Schema.String),
    tags: Schema.Array(Schema.String),
    start: Schema.Int,
    recorded: positive
  }
  return {
    metrics: open(Schema.Array(Schema.Union(
      Schema.Struct({ kind: Schema.Literal("counter", "gauge"), ...common, state: Schema.Finite }),
      Schema.Struct({
        kind: Schema.Literal("set"),
        ...common,
        state: Schema.Array(Schema.Union(Schema.Finite, Schema.String))
      }),
      Schema.Struct({ kind: Schema.Literal("distribution"), ...common, state: values }),
      Schema.Struct({
        kind: Schema.Literal("histogram", "timing"),
        ...common,
        state: Schema.Union(
          values,
          Schema.Struct({
            min: Schema.Finite,
            max: Schema.Finite,
            sum: Schema.Finite,
            count: positive,
            sample: values
          })
        )
      })
    ))),
    events: open(Schema.Array(EventPayload)),
    index: open(Schema.Struct({
      generation: Schema.Int,
      pages: Schema.Array(
        Schema.Struct({ slot: notNegative, start: Schema.NullOr(Schema.Int), count: notNegative })
      )
    }))
  }
}

/** One entry. `start` is that of the bucket; events have none. `count` is how many points or events are in it. */
interface Page {
  readonly slot: number
  readonly start: number | null
  readonly count: number
}

/** A checksum goes in front, so that what was cut off or overwritten is known. */
const seal = (content: unknown): string => {
  const json = JSON.stringify(content)
  return `${(Hash.string(json) >>> 0).toString(16)} ${json}`
}

const open = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownOption(Schema.parseJson(schema), { onExcessProperty: "preserve" })
  return (text: string): Option.Option<A> => {
    const space = text.indexOf(" ")
    const json = text.slice(space + 1)
    return text.slice(0, space) === (Hash.string(json) >>> 0).toString(16) ? decode(json) : Option.none()
  }
}

const pageKey = (slot: number) => `threadstats-page-${slot}`
const indexKey = (generation: number) => `threadstats-index-${generation % 2}`

/**
 * A store over the `KeyValueStore`: pages of contexts and events, and an index that says which of them count. Pages are
 * never overwritten while an index names them, and the index is written in turn to one of two places; so whenever the
 * process dies, one index is whole, and so are its pages.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<RetainedStore["Type"], never, KeyValueStore.KeyValueStore> = /*#__PURE__*/ Effect.map(
  KeyValueStore.KeyValueStore,
  (store) => unsafeMake(store)
)

const unsafeMake = (store: KeyValueStore.KeyValueStore): RetainedStore["Type"] => {
  const codecs = makeCodecs()
  const semaphore = Effect.unsafeMakeSemaphore(1)
  /** Whether it is known which index counts; all that follows is what it says. */
  let sure = false
  let generation = 0
  let pages: ReadonlyArray<Page> = []
  let versions = new Map<number, number>()
  let savedEvents: ReadonlyArray<Event> | undefined
  let saving = false

  const mapError = Effect.mapError((cause: PlatformError) => new RetainedStoreError({ cause }))

  /** Finds out which index counts. What is in the pages is not known by version, and so will be written anew. */
  const readIndexes = Effect.gen(function*() {
    const [errors, texts] = Arr.separate(
      yield* Effect.forEach([0, 1], (place) => Effect.either(store.get(indexKey(place))))
    )
    const found = Arr.getSomes(texts)
    const [newest, older] = Arr.getSomes(found.map(codecs.index)).sort((a, b) => b.generation - a.generation)
    if (newest === undefined && errors[0] !== undefined) return yield* Effect.fail(errors[0])
    generation = newest?.generation ?? 0
    pages = newest?.pages ?? []
    versions = new Map(pages.flatMap(({ start }) => start === null ? [] : [[start, 0] as const]))
    savedEvents = undefined
    sure = true
    const whole = [newest, older].filter((index) => index !== undefined)
    return { skipped: errors.length + found.length - whole.length, older: older?.pages ?? [] }
  })

  /** Pages that nothing names: what a process left that died while it wrote or removed them. */
  const removeStrays = Effect.fnUntraced(function*(older: ReadonlyArray<Page>) {
    const used = new Set(pages.map(({ slot }) => slot))
    for (const { slot } of older) {
      if (!used.has(slot)) yield* Effect.ignore(store.remove(pageKey(slot)))
    }
    for (let slot = 0;; slot++) {
      if (used.has(slot)) continue
      if (!(yield* store.has(pageKey(slot)))) return
      yield* store.remove(pageKey(slot))
    }
  })

  const load = Effect.gen(function*(): Effect.fn.Return<Loaded, PlatformError> {
    const { older, skipped: skippedIndexes } = yield* readIndexes
    let skipped = skippedIndexes
    const metrics: Array<SerializedSeries> = []
    const events: Array<Event> = []
    const lost = { points: 0, events: 0 }
    for (const { count, slot, start } of pages) {
      const text = yield* Effect.orElseSucceed(store.get(pageKey(slot)), Option.none)
      const whole = start === null
        ? Option.map(Option.flatMap(text, codecs.events), (page) => events.push(...page as ReadonlyArray<Event>))
        : Option.map(Option.flatMap(text, codecs.metrics), (page) => metrics.push(...page))
      if (Option.isSome(whole)) continue
      skipped++
      lost[start === null ? "events" : "points"] += count
    }
    if (skipped === 0) yield* Effect.ignore(removeStrays(older))
    return { metrics, events, skipped, lost }
  })

  const save = (take: (known: ReadonlyMap<number, number>) => Effect.Effect<Held>) =>
    Effect.gen(function*() {
      if (!sure) yield* readIndexes
      const held = yield* take(versions)
      const used = new Set(pages.map(({ slot }) => slot))
      const next: Array<Page> = []
      let free = 0

      const write = Effect.fnUntraced(function*<A>(
        items: ReadonlyArray<A>,
        start: number | null,
        count: (item: A) => number
      ) {
        for (const part of Arr.chunksOf(items, pageSize)) {
          while (used.has(free)) free++
          const slot = free++
          yield* store.set(pageKey(slot), seal(part))
          next.push({ slot, start, count: part.reduce((total, item) => total + count(item), 0) })
          yield* Effect.yieldNow()
        }
      })

      for (const { series, start } of held.metrics) {
        if (series === undefined) next.push(...pages.filter((page) => page.start === start))
        else yield* write(series, start, ({ recorded }) => recorded)
      }
      const sameEvents = held.events.length === savedEvents?.length &&
        held.events.every((event, i) => event === savedEvents?.[i])
      if (sameEvents) next.push(...pages.filter(({ start }) => start === null))
      else yield* write(held.events, null, () => 1)

      const kept = new Set(next.map(({ slot }) => slot))
      const gone = pages.filter(({ slot }) => !kept.has(slot))
      if (gone.length === 0 && next.length === pages.length) return

      // until it is known to be written: one that failed may have been written all the same
      sure = false
      yield* store.set(indexKey(generation + 1), seal({ generation: generation + 1, pages: next }))
      sure = true
      generation++
      pages = next
      versions = new Map(held.metrics.map(({ start, version }) => [start, version]))
      savedEvents = held.events
      yield* Effect.forEach(gone, ({ slot }) => Effect.ignore(store.remove(pageKey(slot))), { discard: true })
    })

  const saveOnce: typeof save = (take) =>
    Effect.ensuring(
      Effect.suspend(() => {
        saving = true
        return save(take)
      }),
      Effect.sync(() => {
        saving = false
      })
    )

  return RetainedStore.of({
    load: mapError(semaphore.withPermits(1)(Effect.uninterruptible(load))),
    save: (take) => mapError(semaphore.withPermits(1)(Effect.uninterruptible(saveOnce(take)))),
    isEmpty: () => sure && !saving && pages.length === 0,
    branch: (index) => unsafeMake(KeyValueStore.prefix(store, `threadstats-branch-${index}-`))
  })
}

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<RetainedStore, never, KeyValueStore.KeyValueStore> = /*#__PURE__*/ Layer.effect(
  RetainedStore,
  make
)

/**
 * A store in a directory of its own, which is made where it is missing; one that cannot be made or used is an error. Files are written without `fsync`: they survive
 * the process, but not always the machine.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { RetainedStore, ThreadStats } from "effect-threadstats"
 *
 * const client = ThreadStats.layerNode.pipe(
 *   Layer.provide(RetainedStore.layerFileSystem("/var/lib/shop/threadstats")),
 *   Layer.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileSystem = (
  directory: string
): Layer.Layer<RetainedStore, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const fileSystem = yield* FileSystem.FileSystem
    yield* fileSystem.makeDirectory(directory, { recursive: true })
    yield* fileSystem.access(directory, { readable: true, writable: true })
    return Layer.provide(layer, KeyValueStore.layerFileSystem(directory))
  }))
