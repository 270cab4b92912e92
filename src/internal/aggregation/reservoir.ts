import type { PCGRandom } from "effect/Utils"

/** Uniform sample of `count` values. */
interface Reservoir {
  readonly count: number
  readonly sample: ReadonlyArray<number>
}

/**
 * Creates a generator of random integers below a bound: Marsaglia's xorshift with 32 bits. A histogram draws one for every
 * value, and `PCGRandom` takes ten times as long.
 */
export const makeRandomBelow = (random: PCGRandom): (bound: number) => number => {
  let state = random.integer(0x7fffffff) + 1
  return (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor((state >>> 0) / 0x100000000 * bound)
  }
}

/** Draws a uniform sample of the union of two populations from a uniform sample of each. */
export const mergeReservoirs = (
  first: Reservoir,
  second: Reservoir,
  size: number,
  random: PCGRandom
): Array<number> => {
  const all = first.sample.concat(second.sample)
  if (all.length === first.count + second.count && all.length <= size) return all
  const a = { left: first.count, sample: first.sample.slice() }
  const b = { left: second.count, sample: second.sample.slice() }
  const merged: Array<number> = []
  while (merged.length < size) {
    const source = random.number() * (a.left + b.left) < a.left ? a : b
    const pick = Math.floor(random.number() * source.sample.length)
    const last = source.sample.pop()!
    merged.push(pick < source.sample.length ? source.sample[pick]! : last)
    if (pick < source.sample.length) source.sample[pick] = last
    source.left -= 1
  }
  return merged
}
