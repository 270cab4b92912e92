import { maxTags, tagLength } from "../model/datadogLimits.js"
import type { Kind } from "../model/metricKinds.js"
import { type TagRecord, textOfValue } from "../model/tags.js"
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

const colonCode = 58

const hasOwn = Object.prototype.hasOwnProperty

/** Returns a character of the tag `key:value`, without building the tag. */
const charCodeOfTag = (key: string, value: string, i: number): number =>
  i < key.length ? key.charCodeAt(i) : i === key.length ? colonCode : value.charCodeAt(i - key.length - 1)

/** Hashes the tag `key:value` like {@link hashSuffix}. The key is not empty. */
const hashTagSuffix = (key: string, value: string): number => {
  const length = key.length + 1 + value.length
  return value.length < suffixLength
    ? charCodeOfTag(key, value, length - 1) ^ (charCodeOfTag(key, value, length - 2) << 8) ^ (length << 16)
    : value.charCodeAt(value.length - 1) ^ (value.charCodeAt(value.length - 2) << 8) ^ (length << 16)
}

/** Returns true if a tag equals `key:value`. */
const isTagOf = (tag: string, key: string, value: string): boolean =>
  tag.length === key.length + 1 + value.length && tag.charCodeAt(key.length) === colonCode &&
  tag.startsWith(key) && tag.endsWith(value)

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
  /** Keys and values of the record of tags that was read last. They are kept, so that a search allocates nothing. */
  private readonly recordKeys: Array<string> = []
  private readonly recordTexts: Array<string> = []
  /** Number of records that were read. */
  private recordReads = 0

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
          return group.isSpelling ? key.canonical : key
        }
      } else if (slotHash === emptySlot) {
        return undefined
      }
    }
  }

  /** Finds a series by a record of tags, without building their texts. Undefined if the record is invalid. */
  findRecord(kind: Kind, name: string, tags: TagRecord, host: string | null): SeriesKey<A> | undefined {
    const count = this.readRecord(tags)
    if (count < 0 || typeof name !== "string") return undefined
    const hash = this.hashRecord(name, count, host)
    const { hashes, keys } = this
    const mask = hashes.length - 1
    for (let i = (hash >>> this.shift) | 0; hashes[i] !== emptySlot; i = (i + 1) & mask) {
      if (hashes[i] !== hash) continue
      const key = keys[i]!
      const { group } = key
      if (
        group.tagCount === count && group.name === name && group.kind === kind && group.host === host &&
        this.hasTagsOfRecord(key, count)
      ) {
        return group.isSpelling ? key.canonical : key
      }
    }
    return undefined
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

  /**
   * Reads the tags of a record, each value once, and returns their number. Negative if the record is invalid, or if a getter in it searched
   * this table meanwhile.
   */
  private readRecord(tags: TagRecord): number {
    const { recordKeys, recordTexts } = this
    const reads = ++this.recordReads
    let count = 0
    // A loop over the keys reads values twice as fast as `Object.keys`.
    for (const key in tags) {
      if (!hasOwn.call(tags, key)) continue
      const value = tags[key]
      if (value === undefined) continue
      const text = textOfValue(value)
      if (text === undefined || key.length === 0 || count === maxTags) return -1
      recordKeys[count] = key
      recordTexts[count++] = text
    }
    return reads === this.recordReads ? count : -1
  }

  /** Returns true if the tags of a series are those that {@link readRecord} read, in order. */
  private hasTagsOfRecord(series: SeriesKey<A>, count: number): boolean {
    const { recordKeys, recordTexts } = this
    for (let i = 0; i < count; i++) if (!isTagOf(series.tagAt(i), recordKeys[i]!, recordTexts[i]!)) return false
    return true
  }

  /** Returns the hash of the series with the tags that {@link readRecord} read. */
  private hashRecord(name: string, count: number, host: string | null): number {
    const { factor, recordKeys, recordTexts } = this
    let hash = hashSuffix(name)
    for (let i = count - 1; i >= 0; i--) hash = Math.imul(hash, factor) ^ hashTagSuffix(recordKeys[i]!, recordTexts[i]!)
    if (host !== null) hash = Math.imul(hash, factor) ^ hashSuffix(host)
    if (this.characters > suffixLength) hash = this.extendRecordHash(hash, name, count, host)
    hash = Math.imul(hash, factor)
    return hash === emptySlot ? 1 : hash
  }

  private extendRecordHash(hash: number, name: string, count: number, host: string | null): number {
    const { characters, factor, recordKeys, recordTexts } = this
    hash = this.hashBeforeSuffix(hash, name)
    for (let at = 0; at < count; at++) {
      const [key, text] = [recordKeys[at]!, recordTexts[at]!]
      const length = key.length + 1 + text.length
      for (let i = Math.max(0, length - characters); i < length - suffixLength; i++) {
        hash = Math.imul(hash, factor) ^ charCodeOfTag(key, text, i)
      }
    }
    return host === null ? hash : this.hashBeforeSuffix(hash, host)
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
