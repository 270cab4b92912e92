import type { Accumulation, Kind } from "../model/metricKinds.js"
import { noTags } from "../model/tags.js"

/**
 * One spelling of a series: kind, name, host and tags as the caller has them. The index finds a key by its spelling, without building a
 * text. Of the spellings of one series, the first has the key that represents it.
 *
 * Most series have few tags, which take half the memory as fields than in an array. The fields stand in the order in which
 * a lookup reads them: with many series, a lookup mostly waits for memory.
 */
export class SeriesKey<A> {
  group: SeriesGroup<A>
  /** First tag in the caller's order. */
  readonly first: string | undefined
  readonly second: string | undefined
  readonly third: string | undefined
  /** Newest of the entries that the owner attached to this series. */
  newestEntry: A | undefined = undefined
  /** Tags after the third. */
  readonly moreTags: ReadonlyArray<string> | undefined
  /**
   * Key of the series: this key, or another one if this key is another spelling. `undefined` after eviction, when another key may
   * represent the series.
   */
  canonical: SeriesKey<A> | undefined
  /** Next series of the family. */
  next: SeriesKey<A> | undefined = undefined

  constructor(group: SeriesGroup<A>, tags: ReadonlyArray<string>, canonical?: SeriesKey<A>) {
    const { tagCount } = group
    this.group = group
    this.first = tagCount > 0 ? tags[0] : undefined
    this.second = tagCount > 1 ? tags[1] : undefined
    this.third = tagCount > 2 ? tags[2] : undefined
    this.moreTags = tagCount > 3 ? tags.slice(3) : undefined
    this.canonical = canonical ?? this
  }

  get kind(): Kind {
    return this.group.kind
  }

  get name(): string {
    return this.group.name
  }

  get host(): string | null {
    return this.group.host
  }

  get tags(): ReadonlyArray<string> {
    const { first, group: { tagCount }, moreTags, second, third } = this
    if (tagCount === 0) return noTags
    if (tagCount < 3) return tagCount === 1 ? [first!] : [first!, second!]
    return tagCount === 3 ? [first!, second!, third!] : [first!, second!, third!, ...moreTags!]
  }

  /** Returns the tag at a position below the number of tags. */
  tagAt(i: number): string {
    return (i === 0 ? this.first : i === 1 ? this.second : i === 2 ? this.third : this.moreTags![i - 3])!
  }

  /** Number of characters of all tags. */
  get tagCharacters(): number {
    const { first, moreTags, second, third } = this
    let characters = 0
    if (first !== undefined) characters += first.length
    if (second !== undefined) characters += second.length
    if (third !== undefined) characters += third.length
    if (moreTags !== undefined) { for (const tag of moreTags) characters += tag.length }
    return characters
  }
}

/**
 * Role of a key in the index.
 *
 * - `series`: it represents a series
 * - `spelling`: it finds a series by another spelling: another order of tags, another form of a name or tag, or another kind with the same
 *   roll-up
 * - `conflict`: its points are dropped, because the receiver has a series of another kind under the same name, host and tags
 */
export type KeyRole = "series" | "spelling" | "conflict"

/** Keys of one kind, name, host and number of tags, as the caller spells them. */
export class SeriesGroup<A> {
  readonly kind: Kind
  readonly name: string
  readonly host: string | null
  readonly tagCount: number
  readonly accumulation: Accumulation
  /** True if keys of this group stand for the series of another key. */
  readonly isSpelling: boolean
  /** True if points of this group are dropped. */
  readonly isConflict: boolean
  readonly family: SeriesFamily<A>
  /** Next group of the same family. */
  readonly nextGroup: SeriesGroup<A> | undefined

  constructor(options: {
    readonly kind: Kind
    readonly name: string
    readonly host: string | null
    readonly tagCount: number
    readonly accumulation: Accumulation
    readonly role: KeyRole
    readonly family: SeriesFamily<A>
  }) {
    this.kind = options.kind
    this.name = options.name
    this.host = options.host
    this.tagCount = options.tagCount
    this.accumulation = options.accumulation
    this.isSpelling = options.role === "spelling"
    this.isConflict = options.role === "conflict"
    this.family = options.family
    this.nextGroup = options.family.newestGroup
  }
}

/** All series that the receiver stores under one name and host with one number of tags, constant tags not counted. */
export class SeriesFamily<A> {
  /** Name and host as the receiver stores them. */
  readonly name: string
  readonly host: string | null
  readonly tagCount: number
  /** Next family of the same name and host. */
  nextFamily: SeriesFamily<A> | undefined
  /** Newest group. `nextGroup` leads from it to the others. */
  newestGroup: SeriesGroup<A> | undefined = undefined
  /** Newest series. `next` leads from it to all others of the family. */
  newestKey: SeriesKey<A> | undefined = undefined
  /**
   * Keys of the tags ("env" of "env:prod"), in order, while they are distinct and the same in all series, all series have one spelling of
   * kind, name and host, and the receiver changes no tag. Then two series differ if their tags differ in any way.
   */
  shape: ReadonlyArray<string> | undefined = undefined
  /** Series by their sorted tags as the receiver stores them, once the family has no common shape. */
  bySortedTags: Map<string, SeriesKey<A>> | undefined = undefined

  constructor(name: string, host: string | null, tagCount: number, nextFamily: SeriesFamily<A> | undefined) {
    this.name = name
    this.host = host
    this.tagCount = tagCount
    this.nextFamily = nextFamily
  }
}
