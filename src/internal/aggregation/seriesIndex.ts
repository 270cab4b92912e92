import { type Accumulation, isSameRollUp, type Kind } from "../model/metricKinds.js"
import { joinSortedTags, type SeriesIdentity } from "../model/seriesIdentity.js"
import { decodeTags, makeCutTag, noTags, type TagFault, type TagRecord, type Tags } from "../model/tags.js"
import { HashTable } from "./hashTable.js"
import { type KeyRole, SeriesFamily, SeriesGroup, SeriesKey } from "./seriesKey.js"

interface SeriesIndexOptions {
  /** Number of keys from which on the index stores no further spelling of a known series. */
  readonly maxSize: number
  /** Seed of the hash table. It changes no result. */
  readonly seed: number
  readonly accumulationOf: (kind: Kind) => Accumulation
  readonly identity: SeriesIdentity
}

/** Number of groups of a family that are searched for an equal one. More only take more memory. */
const maxSharedGroups = 8

/** Returns "env" of "env:prod". */
const keyOfTag = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

const colonCode = 58

const hasKey = (tag: string, key: string): boolean =>
  tag.startsWith(key) &&
  (tag.length === key.length ? !key.includes(":") : tag.charCodeAt(key.length) === colonCode)

/** Returns true if all series of the family, and one with `tags`, have the same distinct tag keys in the same order. */
const hasOneShape = <A>(family: SeriesFamily<A>, tags: ReadonlyArray<string>): boolean => {
  if (family.shape === undefined) {
    const shape = tags.map(keyOfTag)
    if (new Set(shape).size < shape.length) return false
    family.shape = shape
    return true
  }
  return family.shape.every((key, i) => hasKey(tags[i]!, key))
}

/** Returns true if all groups of the family are this one. A family with one shape has one group of series. */
const isOnlyGroup = <A>({ newestGroup }: SeriesFamily<A>, kind: Kind, name: string, host: string | null): boolean =>
  newestGroup === undefined ||
  (newestGroup.kind === kind && newestGroup.name === name && newestGroup.host === host)

/**
 * Interns series. Kind, name, host and tags in any spelling lead to the one {@link SeriesKey} of their series, as its receiver sees it:
 * series whose name, host and tags the receiver stores as equal are one series, which keeps the spelling and the kind that came first.
 */
export class SeriesIndex<A> {
  private readonly table: HashTable<A>
  /** First family of every host and name. */
  private readonly families = new Map<string | null, Map<string, SeriesFamily<A>>>()
  private readonly options: SeriesIndexOptions

  constructor(options: SeriesIndexOptions) {
    this.options = options
    this.table = new HashTable<A>(options.seed)
  }

  /** Number of keys, other spellings included. */
  get size(): number {
    return this.table.size
  }

  /** Returns the key of a known spelling with an array of tags. Name and tags need not be valid. */
  find(kind: Kind, name: string, input: Tags | null | undefined, host: string | null): SeriesKey<A> | undefined {
    const tags = input ?? noTags
    return Array.isArray(tags) ? this.table.find(kind, name, tags, host) : undefined
  }

  /** {@link find} for a record of tags. Apart, so that engines inline the search by an array, which takes half the time. */
  findRecord(kind: Kind, name: string, input: Tags | null | undefined, host: string | null): SeriesKey<A> | undefined {
    return typeof input === "object" && input !== null && !Array.isArray(input)
      ? this.table.findRecord(kind, name, input as TagRecord, host)
      : undefined
  }

  /**
   * Returns the key of a series, which it creates if necessary; or the fault of its tags, or `KindConflict` if the series has another kind
   * and the index has no room to remember that. Name and host are valid. Calls `onCut` with the number of cut tags of a new spelling.
   */
  intern(
    kind: Kind,
    name: string,
    input: Tags | null | undefined,
    host: string | null,
    onCut?: (count: number) => void
  ): SeriesKey<A> | TagFault | "KindConflict" {
    let cuts = 0
    const tags = decodeTags(input, makeCutTag(() => cuts++))
    if (typeof tags === "string") return tags
    const known = this.table.find(kind, name, tags, host)
    if (known !== undefined) return known
    if (cuts > 0) onCut?.(cuts)
    return this.addSpelling(kind, name, tags, host)
  }

