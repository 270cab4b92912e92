import type { Point, Samples, State, Value } from "../model/AggregatedSeries.js"

/** Content of one series in one bucket. */
export interface RollUp {
  /** Adds a valid value and returns by how many bytes the roll-up grew. */
  readonly add: (value: Value) => number
  /** Merges an older roll-up of the same kind, as if its values had been recorded before the values here. */
  readonly mergeOlder: (older: RollUp) => void
  /** Returns the points to report. Empty for a distribution, which has `values` instead. */
  readonly points: () => ReadonlyArray<Point>
  /** Captures the current points and returns a function that computes them. */
  readonly capturePoints: () => () => ReadonlyArray<Point>
  /** Returns the values of a distribution in the order of recording. Empty for other kinds. */
  readonly values: () => ReadonlyArray<number>
  /** Returns the number of a distribution's values. 0 for other kinds. */
  readonly valueCount: () => number
  /** Divides a distribution into parts of at most 8192 values. Other kinds are one part. */
  readonly split: () => ReadonlyArray<RollUp>
  /**
   * Returns recorded values for a receiver that aggregates by itself: a counter's sum, a gauge's last value, a set's members,
   * or the values of a histogram or distribution.
   */
  readonly samples: () => Samples
  /** Returns the estimated size of the content, in bytes. */
  readonly bytes: () => number
  /** Returns a copy of the content as plain JSON. */
  readonly state: () => State
}

export const noPoints: ReadonlyArray<Point> = []
export const noValues: ReadonlyArray<number> = []

/** Estimated size of a stored number, in bytes. */
export const numberBytes = 8

/** Limits a number to the finite range. Sums of finite values can overflow, and JSON has no infinity. */
export const clampToFinite = (x: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, x))

/** Holds the members of {@link RollUp} that are the same for every kind except distributions. */
export abstract class PointRollUp implements RollUp {
  abstract add(value: Value): number
  abstract mergeOlder(older: RollUp): void
  abstract points(): ReadonlyArray<Point>
  abstract samples(): Samples
  abstract state(): State
  capturePoints(): () => ReadonlyArray<Point> {
    const points = this.points()
    return () => points
  }
  values(): ReadonlyArray<number> {
    return noValues
  }
  valueCount(): number {
    return 0
  }
  split(): ReadonlyArray<RollUp> {
    return [this]
  }
  bytes(): number {
    return 0
  }
}
