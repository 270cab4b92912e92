import { NodeContext } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Scope } from "effect"
import { LocalIntake, RetainedStore, ThreadStats } from "effect-threadstats"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { allDelivered, checkedCounts, failingReporter, titlesOf, unreadable } from "./retained/disk.js"
import { bundle, node } from "./support/childProcess.js"
import { layerIntake } from "./support/intake.js"
import { apiKey, sweepKeys } from "./support/keySweep.js"
import * as Scripted from "./support/scripted.js"
import { type Line, logsTo } from "./support/scripted.js"
import { nextTurn } from "./support/wait.js"

const it = sweepKeys(apiKey)

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "threadstats-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const layerStore = (directory: string) =>
  RetainedStore.layerFileSystem(directory).pipe(Layer.provide(NodeContext.layer))

/** Starts a client whose flushes leave the store all the time that a busy machine needs. */
const startIn = (directory: string, reporter: Scripted.Scripted) =>
  Effect.gen(function*() {
    const layer = Layer.provide(Scripted.client(reporter, { flushTimeout: "5 minutes" }), layerStore(directory))
    return Context.get(yield* Layer.buildWithScope(layer, yield* Scope.make()), ThreadStats.ThreadStats)
  })

const modeOf = (path: string) => statSync(path).mode & 0o777

/** Rewrites the lock of a directory. */
const rewriteLock = (directory: string, change: object) => {
  const path = join(directory, "threadstats.lock")
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...change }))
}

/** Makes the lock look as if its process had been killed. No process has a number above 4,194,304 (`pid_max`). */
const abandonLock = (directory: string) => rewriteLock(directory, { token: "dead", pid: 4_194_305 })

describe("RetainedStore.layerFileSystem", () => {
  it.scopedLive("creates a missing directory and delivers its data after a restart", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "not", "yet there")
      const client = yield* startIn(directory, failingReporter())
      assert.deepStrictEqual(readdirSync(directory), ["threadstats.lock"])
      client.unsafeSet("s", "\ud800ü\u{1f600}")
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("ü\u{1f600}", "\udc00")
      const reporter = Scripted.make()
      yield* client.flush()
      assert.strictEqual(readdirSync(directory).length, 4)
      for (const name of readdirSync(directory)) assert.strictEqual(modeOf(join(directory, name)), 0o600)
      assert.strictEqual(modeOf(directory), 0o700)
      abandonLock(directory)
      const next = yield* startIn(directory, reporter)
      yield* next.flush()
      assert.deepStrictEqual(yield* checkedCounts(next), allDelivered(2, 1))
      assert.deepStrictEqual(reporter.events().map(({ text, title }) => [title, text]), [["ü\u{1f600}", "\udc00"]])
      assert.isFalse(readdirSync(directory).some((name) => name.includes("page")))
    }))

  it.scopedLive("fails with the path when the directory is a file or below one", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryDirectory, "file")
      writeFileSync(file, "")
      for (const path of [file, join(file, "below")]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layerStore(path))))
        assert.strictEqual(error._tag, "SystemError")
        assert.include(error.message, path)
      }
    }))

  it.scopedLive("skips and counts entries that are directories, and delivers the rest", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const client = yield* startIn(directory, failingReporter())
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("e", "")
      yield* client.flush()
      abandonLock(directory)
      for (const name of ["threadstats-page-0", "threadstats-index-0"]) {
        rmSync(join(directory, name), { force: true })
        mkdirSync(join(directory, name))
      }
      const lines: Array<Line> = []
      const reporter = Scripted.make()
      const next = yield* Effect.provide(startIn(directory, reporter), logsTo(lines))
      assert.deepStrictEqual(lines.map(({ message }) => message), [
        unreadable(2)
      ])
      yield* Effect.provide(next.flush(), logsTo(lines))
      assert.deepStrictEqual(titlesOf(reporter), ["e"])
      assert.deepStrictEqual((yield* checkedCounts(next)).metrics.dropped, { Corrupt: 1 })
    }))
})

describe("lock of a directory", () => {
  /** Field 22 of `/proc/<pid>/stat`. */
  const startTicksOf = (pid: number) =>
    existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")[19]! : null

  it.scopedLive("belongs to a process while it runs, and not to a later process with its number", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const lines: Array<Line> = []
      const flushIn = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const layer = Layer.provide(Scripted.client(failingReporter()), layerStore(directory))
        const client = Context.get(yield* Layer.buildWithScope(layer, scope), ThreadStats.ThreadStats)
        yield* client.increment("c")
        yield* client.flush()
      }).pipe(Effect.provide(logsTo(lines)))
      yield* flushIn
      const pages = () => readdirSync(directory).filter((name) => name.includes("page"))
      const before = pages()

      rewriteLock(directory, { token: "other", pid: process.ppid, startTicks: startTicksOf(process.ppid) })
      lines.length = 0
      yield* flushIn
      assert.include(lines[0]!.message, `process ${process.ppid} on `)
      assert.deepStrictEqual(pages(), before)

      if (startTicksOf(process.ppid) === null) return
      rewriteLock(directory, { startTicks: "1" })
      lines.length = 0
      yield* flushIn
      assert.notInclude(lines.map(({ message }) => message).join(), "Busy")
    }))
})

