import type { PlatformError } from "@effect/platform/Error"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SerializedSeries } from "../model/AggregatedSeries.js"
import type { Event } from "../model/Event.js"
import type { Loaded, PendingData } from "../model/retained.js"
import { makeCodecs, type Page, seal } from "./codecs.js"
import { pageKey } from "./pageKey.js"
import { recoverPages } from "./recoverPages.js"

/** Number of series, or events, in one entry. */
const pageSize = 500

const indexKey = (generation: number): string => `threadstats-index-${generation % 2}`

const slotsOf = (pages: ReadonlyArray<Page>): ReadonlySet<number> => new Set(pages.map(({ slot }) => slot))

/** Contents of the pages that were read, and numbers of the lost ones. */
interface Contents {
  readonly metrics: Array<SerializedSeries>
  readonly events: Array<Event>
  readonly lost: { points: number; events: number }
  skipped: number
}

/**
 * Stores pages of series and events, and an index that names the valid ones. It never overwrites a page that an index names, and
 * writes the index to one of two places in turn. One index is whole at every moment, with its pages.
 */
export class PageStore {
  private readonly store: KeyValueStore.KeyValueStore
  private readonly codecs = makeCodecs()
  /** False while it is unknown which index is valid. The fields below have its contents. */
  private isSure = false
  private generation = 0
  private pages: ReadonlyArray<Page> = []
  /** Versions of the stored buckets, by start. */
  private versions: ReadonlyMap<number, number> = new Map()
  private savedEvents: ReadonlyArray<Event> | undefined
  private isSaving = false

  constructor(store: KeyValueStore.KeyValueStore) {
    this.store = store
  }

  /** Returns true if the store certainly is empty, and no save is running. */
  isEmpty(): boolean {
    return this.isSure && !this.isSaving && this.pages.length === 0
  }

  /** Loads all pages of the valid index. If every index is damaged, it loads the pages that it finds. */
  get load(): Effect.Effect<Loaded, PlatformError> {
    return Effect.gen(this, function*() {
      const { isIndexLost, older, skipped } = yield* this.readIndexes
      if (isIndexLost) return yield* this.loadWithoutIndex(skipped)
      const contents: Contents = { metrics: [], events: [], lost: { points: 0, events: 0 }, skipped }
      for (const page of this.pages) yield* this.readPage(page, contents)
      if (contents.skipped === 0) yield* Effect.ignore(this.removeStrays(older))
      return contents
    })
  }

  /** Replaces the contents of the store. See `RetainedStore.save`. */
  save(take: (known: ReadonlyMap<number, number>) => Effect.Effect<PendingData>): Effect.Effect<void, PlatformError> {
    return Effect.suspend(() => {
      this.isSaving = true
      return Effect.gen(this, function*() {
        if (!this.isSure) yield* this.readIndexes
        const data = yield* take(this.versions)
        const next = yield* this.writePages(data)
        if (next.length !== this.pages.length || next.some((page) => !this.pages.includes(page))) {
          yield* this.commit(data, next)
        }
      })
    }).pipe(Effect.ensuring(Effect.sync(() => {
      this.isSaving = false
    })))
  }

  /** Finds the valid index. The contents of its pages have no known version, so that the next save writes them anew. */
  private get readIndexes() {
    return Effect.gen(this, function*() {
      const [errors, texts] = Arr.separate(
        yield* Effect.forEach([0, 1], (place) => Effect.either(this.store.get(indexKey(place))))
      )
      const found = Arr.getSomes(texts)
      const whole = Arr.getSomes(found.map(this.codecs.index)).sort((a, b) => b.generation - a.generation)
      const [newest, older] = whole
      if (newest === undefined && errors[0] !== undefined) return yield* Effect.fail(errors[0])
      this.setPages(newest?.pages ?? [])
      this.generation = newest?.generation ?? 0
      this.isSure = true
      return {
        /** True if every index is damaged or missing, in a store that is not empty or cannot count its entries. */
        isIndexLost: newest === undefined &&
          (found.length > 0 || (yield* Effect.orElseSucceed(this.store.size, () => 1)) > 0),
        skipped: errors.length + found.length - whole.length,
        older: older?.pages ?? []
      }
    })
  }

