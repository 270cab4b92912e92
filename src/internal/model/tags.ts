import { maxTags, tagLength } from "./limits.js"

/**
 * The tags of a point or event: an array of strings, as the reference takes, or a record of keys and values.
 *
 * An entry that is empty, or a record's value that is `undefined`, is no tag. Duplicates collapse.
 */
export type Tags =
  | ReadonlyArray<string>
  | { readonly [key: string]: string | number | boolean | undefined }

/** Why tags were refused. */
export type TagFault = "InvalidTags" | "TagTooLong"

export const noTags: ReadonlyArray<string> = []

/**
 * A copy of the tags in the order given, or why they cannot be taken. The caller's array or record is never kept.
 */
export const fromInput = (tags: Tags | null | undefined): ReadonlyArray<string> | TagFault => {
  if (tags === undefined || tags === null) return noTags
  if (typeof tags !== "object") return "InvalidTags"
  return Array.isArray(tags) ? fromArray(tags) : fromRecord(tags as Record<string, unknown>)
}

const fromArray = (tags: ReadonlyArray<unknown>): ReadonlyArray<string> | TagFault => {
  const length = tags.length
  if (length === 0) return noTags
  // More are no tags, and would take their time: every one is compared with those before it.
  if (length > maxTags) return "InvalidTags"
  const out: Array<string> = []
  for (let i = 0; i < length; i++) {
    const tag = tags[i]
    if (typeof tag !== "string") return "InvalidTags"
    if (tag.length > tagLength) return "TagTooLong"
    if (tag.length > 0 && !out.includes(tag)) out.push(tag)
  }
  return out
}

const fromRecord = (tags: Record<string, unknown>): ReadonlyArray<string> | TagFault => {
  const out: Array<string> = []
  for (const key of Object.keys(tags)) {
    const value = tags[key]
    if (value === undefined) continue
    if (key.length === 0 || (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")) {
      return "InvalidTags"
    }
    const tag = `${key}:${value}`
    if (tag.length > tagLength) return "TagTooLong"
    out.push(tag)
  }
  return out
}

/** The tags followed by those of the constant ones that are not among them. */
export const withConstant = (
  tags: ReadonlyArray<string>,
  constant: ReadonlyArray<string>
): ReadonlyArray<string> =>
  constant.length === 0
    ? tags
    : tags.length === 0
    ? constant
    : tags.concat(constant.filter((tag) => !tags.includes(tag)))
