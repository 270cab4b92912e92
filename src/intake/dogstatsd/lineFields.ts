/** Fields that lines of all kinds have: tags and origin. */
import { makeVerdict, quoteText, type Verdict } from "../verdict.js"

/** Tags and origin, which each line may have. */
export interface LineOrigin {
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  /** Field `c:`. */
  readonly container: string | undefined
  /** Field `e:`. */
  readonly externalData: string | undefined
  /** Field `card:`, or the tag `dd.internal.card:`. */
  readonly cardinality: string | undefined
}

/** A line that the Agent drops. */
export interface InvalidLine {
  readonly _tag: "Invalid"
  readonly verdict: Verdict
}

/** Creates the result of a line that the Agent drops. */
export const makeInvalid = (metric: string | null, line: string, reason: string): InvalidLine => ({
  _tag: "Invalid",
  verdict: makeVerdict("dropped", "BadLine", metric, `${reason}: ${quoteText(line)}`)
})

/** Parses a whole number with the rules of Go's `strconv.ParseInt`; `undefined` for other text and beyond 64 bits. */
export const parseInteger = (text: string): number | undefined => {
  if (!/^[+-]?\d{1,30}$/.test(text)) return undefined
  const value = BigInt(text.replace("+", ""))
  return value === BigInt.asIntN(64, value) ? Number(value) : undefined
}

const valueAfter = (text: string, prefix: string): string | undefined =>
  text.startsWith(prefix) ? text.slice(prefix.length) : undefined

/** Returns the text behind the prefix in the last field that has it. */
export const lastField = (fields: ReadonlyArray<string>, prefix: string): string | undefined => {
  const field = fields.findLast((field) => field.startsWith(prefix))
  return field === undefined ? undefined : valueAfter(field, prefix)
}

/** Tags that the Agent removes without a trace in the metric. */
const internalTags = ["dd.internal.entity_id:", "dd.internal.jmx_check_name:"]

/** Reads tags and origin. The Agent turns some tags into fields, and removes them from the tags. */
export const readOrigin = (fields: ReadonlyArray<string>): LineOrigin => {
  const tags: Array<string> = []
  let host: string | undefined
  let cardinality = lastField(fields, "card:")
  for (const tag of (lastField(fields, "#") ?? "").split(",")) {
    const hostName = valueAfter(tag, "host:")
    const level = cardinality === undefined || cardinality === "" ? valueAfter(tag, "dd.internal.card:") : undefined
    if (hostName !== undefined) host = hostName
    else if (level !== undefined) cardinality = level
    else if (tag !== "" && !internalTags.some((prefix) => tag.startsWith(prefix))) tags.push(tag)
  }
  return {
    tags,
    host,
    container: lastField(fields, "c:"),
    externalData: lastField(fields, "e:"),
    cardinality
  }
}
