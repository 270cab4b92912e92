import type { Accumulation, Kind } from "../model/metricKinds.js"
import { decodeTags, noTags, type TagFault, type Tags } from "../model/tags.js"
import { HashTable } from "./hashTable.js"
import { SeriesGroup, SeriesKey } from "./seriesKey.js"

interface SeriesIndexOptions {
  /** Number of keys from which on the index stores no permutation of tags. */
  readonly maxSize: number
  /** Seed of the hash table. It changes no result. */
  readonly seed: number
  readonly accumulationOf: (kind: Kind) => Accumulation
}

/** Returns "env" of "env:prod". */
const keyOfTag = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

const colonCode = 58

const hasKey = (tag: string, key: string): boolean =>
  tag.startsWith(key) &&
  (tag.length === key.length ? !key.includes(":") : tag.charCodeAt(key.length) === colonCode)

/** Joins sorted tags. The length before each tag keeps different sets of tags apart. */
const joinSortedTags = (tags: ReadonlyArray<string>): string => {
  let joined = ""
  for (const tag of tags.slice().sort()) joined += `${tag.length}:${tag}`
  return joined
}

/** Returns true if all series of the group, and `tags`, have the same distinct tag keys in the same order. */
const hasOneShape = <A>(group: SeriesGroup<A>, tags: ReadonlyArray<string>): boolean => {
  if (group.bySortedTags !== undefined) return false
  if (group.shape === undefined) {
    const shape = tags.map(keyOfTag)
    if (new Set(shape).size < shape.length) return false
    group.shape = shape
    return true
  }
  return group.shape.every((key, i) => hasKey(tags[i]!, key))
}

const sortedTagsOf = <A>(group: SeriesGroup<A>): Map<string, SeriesKey<A>> => {
  if (group.bySortedTags !== undefined) return group.bySortedTags
  const bySortedTags = new Map<string, SeriesKey<A>>()
  for (let key = group.newestKey; key !== undefined; key = key.next) {
    bySortedTags.set(joinSortedTags(key.tags), key)
  }
  return group.bySortedTags = bySortedTags
}

const permutationsOf = <A>(group: SeriesGroup<A>): SeriesGroup<A> => {
  if (group.permutations === undefined) {
    const { accumulation, host, kind, name, tagCount } = group
    group.permutations = new SeriesGroup({
      accumulation,
      host,
      kind,
      name,
      tagCount,
      isPermutation: true,
      nextGroup: undefined
    })
  }
  return group.permutations
}

/** Interns series: every combination of kind, name, host and set of tags has one {@link SeriesKey}. */
export class SeriesIndex<A> {
  private readonly table: HashTable<A>
  /** First group of every host and name. */
  private readonly groups = new Map<string | null, Map<string, SeriesGroup<A>>>()
  private readonly options: SeriesIndexOptions

  constructor(options: SeriesIndexOptions) {
    this.options = options
    this.table = new HashTable<A>(options.seed)
  }

  /** Number of keys, permutations included. */
  get size(): number {
    return this.table.size
  }

  /** Returns the key of a known series. Name and tags need not be valid. */
  find(kind: Kind, name: string, input: Tags | null | undefined, host: string | null): SeriesKey<A> | undefined {
    const tags = input ?? noTags
    return Array.isArray(tags) ? this.table.find(kind, name, tags, host) : undefined
  }

  /** Returns the key of a series, which it creates if necessary; or the fault of its tags. Name and host are valid. */
  intern(kind: Kind, name: string, input: Tags | null | undefined, host: string | null): SeriesKey<A> | TagFault {
    const tags = decodeTags(input)
    if (typeof tags === "string") return tags
    return this.table.find(kind, name, tags, host) ??
      this.addTags(this.groupOf(kind, name, host, tags.length), tags)
  }

  /** Evicts all series but the wanted ones. Permutations return with their next point. */
  retain(isWanted: (key: SeriesKey<A>) => boolean): void {
    this.groups.clear()
    for (const key of this.table.removeAll()) {
      const { group: { isPermutation, tagCount }, host, kind, name, tags } = key
      if (isPermutation) continue
      if (!isWanted(key)) {
        key.canonical = undefined
        continue
      }
      const group = this.groupOf(kind, name, host, tagCount)
      key.group = group
      if (!hasOneShape(group, tags)) sortedTagsOf(group).set(joinSortedTags(tags), key)
      this.addKey(key, tags)
    }
  }

  private groupOf(kind: Kind, name: string, host: string | null, tagCount: number): SeriesGroup<A> {
    let byName = this.groups.get(host)
    if (byName === undefined) this.groups.set(host, byName = new Map())
    const nextGroup = byName.get(name)
    for (let group = nextGroup; group !== undefined; group = group.nextGroup) {
      if (group.tagCount === tagCount && group.kind === kind) return group
    }
    const accumulation = this.options.accumulationOf(kind)
    const group = new SeriesGroup<A>({ kind, name, host, tagCount, accumulation, isPermutation: false, nextGroup })
    byName.set(name, group)
    return group
  }

  private addKey(key: SeriesKey<A>, tags: ReadonlyArray<string>): SeriesKey<A> {
    const { group } = key
    key.next = group.newestKey
    group.newestKey = key
    this.table.add(key, tags)
    return key
  }

  /** Adds tags that the index does not know in this order. */
  private addTags(group: SeriesGroup<A>, tags: ReadonlyArray<string>): SeriesKey<A> {
    if (hasOneShape(group, tags)) return this.addKey(new SeriesKey(group, tags), tags)
    const bySortedTags = sortedTagsOf(group)
    const joined = joinSortedTags(tags)
    const known = bySortedTags.get(joined)
    if (known === undefined) {
      const key = this.addKey(new SeriesKey(group, tags), tags)
      bySortedTags.set(joined, key)
      return key
    }
    if (this.table.size < this.options.maxSize) this.addKey(new SeriesKey(permutationsOf(group), tags, known), tags)
    return known
  }
}
