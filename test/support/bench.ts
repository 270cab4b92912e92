/** Groups of the benchmark that take little time. */
import type { Function as FunctionRun, Group, Program, Row, Run } from "../../bench/groups.js"

/** Arguments of each child in a quick run. */
export const argsOf = {
  record: { series: 10, calls: 1000 },
  // The last of 43 calls is a count.
  allocation: { calls: 43 },
  distribution: { values: 400 },
  outage: { isDown: false, series: 10, calls: 10, held: { series: 10, values: 10 } },
  warm: { before: 100, millis: 1 }
}

/** A child that runs the yardstick, or an export of a module in this folder. */
export const programOf = (child: keyof typeof argsOf, value: string, module = "benchSubject"): Program => ({
  _tag: "Program",
  child,
  module: value === "bare" ? "subjects/bare" : `../test/support/${module}`,
  value: value === "bare" ? "make" : value,
  args: { full: {}, quick: argsOf[child] },
  node: ["--expose-gc"]
})

/** A function that is loaded and invoked in a process of its own. */
export const functionOf = (name: string, posts: boolean): FunctionRun => ({ _tag: "Function", name, posts })

export const runOf = (id: string, spawn: Program | FunctionRun, peer = false): Run => ({
  id,
  title: id === "bare" ? "the yardstick" : `a ${id} client`,
  peer,
  spawn
})

export const groupOf = (
  clients: { readonly [id: string]: Program | FunctionRun },
  rows: ReadonlyArray<Row> = [],
  peers: ReadonlyArray<Run> = []
): Group => ({
  id: "made-up",
  rounds: { full: 2, quick: 2 },
  runs: [...Object.entries(clients).map(([id, spawn]) => runOf(id, spawn)), ...peers],
  rows
})
