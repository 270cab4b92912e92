import { cutTag, isNormalName, isNormalTag, normalizeName, normalizeTag } from "./tagCharacters.js"

/** Settings of the client that receivers see in each of its series. */
export interface IdentitySettings {
  readonly tags: ReadonlyArray<string>
  readonly hostname: string | undefined
  readonly attachHost: boolean
}

/** Distinct tags of a series. */
export interface DistinctTags {
  /** Tags in the spelling that is sent: of several spellings of one tag the first, without other spellings of constant tags. */
  readonly sent: ReadonlyArray<string>
  /** The same tags as the receiver stores them, without constant tags, which all series have. */
  readonly stored: ReadonlyArray<string>
}

/**
 * Identity of series: Datadog stores two spellings of a name or tag as one, and the later value overwrites the earlier one. Two series
 * with the same stored name, host and tags are one series.
 */
export interface SeriesIdentity {
  readonly storedName: (name: string) => string
  readonly storedHost: (host: string | null) => string | null
  /** Returns the distinct tags. Both arrays are the argument itself if the receiver changes nothing, as with nearly all tags. */
  readonly distinctTags: (tags: ReadonlyArray<string>) => DistinctTags
}

/** Makes the identity of the series of one client. */
export const make = ({ attachHost, hostname, tags: constantTags }: IdentitySettings): SeriesIdentity => {
  const storedConstant = new Set(constantTags.map((tag) => normalizeTag(cutTag(tag))))
  /** A client without a host of its own sends the empty host like an absent one. Without the setting, a reporter may have another host. */
  const ownHost = hostname === "" ? null : hostname ?? ""
  const isPlain = (tag: string) => isNormalTag(tag) && !storedConstant.has(tag)
  return {
    storedName: (name) => isNormalName(name) ? name : normalizeName(name),
    storedHost: (host) => host === "" || (host === null && attachHost) ? ownHost : host,
    distinctTags(tags) {
      if (tags.every(isPlain)) return { sent: tags, stored: tags }
      const stored = new Set<string>()
      const sent = tags.filter((tag) => {
        const normal = normalizeTag(tag)
        if (storedConstant.has(normal)) return constantTags.includes(tag)
        if (stored.has(normal)) return false
        // Nothing remains of a tag of `_` and `:` alone.
        if (normal !== "") stored.add(normal)
        return true
      })
      return { sent: sent.length === tags.length ? tags : sent, stored: Array.from(stored) }
    }
  }
}

/** Joins tags in order. The length before each tag keeps different sets of tags apart. */
export const joinSortedTags = (tags: ReadonlyArray<string>): string => {
  let joined = ""
  for (const tag of tags.slice().sort()) joined += `${tag.length}:${tag}`
  return joined
}
