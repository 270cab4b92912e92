import { assert, beforeAll, describe, it, vi } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { cpus, tmpdir, totalmem } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { difference, make as makeWorkload, totalsOf } from "../../bench/children/workload.js"
import type { Group, Row } from "../../bench/groups.js"
import { main } from "../../bench/main.js"
import { measure, type Measured, type Samples } from "../../bench/measure.js"
import { describe as describeMachine, figuresOf, machine, table } from "../../bench/report.js"
import { argsOf, groupOf, programOf, runOf } from "../support/bench.js"

const totals = { counts: 116_000_000, gauges: 100, histograms: 400_000, distributions: 400_000, sum: 58_000_000 }

const function_ = (name: string, posts: boolean) => ({ _tag: "Function", name, posts }) as const

/** Rounds of a run: by the wall clock, and on the processor. */
const samples = (ns: ReadonlyArray<number>, nsCpu: ReadonlyArray<number>): Samples => ({
  _tag: "Measured",
  rounds: ns.map((value, i) => ({ ns: value, nsCpu: nsCpu[i]! }))
})

describe("the table of the benchmark", () => {
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
  const group = groupOf({
    bare: function_("bare", false),
    fast: function_("fast", false),
    slow: function_("slow", false),
    none: function_("none", false),
    peer: function_("peer", false)
  }, [row])
  const [bare, fast, slow, none, peer] = group.runs
  const measured: Measured = new Map([
    [bare!, samples([400, 900, 500], [300, 100, 200])],
    [fast!, samples([250, 120, 130], [60, 30, 90])],
    [slow!, samples([600, 450, 2000], [240, 200, 100])],
    [none!, { _tag: "NotAvailable", reason: "not installed" }],
    [peer!, samples([1, 4], [1, 1])]
  ])

  it("has medians, minima and ratios, by the wall clock and the processor's, and what became of the goals", () => {
    const text = table([[row, figuresOf(group, row, measured)]])
    assert.deepStrictEqual(text.split("\n").map((line) => line.trim().split(/ {2,}/)), [
      ["median", "min", "cpu", "÷ median", "÷ min", "÷ cpu", "goal"],
      ["recording", "the yardstick", "500", "400", "200", "ns", "1.00", "1.00", "1.00"],
      ["a fast client", "130", "120", "60.0", "ns", "0.260", "0.300", "0.300", "≤ 0.5 ×", "met"],
      ["a slow client", "600", "450", "200", "ns", "1.20", "1.13", "0.800", "≤ 0.5 ×", "missed: 0.800"],
      ["a none client", "–", "ns", "≤ 1 ×", "not available: not installed"],
      // of an even number of rounds it is the mean of the two in the middle
      ["a peer client", "2.50", "1.00", "1.00", "ns", "0.005", "0.003", "0.007"]
    ])
  })

  it("holds what has to be over the yardstick by so much, and what is absolute, against their goals", () => {
    const over: Row = { ...row, compare: "over", goals: { fast: -371, slow: 99 } }
    assert.deepStrictEqual(
      figuresOf(group, over, measured).map(({ over, overOfCpu, overOfMinima, reached, run }) =>
        [run, over, overOfMinima, overOfCpu, reached] as const
      ).slice(0, 3),
      [["bare", 0, 0, 0, undefined], ["fast", -370, -280, -110, -370], ["slow", 100, 50, -60, 100]]
    )
    assert.match(table([[over, figuresOf(group, over, measured)]]), /-370 +-280 +-110 +≤ \+-371 +missed: -370\n/)
    assert.match(table([[over, figuresOf(group, over, measured)]]), /\+100 +\+50\.0 +-60\.0 +≤ \+99 +missed: 100\n/)

    const { cpu: _, ...wall } = row
    const absolute: Row = { ...wall, compare: "absolute", goals: { fast: 130, slow: 599 } }
    const text = table([[absolute, figuresOf(group, absolute, measured)]])
    assert.match(text, /a fast client +130 .*≤ 130 +met\n/)
    assert.match(text, /a slow client +600 .*≤ 599 +missed: 600\n/)
  })

  it("holds what other threads have a part in against the wall clock", () => {
    const wall: Row = { ...row, wall: true, goals: { slow: 1 } }
    assert.strictEqual(figuresOf(group, wall, measured).find(({ run }) => run === "slow")?.reached, 1.2)
  })

  it("tells the machine", () => {
    const { load, ...rest } = machine(3.25)
    assert.deepStrictEqual(rest, {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 1024 ** 3),
      node: process.version
    })
    assert.strictEqual(load[0], 3.25)
    assert.strictEqual(
      describeMachine({ cpu: "Some CPU", cores: 2, memoryGiB: 8, node: "v20.20.0", load: [0.5, 12.34] }),
      "Some CPU, 2 cores, 8 GiB, Node.js v20.20.0, load 0.500 before and 12.3 after"
    )
  })
})

