import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The Lambda function of the README. */
const readme = readFileSync(join(root, "examples/handler.ts"), "utf8")

/** Modules of Node.js that the function imports. `node:http` is absent, because it loads undici from Node.js 22 on. */
const builtins = ["node:module", "node:zlib"]

/** A function that posts to the intake and does nothing else: the baseline of loaded modules. */
const post = `
  import { request } from "node:http"
  export const handler = () => new Promise((resolve, reject) => {
    const post = request(process.env.DATADOG_HOST + "/bare", { method: "POST" }, (response) => response.resume().on("end", resolve))
    post.on("error", reject)
    post.end("{}")
  })`

/** Ceilings of the size in bytes, and of the modules of Node.js that are loaded beyond those of {@link post}. */
const ceilings = { gzipped: 91_000, modules: 12 }

interface Bundle {
  readonly code: string
  /** Files that contribute code. */
  readonly files: ReadonlyArray<string>
  /** Modules of this library, and packages, that contribute code. */
  readonly modules: ReadonlyArray<string>
  readonly packages: ReadonlyArray<string>
  /** Imports that remain in the bundle. */
  readonly imports: ReadonlyArray<string>
}

const bundleOf = async (contents: string, options?: { readonly minify: boolean }): Promise<Bundle> => {
  const { metafile, outputFiles } = await build({
    stdin: { contents, resolveDir: root, loader: "ts" },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    ...options
  })
  const { imports, inputs } = Object.values(metafile.outputs)[0]!
  const files = Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => bytesInOutput > 0 ? [path] : [])
  const nameOf = /^node_modules\/((?:@[^/]+\/)?[^/]+)/
  return {
    code: outputFiles[0]!.text,
    files,
    modules: files.filter((path) => path.startsWith("src/")).map((path) => path.slice("src/".length, -".ts".length)),
    packages: Array.from(new Set(files.flatMap((path) => nameOf.exec(path)?.[1] ?? []))),
    imports: imports.map(({ path }) => path)
  }
}

const modulesIn = async (contents: string): Promise<ReadonlyArray<string>> => (await bundleOf(contents)).modules

/** Modules for flushes after the response. */
const extension = ["LambdaExtension", "internal/lambda/runtimeApi"]

/** Modules for clients over any reporter, a combined one, or a store. */
const others = ["DogStatsDReporter", "LogReporter", "AutoReporter", "internal/reporters/combine"]

/** Modules of each reporter. */
const reporters = {
  http: [
    "internal/http/HttpExporter",
    "internal/http/bodyWriter",
    "internal/http/transport",
    "internal/http/nodeTransport"
  ],
  dogstatsd: ["DogStatsDReporter", "internal/dogstatsd/packets", "internal/dogstatsd/openConnection"],
  log: ["LogReporter", "internal/log/lines", "internal/log/writer"]
}

const bothOf = (reporter: string) => `
  import * as EventsAggregator from "effect-threadstats/EventsAggregator"
  import * as MetricsAggregator from "effect-threadstats/MetricsAggregator"
  import * as ThreadStats from "effect-threadstats/ThreadStats"
  import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
  import * as Reporter from "effect-threadstats/${reporter}"
  console.log(ThreadStats.layerReporter, EventsAggregator.layer, MetricsAggregator.layer, ThreadStatsConfig.layer)
  console.log(Reporter.layer)
`

