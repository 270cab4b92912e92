import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import fixture from "../fixtures/threadstats.json" with { type: "json" }
import { check, compare, points, reopens, run, type Vector, type Vectors } from "./runner.js"

const { vectors } = fixture as unknown as Vectors

// Setting a test clock waits for the machine's each time, a millisecond or more.
describe.concurrent("the reference's vectors", () => {
  for (const vector of vectors) {
    it.effect(`vector ${vector.id}`, () => Effect.map(check(vector), (faults) => assert.deepStrictEqual(faults, [])))
  }

  it("are compared in full: both temporalities for all but the few that overwrite themselves", () => {
    assert.strictEqual(vectors.length, 40)
    assert.strictEqual(vectors.filter(reopens).length, 2)
    assert.isAbove(vectors.reduce((sum, vector) => sum + points(vector), 0), 3000)
  })

  it.effect("a difference is seen, wherever it is", () =>
    Effect.gen(function*() {
      const vector = vectors.find(({ flushes }) =>
        flushes.some((flush) => flush.metrics.length > 0) && flushes.some((flush) => flush.distributions.length > 0) &&
        flushes.some((flush) => flush.events.length > 0)
      )!
      const actual = yield* run(vector, "delta")
      assert.deepStrictEqual(compare(vector, actual), [])
      const text = JSON.stringify(vector)
      const spoilt: ReadonlyArray<
        (copy: { flushes: Array<{ [part: string]: Array<Record<string, unknown>> }> }) => void
      > = [
        ({ flushes }) => flushes.find(({ metrics }) => metrics!.length > 0)!.metrics!.pop(),
        ({ flushes }) => flushes.find(({ events }) => events!.length > 0)!.events!.pop(),
        ({ flushes }) => (flushes.find(({ metrics }) => metrics!.length > 0)!.metrics![0]!.points = [[1, 2]]),
        ({ flushes }) => (flushes.find(({ metrics }) => metrics!.length > 0)!.metrics![0]!.type = "count"),
        ({ flushes }) => (flushes.find(({ metrics }) => metrics!.length > 0)!.metrics![0]!.tags = ["other"]),
        ({ flushes }) => (flushes.find(({ metrics }) => metrics!.length > 0)!.metrics![0]!.host = "other"),
        ({ flushes }) => (flushes.find(({ metrics }) => metrics!.length > 0)!.metrics![0]!.interval = 7),
        ({ flushes }) =>
          flushes.find(({ distributions }) => distributions!.length > 0)!.distributions!.push({
            metric: "extra",
            points: [[1, [2]]],
            tags: [],
            interval: 10,
            type: "distribution"
          }),
        ({ flushes }) => (flushes.find(({ events }) => events!.length > 0)!.events![0]!.title = "other")
      ]
      for (const spoil of spoilt) {
        const copy = JSON.parse(text)
        spoil(copy)
        assert.isNotEmpty(compare(copy as Vector, actual), String(spoil))
      }
      assert.isNotEmpty(compare(vector, actual.slice(0, -1)))
    }))

  const cli = (file: string) =>
    new Promise<{ readonly code: number; readonly out: string }>((resolve) => {
      const child = execFile(process.execPath, ["--import", "tsx", "test/vectors/cli.ts", file], (_, out) =>
        resolve({ code: child.exitCode ?? -1, out }))
    })

  it("run from the command line, plain or compressed, with an exit code", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vectors-"))
    try {
      const few = { ...fixture, vectors: fixture.vectors.slice(0, 3) }
      await writeFile(join(folder, "few.json.gz"), gzipSync(JSON.stringify(few)))
      const spoilt = JSON.stringify(few).replace("\"rate\"", "\"gauge\"")
      await writeFile(join(folder, "spoilt.json"), spoilt)
      const [good, bad] = await Promise.all([cli(join(folder, "few.json.gz")), cli(join(folder, "spoilt.json"))])
      assert.match(good.out, /^3 vectors, \d+ points, 0 mismatches\n$/)
      assert.strictEqual(good.code, 0)
      assert.match(bad.out, /^3 vectors, \d+ points, [1-9]\d* mismatches\n$/)
      assert.strictEqual(bad.code, 1)
    } finally {
      await rm(folder, { recursive: true })
    }
  }, 60_000)
})
