import type { Accumulation, Kind } from "../model/metricKinds.js"
import { noTags } from "../model/tags.js"

/**
 * Identity of a series: kind, name, host and the set of tags. The index holds one key for each series and finds it by the
 * tags in the caller's order, without building a text.
 *
 * Most series have few tags, which take half the memory as fields than in an array. The fields stand in the order in which
 * a lookup reads them: with many series, a lookup mostly waits for memory.
 */
export class SeriesKey<A> {
  group: SeriesGroup<A>
  /** First tag in the caller's order. Another order of the same tags has a key of its own. */
  readonly first: string | undefined
  readonly second: string | undefined
  readonly third: string | undefined
  /** Newest of the entries that the owner attached to this series. */
  newestEntry: A | undefined = undefined
  /** Tags after the third. */
  readonly moreTags: ReadonlyArray<string> | undefined
  /**
   * Key of the series: this key, or another one if this key holds a permutation of its tags. `undefined` after eviction, when
   * another key may represent the series.
   */
  canonical: SeriesKey<A> | undefined
  /** Next key of the group. */
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

/** Keys of one kind, name, host and number of tags. */
export class SeriesGroup<A> {
  readonly kind: Kind
  readonly name: string
  readonly host: string | null
  readonly tagCount: number
  readonly accumulation: Accumulation
  /** True if the keys of this group hold permutations of the tags of other keys. */
  readonly isPermutation: boolean
  /** Next group of the same name and host. */
  readonly nextGroup: SeriesGroup<A> | undefined
  /** Newest key. `next` leads from it to all other keys of the group. */
  newestKey: SeriesKey<A> | undefined = undefined
  /**
   * Keys of the tags ("env" of "env:prod"), in order, while they are distinct and the same in all series of the group. Then
   * no two series have the same tags in different orders.
   */
  shape: ReadonlyArray<string> | undefined = undefined
  /** Series by their sorted tags, once the group has no common shape. */
  bySortedTags: Map<string, SeriesKey<A>> | undefined = undefined
  permutations: SeriesGroup<A> | undefined = undefined

  constructor(options: {
    readonly kind: Kind
    readonly name: string
    readonly host: string | null
    readonly tagCount: number
    readonly accumulation: Accumulation
    readonly isPermutation: boolean
    readonly nextGroup: SeriesGroup<A> | undefined
  }) {
    this.kind = options.kind
    this.name = options.name
    this.host = options.host
    this.tagCount = options.tagCount
    this.accumulation = options.accumulation
    this.isPermutation = options.isPermutation
    this.nextGroup = options.nextGroup
  }
}
