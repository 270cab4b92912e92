import { assert, beforeAll, describe, it, vi } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Group, Row } from "../../bench/groups.js"
import { main } from "../../bench/main.js"
import { measure, type Measured } from "../../bench/measure.js"
import { describe as describeMachine, figuresOf, table } from "../../bench/report.js"
import { argsOf, functionOf, groupOf, programOf, runOf } from "../support/bench.js"

describe("bench/main", () => {
  const folder = mkdtempSync(join(tmpdir(), "bench-"))
  const json = join(folder, "figures.json")
  const baselineFile = join(folder, "baseline.json")
  const wire: Row = {
    id: "wire",
    title: "bytes over JSON",
    measure: "wire",
    unit: "",
    compare: "absolute",
    goals: { known: 0.2 }
  }
  const record: Row = {
    id: "record",
    title: "recording",
    measure: "ns",
    unit: "ns",
    base: "bare",
    compare: "ratio",
    goals: { known: 0.5 },
    guards: []
  }
  // The module of the peer does not exist: a run that bundles it fails.
  const group: Group = groupOf(
    { bare: programOf("record", "bare"), known: programOf("record", "known") },
    [record, wire],
    [runOf("peer", programOf("record", "known", "nowhere"), true)]
  )

  const runMain = async (args: ReadonlyArray<string>, groups: ReadonlyArray<Group> = [group]) => {
    const printed = { log: [] as Array<string>, error: [] as Array<string> }
    const spies = (["log", "error"] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation((...line: Array<unknown>) =>
        void printed[method].push(line.join(" "))
      )
    )
    try {
      const exitCode = await main(args, { groups, baselineFile })
      return { exitCode, out: printed.log.join("\n"), err: printed.error.join("\n") }
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
  }

  let first: { readonly exitCode: number; readonly out: string; readonly err: string }
  let document: any
  const started = Date.now()
  beforeAll(async () => {
    writeFileSync(baselineFile, JSON.stringify({ node: "", values: { wire: { known: 0.24 } } }))
    first = await runMain(["--quick", "--json", json])
    document = JSON.parse(readFileSync(json, "utf8"))
    return () => rmSync(folder, { recursive: true, force: true })
  })

  it("runs only the clients of this project, with small workloads, when `--quick` is given", () => {
    assert.strictEqual(first.exitCode, 0, first.err)
    assert.strictEqual(document.mode, "quick")
    const [{ group: id, runs }] = document.samples
    assert.strictEqual(id, "made-up")
    assert.deepStrictEqual(
      runs.map(({ run, rounds }: any) => [run, rounds.length]),
      [["bare", 2], ["known", 2]]
    )
    for (const { bytes, json, wire } of runs[1].rounds) {
      assert.deepStrictEqual({ bytes, json, wire }, {
        bytes: argsOf.record.calls,
        json: 4 * argsOf.record.calls,
        wire: 0.25
      })
    }
  })

  it("prints the table of its figures and the machine", () => {
    const lines = first.out.split("\n")
    const figures = document.figures
    assert.deepStrictEqual(
      figures.map(({ row, run }: any) => [row, run]),
      [["record", "bare"], ["record", "known"], ["wire", "bare"], ["wire", "known"]]
    )
    assert.strictEqual(
      lines.slice(0, -2).join("\n"),
      table([[record, figures.slice(0, 2)], [wire, figures.slice(2)]])
    )
    assert.match(lines[4]!, /^ +a known client +0\.250 +0\.250 +≤ 0\.2 +missed: 0\.250$/)
    assert.match(lines.at(-1)!, new RegExp(`; quick run, \\d+ s$`))
    assert.isTrue(lines.at(-1)!.startsWith(`${describeMachine(document.machine)};`))
    assert.strictEqual(document.machine.node, process.version)
  })

  it("writes samples and figures to the file of `--json`", () => {
    const [{ runs }] = document.samples
    const measured: Measured = new Map(group.runs.slice(0, 2).map((run, i) => [run, runs[i]]))
    const figures = group.rows.flatMap((row) => figuresOf(group, row, measured))
    assert.deepStrictEqual(document.figures, JSON.parse(JSON.stringify(figures)))
    for (const { rounds } of runs) for (const { ns } of rounds) assert.isAbove(ns, 0)
    assert.isAtLeast(Date.parse(document.date), started)
    assert.isAtMost(Date.parse(document.date), Date.now())
  })

  it("measures a regression again and exits with 1, and writes a new baseline when `--update` is given", async () => {
    const bytes: Row = { ...wire, id: "ns", title: "recording a value", measure: "ns", goals: { known: 1e9 } }
    writeFileSync(baselineFile, JSON.stringify({ node: "", values: { ns: { known: 1e-9 } } }))
    const slowGroup = {
      ...groupOf({ known: programOf("distribution", "known") }, [bytes]),
      rounds: { full: 1, quick: 1 }
    }
    const { err, exitCode } = await runMain(["--quick", "--json", json], [slowGroup])
    assert.strictEqual(exitCode, 1)
    assert.strictEqual(err.match(/made-up looks slower than before, and is measured again/g)?.length, 2)
    assert.match(err, /^recording a value, a known client: \S+, which is more than 25 % over 1e-9$/m)
    assert.strictEqual(JSON.parse(readFileSync(json, "utf8")).samples[0].runs[0].rounds.length, 3)

    const updated = await runMain(["--update"], [slowGroup])
    assert.strictEqual(updated.exitCode, 0)
    const { node, values } = JSON.parse(readFileSync(baselineFile, "utf8"))
    assert.strictEqual(node, process.version)
    assert.isAbove(values.ns.known, 1e-9)
  })
})

describe("bench/measure", () => {
  it("alternates the clients of a group and skips an unavailable client", async () => {
    const progress: Array<string> = []
    const group = groupOf({
      bare: programOf("distribution", "bare"),
      missing: programOf("distribution", "missing"),
      known: programOf("distribution", "known")
    })
    const measured = await measure(group, group.runs, 2, "quick", (text) => progress.push(text))
    assert.deepStrictEqual(progress, [
      "made-up, round 1 of 2: the yardstick",
      "made-up, round 1 of 2: a missing client",
      "made-up, round 1 of 2: a known client",
      "made-up, round 2 of 2: the yardstick",
      "made-up, round 2 of 2: a known client"
    ])
    const [bare, missing, known] = group.runs.map((run) => measured.get(run)!)
    assert.deepStrictEqual(missing, { _tag: "NotAvailable", reason: "it is made up" })
    for (const samples of [bare, known]) {
      assert(samples?._tag === "Measured")
      assert.strictEqual(samples.rounds.length, 2)
    }
  })

  it.each(
    [
      ["recording", programOf("record", "lossy"), /^made-up, a lossy client: \w+: \d+ came out of \d+$/],
      ["an allocation run", programOf("allocation", "lossy"), /^made-up, a lossy client: counts: \d+ came out of \d+$/],
      ["a distribution run", programOf("distribution", "lossy"), /^made-up, a lossy client: 39 values came out of 40$/],
      [
        "an outage run",
        programOf("outage", "lossy", "benchOutage"),
        /^made-up, a lossy client: \d+ received, 0 delivered, \d+ pending, \d+ dropped$/
      ],
      ["a warm invocation", programOf("warm", "confused"), /^made-up, a lossy client: the answer was what\?$/],
      ["a cold start without a request", functionOf("bare", true), /^made-up, a lossy client: what arrived is nothing$/]
    ] as const
  )("fails and names the client when %s loses a point", async (_, lossy, message) => {
    const group = groupOf({ lossy })
    const reason = await measure(group, group.runs, 1, "quick", () => {}).then(
      () => assert.fail("the run succeeded"),
      (error: Error) => error.message
    )
    assert.match(reason, message)
  })

  it("prints no figures and exits with 1 when a client loses a point", async () => {
    const script = fileURLToPath(new URL("../support/benchLossy.ts", import.meta.url))
    const command = (client: string) =>
      promisify(execFile)(process.execPath, ["--import", "tsx", script, client, "--quick"])
    const failed: any = await command("lossy").then(() => assert.fail("the run succeeded"), (error) => error)
    assert.strictEqual(failed.code, 1)
    assert.match(failed.stderr, /Error: made-up, a lossy client: 39 values came out of 40/)
    assert.strictEqual(failed.stdout, "")
  })
})
