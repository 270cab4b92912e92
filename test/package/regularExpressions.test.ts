import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const src = fileURLToPath(new URL("../../src", import.meta.url))

/** Regular expressions of a module, as they are written. */
const patternsOf = (path: string): ReadonlyArray<string> => {
  const source = ts.createSourceFile(path, readFileSync(join(src, path), "utf8"), ts.ScriptTarget.Latest)
  const patterns: Array<string> = []
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) patterns.push(node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return patterns
}

const parse = (pattern: string): RegExp => {
  const end = pattern.lastIndexOf("/")
  return new RegExp(pattern.slice(1, end), pattern.slice(end + 1))
}

/** Text that patterns repeat: each kind of character, and the constant parts of the patterns. */
const pumps = [..."_:.0aA- /\\n%,|@\u00e9[", ".0", "0.", "a:", "a.", "-0", "_a", "SELF_SIGNED", "0a", "/a"]

const length = 100_000

/** Modules whose patterns read files of this project or numbers that the module formatted, and never text from outside. */
const isWithoutInput = (path: string): boolean =>
  path.endsWith("build.ts") || ["intake/pageAsset.ts", "intake/page/format.ts"].includes(path)

/** Returns the CPU time of a replacement in milliseconds. It does not grow when other processes run. */
const cpuMillis = (text: string, pattern: RegExp): number => {
  const before = process.cpuUsage()
  text.replace(pattern, "")
  return process.cpuUsage(before).user / 1000
}

describe("regular expressions of src", () => {
  for (const path of readdirSync(src, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"))) {
    const patterns = patternsOf(path)
    if (patterns.length === 0 || isWithoutInput(path)) continue
    it(`take linear time for 100,000 characters in ${path}`, () => {
      for (const pattern of patterns) {
        for (const pump of pumps) {
          const text = pump.repeat(Math.ceil(length / pump.length))
          // A text that does not match at its end makes a pattern try every other way to match it.
          for (const attack of [`${text}!`, `arn:aws:${text} `, `.${text}!`]) {
            assert.isBelow(cpuMillis(attack, parse(pattern)), 500, `${pattern} with ${JSON.stringify(pump)}`)
          }
        }
      }
    })
  }
})
