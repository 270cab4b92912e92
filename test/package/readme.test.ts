import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
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

  it("has at most 150 lines", () => {
    assert.isAtMost(readme.trimEnd().split("\n").length, 150)
  })

  it("refers to existing scripts and files only", () => {
    const { scripts } = JSON.parse(read("package.json"))
    for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g)) assert.property(scripts, script!)
    for (const [, path] of readme.matchAll(/\]\((docs\/[^)]+)\)/g)) {
      assert.isTrue(existsSync(new URL(`../../${path}`, import.meta.url)), path)
    }
  })
})

const pages = ["README.md", "CONTRIBUTING.md", "test/README.md", "bench/README.md"]
  .concat(
    readdirSync(new URL("../../docs", import.meta.url)).filter((file) => file.endsWith(".md")).map((file) =>
      `docs/${file}`
    )
  )

describe("documents", () => {
  /** Returns the anchors that GitHub gives to the headings of a page. */
  const anchorsOf = (page: string) =>
    Array.from(
      read(page).matchAll(/^#+ (.*)$/gm),
      ([, heading = ""]) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    )

  it("link to existing headings only", () => {
    const broken = pages.flatMap((page) =>
      Array.from(read(page).matchAll(/\]\(([^)#\s:]*)#([^)]+)\)/g)).flatMap(([, path = "", anchor = ""]) => {
        const target = path === "" ? page : posix.join(posix.dirname(page), path)
        return pages.includes(target) && anchorsOf(target).includes(anchor) ? [] : [`${page}: ${path}#${anchor}`]
      })
    )
    assert.deepStrictEqual(broken, [])
  })
})

describe("names in documents", () => {
  it("of members of public modules exist in these modules", () => {
    const modules = readdirSync(new URL("../../src", import.meta.url)).flatMap((file) =>
      /^([A-Z]\w+)\.ts$/.exec(file)?.[1] ?? []
    )
    const member = new RegExp(`\\b(${modules.join("|")})\\.(\\w+)(?!\\w*\\.(?:ts|md|js))`, "g")
    const missing = pages.flatMap((page) =>
      Array.from(read(page).matchAll(member)).flatMap(([name, module = "", key = ""]) =>
        ["ts", "js", "md", "test", "io"].includes(key) || new RegExp(`\\b${key}\\b`).test(read(`src/${module}.ts`))
          ? []
          : [`${page}: ${name}`]
      )
    )
    assert.deepStrictEqual(missing, [])
  })
})

describe("docs/local-intake.md", () => {
  it("has the code of every verdict, and no other", () => {
    const files = readdirSync(new URL("../../src/intake", import.meta.url), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !/^(?:page|cli)\b/.test(file))
    const literal =
      /(?:makeVerdict\(\s*"\w+",|refuse\(\s*\d+,|\bwarn\(|\bcode:|"warning",)\s*"([A-Z]\w+)"|"(TooOld|TooNew)"/g
    const codes = files.flatMap((file) =>
      Array.from(read(`src/intake/${file}`).matchAll(literal), ([, code, other]) => code ?? other!)
    ).filter((code) => code !== "Accepted")
    const rows = Array.from(read("docs/local-intake.md").matchAll(/^\| (`[A-Z][^|]*) \|/gm), ([, cell = ""]) => cell)
    const documented = rows.flatMap((cell) => Array.from(cell.matchAll(/`(\w+)`/g), ([, code]) => code!))
    assert.deepStrictEqual(Array.from(new Set(documented)).sort(), Array.from(new Set(codes)).sort())
  })
})

describe("docs/delivery.md", () => {
  const [, table = ""] = /^## Operation\n([^]*?)^## /m.exec(read("docs/delivery.md")) ?? []
  const lines = Array.from(table.matchAll(/^\| (`.*?) \|/gm), ([, cell = ""]) => cell)
    .flatMap((cell) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, line]) => line!))

  it("has a cause and a remedy for every drop reason, and no other reason", () => {
    const reasons = ["model/AggregatorStats", "model/Stats", "model/tags", "model/eventBuilder", "model/time"].flatMap(
      (file) =>
        Array.from(
          read(`src/internal/${file}.ts`).matchAll(
            /^export type (?:\w*DropReason|\w+Fault) =([^]*?)(?=\n(?:\n|export|\/\*\*))/gm
          ),
          ([, union = ""]) => Array.from(union.matchAll(/"(\w+)"/g), ([, reason]) => reason!)
        ).flat()
    )
    const documented = lines.flatMap((line) =>
      /^(?:Dropped <n> points: )?([A-Z]\w+)(?: \(<names>\))?$/.exec(line)?.[1] ?? []
    )
    assert.sameMembers(documented, Array.from(new Set(reasons)))
    for (const row of table.matchAll(/^\| `.*$/gm)) assert.match(row[0], /^(?:\| \S[^|]*){3}\|$/)
  })

  it("quotes log lines that the sources contain, and reasons that exist", () => {
    assert.isAtLeast(lines.length, 15)
    const sources = readdirSync(new URL("../../src", import.meta.url), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.startsWith("intake"))
      .map((file) => read(`src/${file}`))
      .join("\n")
    // Text between placeholders, without the numbers and punctuation that the sources insert.
    const fragments = lines.flatMap((line) => line.split(/<[^>]*>|: | at |\(status|[()]|\b\d+\b/)).map((text) =>
      text.trim()
    )
      .filter((text) => text.length > 2)
    assert.deepStrictEqual(fragments.filter((text) => !sources.includes(text)), [])
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
