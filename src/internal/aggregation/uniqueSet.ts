import type { Point, Samples, State, Value } from "../model/AggregatedSeries.js"
import { PointRollUp, type RollUp } from "./rollUp.js"

/** Estimated size of a member besides its characters, in bytes. */
const memberBytes = 48

/** Distinct members, reported as their number. */
export class UniqueSet extends PointRollUp {
  readonly members = new Set<Value>()
  size = 0

  constructor(members: ReadonlyArray<Value> = []) {
    super()
    for (const member of members) this.add(member)
  }

  add(value: Value): number {
    const before = this.members.size
    if (this.members.add(value).size === before) return 0
    const added = memberBytes + (typeof value === "string" ? value.length : 0)
    this.size += added
    return added
  }

  mergeOlder(older: RollUp): void {
    for (const member of (older as UniqueSet).members) this.add(member)
  }

  points(): ReadonlyArray<Point> {
    return [{ suffix: "", type: "gauge", value: this.members.size }]
  }

  samples(): Samples {
    return { values: Array.from(this.members), weight: 1 }
  }

  override bytes(): number {
    return this.size
  }

  state(): State {
    return Array.from(this.members)
  }
}
