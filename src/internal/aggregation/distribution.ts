import type { Point, Samples, State, Value } from "../model/AggregatedSeries.js"
import { noPoints, noValues, numberBytes, type RollUp } from "./rollUp.js"

/**
 * Maximum number of values that are sent as one item. A payload of 512,000 bytes, the smallest limit, has room for this many
 * values of 20 bytes each.
 */
const chunkSize = 8192

/**
 * Values of a large distribution as chunks of {@link chunkSize} doubles. Full chunks are never written to again, because
 * drained parts and restored distributions share them.
 */
class ChunkedValues {
  full: Array<Float64Array> = []
  /** Chunk that receives new values. */
  last: Float64Array
  /** Number of values in the last chunk. */
  used: number

  constructor(last: Float64Array, used: number) {
    this.last = last
    this.used = used
  }

  add(value: number): void {
    if (this.used === this.last.length) {
      this.full.push(this.last)
      this.last = new Float64Array(chunkSize)
      this.used = 0
    }
    this.last[this.used++] = value
  }

  size(): number {
    return this.full.reduce((sum, { length }) => sum + length, this.used)
  }

  /** Returns all chunks, without the unused part of the last one. */
  toChunks(): Array<Float64Array> {
    return this.used === 0 ? this.full : [...this.full, this.last.slice(0, this.used)]
  }
}

/** Every recorded value, in the order of recording. */
export class Distribution implements RollUp {
  /** Values of a small distribution. */
  private few: Array<number> = []
  /** Values of a large distribution, in place of {@link few}. */
  private chunks: ChunkedValues | undefined = undefined

  constructor(values: Iterable<number> = noValues) {
    for (const value of values) this.add(value)
  }

  private static fromChunk(chunk: Float64Array): Distribution {
    const distribution = new Distribution()
    distribution.chunks = new ChunkedValues(chunk, chunk.length)
    return distribution
  }

  add(value: Value): number {
    if (this.chunks !== undefined) {
      this.chunks.add(value as number)
    } else if (this.few.push(value as number) === chunkSize) {
      this.chunks = new ChunkedValues(new Float64Array(this.few), chunkSize)
      this.few = []
    }
    return numberBytes
  }

  mergeOlder(older: RollUp): void {
    const { chunks, few } = older as Distribution
    const remainsSmall = this.chunks === undefined && few.length + this.few.length < chunkSize
    if (chunks === undefined && (few.length === 0 || remainsSmall)) {
      this.few = few.concat(this.few)
      return
    }
    if (this.chunks === undefined) {
      const last = new Float64Array(chunkSize)
      last.set(this.few)
      this.chunks = new ChunkedValues(last, this.few.length)
      this.few = []
    }
    const olderChunks = chunks === undefined ? [new Float64Array(few)] : chunks.toChunks()
    this.chunks.full = olderChunks.concat(this.chunks.full)
  }

  points(): ReadonlyArray<Point> {
    return noPoints
  }

  capturePoints(): () => ReadonlyArray<Point> {
    return () => noPoints
  }

  values(): ReadonlyArray<number> {
    if (this.chunks === undefined) return this.few
    const values: Array<number> = []
    for (const chunk of this.chunks.toChunks()) {
      for (let i = 0; i < chunk.length; i++) values.push(chunk[i]!)
    }
    return values
  }

  valueCount(): number {
    return this.chunks === undefined ? this.few.length : this.chunks.size()
  }

  split(): ReadonlyArray<RollUp> {
    return this.chunks === undefined ? [this] : this.chunks.toChunks().map(Distribution.fromChunk)
  }

  samples(): Samples {
    return { values: this.values(), weight: 1 }
  }

  bytes(): number {
    return this.valueCount() * numberBytes
  }

  state(): State {
    return this.values().slice()
  }
}
