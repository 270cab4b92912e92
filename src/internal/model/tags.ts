import { maxTags } from "./datadogLimits.js"
import { cutTag } from "./tagCharacters.js"

/**
 * Tags of a point or event: an array of strings, as in the reference, or a record of keys and values.
 *
 * Decoding leaves out empty entries and `undefined` values, collapses duplicates, and cuts tags to Datadog's limit of 200 characters.
 */
export type Tags =
  | ReadonlyArray<string>
  | { readonly [key: string]: string | number | boolean | undefined }

/** Tags are neither an array of strings nor a record of strings, numbers and booleans; or there are more than 1000. */
export type TagFault = "InvalidTags"

export const noTags: ReadonlyArray<string> = []

/**
 * Copies tags in the order given, each cut by `cut`, or returns their fault. Never stores the caller's array or record. By default `cut`
 * cuts to Datadog's limit.
 */
export const decodeTags = (
  tags: Tags | null | undefined,
  cut: (tag: string) => string = cutTag
): ReadonlyArray<string> | TagFault => {
  if (tags === undefined || tags === null) return noTags
  if (typeof tags !== "object") return "InvalidTags"
  const keys = Array.isArray(tags) ? undefined : Object.keys(tags)
  const { length } = keys ?? tags as ReadonlyArray<string>
  if (length === 0) return noTags
  // The search for duplicates compares every tag with all earlier ones, so that a limit bounds its time.
  if (length > maxTags) return "InvalidTags"
  const decoded: Array<string> = []
  for (let i = 0; i < length; i++) {
    const tag = keys === undefined ? (tags as ReadonlyArray<unknown>)[i] : tagOfRecord(tags as TagRecord, keys[i]!)
    if (typeof tag !== "string") return "InvalidTags"
    const kept = cut(tag)
    if (kept.length > 0 && !decoded.includes(kept)) decoded.push(kept)
  }
  return decoded
}

/** Makes a function that cuts a tag to Datadog's limit, and calls `onCut` if it is longer. */
export const makeCutTag = (onCut: () => void) => (tag: string): string => {
  const kept = cutTag(tag)
  if (kept.length < tag.length) onCut()
  return kept
}

/** Record of tags whose values the caller has not validated. */
export type TagRecord = { readonly [key: string]: unknown }

/** Returns a value of a record of tags as text. Empty if the record has no such tag, and undefined if the value is invalid. */
const tagOfRecord = (tags: TagRecord, key: string): string | undefined => {
  const value = tags[key]
  if (value === undefined) return ""
  const text = textOfValue(value)
  return key.length === 0 || text === undefined ? undefined : `${key}:${text}`
}

/** Returns the text of a value of a record of tags, or undefined if the value is invalid. */
export const textOfValue = (value: unknown): string | undefined =>
  typeof value === "string"
    ? value
    : typeof value === "number" || typeof value === "boolean"
    ? `${value}`
    : undefined

/**
 * Returns the tags of options, or the options themselves if they are an array: programs without types pass tags in their place, as other
 * clients take them.
 */
export const tagsOfOptions = (options: { readonly tags?: Tags | undefined } | undefined): Tags | undefined =>
  options?.tags ?? (Array.isArray(options) ? options as ReadonlyArray<string> : undefined)

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
