/** Whole weights for the values of a sample, which add up to the number of recorded values. */

/** Returns the weight of the i-th of `count` values. */
export const sampleWeight = (i: number, count: number, recorded: number): number =>
  Math.floor(((i + 1) * recorded) / count) - Math.floor((i * recorded) / count)

/** Repeats each value by its weight, lazily, because there may be millions. */
export function* repeatSamples(values: ReadonlyArray<number | string>, recorded: number): Generator<string> {
  for (let i = 0; i < values.length; i++) {
    const value = String(values[i])
    for (let times = sampleWeight(i, values.length, recorded); times > 0; times--) yield value
  }
}

/** Returns the sample rate for a weight. The Agent divides one by the rate and rounds down. */
export const weightedRate = (weight: number): number => {
  const rate = 1 / weight
  return Math.floor(1 / rate) === weight ? rate : rate * (1 - Number.EPSILON)
}
