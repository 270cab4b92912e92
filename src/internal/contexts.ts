import type { Kind } from "../RollUp.js"
import { fromInput, noTags, type TagFault, type Tags } from "./tags.js"

/**
 * What identifies a series: kind, name, host and the set of tags. There is one object for each, found without building
 * a key: by name, and then by the tags in the order in which a caller gives them. `latest` is what the owner hangs on it.
 */
export class Context<A> {
  /** Tags as given, by which this is found: with another order the same series is found by another object. */
  readonly given: ReadonlyArray<string>
  readonly host: string | null
  /**
   * Itself, unless this only stands for another order of the same tags. `undefined` once it is forgotten, and another object
   * stands for the series.
   */
  target: Context<A> | undefined
  readonly name: Name<A>
  next: Context<A> | undefined = undefined
  latest: A | undefined = undefined

  constructor(name: Name<A>, given: ReadonlyArray<string>, host: string | null, target: Context<A> | undefined) {
    this.name = name
    this.given = given
    this.host = host
    this.target = target ?? this
  }
}

/** All contexts of one kind and name, by the number of their tags. */
export class Name<A> {
  readonly kind: Kind
  readonly name: string
  readonly groups: Array<Group<A> | undefined> = []
  /** The same name with another kind. */
  other: Name<A> | undefined = undefined
  constructor(kind: Kind, name: string) {
    this.kind = kind
    this.name = name
  }
}

/** Contexts whose tags are as many. */
class Group<A> {
  readonly length: number
  root: Context<A> | Branch<A> | undefined = undefined
  /**
   * The keys of the tags, in order, as long as they are the same and distinct in all contexts: then no two of them have
   * the same tags in another order.
   */
  shape: ReadonlyArray<string> | undefined
  /** Where they are not: every context by its sorted tags. */
  sorted: Map<string, Context<A>> | undefined = undefined
  constructor(length: number) {
    this.length = length
  }
}

/** Tells contexts apart by the tag at one position; the position behind the last one is the host. */
class Branch<A> {
  /** A context has one. */
  readonly given: undefined = undefined
  readonly position: number
  readonly children = new Map<string | null, Context<A> | Branch<A>>()
  constructor(position: number) {
    this.position = position
  }
}

const isBranch = <A>(node: Context<A> | Branch<A> | undefined): node is Branch<A> =>
  node !== undefined && node.given === undefined

/** From so many on contexts are not compared one by one. */
const longestChain = 4

const at = <A>(context: Context<A>, position: number): string | null =>
  position === context.given.length ? context.host : context.given[position]!

const keyOfTag = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

const hasKey = (tag: string, key: string): boolean =>
  tag.startsWith(key) && (tag.length === key.length ? !key.includes(":") : tag.charCodeAt(key.length) === 58)

/** Every part is preceded by its length, so that no two different contexts share one. */
const sortedKey = (tags: ReadonlyArray<string>, host: string | null): string => {
  let key = host === null ? "-" : `${host.length}:${host}`
  for (const tag of tags.slice().sort()) key += `${tag.length}:${tag}`
  return key
}

const search = <A>(group: Group<A>, tags: ReadonlyArray<string>, host: string | null): Context<A> | undefined => {
  let node = group.root
  let told = -1
  const length = group.length
  while (node !== undefined && node.given === undefined) {
    const position = node.position
    node = node.children.get(position === length ? host : tags[position]!)
    told = position
  }
  next: for (; node !== undefined; node = node.next) {
    if (node.host !== host) continue
    const given = node.given
    for (let i = length - 1; i >= 0; i--) {
      // what told it from others has been compared
      if (i !== told && given[i] !== tags[i]) continue next
    }
    return node
  }
  return undefined
}

/** So many series are found by a few characters, as long as there are no more of them. */
const slots = 1024

/** A point with more tags is looked for in the index at once. */
const fewTags = 8

/** A number for a text, out of its length and what mostly differs: its end. */
const told = (text: string): number => {
  const length = text.length
  return length < 2 ? length : text.charCodeAt(length - 1) + (text.charCodeAt(length - 2) << 4) + (length << 9)
}

/** Where to look for a series first, or -1 for what is not made of texts. It is a guess: what is there is compared. */
const slotOf = (name: string, tags: ReadonlyArray<string>): number => {
  if (typeof name !== "string") return -1
  const length = name.length
  let hash = told(name) + (length < 4 ? 0 : name.charCodeAt(length - 4) << 2)
  for (let i = tags.length - 1; i >= 0; i--) {
    const tag = tags[i]
    if (typeof tag !== "string") return -1
    hash = (hash << 5) - hash + told(tag)
  }
  return Math.imul(hash, 0x9e3779b1) >>> 22
}

const isOf = <A>(
  context: Context<A>,
  kind: Kind,
  name: string,
  tags: ReadonlyArray<string>,
  host: string | null
): boolean => {
  const { given, name: { kind: itsKind, name: itsName } } = context
  if (itsName !== name || itsKind !== kind || context.host !== host || given.length !== tags.length) return false
  for (let i = given.length - 1; i >= 0; i--) if (given[i] !== tags[i]) return false
  return true
}

