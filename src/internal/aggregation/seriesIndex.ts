import { maxTags, tagLength } from "../model/limits.js"
import type { Kind } from "../model/metricKinds.js"
import { fromInput, noTags, type TagFault, type Tags } from "../model/tags.js"

/**
 * What identifies a series: kind, name, host and the set of tags. There is one object for each, found without building
 * a key, by the tags in the order in which a caller gives them. `latest` is what the owner hangs on it.
 *
 * Most series have few tags. As fields they take half of what an array would. The fields are in the order in which finding
 * needs them, because with many series most of the time goes into fetching them.
 */
export class Context<A> {
  group: Group<A>
  /** The tags as given. With another order the same series is found by another object. */
  readonly first: string | undefined
  readonly second: string | undefined
  readonly third: string | undefined
  latest: A | undefined = undefined
  /** Those behind the third one. */
  readonly others: ReadonlyArray<string> | undefined
  /**
   * Itself, unless this only stands for another order of the same tags. `undefined` once it is forgotten, and another object
   * stands for the series.
   */
  target: Context<A> | undefined
  /** The next one of its group. */
  next: Context<A> | undefined = undefined

  constructor(group: Group<A>, tags: ReadonlyArray<string>, target?: Context<A>) {
    const { length } = group
    this.group = group
    this.first = length > 0 ? tags[0] : undefined
    this.second = length > 1 ? tags[1] : undefined
    this.third = length > 2 ? tags[2] : undefined
    this.others = length > 3 ? tags.slice(3) : undefined
    this.target = target ?? this
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

  /** A new array, unless there are none. */
  get tags(): ReadonlyArray<string> {
    const { first, group: { length }, others, second, third } = this
    if (length === 0) return noTags
    if (length < 3) return length === 1 ? [first!] : [first!, second!]
    return length === 3 ? [first!, second!, third!] : [first!, second!, third!, ...others!]
  }

  /** The length of all tags together. */
  get characters(): number {
    const { first, others, second, third } = this
    let characters = 0
    if (first !== undefined) characters += first.length
    if (second !== undefined) characters += second.length
    if (third !== undefined) characters += third.length
    if (others !== undefined) { for (const tag of others) characters += tag.length }
    return characters
  }
}

/** Contexts of one kind, name and host whose tags are as many. */
export class Group<A> {
  readonly kind: Kind
  readonly name: string
  readonly host: string | null
  readonly length: number
  /** Whether its contexts only stand for another order of tags. */
  readonly isOfOrders: boolean
  /** The next one with the same name and host. */
  readonly other: Group<A> | undefined
  /** The context that came last, and from there by `next` to all of them. */
  last: Context<A> | undefined = undefined
  /**
   * The keys of the tags, in order, as long as they are the same and distinct in all contexts: then no two of them have
   * the same tags in another order.
   */
  shape: ReadonlyArray<string> | undefined = undefined
  /** Where they are not: every context by its sorted tags, and the group of those that stand for other orders. */
  sorted: Map<string, Context<A>> | undefined = undefined
  orders: Group<A> | undefined = undefined

  constructor(
    kind: Kind,
    name: string,
    host: string | null,
    length: number,
    options: { readonly isOfOrders: boolean; readonly other: Group<A> | undefined }
  ) {
    this.kind = kind
    this.name = name
    this.host = host
    this.length = length
    this.isOfOrders = options.isOfOrders
    this.other = options.other
  }
}

/** Whether they are those of the tags that are behind the third one, of which there are as many. */
const areBehind = (others: ReadonlyArray<string>, tags: ReadonlyArray<string>): boolean => {
  for (let i = 0; i < others.length; i++) if (others[i] !== tags[i + 3]) return false
  return true
}

const keyOfTag = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

const hasKey = (tag: string, key: string): boolean =>
  tag.startsWith(key) && (tag.length === key.length ? !key.includes(":") : tag.charCodeAt(key.length) === 58)

/** Every tag is preceded by its length, so that no two different contexts of a group share one. */
const sortedKey = (tags: ReadonlyArray<string>): string => {
  let key = ""
  for (const tag of tags.slice().sort()) key += `${tag.length}:${tag}`
  return key
}

/** At first so many characters of a text are looked at, from its end. */
const fewCharacters = 2

/** Of so many that look alike, more characters are looked at from then on. Up to six may differ in their kind only. */
const manyAlike = 8

const smallest = 128

/** Tables up to so many places are a quarter full at most, so that mostly the first look tells; larger ones save memory. */
const sparse = 4096

/** What texts mostly differ in. */
const ending = (text: string): number => {
  const { length } = text
  return length < fewCharacters
    ? length
    : text.charCodeAt(length - 1) ^ (text.charCodeAt(length - 2) << 8) ^ (length << 16)
}

/** Where there is nothing. */
const none = 0

/**
 * A table of contexts with open addressing: the numbers that texts are turned into lie together, so that looking for one
 * of many contexts hardly goes anywhere but to that one. The texts are not read whole to find a place, as long as a
 * few characters tell them apart; what is found is compared whole.
 */
class Table<A> {
  private readonly factor: number
  private characters = fewCharacters
  private hashes = new Int32Array(smallest)
  private contexts: Array<Context<A> | undefined> = new Array(smallest).fill(undefined)
  /** The upper bits of a number tell its place. */
  private shift = 32 - Math.log2(smallest)
  size = 0

