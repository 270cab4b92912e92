/**
 * Returns the suffix of a percentile's series: `95percentile` for 0.95, and `99.9percentile` for 0.999.
 *
 * The reference truncates `p * 100` to an integer, which names 0.29 as 28 and 0.999 as 99. This function keeps the shortest
 * decimal of the same number.
 */
export const percentileSuffix = (p: number): string => `${Number((p * 100).toPrecision(12))}percentile`

/** Rounds to the nearest integer, and a half to the even one, as the reference does. */
export const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x)
  const fraction = x - floor
  if (fraction < 0.5) return floor
  if (fraction > 0.5) return floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Returns the index of a percentile in `n` sorted samples, by the reference's rule. */
export const percentileIndex = (p: number, n: number): number => Math.min(n - 1, Math.max(0, roundHalfEven(p * n - 1)))
