/**
 * Writes the entries of the package, `npm run build` runs it: one small module for each public module, which `exports` of
 * `package.json` names.
 *
 * An entry imports a module that Effect 3 has and Effect 4 does not. The link of ES modules fails there before any code runs, and the
 * error of Node.js names the missing module and the importing file, nothing else. The name of the folder therefore has the remedy.
 * Bundlers show the line, and with it the comment.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, relative } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

/** Folder of the package. Default: this project. */
const root = process.argv[2] === undefined ? new URL("../..", import.meta.url) : pathToFileURL(`${process.argv[2]}/`)

const manifest: {
  readonly name: string
  readonly exports: { readonly [entry: string]: string | null | { readonly types: string; readonly default: string } }
} = JSON.parse(readFileSync(new URL("package.json", root), "utf8"))

for (const entry of Object.values(manifest.exports)) {
  if (entry === null || typeof entry === "string") continue
  const file = new URL(entry.default, root)
  const module = relative(dirname(entry.default), entry.types.replace(/\.d\.ts$/, ".js"))
  mkdirSync(new URL(".", file), { recursive: true })
  writeFileSync(
    fileURLToPath(file),
    `import "effect/Either" // ${manifest.name} requires Effect 3: run \`npm install effect@3\`.\nexport * from "${module}"\n`
  )
}
