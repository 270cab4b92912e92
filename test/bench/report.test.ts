import { assert, describe, it } from "@effect/vitest"
import { cpus, totalmem } from "node:os"
import type { Row } from "../../bench/groups.js"
import type { Measured, Samples } from "../../bench/measure.js"
import { describe as describeMachine, figuresOf, machine, table } from "../../bench/report.js"
import { functionOf, groupOf } from "../support/bench.js"

/** The rounds of a run, by the wall clock and by processor time. */
const samples = (ns: ReadonlyArray<number>, nsCpu: ReadonlyArray<number>): Samples => ({
  _tag: "Measured",
  rounds: ns.map((value, i) => ({ ns: value, nsCpu: nsCpu[i]! }))
})

const row: Row = {
  id: "record",
  title: "recording",
  measure: "ns",
  cpu: "nsCpu",
  unit: "ns",
  base: "bare",
  compare: "ratio",
  goals: { fast: 0.5, slow: 0.5, none: 1 }
}

const group = groupOf(
  Object.fromEntries(["bare", "fast", "slow", "none", "peer"].map((name) => [name, functionOf(name, false)])),
  [row]
)
const [bare, fast, slow, none, peer] = group.runs
const measured: Measured = new Map([
  [bare!, samples([400, 900, 500], [300, 100, 200])],
  [fast!, samples([250, 120, 130], [60, 30, 90])],
  [slow!, samples([600, 450, 2000], [240, 200, 100])],
  [none!, { _tag: "NotAvailable", reason: "not installed" }],
  [peer!, samples([1, 4], [1, 1])]
])

describe("bench/report table", () => {
  it("shows medians, minima and ratios, by wall clock and processor time, and whether goals are met", () => {
    const text = table([[row, figuresOf(group, row, measured)]])
    assert.deepStrictEqual(text.split("\n").map((line) => line.trim().split(/ {2,}/)), [
      ["median", "min", "cpu", "÷ median", "÷ min", "÷ cpu", "goal"],
      ["recording", "the yardstick", "500", "400", "200", "ns", "1.00", "1.00", "1.00"],
      ["a fast client", "130", "120", "60.0", "ns", "0.260", "0.300", "0.300", "≤ 0.5 ×", "met"],
      ["a slow client", "600", "450", "200", "ns", "1.20", "1.13", "0.800", "≤ 0.5 ×", "missed: 0.800"],
      ["a none client", "–", "ns", "≤ 1 ×", "not available: not installed"],
      // The median of an even number of rounds is the mean of the middle two.
      ["a peer client", "2.50", "1.00", "1.00", "ns", "0.005", "0.003", "0.007"]
    ])
  })

  it("shows whether a row that compares differences meets its goals", () => {
    const over: Row = { ...row, compare: "over", goals: { fast: -371, slow: 99 } }
    const text = table([[over, figuresOf(group, over, measured)]])
    assert.match(text, /-370 +-280 +-110 +≤ \+-371 +missed: -370\n/)
    assert.match(text, /\+100 +\+50\.0 +-60\.0 +≤ \+99 +missed: 100\n/)
  })

  it("shows whether a row that compares absolute values meets its goals", () => {
    const { cpu: _, ...wall } = row
    const absolute: Row = { ...wall, compare: "absolute", goals: { fast: 130, slow: 599 } }
    const text = table([[absolute, figuresOf(group, absolute, measured)]])
    assert.match(text, /a fast client +130 .*≤ 130 +met\n/)
    assert.match(text, /a slow client +600 .*≤ 599 +missed: 600\n/)
  })
})

describe("bench/report figuresOf", () => {
  it("returns differences to the yardstick for a row that compares differences", () => {
    const over: Row = { ...row, compare: "over", goals: { fast: -371, slow: 99 } }
    assert.deepStrictEqual(
      figuresOf(group, over, measured).map(({ over, overOfCpu, overOfMinima, reached, run }) =>
        [run, over, overOfMinima, overOfCpu, reached] as const
      ).slice(0, 3),
      [["bare", 0, 0, 0, undefined], ["fast", -370, -280, -110, -370], ["slow", 100, 50, -60, 100]]
    )
  })

  it("compares the wall clock with the goal when other threads do part of the work", () => {
    const wall: Row = { ...row, wall: true, goals: { slow: 1 } }
    assert.strictEqual(figuresOf(group, wall, measured).find(({ run }) => run === "slow")?.reached, 1.2)
  })
})

describe("bench/report machine", () => {
  it("returns processor, memory, Node.js version and load of this machine", () => {
    const { load, ...rest } = machine(3.25)
    assert.deepStrictEqual(rest, {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 1024 ** 3),
      node: process.version
    })
    assert.strictEqual(load[0], 3.25)
  })

  it("is described in one line", () => {
    assert.strictEqual(
      describeMachine({ cpu: "Some CPU", cores: 2, memoryGiB: 8, node: "v20.20.0", load: [0.5, 12.34] }),
      "Some CPU, 2 cores, 8 GiB, Node.js v20.20.0, load 0.500 before and 12.3 after"
    )
  })
})
