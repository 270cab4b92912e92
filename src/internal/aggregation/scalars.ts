import type { Point, Samples, State, Value } from "../model/AggregatedSeries.js"
import { clampToFinite, noPoints, PointRollUp, type RollUp } from "./rollUp.js"

/** Sum of the increments of a counter. */
abstract class Sum extends PointRollUp {
  private sum: number

  constructor(sum = 0) {
    super()
    this.sum = sum
  }

  protected total(): number {
    return clampToFinite(this.sum)
  }

  add(value: Value): number {
    this.sum += value as number
    return 0
  }

  mergeOlder(older: RollUp): void {
    this.sum = this.total() + (older as Sum).total()
  }

  samples(): Samples {
    return { values: [this.total()], weight: 1 }
  }

  state(): State {
    return this.total()
  }
}

/** Counter that is reported as one value of a distribution: the amount counted since the last report. */
export class DistributedCounter extends Sum {
  points(): ReadonlyArray<Point> {
    return noPoints
  }

  override values(): ReadonlyArray<number> {
    return [this.total()]
  }
}

/** Counter that is reported as a rate per second. */
export class Counter extends Sum {
  private readonly seconds: number

  constructor(seconds: number, sum?: number) {
    super(sum)
    this.seconds = seconds
  }

  points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "rate", value: this.total() / this.seconds }]
  }
}

/** Last recorded value. */
export class Gauge extends PointRollUp {
  last: number

  constructor(last = Number.NaN) {
    super()
    this.last = last
  }

  add(value: Value): number {
    this.last = value as number
    return 0
  }

  mergeOlder(older: RollUp): void {
    if (Number.isNaN(this.last)) this.last = (older as Gauge).last
  }

  points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "gauge", value: this.last }]
  }

  samples(): Samples {
    return { values: [this.last], weight: 1 }
  }

  state(): State {
    return this.last
  }
}
