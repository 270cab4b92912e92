/** Compares a quick run with the baseline. */
import type { Group, Row, Run } from "./groups.js"
import type { Measured } from "./measure.js"
import { figuresOf, median } from "./report.js"

/** Figures of a quick run, by row and run. Less is better. */
export interface Baseline {
  readonly node: string
  readonly values: { readonly [row: string]: { readonly [run: string]: number } }
}

/** Tolerance for chance and for other machines. */
export const tolerance = 0.25

/** A difference that is never a regression: a hundredth of the yardstick, or of a unit. */
const insignificant = 0.01

export interface Regression {
  readonly group: Group
  readonly row: Row
  readonly run: Run
  readonly before: number
  readonly now: number
}

/** The typical value for the baseline, and the value with the least noise. */
interface Value {
  readonly typical: number
  readonly best: number
}

const valueOf = (group: Group, row: Row, run: Run, measured: Measured): Value | undefined => {
  const figure = figuresOf(group, row, measured).find((figure) => figure.run === run.id)
  const samples = measured.get(run)
  if (figure === undefined || figure.notAvailable !== undefined || samples?._tag !== "Measured") return undefined
  const measure = row.cpu ?? row.measure
  const values = samples.rounds.map((round) => round[measure]!)
  const base = group.runs.find(({ id }) => id === row.base)
  const baseSamples = base === undefined ? undefined : measured.get(base)
  if (baseSamples?._tag !== "Measured") return { typical: median(values), best: Math.min(...values) }
  const baseValues = baseSamples.rounds.map((round) => round[measure]!)
  const typical = median(values.map((value, i) => value / baseValues[i]!))
  return { typical, best: Math.min(typical, Math.min(...values) / Math.min(...baseValues)) }
}

const guarded = (group: Group): ReadonlyArray<readonly [Row, Run]> =>
  group.rows.flatMap((row) =>
    (row.guards ?? Object.keys(row.goals)).flatMap((id) => {
      const run = group.runs.find((run) => run.id === id && !run.peer)
      return run === undefined ? [] : [[row, run] as const]
    })
  )

export const baselineOf = (measured: ReadonlyMap<Group, Measured>): Baseline => {
  const values: Record<string, Record<string, number>> = {}
  for (const [group, samples] of measured) {
    for (const [row, run] of guarded(group)) {
      const value = valueOf(group, row, run, samples)
      if (value !== undefined) (values[row.id] ??= {})[run.id] = Number(value.typical.toPrecision(3))
    }
  }
  return { node: process.version, values }
}

export const regressions = (baseline: Baseline, group: Group, measured: Measured): ReadonlyArray<Regression> =>
  guarded(group).flatMap(([row, run]) => {
    const before = baseline.values[row.id]?.[run.id]
    const value = valueOf(group, row, run, measured)
    return before === undefined || value === undefined ||
        value.best <= Math.max(before * (1 + tolerance), before + insignificant)
      ? []
      : [{ group, row, run, before, now: value.best }]
  })
