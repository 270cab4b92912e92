/** Fraction of a limit at which a flush starts early. */
export const highWaterMark = 0.8
