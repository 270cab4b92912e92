import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { eventuallyEffect } from "../support/wait.js"
import {
  argumentsOf,
  compile,
  emptyProject,
  installLines,
  isRegistryReachable,
  removeProjects,
  succeeds,
  withReceiver,
  write
} from "./consumer.js"
import { compiles, manifest, root } from "./tarball.js"

/** Programs of the documents, by page and position. */
const snippets: ReadonlyArray<{ readonly name: string; readonly code: string }> = [
  "README.md",
  ...readdirSync(join(root, "docs")).filter((file) => file.endsWith(".md")).map((file) => `docs/${file}`)
].flatMap((path) =>
  Array.from(
    readFileSync(join(root, path), "utf8").matchAll(/^```ts\n([^]*?)^```/gm),
    ([, code = ""], i) => ({ name: `${path.replace(/^docs\/|\.md$/g, "")}${i}`, code })
  )
)

/** Packages that programs of the documents import beside those of the README's install lines. */
const packages = ["fastify@5", "@types/node@20", "@types/aws-lambda@8", "@aws/durable-execution-sdk-js@2"]
  .concat("@effect-aws/lambda@1.5", "@effect/platform-node-shared@0.61", "vitest@3", "@effect/vitest@0.30")

afterAll(removeProjects, compiles)

describe.skipIf(!isRegistryReachable)("programs of the documents", () => {
  let folder = ""
  beforeAll(async () => {
    if (!isRegistryReachable) return
    folder = emptyProject("documents")
    const line = installLines.find((line) => line.startsWith("npm ") && line.includes("@effect/platform-node@"))!
    await succeeds(folder, [...await argumentsOf(line), ...packages])
    // Programs of the documents import these examples.
    for (const file of ["fileReporter.ts", "handler.ts"]) {
      cpSync(join(folder, "node_modules", manifest.name, "examples", file), join(folder, file))
    }
    for (const { code, name } of snippets) write(folder, { [`${name}.ts`]: code })
    await compile(folder, snippets.map(({ name }) => `${name}.ts`), { types: ["node"], declaration: false })
  }, compiles)

  it("compile against the packed package", () => {
    assert.isAtLeast(snippets.filter(({ name }) => name.startsWith("recipes")).length, 10)
    assert.isAtLeast(snippets.filter(({ name }) => name.startsWith("migrating")).length, 4)
    for (const { name } of snippets) assert.isTrue(existsSync(join(folder, `out/${name}.js`)), name)
  })

  it("deliver the requests of the server outside Effect when it gets SIGTERM", async () => {
    const server = snippets.find(({ code }) => code.includes(`from "fastify"`))!
    await withReceiver(async (env) => {
      // The server announces no address: it listens on the port of an environment variable.
      const port = String(20_000 + process.pid % 20_000)
      const child = spawn(process.execPath, [`out/${server.name}.js`], {
        cwd: folder,
        env: { PATH: process.env["PATH"], PORT: port, ...env },
        stdio: ["ignore", "pipe", "inherit"]
      })
      const ended = once(child, "close")
      try {
        await Effect.runPromise(
          eventuallyEffect(
            Effect.promise(() =>
              fetch(`http://127.0.0.1:${port}/orders/1`).then(
                ({ status }) => status === 200,
                () => child.exitCode !== null
              )
            )
          )
        )
      } finally {
        child.kill("SIGTERM")
      }
      const [code] = await ended
      assert.strictEqual(code, 0)
    })
  }, compiles)

  it(
    "deliver the metrics of the command-line program, the cron job and the client that an error disables",
    async () => {
      const programs = snippets.filter(({ code, name }) =>
        name.startsWith("recipes") && code.includes("NodeRuntime.runMain")
      )
      assert.lengthOf(programs, 3)
      for (const { name } of programs) {
        await withReceiver((env) => succeeds(folder, [process.execPath, `out/${name}.js`, "a.txt", "b.txt"], env))
      }
    },
    compiles
  )
})

describe("documentation of the public API", () => {
  it("exists for every export, overload, option and member", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", "test/package/documentation.ts"],
      { cwd: root }
    )
    const missing: ReadonlyArray<string> = JSON.parse(stdout)
    assert.deepStrictEqual(missing.filter((name) => !expectedMissing.includes(name)), [])
  }, compiles)
})

/** Declarations whose documentation is still to be written. */
const expectedMissing: ReadonlyArray<string> = []

describe("npm run docs:api", () => {
  const typedoc = join(root, "node_modules/typedoc")
  it.skipIf(!existsSync(typedoc))("writes a page for each public module", async () => {
    const folder = emptyProject("api")
    await promisify(execFile)("npm", ["run", "docs:api", "--", "--out", folder], { cwd: root })
    const pages = readdirSync(join(folder, "modules"))
    for (const entry of Object.keys(manifest.exports)) {
      if (/^\.\/[A-Za-z]+$/.test(entry)) assert.include(pages, `${entry.slice(2)}.html`)
    }
  }, compiles)
})
