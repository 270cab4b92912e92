/**
 * Datadog's characters: those of a name or tag that it keeps, and those that it replaces.
 *
 * Sources: Datadog's documentation, "Custom metrics" (names) and "Getting started with tags". Combining marks are parts of letters in many
 * scripts, such as the vowels of Hindi, so they stay. Nothing else is public: Datadog may also collapse repeated `_` of a name.
 */
import { tagLength } from "./datadogLimits.js"

const replacedInName = /[^\w.]/gu

/** Returns the name that Datadog stores: each character other than ASCII letters, digits, `_` and `.` becomes `_`. */
export const normalizeName = (name: string): string => name.replace(replacedInName, "_")

/** Whether {@link normalizeName} leaves the name unchanged. Allocates nothing. */
export const isNormalName = (name: string): boolean => {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (!isLowerCaseOrDigit(code) && !isUpperCase(code) && code !== underscore && code !== dot) return false
  }
  return true
}

const replacedInTag = /[^\p{L}\p{M}\p{N}_\-:/.]/gu

/** Replaces each character that Datadog does not keep in a tag by `_`. Letters, marks and digits of any script stay. */
export const replaceTagCharacters = (tag: string): string => tag.replace(replacedInTag, "_")

/**
 * Returns the tag that Datadog stores: in lower case, with `_` for other characters, with repeated `_` as one, and without `_` and `:` at
 * the end. Datadog keeps the case of `host` and `device` tags. The tag has at most 200 characters; {@link cutTag} cuts longer ones.
 */
export const normalizeTag = (tag: string): string => {
  if (isNormalTag(tag)) return tag
  const cased = keepsCase.test(tag) ? tag : tag.toLowerCase()
  const kept = replaceTagCharacters(cased).replace(repeatedUnderscore, "_")
  let end = kept.length
  while (end > 0 && isRemovedAtEnd(kept.charCodeAt(end - 1))) end--
  return end === kept.length ? kept : kept.slice(0, end)
}

const keepsCase = /^(?:host|device):/

const repeatedUnderscore = /_{2,}/g

/**
 * Whether {@link normalizeTag} leaves the tag unchanged for certain: a tag of small ASCII letters, as nearly all are. Allocates nothing.
 */
export const isNormalTag = (tag: string): boolean => {
  let previous = 0
  for (let i = 0; i < tag.length; i++) {
    const code = tag.charCodeAt(i)
    // `-`, `.` and `/` are neighbors in ASCII.
    const isKept = isLowerCaseOrDigit(code) || (code >= dash && code <= slash) || code === colon ||
      (code === underscore && previous !== underscore)
    if (!isKept) return false
    previous = code
  }
  return !isRemovedAtEnd(previous)
}

/** Cuts a tag to Datadog's limit of 200 characters, without cutting through a surrogate pair. */
export const cutTag = (tag: string): string => {
  if (tag.length <= tagLength) return tag
  const last = tag.charCodeAt(tagLength - 1)
  return tag.slice(0, last >= 0xd800 && last < 0xdc00 ? tagLength - 1 : tagLength)
}

const dash = 0x2d
const dot = 0x2e
const slash = 0x2f
const colon = 0x3a
const underscore = 0x5f

const isUpperCase = (code: number): boolean => code >= 0x41 && code <= 0x5a

const isLowerCaseOrDigit = (code: number): boolean => (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39)

const isRemovedAtEnd = (code: number): boolean => code === underscore || code === colon
