import { assert, describe, it } from "@effect/vitest"
import type { Group, Run } from "../../bench/groups.js"
import { baselineOf, regressions } from "../../bench/guard.js"
import type { Measured, Samples } from "../../bench/measure.js"

const run = (id: string, peer = false): Run => ({
  id,
  title: id,
  peer,
  spawn: { _tag: "Function", name: id, posts: false }
})

const group: Group = {
  id: "made-up",
  rounds: { full: 3, quick: 3 },
  runs: [run("bare"), run("ours"), run("theirs", true)],
  rows: [
    {
      id: "ratio",
      title: "a ratio",
      measure: "ns",
      cpu: "nsCpu",
      unit: "ns",
      base: "bare",
      compare: "ratio",
      goals: { ours: 0.5, theirs: 1 }
    },
    { id: "bytes", title: "bytes", measure: "bytes", unit: "B", compare: "absolute", goals: { ours: 10 } },
    {
      id: "unguarded",
      title: "shown only",
      measure: "shown",
      unit: "",
      compare: "absolute",
      goals: { ours: 1 },
      guards: []
    }
  ]
}

/** Rounds of 100 ns for the yardstick, and of `ns` and `bytes` for the clients. */
const measured = (ns: ReadonlyArray<number>, bytes: number): Measured => {
  const samples = (values: ReadonlyArray<number>): Samples => ({
    _tag: "Measured",
    // The wall clock of a busy machine, which the guard must ignore.
    rounds: values.map((value, i) => ({ ns: value * (i + 1) * 7, nsCpu: value, bytes, shown: value }))
  })
  return new Map(group.runs.map((run) => [run, samples(run.id === "bare" ? ns.map(() => 100) : ns)]))
}

const baseline = baselineOf(new Map([[group, measured([40, 40, 40], 8)]]))

const regressionsOf = (ns: ReadonlyArray<number>, bytes = 8) =>
  regressions(baseline, group, measured(ns, bytes)).map(({ before, now, row, run }) => [row.id, run.id, before, now])

describe("bench/guard", () => {
  it("keeps the rows of this project and drops those of peers in a baseline", () => {
    assert.deepStrictEqual(baseline.values, { ratio: { ours: 0.4 }, bytes: { ours: 8 } })
  })

  it("reports rows that are 26 % slower or larger than the baseline, and accepts 24 %", () => {
    assert.deepStrictEqual(regressionsOf([49.6, 49.6, 49.6], 9.92), [])
    assert.deepStrictEqual(regressionsOf([50.4, 50.4, 50.4]), [["ratio", "ours", 0.4, 0.504]])
    assert.deepStrictEqual(regressionsOf([40, 40, 40], 10.08), [["bytes", "ours", 8, 10.08]])
    assert.deepStrictEqual(regressionsOf([10, 10, 10], 1), [])
  })

  it("reports no difference of a hundredth of the yardstick", () => {
    const tiny = baselineOf(new Map([[group, measured([0.4], 8)]]))
    const rowsOf = (ns: number) => regressions(tiny, group, measured([ns], 8)).map(({ row }) => row.id)
    assert.deepStrictEqual(rowsOf(1.3), [])
    assert.deepStrictEqual(rowsOf(1.5), ["ratio"])
  })

  it("compares the better of median and minimum, so that single slow rounds of a busy machine pass", () => {
    assert.deepStrictEqual(regressionsOf([400, 40, 400]), [])
    assert.deepStrictEqual(regressionsOf([400, 50.4, 400]), [["ratio", "ours", 0.4, 0.504]])
    assert.deepStrictEqual(regressionsOf([40, 40, 400]), [])
  })

  it("reports no regression for rows without a baseline and clients that are not available", () => {
    const slow = measured([400, 400, 400], 80)
    assert.deepStrictEqual(regressions({ node: "", values: {} }, group, slow), [])
    const missing: Measured = new Map(
      Array.from(slow, ([run]) => [run, { _tag: "NotAvailable", reason: "not installed" }])
    )
    assert.deepStrictEqual(regressions(baseline, group, missing), [])
  })
})