  constructor(seed: number) {
    // nobody who chooses texts can know which of them share a place
    this.factor = Math.imul(seed ^ 0x85ebca6b, 0x9e3779b1) | 1
  }

  /** A number for these texts, or {@link none} if they are not texts. */
  hash(name: string, tags: ReadonlyArray<string>, host: string | null): number {
    if (typeof name !== "string" || tags.length > maxTags) return none
    const { factor } = this
    let hash = ending(name)
    for (let i = tags.length - 1; i >= 0; i--) {
      const tag = tags[i]
      if (typeof tag !== "string") return none
      hash = Math.imul(hash, factor) ^ ending(tag)
    }
    if (host !== null) hash = Math.imul(hash, factor) ^ ending(host)
    if (this.characters > fewCharacters) hash = this.more(hash, name, tags, host)
    hash = Math.imul(hash, factor)
    return hash === none ? 1 : hash
  }

  private more(hash: number, name: string, tags: ReadonlyArray<string>, host: string | null): number {
    hash = this.mix(hash, name)
    for (const tag of tags) hash = this.mix(hash, tag)
    return host === null ? hash : this.mix(hash, host)
  }

  /** What is before the ending. */
  private mix(hash: number, text: string): number {
    const { characters, factor } = this
    const end = text.length - fewCharacters
    for (let i = Math.max(0, text.length - characters); i < end; i++) {
      hash = Math.imul(hash, factor) ^ text.charCodeAt(i)
    }
    return hash
  }

  find(kind: Kind, name: string, tags: ReadonlyArray<string>, host: string | null): Context<A> | undefined {
    const hash = this.hash(name, tags, host)
    if (hash === none) return undefined
    const { contexts, hashes } = this
    const { length } = tags
    const mask = hashes.length - 1
    for (let i = (hash >>> this.shift) | 0;; i = (i + 1) & mask) {
      const there = hashes[i]
      if (there === hash) {
        const context = contexts[i]!
        const { group } = context
        if (
          group.length === length && (length < 1 || context.first === tags[0]) &&
          (length < 2 || context.second === tags[1]) && (length < 3 || context.third === tags[2]) &&
          (length < 4 || areBehind(context.others!, tags)) &&
          group.name === name && group.kind === kind && (host === null ? group.host === null : group.host === host)
        ) {
          return group.isOfOrders ? context.target : context
        }
      } else if (there === none) {
        return undefined
      }
    }
  }

  /** With its tags, which the caller has at hand. */
  add(context: Context<A>, tags: ReadonlyArray<string>): void {
    const { length } = this.hashes
    if (this.size >= (length <= sparse ? length / 4 : length * 0.8)) this.grow()
    const alike = this.put(this.hash(context.name, tags, context.host), context)
    this.size++
    if (alike >= manyAlike && this.characters < tagLength) this.look(4 * this.characters)
  }

  /** Says how many there are with this number already. */
  private put(hash: number, context: Context<A>): number {
    const { contexts, hashes } = this
    const mask = hashes.length - 1
    let alike = 0
    let i = (hash >>> this.shift) | 0
    for (; hashes[i] !== none; i = (i + 1) & mask) if (hashes[i] === hash) alike++
    hashes[i] = hash
    contexts[i] = context
    return alike
  }

  private grow(): void {
    const { contexts, hashes } = this
    this.clear(2 * hashes.length)
    for (let i = 0; i < hashes.length; i++) {
      const context = contexts[i]
      if (context !== undefined) this.put(hashes[i]!, context)
    }
  }

  /** From now on at so many characters. */
  private look(characters: number): void {
    this.characters = characters
    const { length } = this.hashes
    for (const context of this.drain(length)) {
      this.put(this.hash(context.name, context.tags, context.host), context)
    }
  }