  /** Evicts all series but the wanted ones. Their other spellings return with the next point. */
  retain(isWanted: (key: SeriesKey<A>) => boolean): void {
    this.families.clear()
    for (const key of this.table.removeAll()) {
      const { family, isConflict, isSpelling } = key.group
      if (isSpelling || isConflict || !isWanted(key)) {
        key.canonical = undefined
        continue
      }
      this.restoreFamily(family)
      const { tags } = key
      this.addKey(key, tags)
      family.bySortedTags?.set(this.storedTagsOf(tags), key)
      if (family.newestGroup === undefined) family.newestGroup = key.group
    }
  }

  /** Registers a family that still has a series after eviction, without its former keys. */
  private restoreFamily(family: SeriesFamily<A>): void {
    const byName = this.familiesOf(family.host)
    for (let known = byName.get(family.name); known !== undefined; known = known.nextFamily) {
      if (known === family) return
    }
    family.nextFamily = byName.get(family.name)
    family.newestKey = undefined
    family.newestGroup = undefined
    if (family.bySortedTags !== undefined) family.bySortedTags = new Map()
    byName.set(family.name, family)
  }

  private familiesOf(host: string | null): Map<string, SeriesFamily<A>> {
    let byName = this.families.get(host)
    if (byName === undefined) this.families.set(host, byName = new Map())
    return byName
  }

  private familyOf(name: string, host: string | null, tagCount: number): SeriesFamily<A> {
    const byName = this.familiesOf(host)
    const first = byName.get(name)
    for (let family = first; family !== undefined; family = family.nextFamily) {
      if (family.tagCount === tagCount) return family
    }
    const family = new SeriesFamily<A>(name, host, tagCount, first)
    byName.set(name, family)
    return family
  }

  private groupOf(
    family: SeriesFamily<A>,
    kind: Kind,
    name: string,
    host: string | null,
    tagCount: number,
    role: KeyRole
  ): SeriesGroup<A> {
    let group = family.newestGroup
    for (let i = 0; group !== undefined && i < maxSharedGroups; group = group.nextGroup, i++) {
      if (
        group.kind === kind && group.tagCount === tagCount && group.isSpelling === (role === "spelling") &&
        group.isConflict === (role === "conflict") && group.name === name && group.host === host
      ) {
        return group
      }
    }
    const accumulation = this.options.accumulationOf(kind)
    return family.newestGroup = new SeriesGroup<A>({ accumulation, family, host, kind, name, role, tagCount })
  }

  /** Adds a key that represents a series. */
  private addKey(key: SeriesKey<A>, tags: ReadonlyArray<string>): SeriesKey<A> {
    const { family } = key.group
    key.next = family.newestKey
    family.newestKey = key
    this.table.add(key, tags)
    return key
  }

  private storedTagsOf(tags: ReadonlyArray<string>): string {
    return joinSortedTags(this.options.identity.distinctTags(tags).stored)
  }

  private sortedTagsOf(family: SeriesFamily<A>): Map<string, SeriesKey<A>> {
    if (family.bySortedTags !== undefined) return family.bySortedTags
    const bySortedTags = new Map<string, SeriesKey<A>>()
    for (let key = family.newestKey; key !== undefined; key = key.next) {
      bySortedTags.set(this.storedTagsOf(key.tags), key)
    }
    return family.bySortedTags = bySortedTags
  }

  /** Adds a spelling that the index does not know, and the series if the receiver does not know it by another spelling. */
  private addSpelling(
    kind: Kind,
    name: string,
    tags: ReadonlyArray<string>,
    host: string | null
  ): SeriesKey<A> | "KindConflict" {
    const { distinctTags, storedHost, storedName } = this.options.identity
    const { sent, stored } = distinctTags(tags)
    const family = this.familyOf(storedName(name), storedHost(host), stored.length)
    const addSeries = () =>
      this.addKey(new SeriesKey(this.groupOf(family, kind, name, host, sent.length, "series"), sent), sent)
    if (
      family.bySortedTags === undefined && stored === tags && isOnlyGroup(family, kind, name, host) &&
      hasOneShape(family, tags)
    ) {
      return addSeries()
    }
    const bySortedTags = this.sortedTagsOf(family)
    const joined = joinSortedTags(stored)
    let known = bySortedTags.get(joined)
    if (known === undefined) {
      known = addSeries()
      bySortedTags.set(joined, known)
      if (sent === tags) return known
    }
    const role = isSameRollUp(kind, known.kind) ? "spelling" : "conflict"
    if (this.table.size >= this.options.maxSize) return role === "conflict" ? "KindConflict" : known
    const group = this.groupOf(family, kind, name, host, tags.length, role)
    const key = new SeriesKey(group, tags, role === "conflict" ? undefined : known)
    this.table.add(key, tags)
    return role === "conflict" ? key : known
  }
}
