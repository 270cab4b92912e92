import { assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { execFile, execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll } from "vitest"
import { compiles, manifest, packedTarball, root } from "./tarball.js"

/** Projects of new users: each is an empty folder, a command of the README, and a program out of the README or `examples`. */

const isRegistryReachable = (() => {
  try {
    execFileSync("npm", ["view", "effect@3.22.4", "version", "--fetch-retries=0"], { timeout: 30_000, stdio: "pipe" })
    return true
  } catch {
    process.stderr.write(
      "Skipped: test/package/consumers.io.test.ts installs packages, and the npm registry does not answer.\n"
    )
    return false
  }
})()

const entries: ReadonlyArray<string> = Object.keys(manifest.exports)
  .filter((entry) => !entry.startsWith("./internal") && entry !== "./package.json")
  .map((entry) => manifest.name + entry.slice(1))

const temporary = mkdtempSync(join(tmpdir(), "consumers-"))
let tarball = ""

interface Ended {
  readonly code: number
  readonly output: string
}

/** Runs a command, and returns its exit code and its output. */
const run = async (
  folder: string,
  [command, ...args]: ReadonlyArray<string>,
  env: Record<string, string> = {}
): Promise<Ended> => {
  const { NODE_OPTIONS: _, VITEST: __, ...inherited } = process.env
  try {
    const { stderr, stdout } = await promisify(execFile)(command!, args, {
      cwd: folder,
      env: {
        ...inherited,
        npm_config_audit: "false",
        npm_config_fund: "false",
        npm_config_ignore_scripts: "true",
        ...env
      },
      maxBuffer: 64 << 20
    })
    return { code: 0, output: stdout + stderr }
  } catch (error) {
    const { code, stderr, stdout } = error as {
      readonly code: unknown
      readonly stderr: string
      readonly stdout: string
    }
    return { code: typeof code === "number" ? code : -1, output: `${stdout}${stderr}` }
  }
}

const succeeds = async (...[folder, command, env]: Parameters<typeof run>): Promise<string> => {
  const { code, output } = await run(folder, command, env)
  assert.strictEqual(code, 0, `${command.join(" ")}\n${output}`)
  return output
}

const write = (folder: string, files: { readonly [path: string]: string | object }) => {
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content))
  }
}

const emptyProject = (name: string, type: "module" | "commonjs" = "module"): string => {
  const folder = mkdtempSync(join(temporary, `${name}-`))
  write(folder, { "package.json": { name, type, private: true } })
  return folder
}

/** Commands of the section "Install" of the README. */
const installLines = (() => {
  const section = /^## Install\n([^]*?)^## /m.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1] ?? ""
  const [, commands = ""] = /```sh\n([^]*?)```/.exec(section) ?? []
  return commands.split("\n").filter((line) => /^(?:npm|pnpm) /.test(line))
})()

const isForTests = (line: string) => line.includes("--save-dev")

/** Arguments of a command, with the tarball in place of the package's name. pnpm 10 is the last that runs on Node.js 20. */
const argumentsOf = (line: string): ReadonlyArray<string> => {
  const [manager, ...args] = line.split(" ").map((word) => word === manifest.name ? tarball : word)
  return manager === "pnpm" ? ["npx", "--yes", "pnpm@10", ...args] : [manager!, ...args]
}

const projects = new Map<string, Promise<string>>()

/** Folder of the project that a command of the README made. */
const projectOf = (line: string): Promise<string> => {
  const make = async () => {
    const manager = line.split(" ")[0]!
    // Tests are installed into a project that has the package.
    const folder = isForTests(line)
      ? await projectOf(installLines.find((other) => other.startsWith(`${manager} `))!)
      : emptyProject(manager)
    await succeeds(folder, argumentsOf(line), { npm_config_dangerously_allow_all_builds: "false" })
    return folder
  }
  if (!projects.has(line)) projects.set(line, make())
  return projects.get(line)!
}

const npmProgram = () => projectOf(installLines.find((line) => line.startsWith("npm "))!)

const readmeBlocks: ReadonlyArray<string> = Array.from(
  readFileSync(join(root, "README.md"), "utf8").matchAll(/```ts\n([^]*?)```/g),
  ([, code = ""]) => code
)

const packagesOf = (code: string): ReadonlyArray<string> =>
  Array.from(code.matchAll(/from "((?:@[^/"]+\/)?[^/"]+)/g), ([, name = ""]) => name)
    .filter((name) => !name.startsWith("node:"))

/** Receiver that counts the bodies of metrics. */
const withReceiver = async <A>(use: (env: Record<string, string>) => Promise<A>): Promise<A> => {
  const received: Array<string> = []
  const server = createServer((request, response) => {
    if (request.method === "POST" && /series|distribution_points/.test(request.url!)) received.push(request.url!)
    request.resume().on("end", () => response.writeHead(202, { "content-type": "application/json" }).end("{}"))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  try {
    const result = await use({
      DATADOG_HOST: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
      DD_API_KEY: "local",
      DD_THREADSTATS_REQUEST_TIMEOUT: "60 seconds",
      DD_THREADSTATS_FLUSH_TIMEOUT: "60 seconds"
    })
    assert.isNotEmpty(received)
    return result
  } finally {
    server.close()
  }
}

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc")

/** Type-checks files of a project with the strictest settings that Effect recommends, and compiles them into `out`. */
const compile = (folder: string, files: ReadonlyArray<string>, compilerOptions: object = {}) => {
  write(folder, {
    "tsconfig.json": {
      compilerOptions: {
        module: "NodeNext",
        target: "ES2022",
        types: [],
        outDir: "out",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: true,
        ...compilerOptions
      },
      files
    }
  })
  return succeeds(folder, [process.execPath, tsc, "--project", "."])
}

/** Program that runs a module, and invokes its `handler` if it exports one. */
const start = (module: string, event: object = { orderId: "1", total: 2 }) => `
  const { handler } = await import(${JSON.stringify(module)})
  const context = { awsRequestId: "1", invokedFunctionArn: "arn:aws:lambda:eu-west-1:1:function:f", getRemainingTimeInMillis: () => 90000 }
  if (handler !== undefined) {
    console.log(JSON.stringify(await handler(${JSON.stringify(event)}, context)))
    process.exit(0)
  }`

beforeAll(async () => {
  if (isRegistryReachable) tarball = await packedTarball()
}, compiles)

afterAll(() => rmSync(temporary, { recursive: true, force: true }))

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
    await succeeds(folder, [...argumentsOf(line), ...tools])
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
    const output = await succeeds(folder, [process.execPath, file], { DD_DOGSTATSD_URL: "unixgram:///tmp/absent.sock" })
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
