import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { type Group, groups, type Run } from "../../bench/groups.js"
import { type Baseline, baselineOf } from "../../bench/guard.js"
import type { Samples } from "../../bench/measure.js"

const baseline: Baseline = JSON.parse(
  readFileSync(new URL("../../bench/baseline.json", import.meta.url), "utf8")
)

/** One round, in which every measure of a group is 1. */
const measured = (group: Group): ReadonlyMap<Run, Samples> => {
  const round = Object.fromEntries(group.rows.flatMap(({ cpu, measure }) => [[measure, 1], [cpu ?? measure, 1]]))
  return new Map(group.runs.map((run) => [run, { _tag: "Measured", rounds: [round] }]))
}

const namesOf = ({ values }: Baseline) =>
  Object.entries(values).flatMap(([row, runs]) => Object.keys(runs).map((run) => `${row} ${run}`)).sort()

describe("bench/groups", () => {
  it("have a baseline for every guarded figure of the quick run, and no other", () => {
    const quick = groups.filter(({ rounds }) => rounds.quick > 0)
    assert.deepStrictEqual(
      namesOf(baseline),
      namesOf(baselineOf(new Map(quick.map((group) => [group, measured(group)]))))
    )
  })
})
