import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { cpSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs"
import { join } from "node:path"
import {
  argumentsOf,
  compile,
  emptyProject,
  entries,
  installLines,
  intakeLines,
  isForTests,
  isRegistryReachable,
  npmProgram,
  packagesOf,
  projectOf,
  readmeBlocks,
  removeProjects,
  run,
  start,
  succeeds,
  temporary,
  withIntake,
  withReceiver,
  write
} from "./consumer.js"
import { compiles, manifest, packedTarball, root } from "./tarball.js"

beforeAll(async () => {
  if (isRegistryReachable) await packedTarball()
}, compiles)

afterAll(removeProjects, compiles)

describe.skipIf(!isRegistryReachable)("install lines of the README", () => {
  it("exist for npm and pnpm", () => {
    assert.isAtLeast(installLines.filter((line) => line.startsWith("npm ")).length, 4)
    assert.isAtLeast(installLines.filter((line) => line.startsWith("pnpm ")).length, 4)
  })

  for (const line of installLines) {
    it(`install the packages of programs that compile and deliver a metric: ${line}`, async () => {
      const folder = await projectOf(line)
      const { dependencies, devDependencies = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
      assert.match(dependencies.effect, /^\^?3\./)
      const present = Object.keys({ ...dependencies, ...devDependencies })
      const blocks = readmeBlocks.filter((code) => packagesOf(code).every((name) => present.includes(name)))
      if (isForTests(line)) {
        const tests = blocks.filter((code) => code.includes("@effect/vitest"))
        assert.isNotEmpty(tests)
        tests.forEach((code, i) => write(folder, { [`readme${i}.test.ts`]: code }))
        await compile(folder, tests.map((_, i) => `readme${i}.test.ts`), { noEmit: true })
        const vitest = join(folder, "node_modules/vitest/vitest.mjs")
        assert.match(await succeeds(folder, [process.execPath, vitest, "run"]), /Tests.*\d+ passed/)
        return
      }
      const programs = blocks.filter((code) => !code.includes("@effect/vitest"))
      assert.isNotEmpty(programs)
      programs.forEach((code, i) => write(folder, { [`readme${i}.ts`]: code }))
      await compile(folder, programs.map((_, i) => `readme${i}.ts`))
      for (const i of programs.keys()) {
        write(folder, { "start.js": start(`./out/readme${i}.js`) })
        await withReceiver((env) => succeeds(folder, [process.execPath, "start.js"], env))
      }
    }, compiles)
  }
})

describe.skipIf(!isRegistryReachable)("a new user", () => {
  const [intake = "", program = "", ...others] = intakeLines
  const address = "http://127.0.0.1:8127"
  const lambdaPage = readFileSync(join(root, "docs/lambda.md"), "utf8")

  interface Received {
    readonly series: ReadonlyArray<
      { readonly metric: string; readonly type: string; readonly tags: ReadonlyArray<string> }
    >
    readonly distributions: ReadonlyArray<{ readonly metric: string }>
  }

  /** Reads the received data from the intake. */
  const receivedBy = async (url: string): Promise<Received> =>
    await (await fetch(url, { headers: { accept: "application/json" } })).json() as Received

  let folder = ""
  beforeAll(async () => {
    if (!isRegistryReachable) return
    folder = mkdtempSync(join(temporary, "new-user-"))
    const commands = [["npm", "init", "-y"], await argumentsOf(installLines[0]!)]
    assert.isAtMost(commands.length + intakeLines.length, 5)
    for (const command of commands) await succeeds(folder, command)
    // npm downloads tsx.
    await succeeds(folder, ["npx", "--yes", "tsx", "--version"])
  }, compiles)

  /** Writes a file, and executes it with the README's command against the intake. */
  const execute = (url: string, file: string, code: string): Promise<string> => {
    write(folder, { [file]: code })
    return succeeds(folder, ["bash", "-c", program.replace(address, url).replace("program.ts", file)])
  }

  it(
    "sees the metrics of the README's program within a minute after npm's downloads, with five commands at most",
    async () => {
      assert.isEmpty(others)
      assert.match(await succeeds(folder, ["bash", "-c", `${intake} --help`]), /--port[^]*Default: 8127\./)
      assert.include(program, `DATADOG_HOST=${address} `)
      const start = performance.now()
      await withIntake(folder, intake, async (url) => {
        assert.strictEqual(await execute(url, "program.ts", readmeBlocks[0]!), "")
        const { series } = await receivedBy(url)
        assert.isBelow(performance.now() - start, 60_000)
        const { tags, type } = series.find(({ metric }) => metric === "jobs.started")!
        assert.deepStrictEqual({ tags, type }, { tags: ["queue:mail"], type: "rate" })
      })
    },
    compiles
  )

  it("sees the metrics of the README's Lambda function that the program of docs/lambda.md calls", async () => {
    const handler = readmeBlocks.find((code) => code.includes("makeHandler"))
    const [, call] = /```ts\n(import \{ handler \}[^]*?)```/.exec(lambdaPage) ?? []
    assert.include(lambdaPage, program.replace("program.ts", "try.ts"))
    write(folder, { "handler.ts": handler! })
    await withIntake(folder, intake, async (url) => {
      assert.match(await execute(url, "try.ts", call!), /accepted/)
      const { distributions } = await receivedBy(url)
      assert.deepStrictEqual(distributions.map(({ metric }) => metric), ["orders.value"])
    })
  }, compiles)

  it("sees the metric of the program that the page of the intake shows", async () => {
    await withIntake(folder, intake, async (url) => {
      const page = await (await fetch(url, { headers: { accept: "text/html" } })).text()
      const [, example] = /<code id="example">([^]*?)<\/code>/.exec(page) ?? []
      assert.strictEqual(await execute(url, "page.ts", example!.replaceAll("&quot;", "\"")), "")
      const { series } = await receivedBy(url)
      assert.deepStrictEqual(series.map(({ metric }) => metric), ["orders.placed"])
    })
  }, compiles)
})

describe.skipIf(!isRegistryReachable)("Lambda functions", () => {
  const bundle = async (folder: string, file: string): Promise<string> => {
    // Nothing but the bundle is in the zip of a function.
    const zip = mkdtempSync(join(temporary, "zip-"))
    await build({
      entryPoints: [join(folder, file)],
      outfile: join(zip, "index.mjs"),
      absWorkingDir: folder,
      bundle: true,
      minify: true,
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "error"
    })
    return zip
  }

  it("deliver a metric from a bundle of the README's function alone", async () => {
    const folder = await npmProgram()
    const code = readmeBlocks.find((code) => code.includes("makeHandler"))
    assert.isDefined(code)
    write(folder, { "zip.ts": code! })
    const zip = await bundle(folder, "zip.ts")
    write(zip, { "start.mjs": start("./index.mjs") })
    await withReceiver((env) => succeeds(zip, [process.execPath, "start.mjs"], env))
  }, compiles)

  it("deliver a metric from a bundle of the packed example with @effect-aws/lambda", async () => {
    const folder = await projectOf(installLines.find((line) => /^npm .*@effect-aws\/lambda/.test(line))!)
    const example = join(folder, "node_modules", manifest.name, "examples/lambda/effect-aws/handler.ts")
    cpSync(example, join(folder, "effectAws.ts"))
    const zip = await bundle(folder, "effectAws.ts")
    write(zip, { "start.mjs": start("./index.mjs", { rawPath: "/docs" }) })
    const output = await withReceiver((env) =>
      succeeds(zip, [process.execPath, "start.mjs"], { ...env, LINKS: `{"docs":"https://example.com/docs"}` })
    )
    assert.include(output, `"statusCode":302`)
  }, compiles)
})

/** Executables of Node.js 20, 22 and 24: the one that runs this, and those of the packages that have the others. */
const nodes = async (): Promise<ReadonlyArray<readonly [version: string, executable: string]>> => {
  const own = process.versions.node.split(".")[0]!
  const others = ["20", "22", "24"].filter((major) => major !== own)
  const folder = emptyProject("nodes")
  const platform = `node-${process.platform}-${process.arch}`
  const { code, output } = await run(folder, [
    "npm",
    "install",
    ...others.map((major) => `node${major}@npm:${platform}@${major}`)
  ])
  if (code !== 0) {
    process.stderr.write(
      `Skipped: Node.js ${others.join(" and ")}, because ${platform} cannot be installed.\n${output}`
    )
    return [[own, process.execPath]]
  }
  return [
    [own, process.execPath],
    ...others.map((major) => [major, join(folder, `node_modules/node${major}/bin/node`)] as const)
  ]
}

describe.skipIf(!isRegistryReachable)("CommonJS projects", () => {
  it("load every entry with require on Node.js 20, 22 and 24", async () => {
    const folder = await npmProgram()
    write(folder, {
      "all.cjs": `
        const Effect = require("effect/Effect")
        for (const entry of ${JSON.stringify(entries)}) {
          if (Object.keys(require(entry)).length === 0) throw new Error(entry + " is empty")
        }
        const ThreadStats = require("${manifest.name}/ThreadStats")
        const program = Effect.flatMap(ThreadStats.increment("jobs"), () => ThreadStats.flush())
        Effect.runPromise(Effect.provide(program, ThreadStats.layerTest)).then((receipt) => console.log(receipt.metrics.delivered))`
    })
    for (const [version, executable] of await nodes()) {
      assert.strictEqual(await succeeds(folder, [executable, "all.cjs"]), "1\n", version)
    }
  }, compiles)

  it("compile and run a program with types of Node.js modules", async () => {
    const folder = await npmProgram()
    write(folder, {
      "program.cts": `
        import * as ThreadStats from "${manifest.name}/ThreadStats"
        import * as Effect from "effect/Effect"
        const program = ThreadStats.increment("jobs").pipe(Effect.zipRight(ThreadStats.flush()), Effect.provide(ThreadStats.layerTest))
        Effect.runPromise(program).then((receipt): number => receipt.metrics.delivered)`
    })
    await compile(folder, ["program.cts"], { lib: ["ES2022", "DOM"] })
    assert.include(readFileSync(join(folder, "out/program.cjs"), "utf8"), "require(")
    await succeeds(folder, [process.execPath, "out/program.cjs"])
  }, compiles)
})

describe.skipIf(!isRegistryReachable)("projects with Effect 4", () => {
  const remedy = /requires-effect-3-so-run-npm-install-effect@3/

  it(
    "get an error of npm that names both versions, and one of the loader or bundler with the remedy for every entry",
    async () => {
      const tarball = await packedTarball()
      const folder = emptyProject("effect4")
      await succeeds(folder, ["npm", "install", "effect@4"])
      const refused = await run(folder, ["npm", "install", tarball])
      assert.notStrictEqual(refused.code, 0)
      assert.match(refused.output, /ERESOLVE[^]*Found: effect@4[^]*peer effect@"\^3/)
      await succeeds(folder, ["npm", "install", "--legacy-peer-deps", tarball])
      for (const entry of entries) {
        for (const program of [`import "${entry}"`, `require("${entry}")`]) {
          const type = program.startsWith("import") ? "module" : "commonjs"
          const { code, output } = await run(folder, [process.execPath, `--input-type=${type}`, "--eval", program])
          assert.notStrictEqual(code, 0, entry)
          assert.match(output, remedy, program)
        }
      }
      write(folder, { "program.js": `export * from "${manifest.name}/ThreadStats"` })
      const failure = await build({
        entryPoints: [join(folder, "program.js")],
        bundle: true,
        write: false,
        platform: "node",
        logLevel: "silent"
      }).then(() => assert.fail("esbuild found a module that Effect 4 does not have"), (error) => error)
      const lines = failure.errors.map(({ location }: { readonly location: { readonly lineText: string } }) =>
        location.lineText
      )
      assert.include(lines.join("\n"), `${manifest.name} requires Effect 3: run \`npm install effect@3\`.`)
    },
    compiles
  )
})

describe.skipIf(!isRegistryReachable)("bundlers", () => {
  const program = `
    import * as ThreadStats from "${manifest.name}/ThreadStats"
    import * as Effect from "effect/Effect"
    Effect.runPromise(ThreadStats.increment("jobs").pipe(Effect.provide(ThreadStats.layerDogStatsD))).then(
      () => console.log("done"),
      (error) => console.log(String(error))
    )`

  /** Stands in for the native package: it prints each datagram. */
  const unixDgram = `
    exports.createSocket = () => ({
      on: () => {},
      connect: () => {},
      close: () => {},
      send: (packet, done) => { console.log("datagram " + packet); done() }
    })`

  const tools = ["webpack@5", "ts-loader@9", "rollup@4", "@rollup/plugin-node-resolve@16", "@vercel/ncc@0.38", "tsup@8"]
    .concat("typescript@5.9")

  let folder = ""
  beforeAll(async () => {
    if (!isRegistryReachable) return
    folder = emptyProject("bundlers", "commonjs")
    const line = installLines.find((line) => line.startsWith("npm "))!
    await succeeds(folder, [...await argumentsOf(line), ...tools])
    mkdirSync(join(folder, "node_modules/unix-dgram"))
    write(join(folder, "node_modules/unix-dgram"), { "package.json": { main: "index.js" }, "index.js": unixDgram })
    write(folder, {
      "program.ts": program,
      "tsconfig.json": {
        compilerOptions: {
          module: "NodeNext",
          target: "ES2022",
          types: [],
          lib: ["ES2022", "DOM"],
          skipLibCheck: true
        },
        files: ["program.ts"]
      }
    })
  }, compiles)

  /** Runs a bundle in the project, where `unix-dgram` is installed. */
  const runsWithUnixDatagrams = async (file: string) => {
    const output = await succeeds(folder, [process.execPath, file], {
      DD_DOGSTATSD_URL: `unixgram://${join(folder, "absent.sock")}`
    })
    assert.match(output, /datagram jobs:1\|c/)
    assert.match(output, /done/)
  }

  it("of webpack with ts-loader report nothing, and load unix-dgram", async () => {
    write(folder, {
      "webpack.js": `
        require("webpack")({
          mode: "production",
          target: "node20",
          entry: "./program.ts",
          optimization: { minimize: false },
          module: { rules: [{ test: /\\.ts$/, loader: "ts-loader", options: { transpileOnly: true } }] },
          output: { path: __dirname + "/webpack", filename: "program.js" }
        }, (error, stats) => {
          if (error) throw error
          const { errors, warnings } = stats.toJson({ errors: true, warnings: true })
          console.log(JSON.stringify([...errors, ...warnings].map(({ message }) => message)))
        })`
    })
    assert.strictEqual(await succeeds(folder, [process.execPath, "webpack.js"]), "[]\n")
    await runsWithUnixDatagrams("webpack/program.js")
  }, compiles)

  it("of ncc and of tsup as CommonJS make a program that loads unix-dgram", async () => {
    const bin = (name: string) => join(folder, "node_modules/.bin", name)
    await succeeds(folder, [bin("ncc"), "build", "program.ts", "--transpile-only", "--out", "ncc"])
    await runsWithUnixDatagrams("ncc/index.js")
    await succeeds(folder, [bin("tsup"), "program.ts", "--format", "cjs", "--out-dir", "tsup"])
    await runsWithUnixDatagrams("tsup/program.js")
  }, compiles)

  it("of Rollup report no circular dependency and nothing of this package", async () => {
    write(folder, {
      "input.mjs": `export * from "${manifest.name}/ThreadStats"\nexport * from "${manifest.name}/Lambda"`,
      "rollup.mjs": `
        import { nodeResolve } from "@rollup/plugin-node-resolve"
        import { rollup } from "rollup"
        const warnings = []
        const bundle = await rollup({
          input: "input.mjs",
          plugins: [nodeResolve({ exportConditions: ["node"], preferBuiltins: true })],
          onwarn: ({ code, id = "", message }) => warnings.push({ code, id, message })
        })
        await bundle.generate({ format: "esm" })
        console.log(JSON.stringify(warnings))`
    })
    const warnings: ReadonlyArray<{ readonly code: string; readonly id: string; readonly message: string }> = JSON
      .parse(
        await succeeds(folder, [process.execPath, "rollup.mjs"])
      )
    assert.deepStrictEqual(
      warnings.filter(({ code, id, message }) =>
        code === "CIRCULAR_DEPENDENCY" || `${id}${message}`.includes(`${manifest.name}/dist`)
      ),
      []
    )
  }, compiles)
})
