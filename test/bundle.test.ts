import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

interface Bundle {
  /** The modules of this library, and of other packages, that leave something in it. */
  readonly modules: ReadonlyArray<string>
  readonly packages: ReadonlyArray<string>
  /** What is still to be imported when it runs. */
  readonly imports: ReadonlyArray<string>
}

const bundleOf = async (contents: string): Promise<Bundle> => {
  const { metafile } = await build({
    stdin: { contents, resolveDir: root, loader: "ts" },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error"
  })
  const { imports, inputs } = Object.values(metafile.outputs)[0]!
  const files = Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => bytesInOutput > 0 ? [path] : [])
  const nameOf = /^node_modules\/((?:@[^/]+\/)?[^/]+)/
  return {
    modules: files.filter((path) => path.startsWith("src/")).map((path) => path.slice("src/".length, -".ts".length)),
    packages: Array.from(new Set(files.flatMap((path) => nameOf.exec(path)?.[1] ?? []))),
    imports: imports.map(({ path }) => path)
  }
}

const modulesIn = async (contents: string): Promise<ReadonlyArray<string>> => (await bundleOf(contents)).modules

/** What only one way out needs. */
const ways = {
  http: ["HttpReporter", "internal/encoder", "internal/transport"],
  dogstatsd: ["DogStatsDReporter", "internal/dogstatsdEncoder", "internal/dogstatsdSocket"],
  log: ["LogReporter", "internal/logLines", "internal/lineWriter"]
}

const bothOf = (reporter: string, layer: string) => `
  import * as EventsAggregator from "effect-threadstats/EventsAggregator"
  import * as MetricsAggregator from "effect-threadstats/MetricsAggregator"
  import * as ThreadStats from "effect-threadstats/ThreadStats"
  import * as Reporter from "effect-threadstats/${reporter}"
  console.log(ThreadStats.layer(), EventsAggregator.layer, MetricsAggregator.layerDefault, Reporter.${layer})
`

describe("a bundle", () => {
  it("of a function that sends holds neither the codecs nor the intake", async () => {
    const modules = await modulesIn(`
      import * as Lambda from "effect-threadstats/Lambda"
      import * as ThreadStats from "effect-threadstats/ThreadStats"
      export const handler = Lambda.makeHandler({
        handler: () => ThreadStats.increment("a"),
        layer: ThreadStats.layerFetch
      })
    `)
    assert.includeMembers([...modules], ["ThreadStats", "HttpReporter", "Lambda"])
    for (const absent of ["Series", "Event", "LocalIntake", "LambdaStream", "LambdaRuntime", "internal/unpack"]) {
      assert.notInclude(modules, absent)
    }
  })

  it("of a function that uses only HTTP holds none of the other ways out and in", async () => {
    const { imports, modules, packages } = await bundleOf(`
      import * as Lambda from "effect-threadstats/Lambda"
      import * as ThreadStats from "effect-threadstats/ThreadStats"
      export const handler = Lambda.makeHandler({
        handler: () => ThreadStats.increment("a"),
        layer: ThreadStats.layerFetch
      })
    `)
    assert.includeMembers([...modules], ways.http)
    const others = [...ways.dogstatsd, ...ways.log, "EffectMetrics", "testing", "internal/auto", "internal/apiKeyAws"]
    assert.deepStrictEqual(modules.filter((module) => others.includes(module) || /dogstatsd/i.test(module)), [])
    assert.sameMembers([...packages], ["effect", "@effect/platform"])
    assert.deepStrictEqual(
      imports.filter((path) => !["node:http", "node:worker_threads", "node:zlib"].includes(path)),
      []
    )
  })

  it("of a program that uses only log lines, or only DogStatsD, holds nothing of HTTP", async () => {
    for (
      const [contents, way, ...others] of [
        [bothOf("LogReporter", "layer"), ways.log, ways.http, ways.dogstatsd],
        [bothOf("DogStatsDReporter", "layerDefault"), ways.dogstatsd, ways.http, ways.log]
      ] as const
    ) {
      const { modules } = await bundleOf(contents)
      assert.includeMembers([...modules], way)
      assert.deepStrictEqual(modules.filter((module) => others.flat().includes(module)), [])
    }
  })

  it("of a program that leaves the choice to the environment holds all there is to choose from", async () => {
    for (
      const contents of [
        `import { layerAuto } from "effect-threadstats/Reporter"; console.log(layerAuto)`,
        `import { layerAuto } from "effect-threadstats/ThreadStats"; console.log(layerAuto)`
      ]
    ) {
      assert.includeMembers([...await modulesIn(contents)], Object.values(ways).flat())
    }
  })

  it("of a program without Lambda, from the barrel, leaves out what it does not use", async () => {
    const modules = await modulesIn(`
      import { ThreadStats } from "effect-threadstats"
      console.log(ThreadStats.layerFetch)
    `)
    assert.include(modules, "ThreadStats")
    for (const absent of ["Series", "Event", "LocalIntake", "Lambda"]) assert.notInclude(modules, absent)
  })
})
