/** One budget in bytes for everything that the intake keeps. The sizes are estimates. */

/** A part of the memory. */
export interface BudgetPart {
  readonly bytes: () => number
  /** Evicts the oldest entry, and returns whether there was one. */
  readonly evictOldest: () => boolean
}

export class Budget {
  private readonly limit: number
  private readonly parts: Array<BudgetPart> = []

  constructor(limit: number) {
    this.limit = limit
  }

  add(part: BudgetPart): void {
    this.parts.push(part)
  }

  /** Evicts the oldest entries of the largest part until all parts are within the limit. */
  enforce(): void {
    for (;;) {
      let total = 0
      let largest: BudgetPart | undefined
      for (const part of this.parts) {
        const bytes = part.bytes()
        total += bytes
        if (largest === undefined || bytes > largest.bytes()) largest = part
      }
      if (total <= this.limit || largest === undefined || !largest.evictOldest()) return
    }
  }
}

/** Estimated size of an object or array without its content, in bytes. */
const objectBytes = 48

/** Estimated size of a string without its characters, in bytes. */
const stringBytes = 24

/** Estimates the memory of a string, in bytes. */
export const sizeOfText = (text: string): number => stringBytes + 2 * text.length

/** Memory of a JSON value, and the number of its levels. */
export interface JsonMeasure {
  readonly bytes: number
  readonly depth: number
}

/** Estimates the memory of a JSON value. It stops below the maximum number of levels. */
export const measureJson = (value: unknown, maxDepth = Number.POSITIVE_INFINITY): JsonMeasure => {
  let bytes = 0
  let depth = 0
  let level: Array<unknown> = [value]
  // It goes level by level: a recursion would exceed the stack for the values that it is to find.
  while (level.length > 0 && depth <= maxDepth) {
    const next: Array<unknown> = []
    for (const item of level) {
      if (typeof item === "string") bytes += sizeOfText(item)
      else if (Array.isArray(item)) {
        bytes += objectBytes + 8 * item.length
        for (const element of item) if (typeof element !== "number") next.push(element)
      } else if (typeof item === "object" && item !== null) {
        bytes += objectBytes
        for (const key in item) {
          bytes += 8 + stringBytes
          next.push((item as Record<string, unknown>)[key])
        }
      }
    }
    level = next
    depth++
  }
  return { bytes, depth }
}
