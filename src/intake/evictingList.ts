/** A list in the order of arrival that evicts its oldest item, and sums the bytes of its items. */
export class EvictingList<A> {
  private readonly sizeOf: (item: A) => number
  private items: Array<A> = []
  /** Index of the oldest item. Moving all items at each eviction would take quadratic time. */
  private start = 0
  private total = 0

  /** `sizeOf` returns the same number of bytes for an item at any time. */
  constructor(sizeOf: (item: A) => number) {
    this.sizeOf = sizeOf
  }

  get length(): number {
    return this.items.length - this.start
  }

  /** Bytes of all items. */
  get bytes(): number {
    return this.total
  }

  get oldest(): A | undefined {
    return this.items[this.start]
  }

  add(item: A): void {
    this.items.push(item)
    this.total += this.sizeOf(item)
  }

  /** Removes and returns the oldest item; `undefined` if the list is empty. */
  evict(): A | undefined {
    const item = this.items[this.start]
    if (item === undefined) return undefined
    this.items[this.start++] = undefined as never
    this.total -= this.sizeOf(item)
    if (this.start > 1024 && this.start * 2 > this.items.length) {
      this.items = this.items.slice(this.start)
      this.start = 0
    }
    return item
  }

  /** Returns a copy of all items, oldest first. */
  all(): ReadonlyArray<A> {
    return this.items.slice(this.start)
  }

  clear(): void {
    this.items = []
    this.start = 0
    this.total = 0
  }
}
