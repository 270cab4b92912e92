/** Length of the Agent's buckets, in seconds. The Agent dates its own sum of undated counts with the start of a bucket. */
const agentBucket = 10

/** Number of intervals whose seconds are remembered: a day of ten seconds each. */
const rememberedIntervals = 8640

/** Seconds of one batch. Items that were not sent leave theirs to the next batch. */
export interface BatchTimestamps {
  /** Allocates a second for a part of a series' interval. Undefined if every second before `now` is in use. */
  readonly allocate: (index: number, series: string, start: number, interval: number, now: number) => number | undefined
  /** Marks the seconds of the item with this index as used. */
  readonly commit: (index: number) => void
}

/**
 * Allocates the times of dated counts. The Agent forwards a dated count unchanged, and Datadog keeps one of two counts of the same
 * second. Each part of an interval therefore gets a second of its own.
 */
export interface TimestampAllocator {
  readonly beginBatch: () => BatchTimestamps
}

export const make = (): TimestampAllocator => {
  /** First free offset by start of the interval, for all series: two parts of an interval are in two flushes. */
  const nextOffsets = new Map<number, number>()

  const use = (start: number, nextOffset: number): void => {
    nextOffsets.set(start, Math.max(nextOffset, nextOffsets.get(start) ?? 0))
    if (nextOffsets.size > rememberedIntervals) nextOffsets.delete(nextOffsets.keys().next().value!)
  }

  return {
    beginBatch: () => {
      const batchOffsets = new Map<string, number>()
      const allocated: Array<Array<readonly [start: number, nextOffset: number]> | undefined> = []
      return {
        allocate: (index, series, start, interval, now) => {
          const key = `${start} ${series}`
          const second = firstFreeSecond(start, batchOffsets.get(key) ?? nextOffsets.get(start) ?? 0, interval, now)
          if (second === undefined) return undefined
          const nextOffset = second - start + 1
          batchOffsets.set(key, nextOffset)
          ;(allocated[index] ??= []).push([start, nextOffset])
          return second
        },
        commit: (index) => {
          for (const [start, nextOffset] of allocated[index] ?? []) use(start, nextOffset)
        }
      }
    }
  }
}

/** Finds a past second of the interval at which the Agent has no point of its own. The protocol takes times from 1 on. */
const firstFreeSecond = (start: number, offset: number, interval: number, now: number): number | undefined => {
  for (let second = start + offset; second < start + interval && second <= now; second++) {
    if (second % agentBucket !== 0) return second < 1 ? undefined : second
  }
  return undefined
}
