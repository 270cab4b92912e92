import { checkPackage, createPackageFromTarballData, type Problem } from "@arethetypeswrong/core"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { promisify } from "node:util"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { compiles, manifest, packedTarball, root } from "./tarball.js"

const run = promisify(execFile)
const read = (...path: ReadonlyArray<string>): string => readFileSync(join(...path), "utf8")
const list = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()

const lock = JSON.parse(read(root, "package-lock.json"))
const modules = readdirSync(join(root, "src"))
  .filter((file) => file.endsWith(".ts") && file !== "index.ts")
  .map((file) => file.slice(0, -".ts".length))
  .sort()
const entries = [manifest.name, ...modules.map((module) => `${manifest.name}/${module}`)]

describe("package.json", () => {
  it("exports one entry per public module and no internal module", () => {
    const folder = "requires-effect-3-so-run-npm-install-effect@3"
    const entry = (file: string) => ({ types: `./dist/${file}.d.ts`, default: `./dist/${folder}/${file}.js` })
    assert.deepStrictEqual(manifest.exports, {
      ".": entry("index"),
      ...Object.fromEntries(modules.map((module) => [`./${module}`, entry(module)])),
      "./internal/*": null,
      "./package.json": "./package.json"
    })
  })

  it("declares peer dependencies only", () => {
    for (const field of ["dependencies", "optionalDependencies", "bundleDependencies", "bundledDependencies"]) {
      assert.notProperty(manifest, field)
    }
    const required = ["@effect/platform", "effect"]
    const optional = ["@aws-sdk/client-kms", "@aws-sdk/client-secrets-manager", "@aws-sdk/client-ssm"]
      .concat("@effect/platform-node", "unix-dgram")
    assert.deepStrictEqual(Object.keys(manifest.peerDependencies).sort(), [...required, ...optional].sort())
    assert.deepStrictEqual(
      manifest.peerDependenciesMeta,
      Object.fromEntries(optional.map((name) => [name, { optional: true }]))
    )
  })
})

describe("src/index.ts", () => {
  it("exports the public modules except the test kit, and nothing else", () => {
    const statements = read(root, "src/index.ts")
      .replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "")
      .split("\n")
      .filter((line) => line.trim() !== "")
    // A program that loads the barrel does not need the test kit.
    const loaded = modules.filter((module) => module !== "testing")
    assert.deepStrictEqual(statements.sort(), loaded.map((module) => `export * as ${module} from "./${module}.js"`))
  })
})

describe("package-lock.json", () => {
  it("contains no download address, like the one of test/ric", () => {
    for (const { packages } of [lock, JSON.parse(read(root, "test/ric/package-lock.json"))]) {
      assert.isNotEmpty(packages)
      assert.deepStrictEqual(Object.keys(packages).filter((name) => packages[name].resolved !== undefined), [])
    }
  })

  it("contains a single copy of effect and of @effect/platform", () => {
    for (const name of ["effect", "@effect/platform"]) {
      const copies = Object.keys(lock.packages).filter((path) => path.endsWith(`node_modules/${name}`))
      assert.deepStrictEqual(copies, [`node_modules/${name}`])
    }
  })
})

