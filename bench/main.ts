/** Measures the groups, prints one table, and compares a quick run with the baseline. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { folder } from "./bundle.js"
import type { Group, Mode, Run } from "./groups.js"
import { type Baseline, baselineOf, type Regression, regressions, tolerance } from "./guard.js"
import { append, measure, type Measured } from "./measure.js"
import { describe, figuresOf, machine, table } from "./report.js"

const usage = (message: string): never => {
  console.error(`${message}\nusage: npm run bench [-- --quick] [--update] [--json FILE] [--only GROUP,…] [--rounds N]`)
  process.exit(2)
}

/** The quick run needs none of the peers. */
const installPeers = () => {
  const installed = join(folder, "node_modules/.package-lock.json")
  const lock = join(folder, "package-lock.json")
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  console.error("Installing the peers in bench/node_modules")
  execFileSync("npm", ["ci", "--prefix", folder, "--no-audit", "--no-fund"], { stdio: ["ignore", 2, 2], cwd: folder })
}

const say = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

export interface Benchmark {
  readonly groups: ReadonlyArray<Group>
  /** File of the baseline, which `--update` writes. */
  readonly baselineFile: string
}

/**
 * Runs with the arguments of the command line, and gives the exit code: 1 after a regression. A client whose results differ from
 * the recorded points ends the run with an error that names it, before any figure is printed.
 */
export const main = async (args: ReadonlyArray<string>, { baselineFile, groups }: Benchmark): Promise<number> => {
  const options = (() => {
    try {
      return parseArgs({
        args: [...args],
        options: {
          quick: { type: "boolean", default: false },
          update: { type: "boolean", default: false },
          json: { type: "string" },
          only: { type: "string" },
          rounds: { type: "string" }
        }
      }).values
    } catch (error) {
      return usage((error as Error).message)
    }
  })()

  const mode: Mode = options.quick === true || options.update === true ? "quick" : "full"
  const only = options.only?.split(",")
  const unknown = only?.find((id) => !groups.some((group) => group.id === id))
  if (unknown !== undefined) usage(`no group ${unknown}; there are ${groups.map(({ id }) => id).join(", ")}`)
  const rounds = options.rounds === undefined ? undefined : Number(options.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) usage("--rounds takes a number from 1 on")

  const runsOf = (group: Group): ReadonlyArray<Run> => group.runs.filter(({ peer }) => mode === "full" || !peer)

  /** Measures slower runs and their yardsticks again, up to two times. */
  const again = async (found: ReadonlyArray<Regression>, group: Group, first: Measured, baseline: Baseline) => {
    let measured = first
    let left = found
    for (let attempt = 1; attempt <= 2 && left.length > 0; attempt++) {
      console.error(`${group.id} looks slower than before, and is measured again`)
      const wanted = left.flatMap(({ row, run }) => [row.base, run.id])
      const runs = runsOf(group).filter(({ id }) => wanted.includes(id))
      measured = append(measured, await measure(group, runs, group.rounds.quick, mode, say))
      left = regressions(baseline, group, measured)
    }
    return { measured, left }
  }

  const loadBefore = loadavg()[0]!
  const started = Date.now()
  if (mode === "full") installPeers()

  const baseline: Baseline | undefined = mode === "quick" && options.update !== true && existsSync(baselineFile)
    ? JSON.parse(readFileSync(baselineFile, "utf8"))
    : undefined
  const results = new Map<Group, Measured>()

  const described = () => {
    const rows = Array.from(
      results,
      ([group, measured]) => group.rows.map((row) => [row, figuresOf(group, row, measured)] as const)
    ).flat()
    const samples = Array.from(results, ([group, measured]) => ({
      group: group.id,
      runs: Array.from(measured, ([run, of]) => ({ run: run.id, ...of }))
    }))
    const document = {
      date: new Date(started).toISOString(),
      mode,
      machine: machine(loadBefore),
      figures: rows.flatMap(([, figures]) => figures),
      samples
    }
    return { document, rows }
  }

  const slower: Array<Regression> = []
  for (const group of groups) {
    if (only === undefined ? group.rounds[mode] === 0 : !only.includes(group.id)) continue
    if (!process.stderr.isTTY) console.error(`measuring ${group.id}`)
    const first = await measure(group, runsOf(group), rounds ?? Math.max(1, group.rounds[mode]), mode, say)
    const found = baseline === undefined ? [] : regressions(baseline, group, first)
    const { left, measured } = baseline === undefined
      ? { left: found, measured: first }
      : await again(found, group, first, baseline)
    results.set(group, measured)
    slower.push(...left)
    // An error in a later group loses no figures.
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(described().document, null, 2)}\n`)
  }
  say("")

  const { document, rows } = described()
  console.log(table(rows))
  console.log(`\n${describe(document.machine)}; ${mode} run, ${Math.round((Date.now() - started) / 1000)} s`)

  if (options.update === true) {
    const { node, values } = baselineOf(results)
    const before: Baseline | undefined = existsSync(baselineFile)
      ? JSON.parse(readFileSync(baselineFile, "utf8"))
      : undefined
    const kept = only === undefined ? {} : before?.values
    writeFileSync(baselineFile, `${JSON.stringify({ node, values: { ...kept, ...values } }, null, 2)}\n`)
  }
  for (const { before, now, row, run } of slower) {
    console.error(
      `${row.title}, ${run.title}: ${now.toPrecision(3)}, which is more than ${tolerance * 100} % over ${before}`
    )
  }
  return slower.length > 0 ? 1 : 0
}
