/** Entry of a queue. It stays queued while it has pending points. */
interface Queued {
  readonly pending: number
}

/** Length of the array that is not worth compaction. */
const minLength = 64

const isPending = ({ pending }: Queued): boolean => pending > 0

/** First-in, first-out queue of entries with pending points. Removed entries stay in the array until it is compacted. */
export class EntryQueue<A extends Queued> {
  private items: Array<A> = []
  private head = 0
  /** End of the entries that the current drain removes. */
  private drainEnd = 0
  /** Number of entries with pending points. */
  length = 0

  push(entry: A): void {
    this.items.push(entry)
    this.length++
  }

  first(): A | undefined {
    while (this.head < this.items.length) {
      const entry = this.items[this.head]!
      if (entry.pending > 0) return entry
      this.head++
    }
    return undefined
  }

  /** Removes and returns the first entry. */
  shift(): A | undefined {
    const entry = this.first()
    if (entry !== undefined) {
      this.head++
      this.compact()
    }
    return entry
  }

  /** Marks the present entries for {@link shiftMarked}. Entries that are pushed later stay for the next drain. */
  beginDrain(): void {
    this.drainEnd = this.items.length
  }

  /** Removes and returns the first entry that {@link beginDrain} marked. */
  shiftMarked(): A | undefined {
    this.first()
    return this.head < this.drainEnd ? this.shift() : undefined
  }

  /** Removes an entry that the caller cleared or is about to clear. */
  remove(entry: A): void {
    if (this.items[this.head] === entry) this.head++
    this.compact()
  }

  toArray(): Array<A> {
    return this.items.slice(this.head).filter(isPending)
  }

  private compact(): void {
    const { drainEnd, head, items } = this
    if (items.length <= 2 * --this.length + minLength) return
    this.head = 0
    if (2 * head >= items.length) {
      // The remaining entries were not read recently. A filter would fetch each of them from memory.
      this.items = items.slice(head)
      this.drainEnd = Math.max(0, drainEnd - head)
    } else {
      const marked = items.slice(head, drainEnd).filter(isPending)
      this.items = marked.concat(items.slice(Math.max(head, drainEnd)).filter(isPending))
      this.drainEnd = marked.length
    }
  }
}
