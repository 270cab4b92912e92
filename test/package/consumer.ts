/** Projects of new users: an empty folder, a command of the README, and a program out of the documents. */
import { assert } from "@effect/vitest"
import { execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { createServer } from "node:http"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { manifest, packedTarball, root } from "./tarball.js"

/** Whether the tests that install packages run. */
export const isRegistryReachable = (() => {
  try {
    execFileSync("npm", ["view", "effect@3.22.4", "version", "--fetch-retries=0"], { timeout: 30_000, stdio: "pipe" })
    return true
  } catch {
    process.stderr.write(
      "Skipped: tests of test/package that install packages, because the npm registry does not answer.\n"
    )
    return false
  }
})()

export const entries: ReadonlyArray<string> = Object.keys(manifest.exports)
  .filter((entry) => !entry.startsWith("./internal") && entry !== "./package.json")
  .map((entry) => manifest.name + entry.slice(1))

export const temporary = mkdtempSync(join(tmpdir(), "consumers-"))

interface Ended {
  readonly code: number
  readonly output: string
}

/** Environment of the commands: that of this process without Vitest. npm runs no scripts of packages and prints no advice. */
const userEnvironment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, VITEST: __, ...inherited } = process.env
  return { ...inherited, npm_config_audit: "false", npm_config_fund: "false", npm_config_ignore_scripts: "true" }
}

/** Runs a command, and returns its exit code and its output. */
export const run = async (
  folder: string,
  [command, ...args]: ReadonlyArray<string>,
  env: Record<string, string> = {}
): Promise<Ended> => {
  try {
    const { stderr, stdout } = await promisify(execFile)(command!, args, {
      cwd: folder,
      env: { ...userEnvironment(), ...env },
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

export const succeeds = async (...[folder, command, env]: Parameters<typeof run>): Promise<string> => {
  const { code, output } = await run(folder, command, env)
  assert.strictEqual(code, 0, `${command.join(" ")}\n${output}`)
  return output
}

export const write = (folder: string, files: { readonly [path: string]: string | object }) => {
  for (const [path, content] of Object.entries(files)) {
    writeFileSync(join(folder, path), typeof content === "string" ? content : JSON.stringify(content))
  }
}

export const emptyProject = (name: string, type: "module" | "commonjs" = "module"): string => {
  mkdirSync(temporary, { recursive: true })
  const folder = mkdtempSync(join(temporary, `${name}-`))
  write(folder, { "package.json": { name, type, private: true } })
  return folder
}

/** Commands of the section "Install" of the README. */
export const installLines = (() => {
  const section = /^## Install\n([^]*?)^## /m.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1] ?? ""
  const [, commands = ""] = /```sh\n([^]*?)```/.exec(section) ?? []
  return commands.split("\n").filter((line) => /^(?:npm|pnpm) /.test(line))
})()

/** Commands of the section "See it locally" of the README: the intake, and a program that delivers to it. */
export const intakeLines: ReadonlyArray<string> = (() => {
  const section = /^## See it locally\n([^]*?)^## /m.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1] ?? ""
  const [, commands = ""] = /```sh\n([^]*?)```/.exec(section) ?? []
  return commands.split("\n").filter((line) => line !== "")
})()

export const isForTests = (line: string) => line.includes("--save-dev")

/** Arguments of a command, with the tarball in place of the package's name. pnpm 10 is the last that runs on Node.js 20. */
export const argumentsOf = async (line: string): Promise<ReadonlyArray<string>> => {
  const tarball = await packedTarball()
  const [manager, ...args] = line.split(" ").map((word) => word === manifest.name ? tarball : word)
  return manager === "pnpm" ? ["npx", "--yes", "pnpm@10", ...args] : [manager!, ...args]
}

const projects = new Map<string, Promise<string>>()

/** Folder of the project that a command of the README made. */
export const projectOf = (line: string): Promise<string> => {
  const make = async () => {
    const manager = line.split(" ")[0]!
    // Tests are installed into a project that has the package.
    const folder = isForTests(line)
      ? await projectOf(installLines.find((other) => other.startsWith(`${manager} `))!)
      : emptyProject(manager)
    await succeeds(folder, await argumentsOf(line), { npm_config_dangerously_allow_all_builds: "false" })
    return folder
  }
  if (!projects.has(line)) projects.set(line, make())
  return projects.get(line)!
}

/** Removes all projects, without blocking the worker: there are tens of thousands of files. */
export const removeProjects = async (): Promise<void> => {
  projects.clear()
  await rm(temporary, { recursive: true, force: true })
}

export const npmProgram = () => projectOf(installLines.find((line) => line.startsWith("npm "))!)

export const readmeBlocks: ReadonlyArray<string> = Array.from(
  readFileSync(join(root, "README.md"), "utf8").matchAll(/```ts\n([^]*?)```/g),
  ([, code = ""]) => code
)

export const packagesOf = (code: string): ReadonlyArray<string> =>
  Array.from(code.matchAll(/from "((?:@[^/"]+\/)?[^/"]+)/g), ([, name = ""]) => name)
    .filter((name) => !name.startsWith("node:"))

/** Receiver that counts the bodies of metrics. */
export const withReceiver = async <A>(use: (env: Record<string, string>) => Promise<A>): Promise<A> => {
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

/** Runs the intake of a command line on free ports, and passes the address that it prints. */
export const withIntake = async <A>(folder: string, line: string, use: (url: string) => Promise<A>): Promise<A> => {
  // A group of its own, because npx passes no signal on.
  const child = spawn("bash", ["-c", `${line} --port 0 --dogstatsd-port 0`], {
    cwd: folder,
    env: userEnvironment(),
    detached: true,
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = once(child, "close")
  try {
    for await (const text of createInterface({ input: child.stdout })) {
      const [, url] = /^DATADOG_HOST=(.*)$/.exec(text) ?? []
      if (url !== undefined) return await use(url)
    }
    throw new Error(`The command ended before it printed its address: ${line}`)
  } finally {
    if (child.exitCode === null) process.kill(-child.pid!, "SIGTERM")
    await ended
  }
}

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc")

/** Type-checks files of a project with the strictest settings that Effect recommends, and compiles them into `out`. */
export const compile = (folder: string, files: ReadonlyArray<string>, compilerOptions: object = {}) => {
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
export const start = (module: string, event: object = { orderId: "1", total: 2 }) => `
  const { handler } = await import(${JSON.stringify(module)})
  const context = { awsRequestId: "1", invokedFunctionArn: "arn:aws:lambda:eu-west-1:1:function:f", getRemainingTimeInMillis: () => 90000 }
  if (handler !== undefined) {
    console.log(JSON.stringify(await handler(${JSON.stringify(event)}, context)))
    process.exit(0)
  }`
