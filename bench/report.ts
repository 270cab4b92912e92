/** From samples to figures, and to a table. */
import { cpus, loadavg, totalmem } from "node:os"
import type { Group, Row, Run } from "./groups.js"
import type { Measured } from "./measure.js"

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly node: string
  /** Over the last minute, when the run began and when it ended. */
  readonly load: readonly [number, number]
}

export const machine = (loadBefore: number): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.version,
  load: [loadBefore, loadavg()[0]!]
})

/** Figures of one run for one row. */
export interface Figure {
  readonly row: string
  readonly run: string
  readonly title: string
  readonly unit: string
  readonly rounds: number
  readonly median: number
  readonly min: number
  /** The median on the processor's own clock. */
  readonly cpu?: number | undefined
  /** Against the base of the row: the medians, the minima, and the median of the rounds by the processor's clock. */
  readonly ratio?: number | undefined
  readonly ratioOfMinima?: number | undefined
  readonly ratioOfCpu?: number | undefined
  /** Difference to the yardstick of the row, in its unit. */
  readonly over?: number | undefined
  readonly overOfMinima?: number | undefined
  readonly overOfCpu?: number | undefined
  readonly goal?: number | undefined
  /** The figure that the goal applies to: CPU time if it was measured. */
  readonly reached?: number | undefined
  readonly notAvailable?: string | undefined
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = Array.from(values).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const valuesOf = (measured: Measured, run: Run | undefined, measure: string): ReadonlyArray<number> => {
  const samples = run === undefined ? undefined : measured.get(run)
  return samples?._tag === "Measured" ? samples.rounds.map((round) => round[measure] ?? Number.NaN) : []
}

const minOf = (values: ReadonlyArray<number>) => Math.min(...values)

export const figuresOf = (group: Group, row: Row, measured: Measured): ReadonlyArray<Figure> => {
  const base = group.runs.find(({ id }) => id === row.base)
  return Array.from(measured.keys()).flatMap((run): ReadonlyArray<Figure> => {
    const goal = row.goals[run.id]
    const named = { row: row.id, run: run.id, title: run.title, unit: row.unit, goal }
    const samples = measured.get(run)!
    if (samples._tag === "NotAvailable") {
      return goal === undefined
        ? []
        : [{ ...named, rounds: 0, median: Number.NaN, min: Number.NaN, notAvailable: samples.reason }]
    }
    const values = valuesOf(measured, run, row.measure)
    if (values.length === 0 || values.some(Number.isNaN)) return []
    const baseValues = valuesOf(measured, base, row.measure)
    const cpu = row.cpu === undefined ? [] : valuesOf(measured, run, row.cpu)
    const baseCpu = row.cpu === undefined ? [] : valuesOf(measured, base, row.cpu)
    const figure = {
      ...named,
      rounds: values.length,
      median: median(values),
      min: minOf(values),
      ...(cpu.length === 0 ? undefined : { cpu: median(cpu) })
    }
    if (base === undefined || baseValues.length === 0) {
      return [{ ...figure, reached: goal === undefined ? undefined : figure.cpu ?? figure.median }]
    }
    const ratios = {
      ratio: figure.median / median(baseValues),
      ratioOfMinima: figure.min / minOf(baseValues),
      ...(cpu.length === 0 ? undefined : {
        ratioOfCpu: median(cpu.map((value, i) => value / baseCpu[i]!)),
        overOfCpu: median(cpu.map((value, i) => value - baseCpu[i]!))
      }),
      over: figure.median - median(baseValues),
      overOfMinima: figure.min - minOf(baseValues)
    }
    const reached = row.compare === "ratio"
      ? row.wall === true ? ratios.ratio : ratios.ratioOfCpu ?? ratios.ratio
      : row.compare === "over"
      ? ratios.over
      : figure.cpu ?? figure.median
    return [{ ...figure, ...ratios, reached: goal === undefined ? undefined : reached }]
  })
}

/** Three figures that mean something. */
const short = (value: number | undefined): string => {
  if (value === undefined || Number.isNaN(value)) return ""
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3
  return value.toFixed(digits)
}

const signed = (value: number | undefined): string =>
  value === undefined ? "" : `${value < 0 ? "" : "+"}${short(value)}`

const goalOf = (row: Row, goal: number): string =>
  row.compare === "ratio" ? `≤ ${goal} ×` : row.compare === "over" ? `≤ +${goal}` : `≤ ${goal}`

const cellsOf = (row: Row, figure: Figure): ReadonlyArray<string> => {
  const { cpu, goal, min, notAvailable, over, ratio, ratioOfCpu, ratioOfMinima, reached, title, unit } = figure
  const isOver = row.compare === "over"
  const compared = isOver ? [signed(over), signed(figure.overOfMinima), signed(figure.overOfCpu)] : [
    short(ratio),
    short(ratioOfMinima),
    short(ratioOfCpu)
  ]
  return [
    row.title,
    title,
    notAvailable === undefined ? short(figure.median) : "–",
    short(min),
    short(cpu),
    unit,
    ...compared,
    goal === undefined ? "" : goalOf(row, goal),
    notAvailable !== undefined
      ? `not available: ${notAvailable}`
      : goal === undefined
      ? ""
      : reached! <= goal
      ? "met"
      : `missed: ${short(reached)}`
  ]
}

const head = ["", "", "median", "min", "cpu", "", "÷ median", "÷ min", "÷ cpu", "goal", ""]

/** Columns of text, those of figures to the right. */
export const table = (rows: ReadonlyArray<readonly [Row, ReadonlyArray<Figure>]>): string => {
  const lines = rows.flatMap(([row, figures]) =>
    figures.map((figure, i) => {
      const [title, ...cells] = cellsOf(row, figure)
      return [i === 0 ? title! : "", ...cells]
    })
  )
  const all = [head, ...lines]
  const widths = head.map((_, column) => Math.max(...all.map((cells) => cells[column]!.length)))
  const isText = (column: number) => column < 2 || column === 5 || column > 8
  return all
    .map((cells) =>
      cells.map((cell, column) => isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))
        .join("  ").trimEnd()
    )
    .join("\n")
}

export const describe = ({ cores, cpu, load, memoryGiB, node }: Machine): string =>
  `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node.js ${node}, load ${short(load[0])} before and ${short(load[1])} after`
