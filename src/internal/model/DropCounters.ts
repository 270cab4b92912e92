/** Counters of dropped points or events by reason, and the drops that no log line has reported yet. */
export interface DropCounters<Reason extends string> {
  /** Counts `times` drops of a name. Default: 1. */
  readonly count: (reason: Reason, name: unknown, times?: number) => void
  /** Returns the number of all drops. */
  readonly total: () => number
  /** Returns the number of drops by reason. */
  readonly totals: () => { readonly [R in Reason]?: number }
  readonly hasUnreported: () => boolean
  /** Removes and returns the drops since the last call, with up to three names for each reason. */
  readonly drainUnreported: () => ReadonlyArray<UnreportedDrops<Reason>>
}

export interface UnreportedDrops<Reason extends string> {
  readonly reason: Reason
  readonly count: number
  readonly names: ReadonlyArray<string>
}

const maxNames = 3
const maxNameLength = 80

const describeName = (name: unknown): string => {
  const text = typeof name === "string" ? name : `(${typeof name})`
  return text.length > maxNameLength ? `${text.slice(0, maxNameLength)}…` : text
}

export const make = <Reason extends string>(): DropCounters<Reason> => {
  const totals = new Map<Reason, number>()
  let unreported = new Map<Reason, { count: number; readonly names: Set<string> }>()
  return {
    count(reason, name, times = 1) {
      totals.set(reason, (totals.get(reason) ?? 0) + times)
      let drops = unreported.get(reason)
      if (drops === undefined) {
        drops = { count: 0, names: new Set() }
        unreported.set(reason, drops)
      }
      drops.count += times
      if (drops.names.size < maxNames) drops.names.add(describeName(name))
    },
    total() {
      let sum = 0
      for (const count of totals.values()) sum += count
      return sum
    },
    totals: () => Object.fromEntries(totals) as { [R in Reason]?: number },
    hasUnreported: () => unreported.size > 0,
    drainUnreported() {
      if (unreported.size === 0) return []
      const drained = Array.from(
        unreported,
        ([reason, { count, names }]) => ({ reason, count, names: Array.from(names) })
      )
      unreported = new Map()
      return drained
    }
  }
}

/** Adds two records of totals. */
export const addTotals = <Reason extends string>(
  self: { readonly [R in Reason]?: number },
  that: { readonly [R in Reason]?: number }
): { readonly [R in Reason]?: number } => {
  const sum: { [R in Reason]?: number } = { ...self }
  for (const reason of Object.keys(that) as Array<Reason>) sum[reason] = (sum[reason] ?? 0) + (that[reason] ?? 0)
  return sum
}
