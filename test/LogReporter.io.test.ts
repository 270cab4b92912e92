import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { spawn } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { asMetric, metricsIn } from "./log/output.js"
import { bundle } from "./support/childProcess.js"
import { nextTurn } from "./support/wait.js"

const bundled = Effect.runSync(Effect.cached(Effect.promise(() => bundle("test/log/program.ts"))))

/** A report of a program, or a text that Node.js prints. */
const parseReport = (line: string): any => {
  try {
    return JSON.parse(line)
  } catch {
    return line
  }
}

/** One of the programs of test/log/program.ts, in a process that does not outlive the scope. */
const run = (program: string, stdout: "pipe" | number = "pipe") =>
  Effect.gen(function*() {
    const path = yield* bundled
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [path], { env: { PROGRAM: program }, stdio: ["pipe", stdout, "pipe"] })
      ),
      (child) => Effect.sync(() => child.exitCode === null && child.kill("SIGKILL"))
    )
    const code = yield* Deferred.make<number | null>()
    child.once("exit", (exitCode) => Deferred.unsafeDone(code, Effect.succeed(exitCode)))
    const reports: Array<any> = []
    const ended = yield* Deferred.make<ReadonlyArray<any>>()
    const firstReport = yield* Deferred.make<void>()
    createInterface({ input: child.stderr! })
      .on("line", (line) => {
        reports.push(parseReport(line))
        Deferred.unsafeDone(firstReport, Effect.void)
      })
      .on("close", () => Deferred.unsafeDone(ended, Effect.succeed(reports)))
    return {
      process: child,
      code: Deferred.await(code),
      firstReport: Deferred.await(firstReport),
      /** All reports of the program, at its end. */
      reports: Deferred.await(ended)
    }
  })

const read = (stream: NodeJS.ReadableStream | null) =>
  Effect.async<string>((resume) => {
    let text = ""
    stream!.setEncoding("utf8").on("data", (chunk) => {
      text += chunk
    }).on("end", () => resume(Effect.succeed(text)))
  })

/** Reads a stream with many turns of the event loop between two chunks. */
const readSlowly = (stream: NodeJS.ReadableStream | null) =>
  Effect.gen(function*() {
    const chunks = stream!.setEncoding("utf8")[Symbol.asyncIterator]()
    let text = ""
    for (;;) {
      const { done, value } = yield* Effect.promise(() => chunks.next())
      if (done === true) return text
      text += value as string
      for (let turns = 0; turns < 100; turns++) yield* nextTurn
    }
  })

/** Checks that every metric is there once, and no other output is in the line of a metric. Returns the lines. */
const checkedLines = (stdout: string) => {
  const lines = stdout.split("\n")
  const metrics = lines.flatMap((text) => asMetric(text) ?? [])
  assert.deepStrictEqual(
    metrics.filter(({ m }) => m === "latency").map(({ v }) => v),
    Array.from({ length: 1500 }, (_, i) => i)
  )
  assert.strictEqual(metrics.filter(({ m }) => m === "rounds").length, 30)
  assert.deepStrictEqual(lines.filter((text) => text.includes("\"m\":") && asMetric(text) === undefined), [])
  return lines
}

describe("LogReporter in a process", () => {
  it.scopedLive("shares no line with other output of the program when standard output is a pipe", () =>
    Effect.gen(function*() {
      const child = yield* run("interleaved")
      const stdout = yield* read(child.process.stdout)
      const reports = yield* child.reports
      assert.strictEqual(yield* child.code, 0, JSON.stringify(reports))
      const lines = checkedLines(stdout)
      assert.isAbove(lines.filter((text) => text.startsWith("open ")).length, 50)
      assert.deepInclude(reports[0], { received: 1530, delivered: 1530, pending: 0 })
    }))

  it.scopedLive("shares no line with other output of the program when standard output is a file", () =>
    Effect.gen(function*() {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "log-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      const path = join(folder, "stdout")
      const file = yield* Effect.acquireRelease(
        Effect.sync(() => openSync(path, "w")),
        (file) => Effect.sync(() => closeSync(file))
      )
      const child = yield* run("interleaved", file)
      const reports = yield* child.reports
      assert.strictEqual(yield* child.code, 0, JSON.stringify(reports))
      checkedLines(readFileSync(path, "utf8"))
    }))

  it.scopedLive("waits for a slow reader, with at most one piece in memory", () =>
    Effect.gen(function*() {
      const child = yield* run("flood")
      yield* child.firstReport
      const stdout = yield* readSlowly(child.process.stdout)
      const [, { metrics, mostWaiting }, stats] = yield* child.reports
      assert.strictEqual(yield* child.code, 0)
      assert.deepStrictEqual(metrics, { delivered: 20_000, pending: 0, dropped: 0 })
      assert.isAtMost(mostWaiting, 4096)
      assert.strictEqual(stats.pending, 0)
      assert.lengthOf(metricsIn(stdout), 20_000)
    }))

  it.scopedLive("keeps points when the reader is gone, neither ends the program nor leaves a listener", () =>
    Effect.gen(function*() {
      const child = yield* run("closed")
      const stdout = child.process.stdout!
      yield* Effect.async<void>((resume) => {
        stdout.once("close", () => resume(Effect.void))
        stdout.destroy()
      })
      child.process.stdin!.write("go\n")
      assert.deepStrictEqual(yield* child.reports, [
        { listeners: 0 },
        { received: 3, delivered: 0, pending: 3, dropped: {} }
      ])
      assert.strictEqual(yield* child.code, 0)
    }))
})