  private clear(length: number): void {
    this.hashes = new Int32Array(length)
    this.contexts = new Array(length).fill(undefined)
    this.shift = 32 - Math.log2(length)
  }

  /** All of them, out of a table that is empty then, with so many places. */
  private drain(length: number): Array<Context<A>> {
    const all = this.contexts.filter((context) => context !== undefined)
    this.clear(length)
    return all
  }

  takeAll(): Array<Context<A>> {
    this.size = 0
    return this.drain(smallest)
  }
}

export interface Contexts<A> {
  /** What is known for a point as a caller gives it, which need not have been checked. */
  readonly find: (
    kind: Kind,
    name: string,
    tags: Tags | null | undefined,
    host: string | null
  ) => Context<A> | undefined
  /** The one for this point, made if need be, or what is wrong with its tags. Name and host have been checked. */
  readonly intern: (
    kind: Kind,
    name: string,
    tags: Tags | null | undefined,
    host: string | null
  ) => Context<A> | TagFault
  /** How many objects there are. */
  readonly size: () => number
  /** Forgets all but those that are still wanted. */
  readonly retain: (isWanted: (context: Context<A>) => boolean) => void
}

/** The seed is for the places of the contexts, and for nothing that can be seen. */
export const make = <A>(maxSize: number, seed: number): Contexts<A> => {
  const table = new Table<A>(seed)
  /** By host and name. */
  const hosts = new Map<string | null, Map<string, Group<A>>>()

  const groupOf = (kind: Kind, name: string, host: string | null, length: number): Group<A> => {
    let names = hosts.get(host)
    if (names === undefined) hosts.set(host, names = new Map())
    const other = names.get(name)
    for (let group = other; group !== undefined; group = group.other) {
      if (group.length === length && group.kind === kind) return group
    }
    const group = new Group<A>(kind, name, host, length, { isOfOrders: false, other })
    names.set(name, group)
    return group
  }

  const ordersOf = (group: Group<A>): Group<A> => {
    const { host, kind, length, name } = group
    return group.orders ??= new Group(kind, name, host, length, { isOfOrders: true, other: undefined })
  }

  const add = (context: Context<A>, tags: ReadonlyArray<string>): Context<A> => {
    const { group } = context
    context.next = group.last
    group.last = context
    table.add(context, tags)
    return context
  }

  /** Whether all contexts of the group, with these tags too, have the same distinct keys in the same order. */
  const isRegular = (group: Group<A>, tags: ReadonlyArray<string>): boolean => {
    if (group.sorted !== undefined) return false
    if (group.shape === undefined) {
      const shape = tags.map(keyOfTag)
      if (new Set(shape).size < shape.length) return false
      group.shape = shape
      return true
    }
    return group.shape.every((key, i) => hasKey(tags[i]!, key))
  }

  const sortedOf = (group: Group<A>): Map<string, Context<A>> => {
    if (group.sorted !== undefined) return group.sorted
    const sorted = new Map<string, Context<A>>()
    for (let context = group.last; context !== undefined; context = context.next) {
      sorted.set(sortedKey(context.tags), context)
    }
    return group.sorted = sorted
  }

  /** For tags that are not known in this order. */
  const resolve = (group: Group<A>, tags: ReadonlyArray<string>): Context<A> => {
    if (isRegular(group, tags)) return add(new Context(group, tags), tags)
    const sorted = sortedOf(group)
    const key = sortedKey(tags)
    const known = sorted.get(key)
    if (known === undefined) {
      const made = add(new Context(group, tags), tags)
      sorted.set(key, made)
      return made
    }
    if (table.size < maxSize) add(new Context(ordersOf(group), tags, known), tags)
    return known
  }

  return {
    find(kind, name, input, host) {
      const tags = input ?? noTags
      return Array.isArray(tags) ? table.find(kind, name, tags, host) : undefined
    },
    intern(kind, name, input, host) {
      const tags = fromInput(input)
      if (typeof tags === "string") return tags
      return table.find(kind, name, tags, host) ?? resolve(groupOf(kind, name, host, tags.length), tags)
    },
    size: () => table.size,
    retain(isWanted) {
      hosts.clear()
      for (const context of table.takeAll()) {
        const { group: { isOfOrders, length }, host, kind, name, tags } = context
        // what stands for another order comes again when it is asked for
        if (isOfOrders) continue
        if (!isWanted(context)) {
          context.target = undefined
          continue
        }
        const group = groupOf(kind, name, host, length)
        context.group = group
        if (!isRegular(group, tags)) sortedOf(group).set(sortedKey(tags), context)
        add(context, tags)
      }
    }
  }
}
