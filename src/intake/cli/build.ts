/**
 * The last step of `npm run build`: the command in one folder that needs nothing else to run, and the page beside the modules that
 * load it. What only `/docs` needs is a file of its own, which is read when it is asked for.
 */
import { build } from "esbuild"
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url))

// what the compiler made of this folder needs packages to run
rmSync(path("dist/intake/cli"), { recursive: true, force: true })

const { metafile } = await build({
  entryPoints: [path("src/intake/cli/effect-threadstats.ts")],
  outdir: path("dist/intake/cli"),
  bundle: true,
  minify: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20",
  metafile: true,
  // some of what is bundled is CommonJS, and asks for Node's modules as that does
  banner: {
    js:
      "import { createRequire as _createRequire } from \"node:module\"\nconst require = _createRequire(import.meta.url)"
  },
  logLevel: "warning"
})

/** What is bundled comes with its licence. */
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? [])
)
const licences = Array.from(packages).sort().flatMap((folder) =>
  readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file))
    .map((file) =>
      `${folder.replace(/^.*node_modules\//, "")}\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`
    )
)
writeFileSync(path("dist/intake/cli/LICENSES.txt"), licences.join("\n----\n\n"))

const page = "intake/intakePage.html"
if (existsSync(path(`src/${page}`))) copyFileSync(path(`src/${page}`), path(`dist/${page}`))
