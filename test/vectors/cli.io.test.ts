import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import fixture from "../fixtures/threadstats.json" with { type: "json" }

const runCli = (file: string) =>
  new Promise<{ readonly code: number; readonly output: string }>((resolve) => {
    const child = execFile(process.execPath, ["--import", "tsx", "test/vectors/cli.ts", file], (_, output) =>
      resolve({ code: child.exitCode ?? -1, output }))
  })

describe("vectors command", () => {
  const few = { ...fixture, vectors: fixture.vectors.slice(0, 3) }

  const withFile = async <A>(name: string, content: string | Uint8Array, use: (file: string) => Promise<A>) => {
    const folder = await mkdtemp(join(tmpdir(), "vectors-"))
    try {
      const file = join(folder, name)
      await writeFile(file, content)
      return await use(file)
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it("exits with 0 when all vectors of a compressed file match", () =>
    withFile("few.json.gz", gzipSync(JSON.stringify(few)), async (file) => {
      const { code, output } = await runCli(file)
      assert.match(output, /^3 vectors, \d+ points, 0 mismatches\n$/)
      assert.strictEqual(code, 0)
    }))

  it("exits with 1 when a vector of a plain file does not match", () =>
    withFile("changed.json", JSON.stringify(few).replace("\"rate\"", "\"gauge\""), async (file) => {
      const { code, output } = await runCli(file)
      assert.match(output, /^3 vectors, \d+ points, [1-9]\d* mismatches\n$/)
      assert.strictEqual(code, 1)
    }))
})
