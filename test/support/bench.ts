/** Groups of the benchmark that take no time. */
import type { Function, Group, Program, Row, Run } from "../../bench/groups.js"

/** Ten times as much in a full run. */
export const argsOf = {
  record: { contexts: 10, calls: 1000 },
  // its last call is a count
  allocation: { calls: 43 },
  distribution: { values: 400 },
  outage: { isDown: false, contexts: 10, calls: 10, held: { contexts: 10, values: 10 } },
  warm: { before: 100, millis: 1 }
}

/** A child with the yardstick, or with what a module in this folder exports. */
export const programOf = (child: keyof typeof argsOf, value: string, module = "benchSubject"): Program => ({
  _tag: "Program",
  child,
  module: value === "bare" ? "subjects/bare" : `../test/support/${module}`,
  value: value === "bare" ? "make" : value,
  args: { full: {}, quick: argsOf[child] },
  node: ["--expose-gc"]
})

export const runOf = (id: string, spawn: Program | Function, peer = false): Run => ({
  id,
  title: id === "bare" ? "the yardstick" : `a ${id} client`,
  peer,
  spawn
})

export const groupOf = (
  clients: { readonly [id: string]: Program | Function },
  rows: ReadonlyArray<Row> = [],
  peers: ReadonlyArray<Run> = []
): Group => ({
  id: "made-up",
  rounds: { full: 2, quick: 2 },
  runs: [...Object.entries(clients).map(([id, spawn]) => runOf(id, spawn)), ...peers],
  rows
})