const each = <A>(node: Context<A> | Branch<A> | undefined, f: (context: Context<A>) => void): void => {
  if (isBranch(node)) {
    for (const child of node.children.values()) each(child, f)
  } else {
    for (let context = node; context !== undefined;) {
      const next: Context<A> | undefined = context.next
      f(context)
      context = next
    }
  }
}

/** The position that tells most of a chain apart. */
const bestPosition = <A>(chain: Context<A>): number => {
  let best = -1
  let most = 1
  for (let position = chain.given.length; position >= 0; position--) {
    const different = new Set<string | null>()
    for (let context: Context<A> | undefined = chain; context !== undefined; context = context.next) {
      different.add(at(context, position))
    }
    if (different.size > most) {
      most = different.size
      best = position
    }
  }
  return best
}

const lengthOf = <A>(chain: Context<A> | undefined): number => {
  let length = 0
  for (let context = chain; context !== undefined; context = context.next) length++
  return length
}

/** The node with one context more. Chains stay short: no two contexts have the same tags in the same order and host. */
const insert = <A>(node: Context<A> | Branch<A> | undefined, context: Context<A>): Context<A> | Branch<A> => {
  if (isBranch(node)) {
    const key = at(context, node.position)
    node.children.set(key, insert(node.children.get(key), context))
    return node
  }
  context.next = node
  if (lengthOf(context) <= longestChain) return context
  const branch = new Branch<A>(bestPosition(context))
  each(context, (one) => {
    one.next = undefined
    insert(branch, one)
  })
  return branch
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

export const make = <A>(maxSize: number): Contexts<A> => {
  const names = new Map<string, Name<A>>()
  let size = 0

  const nameOf = (kind: Kind, name: string): Name<A> | undefined => {
    let known = names.get(name)
    while (known !== undefined && known.kind !== kind) known = known.other
    return known
  }

  const addName = (name: Name<A>): Name<A> => {
    name.other = names.get(name.name)
    names.set(name.name, name)
    return name
  }

  const groupOf = (name: Name<A>, length: number): Group<A> => name.groups[length] ??= new Group(length)

  const add = (group: Group<A>, context: Context<A>) => {
    group.root = insert(group.root, context)
    size++
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
    each(group.root, (context) => {
      if (context.target === context) sorted.set(sortedKey(context.given, context.host), context)
    })
    return group.sorted = sorted
  }

  /** For tags that are not known in this order. */
  const resolve = (name: Name<A>, copy: ReadonlyArray<string>, host: string | null): Context<A> => {
    // as long as it has to be: what was pushed to has room for many more
    const tags = copy.length === 0 ? noTags : copy.slice()
    const group = groupOf(name, tags.length)
    if (isRegular(group, tags)) {
      const made = new Context(name, tags, host, undefined)
      add(group, made)
      return made
    }
    const sorted = sortedOf(group)
    const key = sortedKey(tags, host)
    const known = sorted.get(key)
    if (known === undefined) {
      const made = new Context(name, tags, host, undefined)
      sorted.set(key, made)
      add(group, made)
      return made
    }
    if (size < maxSize) add(group, new Context(name, tags, host, known))
    return known
  }

  const lookUp = (
    kind: Kind,
    name: string,
    tags: ReadonlyArray<string>,
    host: string | null
  ): Context<A> | undefined => {
    const group = nameOf(kind, name)?.groups[tags.length]
    return group === undefined ? undefined : search(group, tags, host)
  }

  /** What was found last, by slot, and beside it what was before that. */
  const recent: Array<Context<A> | undefined> = new Array(slots).fill(undefined)

  return {
    find(kind, name, input, host) {
      const given = input ?? noTags
      if (!Array.isArray(given)) return undefined
      const tags: ReadonlyArray<string> = given
      const slot = size > slots || tags.length > fewTags ? -1 : slotOf(name, tags)
      if (slot < 0) return lookUp(kind, name, tags, host)?.target
      const last = recent[slot]
      if (last !== undefined && isOf(last, kind, name, tags, host)) return last.target
      const before = recent[slot ^ 1]
      if (before !== undefined && isOf(before, kind, name, tags, host)) return before.target
      const found = lookUp(kind, name, tags, host)
      if (found !== undefined) {
        recent[slot ^ 1] = last
        recent[slot] = found
      }
      return found?.target
    },
    intern(kind, name, input, host) {
      const tags = fromInput(input)
      if (typeof tags === "string") return tags
      return lookUp(kind, name, tags, host)?.target ??
        resolve(nameOf(kind, name) ?? addName(new Name<A>(kind, name)), tags, host)
    },
    size: () => size,
    retain(isWanted) {
      const wanted: Array<Context<A>> = []
      for (const first of names.values()) {
        for (let name: Name<A> | undefined = first; name !== undefined; name = name.other) {
          for (const group of name.groups) {
            each(group?.root, (context) => {
              if (context.target !== context) return
              if (isWanted(context)) wanted.push(context)
              else context.target = undefined
            })
          }
          name.groups.length = 0
        }
      }
      names.clear()
      recent.fill(undefined)
      size = 0
      for (const context of wanted) {
        const { given, host, name } = context
        if (nameOf(name.kind, name.name) === undefined) addName(name)
        context.next = undefined
        const group = groupOf(name, given.length)
        if (!isRegular(group, given)) sortedOf(group).set(sortedKey(given, host), context)
        add(group, context)
      }
    }
  }
}
