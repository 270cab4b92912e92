import type { PlatformError } from "@effect/platform/Error"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SerializedSeries } from "../model/AggregatedSeries.js"
import type { Event } from "../model/Event.js"
import type { Codecs, Page } from "./codecs.js"
import { pageKey } from "./pageKey.js"

/** Number of absent pages in a row after which no other page is expected. */
const longestGap = 100

/** Pages that were found without a valid index. */
export interface RecoveredPages {
  readonly pages: ReadonlyArray<Page>
  readonly metrics: ReadonlyArray<SerializedSeries>
  readonly events: ReadonlyArray<Event>
  /** Number of damaged pages. */
  readonly skipped: number
}

const identityOf = ({ host, kind, name, start, tags }: SerializedSeries): string =>
  JSON.stringify([start, kind, name, host, tags])

/**
 * Finds the whole pages of a store whose indexes are damaged or missing. A process that died may have left an older page of the same bucket: of
 * two entries of one series, the one with more points counts.
 */
export const recoverPages = (
  store: KeyValueStore.KeyValueStore,
  codecs: Codecs
): Effect.Effect<RecoveredPages, PlatformError> =>
  Effect.gen(function*() {
    const pages: Array<Page> = []
    const metrics = new Map<string, SerializedSeries>()
    const events: Array<Event> = []
    let skipped = 0
    for (let slot = 0, gap = 0; gap < longestGap; slot++) {
      const text = yield* store.get(pageKey(slot))
      if (Option.isNone(text)) {
        gap++
        continue
      }
      gap = 0
      const series = Option.getOrElse(codecs.metrics(text.value), () => [])
      const found = series.length > 0
        ? []
        : Option.getOrElse(codecs.events(text.value), () => []) as ReadonlyArray<Event>
      if (series.length === 0 && found.length === 0) {
        skipped++
        continue
      }
      for (const each of series) {
        const identity = identityOf(each)
        const other = metrics.get(identity)
        if (other === undefined || other.recorded < each.recorded) metrics.set(identity, each)
      }
      events.push(...found)
      pages.push({
        slot,
        start: series[0]?.start ?? null,
        count: series.reduce((total, { recorded }) => total + recorded, found.length)
      })
    }
    return { pages, metrics: Array.from(metrics.values()), events, skipped }
  })
