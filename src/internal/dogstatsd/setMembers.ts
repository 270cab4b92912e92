import type { Profile } from "./options.js"

/**
 * Members of sets, by interval and series, for receivers without sets. These receive their number as a gauge, and keep the last gauge of an
 * interval.
 */
export interface SetMembers {
  /** Adds the members, and returns the number of different members of the series in this interval. */
  readonly add: (start: number, series: string, members: ReadonlyArray<number | string>) => number
}

/** Number of remembered members. Beyond it, the oldest interval is forgotten, and a later part of it counts on its own. */
const rememberedMembers = 100_000

export const make = (): SetMembers => {
  const intervals = new Map<number, Map<string, Set<number | string>>>()
  let size = 0

  const forgetOldest = (): void => {
    const oldest = Math.min(...intervals.keys())
    for (const members of intervals.get(oldest)!.values()) size -= members.size
    intervals.delete(oldest)
  }

  return {
    add: (start, series, members) => {
      const known = getOrAdd(
        getOrAdd(intervals, start, () => new Map<string, Set<number | string>>()),
        series,
        () => new Set<number | string>()
      )
      const sizeBefore = known.size
      for (const member of members) known.add(member)
      const count = known.size
      size += count - sizeBefore
      while (size > rememberedMembers) forgetOldest()
      return count
    }
  }
}

const getOrAdd = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

/**
 * Encodes a member so that different members stay different: escaped, or a digest if the line has no room for it. A colon separates values
 * in plain StatsD, but not for the Agent.
 */
export const encodeMember = (member: string, room: number, profile: Profile): string => {
  const escaped = member === ""
    ? "%"
    : member === "%"
    ? "%25"
    : member.replace(profile === "plain" ? toEscapeInPlain : toEscape, escapeCharacter)
  return Buffer.byteLength(escaped) <= room ? escaped : digest(escaped)
}

/** Separators, escapes that were there before, and lone surrogates, which UTF-8 cannot encode. */
const toEscape = /[|\u0000-\u001f\u007f]|%(?=[0-9A-Fa-f]{2})|[\ud800-\udfff]/gu

const toEscapeInPlain = /[:|\u0000-\u001f\u007f]|%(?=[0-9A-Fa-f]{2})|[\ud800-\udfff]/gu

const escapeCharacter = (character: string): string => {
  const code = character.charCodeAt(0)
  return code < 256 ? `%${code.toString(16).padStart(2, "0")}` : `%ff${code.toString(16)}`
}

const digest = (text: string): string => {
  let a = 0x811c9dc5
  let b = 0x1000193
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
    b ^= b >>> 13
  }
  return `%${text.length.toString(16)}%${(a >>> 0).toString(16)}%${(b >>> 0).toString(16)}`
}
