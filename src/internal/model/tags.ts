import { maxTags, tagLength } from "./limits.js"

/**
 * Tags of a point or event: an array of strings, as in the reference, or a record of keys and values.
 *
 * Decoding leaves out empty entries and `undefined` values, and collapses duplicates.
 */
export type Tags =
  | ReadonlyArray<string>
  | { readonly [key: string]: string | number | boolean | undefined }

/**
 * Reason for which tags are invalid.
 *
 * - `InvalidTags`: neither an array of strings nor a record of strings, numbers and booleans; or too many
 * - `TagTooLong`: a tag exceeds Datadog's limit of characters
 */
export type TagFault = "InvalidTags" | "TagTooLong"

export const noTags: ReadonlyArray<string> = []

/** Copies tags in the order given, or returns their fault. Never stores the caller's array or record. */
export const decodeTags = (tags: Tags | null | undefined): ReadonlyArray<string> | TagFault => {
  if (tags === undefined || tags === null) return noTags
  if (typeof tags !== "object") return "InvalidTags"
  return Array.isArray(tags) ? decodeArray(tags) : decodeRecord(tags as Record<string, unknown>)
}

const decodeArray = (tags: ReadonlyArray<unknown>): ReadonlyArray<string> | TagFault => {
  const length = tags.length
  if (length === 0) return noTags
  // The search for duplicates compares every tag with all earlier ones, so that a limit bounds its time.
  if (length > maxTags) return "InvalidTags"
  const decoded: Array<string> = []
  for (let i = 0; i < length; i++) {
    const tag = tags[i]
    if (typeof tag !== "string") return "InvalidTags"
    if (tag.length > tagLength) return "TagTooLong"
    if (tag.length > 0 && !decoded.includes(tag)) decoded.push(tag)
  }
  return decoded
}

const decodeRecord = (tags: Record<string, unknown>): ReadonlyArray<string> | TagFault => {
  const decoded: Array<string> = []
  for (const key of Object.keys(tags)) {
    const value = tags[key]
    if (value === undefined) continue
    if (key.length === 0 || (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")) {
      return "InvalidTags"
    }
    const tag = `${key}:${value}`
    if (tag.length > tagLength) return "TagTooLong"
    decoded.push(tag)
  }
  return decoded
}

/** Appends the constant tags that are not among the tags. */
export const appendConstantTags = (
  tags: ReadonlyArray<string>,
  constant: ReadonlyArray<string>
): ReadonlyArray<string> =>
  constant.length === 0
    ? tags
    : tags.length === 0
    ? constant
    : tags.concat(constant.filter((tag) => !tags.includes(tag)))
