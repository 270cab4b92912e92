/**
 * Counts what was dropped, by reason, and remembers for the next warning what has been dropped since the last.
 */
export interface DropCounters<Reason extends string> {
  readonly count: (reason: Reason, name: unknown, times?: number) => void
  /** All reasons together. */
  readonly total: () => number
  readonly totals: () => { readonly [R in Reason]?: number }
  readonly hasUnreported: () => boolean
  /** What was counted since the last call, with up to three names for each reason. */
  readonly drainUnreported: () => ReadonlyArray<UnreportedDrops<Reason>>
}

export interface UnreportedDrops<Reason extends string> {
  readonly reason: Reason
  readonly count: number
  readonly names: ReadonlyArray<string>
}

const shown = 3
const shownLength = 80

const label = (name: unknown): string => {
  const text = typeof name === "string" ? name : `(${typeof name})`
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text
}

export const make = <Reason extends string>(): DropCounters<Reason> => {
  const totals = new Map<Reason, number>()
  let news = new Map<Reason, { count: number; readonly names: Set<string> }>()
  return {
    count(reason, name, times = 1) {
      totals.set(reason, (totals.get(reason) ?? 0) + times)
      let entry = news.get(reason)
      if (entry === undefined) {
        entry = { count: 0, names: new Set() }
        news.set(reason, entry)
      }
      entry.count += times
      if (entry.names.size < shown) entry.names.add(label(name))
    },
    total() {
      let sum = 0
      for (const count of totals.values()) sum += count
      return sum
    },
    totals: () => Object.fromEntries(totals) as { [R in Reason]?: number },
    hasUnreported: () => news.size > 0,
    drainUnreported() {
      if (news.size === 0) return []
      const taken = Array.from(news, ([reason, { count, names }]) => ({ reason, count, names: Array.from(names) }))
      news = new Map()
      return taken
    }
  }
}

export const addTotals = <Reason extends string>(
  self: { readonly [R in Reason]?: number },
  that: { readonly [R in Reason]?: number }
): { readonly [R in Reason]?: number } => {
  const sum: { [R in Reason]?: number } = { ...self }
  for (const reason of Object.keys(that) as Array<Reason>) sum[reason] = (sum[reason] ?? 0) + (that[reason] ?? 0)
  return sum
}
