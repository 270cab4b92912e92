/**
 * The suffix of a percentile's series: `95percentile` for 0.95 and `99.9percentile` for 0.999.
 *
 * The reference cuts `p * 100` to an integer, so that 0.29 is named 28 and 0.999 is named 99; here the shortest decimal
 * that means the same number is kept.
 */
export const percentileSuffix = (p: number): string => `${Number((p * 100).toPrecision(12))}percentile`

/** The nearest integer, a half going to the even one, as the reference rounds. */
export const roundHalfEven = (x: number): number => {
  const floor = Math.floor(x)
  const rest = x - floor
  if (rest < 0.5) return floor
  if (rest > 0.5) return floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Where the percentile stands in `n` sorted samples, by the reference's rule. */
export const percentileIndex = (p: number, n: number): number => Math.min(n - 1, Math.max(0, roundHalfEven(p * n - 1)))
