import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The modules of this library that leave something in the bundle of a program. */
const modulesIn = async (contents: string): Promise<ReadonlyArray<string>> => {
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
  return Object.entries(Object.values(metafile.outputs)[0]!.inputs)
    .filter(([path, { bytesInOutput }]) => path.startsWith("src/") && bytesInOutput > 0)
    .map(([path]) => path.slice("src/".length, -".ts".length))
}

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

  it("of a program without Lambda, from the barrel, leaves out what it does not use", async () => {
    const modules = await modulesIn(`
      import { ThreadStats } from "effect-threadstats"
      console.log(ThreadStats.layerFetch)
    `)
    assert.include(modules, "ThreadStats")
    for (const absent of ["Series", "Event", "LocalIntake", "Lambda"]) assert.notInclude(modules, absent)
  })
})