describe("npm pack", () => {
  const temporary = mkdtempSync(join(tmpdir(), "effect-threadstats-"))
  let tarball = ""
  const consumer = join(temporary, "consumer")
  const installed = join(consumer, "node_modules", manifest.name)

  const node = (source: string) => run(process.execPath, ["--input-type=module", "--eval", source], { cwd: consumer })

  beforeAll(async () => {
    tarball = await packedTarball()
    mkdirSync(installed, { recursive: true })
    await run("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"])
    mkdirSync(join(consumer, "node_modules/@effect"))
    for (const name of ["effect", "@effect/platform"]) {
      symlinkSync(join(root, "node_modules", name), join(consumer, "node_modules", name))
    }
  }, compiles)

  afterAll(() => rmSync(temporary, { recursive: true, force: true }))

  it("packs the build, the sources and the documents", () => {
    const guides = list(join(root, "docs")).filter((path) => !path.startsWith("api/")).map((path) => `docs/${path}`)
    const examples = list(join(root, "examples")).map((path) => `examples/${path}`)
    const sources = list(join(root, "src"))
      .filter((path) => path.endsWith(".ts") && !/^(?:build|intake\/cli|intake\/page)\//.test(path))
      .map((path) => path.slice(0, -".ts".length))
    const expected = [
      "CHANGELOG.md",
      "CONTRIBUTING.md",
      "LICENSE",
      "README.md",
      "bench/README.md",
      "test/README.md",
      "package.json",
      ...guides,
      ...examples,
      ...["index", ...modules].map((module) => `dist/requires-effect-3-so-run-npm-install-effect@3/${module}.js`),
      ...sources.flatMap((path) => [
        `src/${path}.ts`,
        ...[".d.ts", ".d.ts.map", ".js", ".js.map"].map((extension) => `dist/${path}${extension}`)
      ])
    ]
    const page = "dist/intake/intakePage.html"
    assert.deepStrictEqual(
      list(installed).filter((path) => !path.startsWith("dist/intake/cli/") && path !== page),
      expected.sort()
    )
  })

  it("packs the target of every relative link of its documents", () => {
    const packed = list(installed)
    const links = packed.filter((path) => path.endsWith(".md")).flatMap((path) =>
      Array.from(
        read(installed, path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g),
        ([, link = ""]) => ({ path, link, target: join(dirname(path), link) })
      )
    ).filter(({ link }) => !/^[a-z]+:/.test(link))
    assert.isAbove(links.length, 20)
    const dead = links.filter(({ target }) =>
      !packed.some((path) => path === target || path.startsWith(`${target.replace(/\/$/, "")}/`))
    )
    assert.deepStrictEqual(dead.map(({ link, path }) => `${path} links to ${link}`), [])
  })

  it("packs a command that runs without installed packages", async () => {
    assert.deepStrictEqual(manifest.bin, { "effect-threadstats": "dist/intake/cli/effect-threadstats.js" })
    const command = list(join(installed, "dist/intake/cli"))
    assert.includeMembers([...command], ["effect-threadstats.js", "LICENSES.txt"])
    assert.deepStrictEqual(command.filter((path) => !/\.(?:js|txt)$/.test(path)), [])
    for (const name of ["effect", "@effect/cli", "undici"]) {
      assert.match(read(installed, "dist/intake/cli/LICENSES.txt"), new RegExp(`^${name}\\n`, "m"))
    }
    const alone = join(temporary, "alone")
    cpSync(join(installed, "dist"), join(alone, "dist"), { recursive: true })
    cpSync(join(installed, "package.json"), join(alone, "package.json"))
    const child = spawn(join(alone, manifest.bin["effect-threadstats"]), ["intake", "--port", "0", "--no-dogstatsd"], {
      cwd: alone,
      stdio: ["ignore", "pipe", "inherit"]
    })
    try {
      const [line] = await once(child.stdout, "data")
      const url = /^DATADOG_HOST=(http:\S+)\n$/.exec(String(line))?.[1]
      assert.isDefined(url)
      for (const path of ["/", "/openapi.json", "/docs"]) {
        assert.strictEqual((await fetch(url + path)).status, 200, path)
      }
    } finally {
      child.kill("SIGTERM")
    }
    const [code] = await once(child, "close")
    assert.strictEqual(code, 0)
  })

  it("packs a package without findings of publint", async () => {
    const { messages, pkg } = await publint({ pkgDir: installed, strict: true, level: "suggestion", pack: false })
    assert.deepStrictEqual(messages.map((message) => formatMessage(message, pkg)), [])
  })

  it("packs types that resolve for Node.js modules and for bundlers", async () => {
    const result = await checkPackage(createPackageFromTarballData(readFileSync(tarball)))
    if (result.types === false) return assert.fail("the tarball holds no types")
    assert.sameMembers(
      Object.keys(result.entrypoints),
      Object.keys(manifest.exports).filter((path) => path !== "./internal/*")
    )
    const intended = (problem: Problem) =>
      problem.kind === "CJSResolvesToESM" || ("resolutionKind" in problem && problem.resolutionKind === "node10")
    const problems = result.problems.filter((problem) => !intended(problem))
    assert.deepStrictEqual(problems, [], JSON.stringify(problems, null, 2))
  })

  it("packs source maps that point to packed sources", () => {
    for (const path of list(join(installed, "dist")).filter((path) => path.endsWith(".map"))) {
      const map: { readonly sources: ReadonlyArray<string> } = JSON.parse(read(installed, "dist", path))
      assert.isNotEmpty(map.sources)
      for (const source of map.sources) {
        const target = resolve(installed, "dist", dirname(path), source)
        assert.isTrue(target.startsWith(join(installed, "src")), `${path} points out of src: ${source}`)
        assert.isNotEmpty(read(target))
      }
    }
  })

  it("packs modules that import required peers only", () => {
    const peers = ["effect", "@effect/platform"]
    const ours = (specifier: string) =>
      specifier.startsWith("node:") || peers.some((peer) => specifier === peer || specifier.startsWith(`${peer}/`))
    const imports = (path: string) => {
      const code = read(installed, "dist", path).replaceAll(/\/\*\*[^]*?\*\//g, "")
      return Array.from(code.matchAll(/(?:from|import\()\s*"([^".][^"]*)"/g), ([, specifier = ""]) => specifier)
    }
    const foreign = list(join(installed, "dist"))
      .filter((path) => /\.(js|d\.ts)$/.test(path) && !path.startsWith("intake/cli/"))
      .flatMap((path) => imports(path).filter((name) => !ours(name)).map((name) => `${path} imports ${name}`))
    // The sources of API keys load these optional peers with `import()`.
    assert.deepStrictEqual(
      foreign.sort(),
      ["kms", "secrets-manager", "ssm"].map((name) => `internal/apiKey/awsSources.js imports @aws-sdk/client-${name}`)
    )
  })

  it("packs entries that plain Node.js loads by name", async () => {
    const { stdout } = await node(`
      for (const entry of ${JSON.stringify(entries)}) {
        const module = await import(entry)
        console.log(entry, Object.keys(module).length > 0 ? "ok" : "empty")
      }`)
    assert.deepStrictEqual(stdout.trim().split("\n"), entries.map((entry) => `${entry} ok`))
  })

  it("refuses imports of internal modules", async () => {
    const internals = list(join(installed, "dist/internal"))
      .filter((path) => path.endsWith(".js"))
      .map((path) => `${manifest.name}/internal/${path.slice(0, -".js".length)}`)
    const { stdout } = await node(`
      for (const entry of ${JSON.stringify(internals)}) {
        await import(entry).then(() => console.log(entry, "loads"), (error) => console.log(entry, error.code))
      }`)
    const refusals = internals.map((entry) => `${entry} ERR_PACKAGE_PATH_NOT_EXPORTED`)
    assert.deepStrictEqual(stdout.trim().split("\n"), refusals)
  })

  it("packs types that pass a strict check with the required peers only", async () => {
    writeFileSync(join(consumer, "package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(
      join(consumer, "program.ts"),
      entries.map((entry, i) => `export * as _${i} from "${entry}"`).join("\n")
    )
    writeFileSync(
      join(consumer, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          module: "NodeNext",
          target: "ES2022",
          lib: ["ES2023", "DOM"],
          types: [],
          noEmit: true,
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: false
        },
        files: ["program.ts"]
      })
    )
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc")
    await run(process.execPath, [tsc, "--project", consumer]).catch((error) => {
      throw new Error(error.stdout)
    })
  }, compiles)
})
