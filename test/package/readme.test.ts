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
