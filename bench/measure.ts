/** Runs the children of a group in turn, A B C A B C …, and collects their reports. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import * as Bundle from "./bundle.js"
import type { Report } from "./children/child.js"
import type { Group, Mode, Run } from "./groups.js"
import * as Intake from "./intake.js"

/** Results of one run of a group: a value of each measure per round, or the reason for their absence. */
export type Samples =
  | { readonly _tag: "Measured"; readonly rounds: ReadonlyArray<{ readonly [measure: string]: number }> }
  | { readonly _tag: "NotAvailable"; readonly reason: string }

export type Measured = ReadonlyMap<Run, Samples>

/** Time limit of one child, in milliseconds. */
const limit = 600_000

/** Counts the metrics that a child wrote to its log. */
const loggedIn = (stdout: string): number => stdout.split("\n").filter((line) => line.startsWith("{\"m\":")).length

interface Ended {
  readonly report: Report
  /** Number of metrics in the log. */
  readonly logged: number
}

const child = (args: ReadonlyArray<string>, env: Record<string, string>): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, args, {
      cwd: Bundle.folder,
      env: { PATH: process.env.PATH, ...env },
      timeout: limit,
      killSignal: "SIGKILL"
    })
    let stdout = ""
    let stderr = ""
    process_.stdout.on("data", (chunk) => {
      stdout += chunk
    })
    process_.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    process_.on("error", reject)
    process_.on("close", (code, signal) => {
      const last = stdout.trimEnd().split("\n").at(-1) ?? ""
      if (code === 0 && last.startsWith("{")) resolve({ report: JSON.parse(last), logged: loggedIn(stdout) })
      else reject(new Error(`${args.join(" ")} ended with ${code ?? signal}:\n${stderr || stdout}`))
    })
  })

/** Prepares one run. Returns a function that measures it once. */
const prepare = async (
  { spawn }: Run,
  mode: Mode,
  intake: Intake.Intake
): Promise<() => Promise<Report>> => {
  const environment = {
    AWS_REGION: "eu-west-1",
    DD_API_KEY: "0123456789abcdef0123456789abcdef",
    ...intake.environment
  }
  if (spawn._tag === "Program") {
    const path = await Bundle.program(spawn.child, spawn.main ?? "run", spawn.module, spawn.value)
    const args = [...spawn.node ?? [], path, JSON.stringify(spawn.args[mode])]
    if (spawn.delivers === undefined) return async () => (await child(args, {})).report
    const least = spawn.delivers === "datagrams" ? 0.5 : 1
    return async () => {
      const { logged, report } = await child(args, { ...environment, AWS_LAMBDA_FUNCTION_NAME: "bench" })
      const arrived = intake.take().length + logged
      if (report._tag !== "Measured") return report
      const { posted = 0, ...measures } = report.measures
      return arrived > posted || arrived < posted * least
        ? { _tag: "Wrong", reason: `${arrived} metrics arrived of ${posted}` }
        : { _tag: "Measured", measures }
    }
  }
  const { gzipped, path, size } = await (spawn.cached === true ? Bundle.cached : Bundle.lambda)(spawn.name)
  return async () => {
    const { report } = await child([join(Bundle.folder, "children/invoke.mjs"), path], {
      AWS_LAMBDA_FUNCTION_NAME: "bench",
      AWS_REGION: environment.AWS_REGION,
      DATADOG_HOST: intake.environment["DATADOG_HOST"]!,
      DD_API_KEY: environment.DD_API_KEY
    })
    const arrived = intake.take()
    if (report._tag !== "Measured") return report
    if (arrived.join() !== (spawn.posts ? "orders.received" : "")) {
      return { _tag: "Wrong", reason: `what arrived is ${arrived.join() || "nothing"}` }
    }
    return { ...report, measures: { ...report.measures, gzip: gzipped / 1000, size: size / 1000 } }
  }
}

export const measure = async (
  group: Group,
  runs: ReadonlyArray<Run>,
  rounds: number,
  mode: Mode,
  say: (text: string) => void
): Promise<Measured> => {
  const intake = await Intake.start()
  try {
    const prepared = new Map(
      await Promise.all(runs.map(async (run) => [run, await prepare(run, mode, intake)] as const))
    )
    const measured = new Map<Run, Array<{ readonly [measure: string]: number }>>()
    const missing = new Map<Run, string>()
    for (let round = 1; round <= rounds; round++) {
      for (const [run, once] of prepared) {
        if (missing.has(run)) continue
        say(`${group.id}, round ${round} of ${rounds}: ${run.title}`)
        const report = await once()
        if (report._tag === "Wrong") throw new Error(`${group.id}, ${run.title}: ${report.reason}`)
        if (report._tag === "NotAvailable") missing.set(run, report.reason)
        else measured.set(run, [...measured.get(run) ?? [], report.measures])
      }
    }
    return new Map(runs.map((run): [Run, Samples] => {
      const reason = missing.get(run)
      return [
        run,
        reason === undefined
          ? { _tag: "Measured", rounds: measured.get(run) ?? [] }
          : { _tag: "NotAvailable", reason }
      ]
    }))
  } finally {
    await intake.stop()
  }
}

/** Later rounds behind earlier ones. */
export const append = (first: Measured, second: Measured): Measured =>
  new Map(Array.from(first, ([run, samples]): [Run, Samples] => {
    const more = second.get(run)
    return samples._tag === "Measured" && more?._tag === "Measured"
      ? [run, { _tag: "Measured", rounds: [...samples.rounds, ...more.rounds] }]
      : [run, samples]
  }))
