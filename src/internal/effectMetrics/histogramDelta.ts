import type * as MetricState from "effect/MetricState"
import { percentileIndex } from "../model/percentile.js"

/**
 * What one of Effect's histograms took in between two looks at it. Effect keeps no values, but how many fell between two
 * boundaries, their sum, and the least and the greatest of all times.
 */
export interface Window {
  /** Without what was no number. */
  readonly count: number
  /** `undefined` where it cannot be told, since something infinite or no number was in it. */
  readonly sum: number | undefined
  /** Those with something in them, in order; every value of one is between its ends. */
  readonly parts: ReadonlyArray<Part>
  /** The least and the greatest value, where they are the least or greatest ever, and so are known. */
  readonly lowest: number | undefined
  readonly highest: number | undefined
  /** How many were no numbers. */
  readonly unusable: number
}

export interface Part {
  readonly count: number
  readonly from: number
  readonly to: number
}

/** What there was at the last look. */
export interface Seen {
  /** Of each bucket on its own. */
  readonly counts: ReadonlyArray<number>
  readonly unusable: number
  readonly sum: number
  readonly min: number
  readonly max: number
}

export const nothingSeen: Seen = { counts: [], unusable: 0, sum: 0, min: Infinity, max: -Infinity }

/**
 * Effect starts the maximum at the smallest positive number: where it still stands there, no value was above zero, and
 * with none below zero all were zero.
 */
const greatestOf = ({ max, min }: MetricState.MetricState.Histogram): number =>
  max > Number.MIN_VALUE ? max : min >= 0 ? 0 : -Infinity

export const see = (state: MetricState.MetricState.Histogram): Seen => {
  const counts = state.buckets.map(([, upTo], i) => upTo - (i === 0 ? 0 : state.buckets[i - 1]![1]))
  return {
    counts,
    unusable: Math.max(0, state.count - (state.buckets.at(-1)?.[1] ?? 0)),
    sum: state.sum,
    min: state.min,
    max: greatestOf(state)
  }
}

export const windowOf = (before: Seen, now: Seen, boundaries: MetricState.MetricState.Histogram["buckets"]): Window => {
  const least = Number.isFinite(now.min) ? now.min : -Infinity
  const greatest = now.max > -Infinity ? now.max : 0
  const parts: Array<Part> = []
  let count = 0
  now.counts.forEach((counted, i) => {
    // Effect counts in 32 bits, and begins anew after that
    const added = (counted - (before.counts[i] ?? 0)) >>> 0
    if (added === 0) return
    const above = Math.max(i === 0 ? -Infinity : boundaries[i - 1]![0], least)
    const below = Math.min(boundaries[i]![0], greatest)
    const from = Number.isFinite(above) ? above : Number.isFinite(below) ? below : 0
    const to = Number.isFinite(below) ? below : from
    parts.push({ count: added, from: Math.min(from, to), to })
    count += added
  })
  const sum = now.sum - before.sum
  return {
    count,
    sum: Number.isFinite(sum) ? sum : undefined,
    parts,
    lowest: count > 0 && now.min < before.min && Number.isFinite(now.min) ? now.min : undefined,
    highest: count > 0 && now.max > before.max && Number.isFinite(now.max) ? now.max : undefined,
    unusable: Math.max(0, now.unusable - before.unusable)
  }
}

/** Values that would have made the window what it is: the known ones, and evenly spread ones between the ends of parts. */
export interface Layout {
  readonly count: number
  readonly lowest: number | undefined
  readonly highest: number | undefined
  readonly parts: ReadonlyArray<Part>
}

const clamp = (value: number, from: number, to: number) => Math.max(from, Math.min(to, value))

/** Fewer of each, in proportion. */
const thin = (parts: ReadonlyArray<Part>, all: number, kept: number): ReadonlyArray<Part> => {
  let counted = 0
  return parts.flatMap((part) => {
    const before = Math.round(counted / all * kept)
    counted += part.count
    const count = Math.round(counted / all * kept) - before
    return count === 0 ? [] : [{ ...part, count }]
  })
}

/**
 * The parts, each narrowed towards the same side and by the same share, so that evenly spread values add up to `sum`. Those
 * of the histogram did, and they were within the parts: there is such a share.
 */
const fit = (parts: ReadonlyArray<Part>, sum: number): ReadonlyArray<Part> => {
  let least = 0
  let greatest = 0
  for (const { count, from, to } of parts) {
    least += count * from
    greatest += count * to
  }
  const middle = least / 2 + greatest / 2
  if (!Number.isFinite(middle) || least === greatest) return parts
  if (sum < middle) {
    const share = clamp((sum - least) / (middle - least), 0, 1)
    return parts.map(({ count, from, to }) => ({ count, from, to: from + (to - from) * share }))
  }
  const share = clamp((greatest - sum) / (greatest - middle), 0, 1)
  return parts.map(({ count, from, to }) => ({ count, from: to - (to - from) * share, to }))
}

/**
 * At most `most` values for a window with something in it. Exact are: how many there are in all and between any two
 * boundaries, as long as they are no more than `most`; the least and greatest, where known; and their sum, as far as doubles
 * go. Beyond `most`, all of these hold in proportion.
 */
export const layOut = (window: Window, most = Infinity): Layout => {
  const { count, sum } = window
  const kept = Math.min(count, most)
  if (kept === 1) {
    const [first, last] = [window.parts[0]!, window.parts.at(-1)!]
    const value = count > 1 || window.lowest === undefined
      ? clamp(sum === undefined ? first.from / 2 + last.to / 2 : sum / count, first.from, last.to)
      : window.lowest
    return { count: 1, lowest: value, highest: undefined, parts: [] }
  }
  const parts = window.parts.map((part) => ({ ...part }))
  let rest = sum
  let others = count
  const take = (part: { count: number }, value: number | undefined) => {
    if (value === undefined) return
    part.count--
    others--
    if (rest !== undefined) rest -= value
  }
  take(parts[0]!, window.lowest)
  take(parts.at(-1)!, window.highest)
  const left = kept - (count - others)
  const thinned = left < others ? thin(parts, others, left) : parts.filter(({ count }) => count > 0)
  return {
    count: kept,
    lowest: window.lowest,
    highest: window.highest,
    parts: rest === undefined ? thinned : fit(thinned, others === 0 ? 0 : rest / others * left)
  }
}

const at = ({ count, from, to }: Part, i: number): number => from + (to - from) * ((i + 0.5) / count)

export const valuesOf = ({ highest, lowest, parts }: Layout): ReadonlyArray<number> => {
  const values: Array<number> = lowest === undefined ? [] : [lowest]
  for (const part of parts) {
    for (let i = 0; i < part.count; i++) values.push(at(part, i))
  }
  if (highest !== undefined) values.push(highest)
  return values
}

/** The value at this place, counted from zero. */
const valueAt = ({ count, highest, lowest, parts }: Layout, place: number): number => {
  if (place === 0 && lowest !== undefined) return lowest
  if (place === count - 1 && highest !== undefined) return highest
  let before = lowest === undefined ? 0 : 1
  for (const part of parts) {
    if (place < before + part.count) return at(part, place - before)
    before += part.count
  }
  return Number.NaN
}

export const minOf = (layout: Layout): number => valueAt(layout, 0)

export const maxOf = (layout: Layout): number => valueAt(layout, layout.count - 1)

export const percentileOf = (layout: Layout, p: number): number => valueAt(layout, percentileIndex(p, layout.count))