describe("RetainedStore after kill -9", () => {
  let survivor: string

  beforeAll(async () => {
    survivor = await bundle("test/retained/survivor.ts")
  })

  const run = (mode: "record" | "visit" | "deliver", directory: string, url: string, run: number, key = apiKey) =>
    node([survivor, mode, directory, url, key, String(run)], {})

  /**
   * The address of a server that answers every request with 503. It asks for a pause that is longer than the flush, so that
   * the flush ends at once and leaves the store its time.
   */
  const unavailableServer = Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer((_, response) => response.writeHead(503, { "retry-after": "3600" }).end())
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => [server.close(), server.closeAllConnections()])
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

  /** The contents of the intake, with the last value of each series. */
  const arrived = Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const totals = new Map((yield* intake.series).map(({ points }) => [points[0]![0], Math.round(points[0]![1] * 10)]))
    return {
      counted: Array.from(totals.values()).reduce((sum, total) => sum + total, 0),
      values: (yield* intake.distributions).flatMap(({ points }) => points[0]![1]),
      titles: (yield* intake.events).map(({ title }) => title)
    }
  })

  /** Kills the process and returns the numbers of the flushes that it acknowledged. */
  const kill = (child: Effect.Effect.Success<ReturnType<typeof node>>) =>
    Effect.gen(function*() {
      yield* child.kill("SIGKILL")
      const { signal, stderr, stdout } = yield* child.ended
      assert.deepStrictEqual([signal, stderr], ["SIGKILL", ""])
      return stdout.split("\n").filter((line) => line !== "").map(Number)
    })

  it.scopedLive("delivers everything that was flushed before a kill between two flushes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const intake = yield* LocalIntake.LocalIntake
      const child = yield* run("record", directory, yield* unavailableServer, 1)
      assert.strictEqual(yield* child.line, "1")
      const acknowledged = yield* kill(child)

      const next = yield* run("deliver", directory, intake.url, 2)
      const stats = JSON.parse(yield* next.line)
      const { counted, titles, values } = yield* arrived
      assert.isAtLeast(counted, acknowledged.length)
      assert.deepStrictEqual([values[0], titles[0]], [100_001, "1/1"])
      assert.deepStrictEqual([stats.metrics.pending, stats.events.pending, stats.metrics.dropped], [0, 0, {}])
      assert.deepStrictEqual(readdirSync(directory).filter((name) => name.includes("page")), [])
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(apiKey) }))))

  it.scopedLive("keeps the data of one process, and names it to another one that uses the same directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const intake = yield* LocalIntake.LocalIntake
      const unavailable = yield* unavailableServer
      const owner = yield* run("record", directory, unavailable, 1)
      assert.strictEqual(yield* owner.line, "1")
      const visitor = yield* run("visit", directory, unavailable, 2)
      const { code, stderr, stdout } = yield* visitor.ended
      assert.deepStrictEqual([code, stdout], [0, ""])
      for (const line of stderr.trim().split("\n")) {
        assert.include(line, "The retained store failed: Busy")
        assert.include(line, `process ${owner.process.pid} on `)
      }
      yield* owner.line
      const acknowledged = yield* kill(owner)

      const next = yield* run("deliver", directory, intake.url, 3)
      yield* next.line
      const { titles, values } = yield* arrived
      assert.includeMembers([...values], acknowledged.map((n) => 100_000 + n))
      assert.deepStrictEqual(values.filter((value) => value > 200_000), [])
      assert.deepStrictEqual(titles, ["1/1"])
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(apiKey) }))))

  it.scopedLive("neither loses nor doubles flushed data when processes are killed at any moment", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const intake = yield* LocalIntake.LocalIntake
      const runs = 8
      const flushed: Array<number> = []
      for (let i = 1; i <= runs; i++) {
        const child = yield* run("record", directory, intake.url, i, "f".repeat(32))
        yield* Effect.repeat(child.line, { times: 1 + i % 2 })
        // Each run is killed after another number of turns, so at another moment of its next flush.
        yield* Effect.repeatN(nextTurn, 50 * (i * 7 % 20))
        flushed.push(...(yield* kill(child)).map((n) => i * 100_000 + n))
      }
      assert.isAtLeast(flushed.length, 2 * runs)
      yield* intake.clear
      const next = yield* run("deliver", directory, intake.url, runs + 1)
      const stats = JSON.parse(yield* next.line)
      const { counted, titles, values } = yield* arrived
      assert.includeMembers([...values], flushed)
      assert.includeMembers([...titles], Array.from({ length: runs }, (_, i) => `${i + 1}/1`))
      // The intake accepted every request, and no time limit could cut an answer off: nothing is sent again.
      assert.strictEqual(stats.retries, 0)
      assert.deepStrictEqual([new Set(values).size, new Set(titles).size], [values.length, titles.length])
      // Each run may have stored one more flush than it acknowledged.
      assert.isAtMost(values.length, flushed.length + runs)
      assert.strictEqual(counted, values.length)
      assert.deepStrictEqual([stats.metrics.pending, stats.metrics.dropped, stats.events.dropped], [0, {}, {}])
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(apiKey) }))))
})
