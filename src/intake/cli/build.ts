/**
 * The last step of `npm run build`: bundles the command into one folder without dependencies, and copies the page beside the module
 * that loads it. The modules of `/docs` become a file of their own, which is loaded on the first request.
 */
import { build } from "esbuild"
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const path = (relative: string) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url))

// The compiler's output of this folder imports packages that are not dependencies.
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
  // Some bundled packages are CommonJS, and load the modules of Node.js with `require`.
  banner: {
    js:
      "import { createRequire as _createRequire } from \"node:module\"\nconst require = _createRequire(import.meta.url)"
  },
  logLevel: "warning"
})

/** Folders of the bundled packages, whose licences have to be part of the bundle. */
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
