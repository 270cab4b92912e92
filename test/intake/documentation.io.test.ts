import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(`../../${relative}`, import.meta.url))

describe("the bundled command", () => {
  it("contains only packages with a licence text, and no Swagger UI", async () => {
    const { metafile } = await build({
      entryPoints: [path("src/intake/cli/effect-threadstats.ts")],
      bundle: true,
      write: false,
      outdir: path("build/documentation"),
      splitting: true,
      platform: "node",
      format: "esm",
      metafile: true,
      logLevel: "silent"
    })
    const inputs = Object.keys(metafile.inputs)
    assert.deepStrictEqual(inputs.filter((input) => /swagger|HttpApiScalar/i.test(input)), [])
    const packages = new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []))
    assert.isAbove(packages.size, 3)
    for (const folder of packages) {
      assert.isTrue(readdirSync(path(folder)).some((file) => /^licen[cs]e/i.test(file)), folder)
    }
  })
})
