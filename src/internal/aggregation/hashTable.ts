import { maxTags, tagLength } from "../model/limits.js"
import type { Kind } from "../model/metricKinds.js"
import type { SeriesKey } from "./seriesKey.js"

/** Number of characters at the end of each text that a hash covers at first. */
const suffixLength = 2

/**
 * Number of equal hashes from which on hashes cover more characters. Hashes do not cover the kind, so that six
 * are normal.
 */
const collisionLimit = 8

const smallestCapacity = 128

/** Maximum capacity of a table that is at most a quarter full, which keeps probes short. Larger tables save memory. */
const sparseCapacity = 4096

/** Hash of an empty slot. */
const emptySlot = 0

/** Returns true if the tags of a key from the fourth on equal `tags` from the fourth on. Their numbers are equal. */
const haveEqualRest = (moreTags: ReadonlyArray<string>, tags: ReadonlyArray<string>): boolean => {
  for (let i = 0; i < moreTags.length; i++) if (moreTags[i] !== tags[i + 3]) return false
  return true
}

/** Hashes the last characters and the length of a text. */
const hashSuffix = (text: string): number => {
  const { length } = text
  return length < suffixLength
    ? length
    : text.charCodeAt(length - 1) ^ (text.charCodeAt(length - 2) << 8) ^ (length << 16)
}

/**
 * Hash table of series keys with open addressing. Hashes lie together in one array, so that a lookup among many series reads
 * little memory besides the key it returns. A hash covers a few characters of each text while that separates the series; a
 * lookup compares whole texts.
 */
export class HashTable<A> {
  private readonly factor: number
  /** Number of characters at the end of each text that hashes cover. */
  private characters = suffixLength
  private hashes = new Int32Array(smallestCapacity)
  private keys: Array<SeriesKey<A> | undefined> = new Array(smallestCapacity).fill(undefined)
  /** The upper bits of a hash are its slot. */
  private shift = 32 - Math.log2(smallestCapacity)
  size = 0

  /** The seed keeps the slots of texts unpredictable for those who choose the texts. */
  constructor(seed: number) {
    this.factor = Math.imul(seed ^ 0x85ebca6b, 0x9e3779b1) | 1
  }

  find(kind: Kind, name: string, tags: ReadonlyArray<string>, host: string | null): SeriesKey<A> | undefined {
    const hash = this.hash(name, tags, host)
    if (hash === emptySlot) return undefined
    const { hashes, keys } = this
    const { length } = tags
    const mask = hashes.length - 1
    for (let i = (hash >>> this.shift) | 0;; i = (i + 1) & mask) {
      const slotHash = hashes[i]
      if (slotHash === hash) {
        const key = keys[i]!
        const { group } = key
        if (
          group.tagCount === length && (length < 1 || key.first === tags[0]) &&
          (length < 2 || key.second === tags[1]) && (length < 3 || key.third === tags[2]) &&
          (length < 4 || haveEqualRest(key.moreTags!, tags)) &&
          group.name === name && group.kind === kind && (host === null ? group.host === null : group.host === host)
        ) {
          return group.isPermutation ? key.canonical : key
        }
      } else if (slotHash === emptySlot) {
        return undefined
      }
    }
  }

  /** Adds a key. `tags` are its tags, which the caller has as an array. */
  add(key: SeriesKey<A>, tags: ReadonlyArray<string>): void {
    const { length } = this.hashes
    if (this.size >= (length <= sparseCapacity ? length / 4 : length * 0.8)) this.grow()
    const collisions = this.insert(this.hash(key.name, tags, key.host), key)
    this.size++
    if (collisions >= collisionLimit && this.characters < tagLength) this.widenHash(4 * this.characters)
  }

  /** Removes and returns all keys. */
  removeAll(): Array<SeriesKey<A>> {
    this.size = 0
    return this.reset(smallestCapacity)
  }

  /** Returns the hash of a series, or {@link emptySlot} if the input is invalid. */
  private hash(name: string, tags: ReadonlyArray<string>, host: string | null): number {
    if (typeof name !== "string" || tags.length > maxTags) return emptySlot
    const { factor } = this
    let hash = hashSuffix(name)
    for (let i = tags.length - 1; i >= 0; i--) {
      const tag = tags[i]
      if (typeof tag !== "string") return emptySlot
      hash = Math.imul(hash, factor) ^ hashSuffix(tag)
    }
    if (host !== null) hash = Math.imul(hash, factor) ^ hashSuffix(host)
    if (this.characters > suffixLength) hash = this.extendHash(hash, name, tags, host)
    hash = Math.imul(hash, factor)
    return hash === emptySlot ? 1 : hash
  }

  private extendHash(hash: number, name: string, tags: ReadonlyArray<string>, host: string | null): number {
    hash = this.hashBeforeSuffix(hash, name)
    for (const tag of tags) hash = this.hashBeforeSuffix(hash, tag)
    return host === null ? hash : this.hashBeforeSuffix(hash, host)
  }

  private hashBeforeSuffix(hash: number, text: string): number {
    const { characters, factor } = this
    const end = text.length - suffixLength
    for (let i = Math.max(0, text.length - characters); i < end; i++) {
      hash = Math.imul(hash, factor) ^ text.charCodeAt(i)
    }
    return hash
  }

  /** Inserts a key and returns the number of keys with the same hash. */
  private insert(hash: number, key: SeriesKey<A>): number {
    const { hashes, keys } = this
    const mask = hashes.length - 1
    let collisions = 0
    let i = (hash >>> this.shift) | 0
    for (; hashes[i] !== emptySlot; i = (i + 1) & mask) if (hashes[i] === hash) collisions++
    hashes[i] = hash
    keys[i] = key
    return collisions
  }

  private grow(): void {
    const { hashes, keys } = this
    this.clear(2 * hashes.length)
    for (let i = 0; i < hashes.length; i++) {
      const key = keys[i]
      if (key !== undefined) this.insert(hashes[i]!, key)
    }
  }

  /** Makes hashes cover `characters` characters of each text. */
  private widenHash(characters: number): void {
    this.characters = characters
    for (const key of this.reset(this.hashes.length)) this.insert(this.hash(key.name, key.tags, key.host), key)
  }

  private clear(capacity: number): void {
    this.hashes = new Int32Array(capacity)
    this.keys = new Array(capacity).fill(undefined)
    this.shift = 32 - Math.log2(capacity)
  }

  /** Empties the table, gives it a capacity, and returns the keys it had. */
  private reset(capacity: number): Array<SeriesKey<A>> {
    const all = this.keys.filter((key) => key !== undefined)
    this.clear(capacity)
    return all
  }
}
