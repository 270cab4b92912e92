import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Bundles a file, named from the project's root, the way Lambda functions are bundled. Returns the path of the bundle. */
export const bundle = (file: string): Promise<string> => {
  const outfile = join(root, "build/test-bundles", file.replace(/\.ts$/, ".mjs"))
  return build({
    entryPoints: [join(root, file)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
  }).then(() => outfile)
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Child {
  readonly process: ChildProcess
  /** The next line of its standard output. */
  readonly line: Effect.Effect<string>
  readonly write: (line: unknown) => Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
}

/** A process that does not outlive the scope. Of the environment it has what it is given, and the path. */
export const run = (
  [command, ...args]: ReadonlyArray<string>,
  env: Record<string, string>
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(command!, args, { cwd: root, env: { PATH: process.env.PATH, ...env } })),
      (child) => Effect.sync(() => child.exitCode === null && child.kill("SIGKILL"))
    )
    const ended = yield* Deferred.make<Ended>()
    const lines: Array<string> = []
    const waiting: Array<(line: string) => void> = []
    let stdout = ""
    let stderr = ""
    createInterface({ input: child.stdout }).on("line", (line) => {
      stdout += `${line}\n`
      const next = waiting.shift()
      if (next === undefined) lines.push(line)
      else next(line)
    })
    child.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    child.on("close", (code, signal) => {
      Deferred.unsafeDone(ended, Effect.succeed({ code, signal, stdout, stderr }))
    })
    return {
      process: child,
      line: Effect.raceFirst(
        Effect.async<string>((resume) => {
          const line = lines.shift()
          if (line === undefined) waiting.push((next) => resume(Effect.succeed(next)))
          else resume(Effect.succeed(line))
        }),
        Effect.flatMap(Deferred.await(ended), (end) => Effect.die(new Error(`ended: ${JSON.stringify(end)}`)))
      ),
      write: (line) => Effect.sync(() => child.stdin.write(`${JSON.stringify(line)}\n`)),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      ended: Deferred.await(ended)
    }
  })

/** Node.js, as it runs this. */
export const node = (
  args: ReadonlyArray<string>,
  env: Record<string, string>
): Effect.Effect<Child, never, Scope.Scope> => run([process.execPath, ...args], env)