  private setPages(pages: ReadonlyArray<Page>): void {
    this.pages = pages
    this.versions = new Map(pages.flatMap(({ start }) => start === null ? [] : [[start, 0] as const]))
    this.savedEvents = undefined
  }

  private loadWithoutIndex(skippedIndexes: number): Effect.Effect<Loaded, PlatformError> {
    return Effect.map(recoverPages(this.store, this.codecs), ({ events, metrics, pages, skipped }) => {
      // The next save replaces the recovered pages.
      this.setPages(pages)
      return { metrics, events, lost: { points: 0, events: 0 }, skipped: skippedIndexes + skipped }
    })
  }

  /** Adds the contents of a page, or counts them as lost. */
  private readPage({ count, slot, start }: Page, contents: Contents): Effect.Effect<void> {
    const { codecs } = this
    return Effect.map(Effect.orElseSucceed(this.store.get(pageKey(slot)), Option.none), (text) => {
      const whole = start === null
        ? Option.map(
          Option.flatMap(text, codecs.events),
          (page) => contents.events.push(...page as ReadonlyArray<Event>)
        )
        : Option.map(Option.flatMap(text, codecs.metrics), (page) => contents.metrics.push(...page))
      if (Option.isSome(whole)) return
      contents.skipped++
      contents.lost[start === null ? "events" : "points"] += count
    })
  }

  /** Removes pages that no index names: a process left them that died while it wrote or removed them. */
  private removeStrays(older: ReadonlyArray<Page>): Effect.Effect<void, PlatformError> {
    return Effect.gen(this, function*() {
      const used = slotsOf(this.pages)
      for (const { slot } of older) {
        if (!used.has(slot)) yield* Effect.ignore(this.store.remove(pageKey(slot)))
      }
      for (let slot = 0;; slot++) {
        if (used.has(slot)) continue
        if (!(yield* this.store.has(pageKey(slot)))) return
        yield* this.store.remove(pageKey(slot))
      }
    })
  }

  /** Writes the pages that changed, and returns all pages of the new contents. */
  private writePages({ events, metrics }: PendingData): Effect.Effect<ReadonlyArray<Page>, PlatformError> {
    const used = slotsOf(this.pages)
    const next: Array<Page> = []
    let free = 0
    const write = <A>(items: ReadonlyArray<A>, start: number | null, count: (item: A) => number) =>
      Effect.forEach(Arr.chunksOf(items, pageSize), (part) => {
        while (used.has(free)) free++
        const slot = free++
        return Effect.tap(this.store.set(pageKey(slot), seal(part)), () => {
          next.push({ slot, start, count: part.reduce((total, item) => total + count(item), 0) })
          return Effect.yieldNow()
        })
      }, { discard: true })
    return Effect.gen(this, function*() {
      for (const { series, start } of metrics) {
        if (series === undefined) next.push(...this.pages.filter((page) => page.start === start))
        else yield* write(series, start, ({ recorded }) => recorded)
      }
      const { savedEvents } = this
      const hasSameEvents = events.length === savedEvents?.length &&
        events.every((event, i) => event === savedEvents[i])
      if (hasSameEvents) next.push(...this.pages.filter(({ start }) => start === null))
      else yield* write(events, null, () => 1)
      return next
    })
  }

  /** Writes an index of the new contents, and removes the pages that it does not name. */
  private commit(data: PendingData, next: ReadonlyArray<Page>): Effect.Effect<void, PlatformError> {
    return Effect.gen(this, function*() {
      const kept = slotsOf(next)
      const gone = this.pages.filter(({ slot }) => !kept.has(slot))
      // A write may fail after it has written everything.
      this.isSure = false
      const generation = this.generation + 1
      yield* this.store.set(indexKey(generation), seal({ generation, pages: next }))
      this.isSure = true
      this.generation = generation
      this.pages = next
      this.versions = new Map(data.metrics.map(({ start, version }) => [start, version]))
      this.savedEvents = data.events
      yield* Effect.forEach(gone, ({ slot }) => Effect.ignore(this.store.remove(pageKey(slot))), { discard: true })
    })
  }
}
