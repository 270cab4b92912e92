import type { DistributionPoint } from "./feedProtocol.js"
import { gamma } from "./feedProtocol.js"

/**
 * The values of a distribution, counted in bins that are wider the larger the values: whatever their number, it stays small, and
 * quantiles out of it are near.
 */
export interface Sketch {
  count: number
  sum: number
  min: number
  max: number
  zeros: number
  readonly positive: Map<number, number>
  readonly negative: Map<number, number>
}

/** The most bins of one sign. They span seventeen orders of magnitude. */
export const maxBins = 1024

export const make = (): Sketch => ({
  count: 0,
  sum: 0,
  min: Number.POSITIVE_INFINITY,
  max: Number.NEGATIVE_INFINITY,
  zeros: 0,
  positive: new Map(),
  negative: new Map()
})

const logGamma = Math.log(gamma)

/** The bin from `gamma ** bin` up to `gamma ** (bin + 1)` that a value above zero is in. */
export const binOf = (value: number): number => {
  const near = Math.floor(Math.log(value) / logGamma)
  // logarithms are rounded
  return gamma ** near > value ? near - 1 : gamma ** (near + 1) <= value ? near + 1 : near
}

const count = (bins: Map<number, number>, bin: number): void => {
  bins.set(bin, (bins.get(bin) ?? 0) + 1)
  if (bins.size > maxBins) collapse(bins)
}

/** Puts the lower half of the bins into one: what is near zero is the least that is missed. */
const collapse = (bins: Map<number, number>): void => {
  const lower = Array.from(bins.keys()).sort((a, b) => a - b).slice(0, maxBins / 2)
  let total = 0
  for (const bin of lower) {
    total += bins.get(bin)!
    bins.delete(bin)
  }
  bins.set(lower.at(-1)!, total)
}

export const add = (sketch: Sketch, value: number): void => {
  sketch.count++
  sketch.sum += value
  if (value < sketch.min) sketch.min = value
  if (value > sketch.max) sketch.max = value
  if (value === 0) sketch.zeros++
  else if (value > 0) count(sketch.positive, binOf(value))
  else count(sketch.negative, binOf(-value))
}

/** How much of the memory it takes, where a number counts as one. */
export const sizeOf = ({ negative, positive }: Sketch): number => 1 + positive.size + negative.size

const byBin = (bins: Map<number, number>) => Array.from(bins).sort(([a], [b]) => a - b)

export const toPoint = (series: number, timestamp: number, sketch: Sketch): DistributionPoint => ({
  series,
  timestamp,
  count: sketch.count,
  sum: sketch.sum,
  min: sketch.min,
  max: sketch.max,
  zeros: sketch.zeros,
  positive: byBin(sketch.positive),
  negative: byBin(sketch.negative)
})
