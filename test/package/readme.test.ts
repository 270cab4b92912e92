import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
// The README shows this test, which runs here.
import "../../examples/example.test.js"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const readme = read("README.md")

describe("README", () => {
  it("contains the files of examples/ unchanged", () => {
    const blocks = Array.from(readme.matchAll(/```ts\n([^]*?)```/g), ([, code]) => code)
    assert.deepStrictEqual(blocks, ["examples/program.ts", "examples/handler.ts", "examples/example.test.ts"].map(read))
  })

  it("contains examples of at most ten lines without imports", () => {
    for (const [, code] of readme.matchAll(/```ts\n([^]*?)```/g)) {
      const lines = code!.split("\n").filter((line) => line !== "" && !line.startsWith("import "))
      assert.isAtMost(lines.length, 10)
    }
  })

  it("refers to existing scripts and files only", () => {
    const { scripts } = JSON.parse(read("package.json"))
    for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g)) assert.property(scripts, script!)
    for (const [, path] of readme.matchAll(/\]\((docs\/[^)]+)\)/g)) {
      assert.isTrue(existsSync(new URL(`../../${path}`, import.meta.url)), path)
    }
  })
})

describe("docs/settings.md", () => {
  /** Public interfaces of options, apart from those of a single point, event, timer or instrument. */
  const interfaces: ReadonlyArray<readonly [name: string, file: string, page?: string]> = [
    ["ThreadStatsOptions", "ThreadStatsConfig"],
    ["DogStatsDReporterOptions", "internal/dogstatsd/options"],
    ["AwsOptions", "ApiKey"],
    ["ProgramOptions", "Lambda"],
    ["HandlerOptions", "Lambda"],
    ["StreamHandlerOptions", "Lambda"],
    ["RuntimeOptions", "LambdaRuntime"],
    ["ExtensionOptions", "LambdaExtension"],
    ["StreamOptions", "LambdaStream"],
    ["LogReporterOptions", "LogReporter"],
    ["IntakeOptions", "LocalIntake"],
    ["IntakeLimits", "intake/model"],
    ["EffectMetricsOptions", "internal/effectMetrics/options", "docs/effect-metrics.md"]
  ]

  for (const [name, file, page = "docs/settings.md"] of interfaces) {
    it(`has every option of ${name}${page === "docs/settings.md" ? "" : ` in ${page}`}`, () => {
      const [, body = ""] =
        new RegExp(`export interface ${name}\\b[^]*?\\{\\n([^]*?)^\\}`, "m").exec(read(`src/${file}.ts`)) ??
          []
      const options = Array.from(body.matchAll(/^  readonly (\w+)\??:/gm), ([, option]) => option!)
        // A handler and its layer are no settings.
        .filter((option) => !["handler", "layer"].includes(option))
      if (name !== "StreamHandlerOptions") assert.isNotEmpty(options)
      const code = Array.from(read(page).matchAll(/`([^`\n]+)`/g), ([, text]) => text).join("\n")
      assert.deepStrictEqual(options.filter((option) => !new RegExp(`\\b${option}\\b`).test(code)), [])
    })
  }
})
