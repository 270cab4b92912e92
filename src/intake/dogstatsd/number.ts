/** Numbers as the Agent reads them: with the rules of Go's `strconv.ParseFloat`. */

const decimalPattern = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i
const hexadecimalPattern = /^([+-]?)0x([\da-f]*)(?:\.([\da-f]*))?p([+-]?\d+)$/i
const infinityPattern = /^[+-]?inf(?:inity)?$/i

/** Returns the value of a hexadecimal number; `undefined` for other text. */
const parseHexadecimal = (text: string): number | undefined => {
  const [, sign = "", whole = "", fraction = "", exponent = ""] = hexadecimalPattern.exec(text) ?? []
  const digits = whole + fraction
  if (digits === "") return undefined
  const value = Number.parseInt(digits, 16) * 2 ** (Number(exponent) - 4 * fraction.length)
  return sign === "-" ? -value : value
}

/**
 * Parses a number; `undefined` for text that Go refuses. `NaN` and infinities are numbers, but a number that is too large for 64 bits
 * is not.
 */
export const parseFloat64 = (text: string): number | undefined => {
  if (/^nan$/i.test(text)) return Number.NaN
  if (infinityPattern.test(text)) return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  const value = decimalPattern.test(text) ? Number(text) : parseHexadecimal(text)
  return value !== undefined && Number.isFinite(value) ? value : undefined
}