describe("bundle", () => {
  it("contains neither the codecs nor the intake for a function that sends metrics", async () => {
    const modules = await modulesIn(`
      import * as Lambda from "effect-threadstats/Lambda"
      import * as ThreadStats from "effect-threadstats/ThreadStats"
      export const handler = Lambda.makeHandler({
        handler: () => ThreadStats.increment("a"),
        layer: ThreadStats.layer
      })
    `)
    assert.includeMembers([...modules], ["ThreadStats", "internal/http/HttpExporter", "Lambda"])
    for (
      const absent of [
        "Series",
        "Event",
        "LocalIntake",
        "LambdaStream",
        "LambdaRuntime",
        "intake/decompress",
        ...extension,
        ...others
      ]
    ) {
      assert.notInclude(modules, absent)
    }
  })

  it("contains the extension for a function that flushes after its response", async () => {
    const modules = await modulesIn(`
      import * as Lambda from "effect-threadstats/Lambda"
      import * as LambdaExtension from "effect-threadstats/LambdaExtension"
      import * as ThreadStats from "effect-threadstats/ThreadStats"
      export const handler = Lambda.makeHandler({
        handler: () => ThreadStats.increment("a"),
        layer: ThreadStats.layer,
        flush: LambdaExtension.afterResponse
      })
    `)
    assert.includeMembers([...modules], extension)
  })

  it("contains no other reporter or source for a function that uses only HTTP", async () => {
    for (
      const [layer, packages] of [["layer", ["effect"]], ["layerHttpClient", ["effect", "@effect/platform"]]] as const
    ) {
      const bundle = await bundleOf(`
        import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
        import * as Lambda from "effect-threadstats/Lambda"
        import * as ThreadStats from "effect-threadstats/ThreadStats"
        import * as Layer from "effect/Layer"
        export const handler = Lambda.makeHandler({
          handler: () => ThreadStats.increment("a"),
          layer: ${
        layer === "layer" ? "ThreadStats.layer" : "Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer)"
      }
        })
      `)
      const http = reporters.http.filter((module) => layer === "layer" || module !== "internal/http/nodeTransport")
      assert.includeMembers([...bundle.modules], http)
      const others = [
        ...reporters.dogstatsd,
        ...reporters.log,
        "EffectMetrics",
        "testing",
        "AutoReporter",
        "internal/apiKey/awsSources"
      ]
      assert.deepStrictEqual(bundle.modules.filter((name) => others.includes(name) || /dogstatsd/i.test(name)), [])
      assert.sameMembers([...bundle.packages], [...packages])
      assert.deepStrictEqual(bundle.imports.filter((path) => !builtins.includes(path)), [])
    }
  })

  it("stays below its size ceiling and contains no heavy module of Effect for the README's function", async () => {
    const { code, files, imports, packages } = await bundleOf(readme)
    assert.isAtMost(gzipSync(code, { level: 9 }).byteLength, ceilings.gzipped)
    assert.deepStrictEqual([...packages], ["effect"])
    assert.sameMembers([...new Set(imports)], builtins)
    const heavy = /\/(Schema\w*|ParseResult|Stream|Sink|(core-)?stream|channel|Channel|Cron|stm|query)\b/
    assert.deepStrictEqual(files.filter((path) => heavy.test(path)), [])
    assert.notMatch(code, /\bfetch\(|undici(?!_)|["'`]undici/)
  })

  it("contains no lazily evaluated module for the README's function", async () => {
    for (const contents of [readme, readme.replace("layer", "layerAuto")]) {
      const { code } = await bundleOf(contents, { minify: false })
      // esbuild wraps every module that is reachable by `import()` in this function.
      assert.notInclude(code, "__esm(")
    }
  })

  it("loads few modules of Node.js for the first invocation of the README's function", async () => {
    const { code } = await bundleOf(readme)
    const folder = mkdtempSync(join(tmpdir(), "cold-"))
    const posts: Array<string> = []
    const server = createServer((request, response) => {
      if (request.method === "POST") posts.push(request.url ?? "")
      request.resume().on("end", () => response.writeHead(202).end("{}"))
    })
    try {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
      const loadedBy = async (name: string, handler: string): Promise<ReadonlyArray<string>> => {
        writeFileSync(join(folder, `${name}.mjs`), handler)
        const program = `
          const { handler } = await import("./${name}.mjs")
          await handler({ orderId: "1", total: 2 }, { getRemainingTimeInMillis: () => 30000 })
          const loaded = process.moduleLoadList.filter((name) => name.startsWith("NativeModule "))
          process.stdout.write(JSON.stringify(loaded), () => process.exit(0))`
        const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
          cwd: folder,
          env: {
            AWS_LAMBDA_FUNCTION_NAME: "orders",
            DATADOG_HOST: url,
            DD_API_KEY: "key",
            DD_THREADSTATS_REQUEST_TIMEOUT: "20 seconds"
          }
        })
        return JSON.parse(stdout)
      }
      const bare = await loadedBy("bare", post)
      const ours = await loadedBy("ours", code)
      // A busy machine may reach a time limit, after which the client sends again.
      assert.deepStrictEqual([...new Set(posts)].sort(), ["/api/v1/distribution_points", "/bare"])
      const more = ours.filter((name) => !bare.includes(name))
      assert.deepStrictEqual(more.filter((name) => /undici|webstreams/.test(name)), [])
      assert.isAtMost(more.length, ceilings.modules, more.join(", "))
    } finally {
      server.close()
      rmSync(folder, { recursive: true })
    }
  })

  it("contains no module for HTTP for a program that uses only log lines or only DogStatsD", async () => {
    for (
      const [contents, reporter, ...others] of [
        [bothOf("LogReporter"), reporters.log, reporters.http, reporters.dogstatsd],
        [bothOf("DogStatsDReporter"), reporters.dogstatsd, reporters.http, reporters.log]
      ] as const
    ) {
      const { modules } = await bundleOf(contents)
      assert.includeMembers([...modules], reporter)
      assert.deepStrictEqual(modules.filter((module) => others.flat().includes(module)), [])
    }
  })

  it("contains all reporters for a program that selects its reporter by the environment", async () => {
    for (
      const contents of [
        `import { layer } from "effect-threadstats/AutoReporter"; console.log(layer)`,
        `import { layerAuto } from "effect-threadstats/ThreadStats"; console.log(layerAuto)`
      ]
    ) {
      assert.includeMembers([...await modulesIn(contents)], Object.values(reporters).flat())
    }
  })

  it("contains no unused module for a program without Lambda that imports the barrel", async () => {
    const modules = await modulesIn(`
      import { ThreadStats } from "effect-threadstats"
      console.log(ThreadStats.layer)
    `)
    assert.include(modules, "ThreadStats")
    for (const absent of ["Series", "Event", "LocalIntake", "Lambda"]) assert.notInclude(modules, absent)
  })
})
