/** Formats numbers, times and names as text. */

/** A formatted value and its unit. */
export interface FormattedValue {
  readonly text: string
  /** Unit with the space in front of it; empty without a unit. */
  readonly unit: string
}

/** Formats a number with three to five significant digits. */
const digits = (value: number): string => {
  const size = Math.abs(value)
  if (Number.isInteger(value) && size < 100_000) return value.toLocaleString("en-US")
  if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 0 })
  if (size >= 100) return value.toFixed(1)
  if (size >= 1) return value.toFixed(2)
  if (size >= 0.001) return String(Number(value.toPrecision(3)))
  return value.toExponential(2)
}

const prefixes = ["k", "M", "G", "T", "P", "E"] as const

/** Shortens a number of 100,000 or more with a prefix. */
const shorten = (value: number): FormattedValue => {
  let at = 0
  let rest = value / 1000
  // A number that would be rounded up to 1,000 gets the next prefix.
  while (at < prefixes.length - 1 && Math.abs(rest) >= 999.95) {
    rest /= 1000
    at++
  }
  return { text: digits(rest), unit: prefixes[at]! }
}

const seconds = (value: number): FormattedValue => {
  const size = Math.abs(value)
  if (size === 0) return { text: "0", unit: " s" }
  if (size < 1e-6) return { text: digits(value * 1e9), unit: " ns" }
  if (size < 1e-3) return { text: digits(value * 1e6), unit: " µs" }
  if (size < 1) return { text: digits(value * 1e3), unit: " ms" }
  if (size < 120) return { text: digits(value), unit: " s" }
  if (size < 7200) return { text: digits(value / 60), unit: " min" }
  return { text: digits(value / 3600), unit: " h" }
}

const inSeconds: { readonly [unit: string]: number } = {
  nanosecond: 1e-9,
  microsecond: 1e-6,
  millisecond: 1e-3,
  second: 1,
  minute: 60,
  hour: 3600
}

const inBytes: { readonly [unit: string]: number } = {
  byte: 1,
  kibibyte: 1024,
  mebibyte: 1024 ** 2,
  gibibyte: 1024 ** 3
}

/** End of the unit of a rate. */
const perSecond = "/s"

/** Returns the unit of the values of a metric. Datadog stores a rate per second, whatever its interval. */
export const unitOf = ({ kind, unit }: { readonly kind: string; readonly unit: string | null }): string | null =>
  kind === "rate" ? `${unit ?? ""}${perSecond}` : unit

/** Formats a value of a metric. The units of times and bytes depend on the value. */
export const value = (value: number | null | undefined, unit: string | null): FormattedValue => {
  if (value !== null && value !== undefined && unit !== null && unit.endsWith(perSecond)) {
    const counted = formatValue(value, unit === perSecond ? null : unit.slice(0, -perSecond.length))
    return { text: counted.text, unit: `${counted.unit === "" ? " " : counted.unit}${perSecond}` }
  }
  return formatValue(value, unit)
}

const formatValue = (value: number | null | undefined, unit: string | null): FormattedValue => {
  if (value === null || value === undefined) return { text: "–", unit: "" }
  if (!Number.isFinite(value)) return { text: String(value), unit: "" }
  if (unit !== null && Object.hasOwn(inSeconds, unit)) return seconds(value * inSeconds[unit]!)
  if (unit !== null && Object.hasOwn(inBytes, unit)) return bytes(value * inBytes[unit]!)
  if (unit === "percent") return { text: digits(value), unit: " %" }
  if (unit === "fraction") return { text: digits(value * 100), unit: " %" }
  const size = Math.abs(value)
  const shown = size < 100_000
    ? { text: digits(value), unit: "" }
    : size < 1e21
    ? shorten(value)
    : { text: value.toExponential(2), unit: "" }
  return unit === null ? shown : { text: shown.text, unit: `${shown.unit} ${visible(unit)}` }
}