describe("a run of the benchmark", () => {
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
  // bundling the peer would fail, as there is no such module
  const group: Group = groupOf(
    { bare: programOf("record", "bare"), known: programOf("record", "known") },
    [record, wire],
    [runOf("peer", programOf("record", "known", "nowhere"), true)]
  )

  const run = async (args: ReadonlyArray<string>, groups: ReadonlyArray<Group> = [group]) => {
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
  beforeAll(async () => {
    writeFileSync(baselineFile, JSON.stringify({ node: "", values: { wire: { known: 0.24 } } }))
    first = await run(["--quick", "--json", json])
    document = JSON.parse(readFileSync(json, "utf8"))
    return () => rmSync(folder, { recursive: true, force: true })
  })

  it("is quick without the peers, and with less to do", () => {
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

  it("prints what it has measured, and the machine", () => {
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

  it("writes to the file of --json what it has measured, and the figures that come of that", () => {
    const [{ runs }] = document.samples
    const measured: Measured = new Map(group.runs.slice(0, 2).map((run, i) => [run, runs[i]]))
    const figures = group.rows.flatMap((row) => figuresOf(group, row, measured))
    assert.deepStrictEqual(document.figures, JSON.parse(JSON.stringify(figures)))
    for (const { rounds } of runs) for (const { ns } of rounds) assert.isAbove(ns, 0)
    assert.isAtLeast(Date.now() - Date.parse(document.date), 0)
    assert.isBelow(Date.now() - Date.parse(document.date), 60_000)
  })

  it("ends with 1 after a regression, which it has measured again", async () => {
    const worse = { ...programOf("distribution", "known") }
    const bytes: Row = { ...wire, id: "ns", title: "recording a value", measure: "ns", goals: { known: 1e9 } }
    writeFileSync(baselineFile, JSON.stringify({ node: "", values: { ns: { known: 1e-9 } } }))
    const slow = { ...groupOf({ known: worse }, [bytes]), rounds: { full: 1, quick: 1 } }
    const { err, exitCode } = await run(["--quick", "--json", json], [slow])
    assert.strictEqual(exitCode, 1)
    assert.strictEqual(err.match(/made-up looks slower than before, and is measured again/g)?.length, 2)
    assert.match(err, /^recording a value, a known client: \S+, which is more than 25 % over 1e-9$/m)
    assert.strictEqual(JSON.parse(readFileSync(json, "utf8")).samples[0].runs[0].rounds.length, 3)

    const updated = await run(["--update"], [slow])
    assert.strictEqual(updated.exitCode, 0)
    const { node, values } = JSON.parse(readFileSync(baselineFile, "utf8"))
    assert.strictEqual(node, process.version)
    assert.isAbove(values.ns.known, 1e-9)
  })
})

describe("what the benchmark measures", () => {
  it("takes turns, and leaves out what is not available", async () => {
    const said: Array<string> = []
    const group = groupOf({
      bare: programOf("distribution", "bare"),
      missing: programOf("distribution", "missing"),
      known: programOf("distribution", "known")
    })
    const measured = await measure(group, group.runs, 2, "quick", (text) => said.push(text))
    assert.deepStrictEqual(said, [
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
      ["record", programOf("record", "lossy"), /^made-up, a lossy client: \w+: \d+ came out of \d+$/],
      ["allocation", programOf("allocation", "lossy"), /^made-up, a lossy client: counts: \d+ came out of \d+$/],
      ["distribution", programOf("distribution", "lossy"), /^made-up, a lossy client: 39 values came out of 40$/],
      [
        "outage",
        programOf("outage", "lossy", "benchOutage"),
        /^made-up, a lossy client: \d+ received, 0 delivered, \d+ held, \d+ dropped$/
      ],
      ["warm", programOf("warm", "confused"), /^made-up, a lossy client: the answer was what\?$/],
      ["cold, without a request", function_("bare", true), /^made-up, a lossy client: what arrived is nothing$/]
    ] as const
  )("is refused by name where a point is lost: %s", async (_, lossy, message) => {
    const group = groupOf({ lossy })
    const reason = await measure(group, group.runs, 1, "quick", () => {}).then(
      () => assert.fail("it counted"),
      (error: Error) => error.message
    )
    assert.match(reason, message)
  })

  it("has no figures, and the command does not succeed, where a point is lost", async () => {
    const script = fileURLToPath(new URL("../support/benchLossy.ts", import.meta.url))
    const command = (client: string) =>
      promisify(execFile)(process.execPath, ["--import", "tsx", script, client, "--quick"])
    const failed: any = await command("lossy").then(() => assert.fail("it counted"), (error) => error)
    assert.strictEqual(failed.code, 1)
    assert.match(failed.stderr, /Error: made-up, a lossy client: 39 values came out of 40/)
    assert.strictEqual(failed.stdout, "")
  })

  it("may differ from what was recorded in nothing, however much it is", () => {
    assert.strictEqual(difference(totals, { ...totals }), undefined)
    // as when a rate is multiplied by its interval again
    assert.strictEqual(difference(totals, { counts: totals.counts * (1 + 1e-12) }), undefined)
    for (const key of Object.keys(totals) as Array<keyof typeof totals>) {
      const expected = `${key}: ${totals[key] - 1} came out of ${totals[key]}`
      assert.strictEqual(difference(totals, { [key]: totals[key] - 1 }), expected)
      assert.strictEqual(difference(totals, { [key]: Number.NaN }), `${key}: NaN came out of ${totals[key]}`)
    }
    assert.strictEqual(difference(totals, {}), "nothing could be checked")
    assert.strictEqual(difference(totals, { counts: undefined }), "nothing could be checked")
  })

  it("is what the README says: 40 % counts, 20 % each of gauges, histograms and distributions, three tags", () => {
    const { contexts } = makeWorkload(100, 0)
    const share = (kind: string) => contexts.filter((context) => context.kind === kind).length
    assert.deepStrictEqual(["count", "gauge", "histogram", "distribution"].map(share), [40, 20, 20, 20])
    assert.isTrue(contexts.every(({ tags }) => tags.length === 3))
    assert.strictEqual(new Set(contexts.map(({ name, tags }) => [name, ...tags].join())).size, 100)
    const { counts, distributions, gauges, histograms, sum } = totalsOf(makeWorkload(100, 10_000))
    assert.isAbove(Math.min(counts, gauges, sum), 0)
    assert.isTrue(Math.abs(histograms - 2000) < 200 && Math.abs(distributions - 2000) < 200)
  })
})
