/** Bundles as users build them: esbuild compiles the library's sources, with `effect`. */
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cpSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"

export const folder = fileURLToPath(new URL(".", import.meta.url))
export const output = join(folder, "build")

const common = {
  absWorkingDir: folder,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  logLevel: "error",
  banner: {
    js:
      "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);"
  }
} as const

/** Packages that a program loads from this folder's `node_modules`. */
const peers = ["prom-client", "datadog-metrics", "@opentelemetry/*", "hot-shots", "datadog-lambda-js"]

/** Builds a program that calls a function of a child with the named export of a module. */
export const program = async (child: string, main: string, module: string, value: string): Promise<string> => {
  const outfile = join(output, `${child}/${basename(module)}-${value}-${main}.mjs`)
  await build({
    ...common,
    stdin: {
      contents:
        `import { ${main} } from "./children/${child}.js"\nimport { ${value} } from "./${module}.js"\n${main}(${value})`,
      resolveDir: folder,
      loader: "ts"
    },
    outfile,
    external: peers
  })
  return outfile
}

export interface Bundle {
  readonly path: string
  /** In bytes. */
  readonly size: number
  readonly gzipped: number
}

/** Builds a function as it is deployed: one minified file. */
export const lambda = async (name: string): Promise<Bundle> => {
  const path = join(output, "functions", `${name}.mjs`)
  await build({
    ...common,
    entryPoints: [join(folder, "functions", `${name}.ts`)],
    outfile: path,
    minify: true,
    external: optional
  })
  const code = readFileSync(path)
  return { path, size: code.byteLength, gzipped: gzipSync(code, { level: 9 }).byteLength }
}

/** Builds a function with V8's code cache, like `examples/lambda/cached`. Its size includes the cache. */
export const cached = async (name: string): Promise<Bundle> => {
  const directory = join(output, "functions", `${name}-cached`)
  const outfile = join(directory, "dist/function.cjs")
  await build({
    ...common,
    banner: {},
    format: "cjs",
    entryPoints: [join(folder, "functions", `${name}.ts`)],
    outfile,
    minify: true
  })
  const example = join(folder, "../examples/lambda/cached")
  cpSync(join(example, "cache.mjs"), join(directory, "cache.mjs"))
  cpSync(join(example, "index.mjs"), join(directory, "dist/index.mjs"))
  await promisify(execFile)(process.execPath, [join(directory, "cache.mjs")])
  const parts = [outfile, join(directory, "dist/function.cache")].map((path) => readFileSync(path))
  return {
    path: join(directory, "dist/index.mjs"),
    size: parts.reduce((sum, part) => sum + part.byteLength, 0),
    gzipped: parts.reduce((sum, part) => sum + gzipSync(part, { level: 9 }).byteLength, 0)
  }
}

/** Optional packages of the peers. */
const optional = ["dd-trace", "@aws-sdk/*", "@datadog/*-metrics", "@datadog/pprof"]