/** Formats a round number of an axis, without trailing zeros. */
export const tick = (at: number, unit: string | null): string => {
  const shown = value(Number(at.toPrecision(8)), unit)
  return (shown.text.includes("e") ? shown.text : shown.text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")) +
    shown.unit
}

/** Formats a size in bytes with at most three digits. */
export const bytes = (count: number): FormattedValue => {
  let at = 0
  let rest = count
  while (at < byteNames.length - 1 && Math.abs(rest) >= 999.5) {
    rest /= 1000
    at++
  }
  const places = at === 0 || Math.abs(rest) >= 99.95 ? 0 : 1
  return { text: rest.toFixed(places), unit: byteNames[at]! }
}

const byteNames = [" B", " kB", " MB", " GB", " TB"] as const

/** Formats a count; in full below 100,000. */
export const count = (count: number): string => joined(value(count, null))

export const joined = ({ text, unit }: FormattedValue): string => text + unit

/** Formats milliseconds. A clock without fractions measures 0 for most answers. */
export const duration = (milliseconds: number): FormattedValue =>
  milliseconds === 0
    ? { text: "< 1", unit: " ms" }
    : milliseconds >= 1 && milliseconds < 100
    ? { text: milliseconds.toFixed(1), unit: " ms" }
    : value(milliseconds < 1 ? milliseconds : Math.round(milliseconds), "millisecond")

/** Formats the compression ratio; empty for an uncompressed body. */
export const ratio = (packed: number, unpacked: number): string =>
  packed > 0 && unpacked > 0 && packed !== unpacked ? `${(unpacked / packed).toFixed(1)}×` : ""

export const plural = (n: number, one: string, many: string = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** Formats the time of day of milliseconds since the epoch. */
export const clock = (milliseconds: number, fraction = false): string => {
  const date = new Date(milliseconds)
  if (Number.isNaN(date.getTime())) return "–"
  const two = (n: number) => String(n).padStart(2, "0")
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return fraction ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time
}

/** Formats a span of seconds, such as `15 min`. */
export const span = (length: number): string => {
  if (length < 120) return `${Math.round(length)} s`
  if (length < 7200) return `${Math.round(length / 60)} min`
  if (length < 172_800) return `${Math.round(length / 3600)} h`
  return `${Math.round(length / 86_400)} days`
}

const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115F\u1160\u3164\uFFA0]/gu
const invisibleExceptLines = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115F\u1160\u3164\uFFA0]/gu

const escapeCharacter = (character: string): string => `\\u{${character.codePointAt(0)!.toString(16)}}`

/**
 * Escapes invisible characters in text from outside: control characters, zero-width characters and direction marks could hide text
 * or reverse the text around it.
 */
export const visible = (text: string): string => text.replace(invisible, escapeCharacter)

/** Escapes invisible characters like {@link visible}, except tabs and ends of lines. */
export const visibleLines = (text: string): string => text.replace(invisibleExceptLines, escapeCharacter)

/** Number of characters at the end of a name that are shown in any case. Names of one program begin alike and end differently. */
const tailLength = 14

/** Divides a text so that its second part is its end, without dividing a surrogate pair. */
export const divideName = (text: string): readonly [head: string, tail: string] => {
  const at = Math.max(0, text.length - tailLength)
  const isInPair = at > 0 && /[\uDC00-\uDFFF]/.test(text[at]!)
  return isInPair ? [text.slice(0, at - 1), text.slice(at - 1)] : [text.slice(0, at), text.slice(at)]
}

/** Maximum length of an array that {@link json} writes in one line. */
const lineLength = 100

const isLeaf = (value: unknown): boolean => typeof value !== "object" || value === null

/** Formats parsed JSON. An array of texts and numbers, such as a point or tags, takes one line if it is short. */
export const json = (value: unknown, indent = ""): string => {
  if (isLeaf(value)) return JSON.stringify(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    const line = value.every(isLeaf) ? `[${value.map((element) => JSON.stringify(element)).join(", ")}]` : undefined
    if (value.length === 0 || (line !== undefined && line.length <= lineLength)) return line ?? "[]"
    return `[\n${value.map((element) => inner + json(element, inner)).join(",\n")}\n${indent}]`
  }
  const entries = Object.entries(value as object)
  if (entries.length === 0) return "{}"
  const lines = entries.map(([key, element]) => `${inner}${JSON.stringify(key)}: ${json(element, inner)}`)
  return `{\n${lines.join(",\n")}\n${indent}}`
}
