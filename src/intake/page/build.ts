/** Builds the page of the intake: one HTML file that contains its script and its style. */
import { buildSync } from "esbuild"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const here = dirname(fileURLToPath(import.meta.url))
const target = join(here, "../intakePage.html")

const bundle = (entry: string): string => {
  const { outputFiles } = buildSync({
    entryPoints: [join(here, entry)],
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: ["chrome123", "firefox120", "safari17.5"],
    write: false
  })
  return outputFiles[0]!.text.trim()
}

const uPlot = dirname(dirname(createRequire(import.meta.url).resolve("uplot")))
const { version } = JSON.parse(readFileSync(join(uPlot, "package.json"), "utf8"))
const license = readFileSync(join(uPlot, "LICENSE"), "utf8").trim()

const parts: { readonly [name: string]: string } = {
  license: `This page contains uPlot ${version}.\n\n${license}`,
  style: bundle("style.css"),
  script: bundle("main.ts")
}

const page = readFileSync(join(here, "page.html"), "utf8").replaceAll(
  /\{\{(\w+)\}\}/g,
  (_, name: string) => parts[name]!
)

// Tests can read the page, or build it in another process, at the same time.
const temporary = `${target}.${process.pid}`
writeFileSync(temporary, page)
renameSync(temporary, target)
